# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking for secrets where none may be: outputs, journals, argument lists, files that anybody may read."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from pathlib import Path
from typing import Any

from lab.lab import Lab

# Runs on a host with {"needles": [base64 …], "folders": […], "without": […]}: prints where a needle stands.
_SEARCH = r"""
import base64, json, os, stat, subprocess, sys

given = json.load(sys.stdin)
needles = [base64.b64decode(text) for text in given["needles"]]
found = []
def look(where, data):
    squeezed = data.replace(b"\\n", b"").translate(None, b" \t\r\n")
    if any(needle in data or needle in squeezed for needle in needles):
        found.append(where)
def readable(path):
    # by anybody: the file itself, and every folder on the way
    return os.lstat(path).st_mode & stat.S_IROTH
count = 0
for top in given["folders"]:
    for folder, inner, names in os.walk(top):
        try:
            open_to_all = os.stat(folder).st_mode & stat.S_IXOTH
        except FileNotFoundError:  # gone since it was listed
            continue
        if not open_to_all or folder in given["without"]:
            inner[:] = []
            continue
        for name in names:
            path = os.path.join(folder, name)
            try:
                mode = os.lstat(path).st_mode
                if stat.S_ISREG(mode) and mode & stat.S_IROTH:
                    with open(path, "rb") as file:
                        look(path, file.read())
                    count += 1
            except FileNotFoundError:  # a temporary file, replaced meanwhile
                continue
journal = subprocess.run(["journalctl", "--no-pager", "-a", "-o", "export"], capture_output=True, check=True).stdout
look("journal", journal)
json.dump({"found": found, "files": count, "journal": len(journal)}, sys.stdout)
"""
FOLDERS = ["/etc", "/var", "/run", "/tmp", "/home", "/root", "/srv/git", "/usr/local", "/usr/lib/avpn"]
FOLDERS += ["/usr/lib/avpn-reconcile"]
# Handles of network namespaces, which nobody reads; what Debian's packages brought.
WITHOUT = ["/run/netns", "/var/lib/apt", "/var/lib/dpkg", "/var/cache"]


def forms(secret: bytes) -> list[bytes]:
    """How a secret of 16 bytes or more may be written: as it is, in hexadecimal, in base64 within other text."""
    found = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + secret)
        # Characters at both ends also hold bits of the neighbours.
        found.append(text[shift * 8 // 6 + 1 : -4])
    return found


def secrets_of(lab: Lab, host: str) -> dict[str, bytes]:
    """A provider host's secrets by name, as bytes."""
    from cryptography.hazmat.primitives import serialization

    def read(path: str) -> str:
        return lab.execute(host, ["cat", path]).stdout

    raw, none = serialization.Encoding.Raw, serialization.NoEncryption()
    found = {"signing key": base64.b64decode(read("/var/lib/avpn/keys/signing.key"))}
    for name, path in (
        ("SSH client key", "/var/lib/avpn/keys/ssh_client_ed25519"),
        ("SSH host key", "/etc/avpn/ssh_host_ed25519_key"),
    ):
        key = serialization.load_ssh_private_key(read(path).encode(), None)
        found[name] = key.private_bytes(raw, serialization.PrivateFormat.Raw, none)
    for path in lab.execute(host, ["sh", "-c", "ls /etc/avpn/wireguard/*.key"]).stdout.split():
        found[f"tunnel key {path[-12:]}"] = base64.b64decode(read(path))
    for index, key_ in enumerate(_strings(json.loads(read("/var/lib/avpn/gossip/keyring.json")))):
        found[f"gossip key {index}"] = base64.b64decode(key_)
    found["gossip's token"] = read("/var/lib/avpn/gossip/rpc.token").strip().encode()
    return found


def _strings(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [text for value in document.values() for text in _strings(value)]
    return [document] if isinstance(document, str) else [text for value in document for text in _strings(value)]


def found_in(text: bytes, secrets: dict[str, bytes]) -> list[str]:
    """The names of the secrets that stand in a text in some form."""
    squeezed = re.sub(rb"\\n|\s", b"", text)
    return [name for name, secret in secrets.items() if any(form in text or form in squeezed for form in forms(secret))]


def search_host(lab: Lab, host: str, secrets: dict[str, bytes]) -> dict[str, Any]:
    """``{"found": [path or "journal"], "files", "journal"}``: where on a host, and how much was read."""
    needles = [base64.b64encode(form).decode() for secret in secrets.values() for form in forms(secret)]
    order = json.dumps({"needles": needles, "folders": FOLDERS, "without": WITHOUT}).encode()
    done = lab.execute(host, ["python3", "-c", _SEARCH], data=order, timeout=300)
    return dict(json.loads(done.stdout))


class ProcessWatch:
    """Collects the argument lists of every process of this machine, all hosts of the lab included."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ProcessWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        looks: dict[str, int] = {}
        while not self._stop.wait(0.05):
            now = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
            # A process that was just forked still has its parent's arguments: it is looked at a few times.
            looks = {process: looks.get(process, 0) + 1 for process in now}
            for process in (process for process in now if looks[process] <= 4):
                with contextlib.suppress(OSError):
                    self.seen.add(Path(f"/proc/{process}/cmdline").read_bytes())
