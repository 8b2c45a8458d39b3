# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a provider host as root: breaks what the campaign orders, and mends it. JSON lines in and out.

Plain Python of the host. Everything it does is undone by "mend", which may be ordered at any time.
"""

from __future__ import annotations

import base64
import json
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STATE = Path("/var/lib/avpn")
DATABASE = STATE / "voter.db"
SIGNING_KEY = STATE / "keys" / "signing.key"
SOFTWARE = "/usr/lib/avpn/current"
STAGE = Path("/var/tmp/avpn-faults")
SSHD = Path("/etc/avpn/sshd_config")
USER = pwd.getpwnam("avpn")
UNIT = "avpn-sshd.service"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
FILLER = STATE / "filler"
SLACK = 2 << 20  # bytes that a small disk has beyond what is on it


def sessions(*, name: bytes = b"/usr/lib/avpn/bin/avpn-peer") -> list[int]:
    """Processes that answer peers. Not those of sshd that hold the connections."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            command = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if name in command and b"python" in command[0]:
            found.append(int(entry))
    return found


def send(number: int) -> int:
    """A signal to all sessions; returns how many got it."""
    count = 0
    for pid in sessions():
        try:
            os.kill(pid, number)
            count += 1
        except ProcessLookupError:
            continue
    return count


def is_busy() -> bool:
    """Whether this voter has accepted something for a version that isn't certified here."""
    # As avpn: what SQLite makes beside the database has to be avpn's.
    os.setegid(USER.pw_gid)
    os.seteuid(USER.pw_uid)
    try:
        database = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True, timeout=0.1)
        try:
            query = "SELECT count(*) FROM pending WHERE accepted IS NOT NULL"
            return bool(database.execute(query).fetchone()[0])
        finally:
            database.close()
    except sqlite3.Error:
        return False
    finally:
        os.seteuid(0)
        os.setegid(0)


def kill_peers(order: dict[str, Any]) -> dict[str, Any]:
    """Kill the sessions while a version is half done, as soon as one is, or after ``seconds``."""
    deadline = time.monotonic() + order["seconds"]
    while not (busy := is_busy()) and time.monotonic() < deadline:
        time.sleep(0.002)
    return {"killed": send(signal.SIGKILL), "busy": busy}


def stop() -> None:
    """All sessions end at once, wherever they stand."""
    subprocess.run(["systemctl", "stop", "--no-block", UNIT], check=False, capture_output=True)
    # Who logs in just now isn't reached by the signal to stop, and could go on for long.
    subprocess.run(["systemctl", "kill", "--signal=KILL", UNIT], check=False, capture_output=True)
    subprocess.run(["systemctl", "stop", UNIT], check=False, capture_output=True, timeout=120)


def start() -> None:
    subprocess.run(["systemctl", "reset-failed", UNIT], check=False, capture_output=True)
    subprocess.run(["systemctl", "start", UNIT], check=True, capture_output=True, timeout=60)


def clock(order: dict[str, Any]) -> dict[str, Any]:
    """Sessions see a clock that is ``offset`` seconds ahead: sshd gives them libfaketime (0: none)."""
    lines = [line for line in SSHD.read_text().splitlines() if not line.startswith("SetEnv ")]
    if order["offset"]:
        words = f"LD_PRELOAD={FAKETIME} FAKETIME={order['offset']:+d} FAKETIME_DONT_FAKE_MONOTONIC=1"
        lines.insert(0, f"SetEnv {words}")
    text = "\n".join(lines) + "\n"
    SSHD.write_text(text)
    stop()
    start()
    return {"offset": order["offset"]}


def clocks() -> list[float]:
    """How far ahead the sessions' environment says that their clocks are; for looking at by hand."""
    found = []
    for pid in sessions():
        try:
            maps = Path("/proc", str(pid), "maps").read_text()
        except OSError:
            continue
        found.append(float("faketime" in maps))
    return found


def is_small() -> bool:
    return os.path.ismount(STATE)


def fill(order: dict[str, Any]) -> dict[str, Any]:
    """The state's directory becomes a small file system with everything in it, and ``left`` bytes free."""
    if is_small():
        return {"error": "is full already"}
    stop()
    used = sum(path.stat().st_size for path in STATE.rglob("*") if path.is_file())
    _copy(STATE, STAGE)
    options = f"size={used * 2 + SLACK},mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "avpn-faults", str(STATE)], check=True)
    shutil.copystat(STAGE, STATE)
    shutil.chown(STATE, "avpn", "avpn")
    _copy(STAGE, STATE)
    shutil.rmtree(STAGE)
    with open(FILLER, "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"\0" * 4096)
        except OSError:
            pass
        filler.truncate(max(0, filler.tell() - order["left"]))
    start()
    room = os.statvfs(STATE)
    return {"free": room.f_bavail * room.f_frsize}


def unfill() -> None:
    """What was written meanwhile stays, on the disk as it was before."""
    if not is_small():
        return
    stop()
    FILLER.unlink(missing_ok=True)
    shutil.rmtree(STAGE, ignore_errors=True)
    _copy(STATE, STAGE)
    subprocess.run(["umount", "--lazy", str(STATE)], check=True)
    for path in STATE.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    _copy(STAGE, STATE)
    shutil.rmtree(STAGE)
    start()


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", f"{source}/.", f"{target}/"], check=True)


def lose_disk() -> dict[str, Any]:
    """The voter's memory is gone; the next session makes another."""
    stop()
    for path in STATE.glob("voter.db*"):
        path.unlink()
    start()
    return {}


def change_key() -> dict[str, Any]:
    """The host gets another signing key, as when a team deletes it and runs the role peer again."""
    beside = SIGNING_KEY.with_name("signing.key.new")
    beside.write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
    beside.chmod(0o600)
    shutil.chown(beside, "avpn", "avpn")
    beside.replace(SIGNING_KEY)
    return {}


def identity() -> str:
    """The voter's database and the host's signing key, ``incarnation/public key``; empty if one isn't there."""
    query = "SELECT value FROM meta WHERE key = 'incarnation'"
    command = ["runuser", "-u", "avpn", "--", "sqlite3", "-readonly", str(DATABASE), query]
    incarnation = subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    try:
        seed = base64.b64decode(SIGNING_KEY.read_bytes())
    except OSError:
        return ""
    return f"{incarnation}/{public_key(seed)}" if incarnation else ""


def public_key(seed: bytes) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def make_identity() -> dict[str, Any]:
    """See to it that there is a database: the first session after its loss makes one, or else the role peer would."""
    make = (
        f"import os, sys; os.umask(0o077); sys.path.insert(0, '{SOFTWARE}');"
        f" from avpn._quorum.store import incarnation; incarnation('{DATABASE}')"
    )
    command = ["runuser", "-u", "avpn", "--", "/usr/bin/python3", "-I", "-c", make]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    found = identity()
    return {"identity": found} if found else {"error": f"no database: {done.stderr[-200:]}"}


def mend() -> dict[str, Any]:
    """Whatever is broken here, isn't any more."""
    send(signal.SIGCONT)
    unfill()
    if any(line.startswith("SetEnv ") for line in SSHD.read_text().splitlines()):
        clock({"offset": 0})
    if subprocess.run(["systemctl", "is-active", "--quiet", UNIT], check=False).returncode != 0:
        start()
    return {}


def perform(order: dict[str, Any]) -> dict[str, Any]:
    do = order["do"]
    if do == "kill-peers":
        return kill_peers(order)
    if do == "pause-peers":
        return {"paused": send(signal.SIGSTOP)}
    if do == "resume-peers":
        return {"resumed": send(signal.SIGCONT)}
    if do == "clock":
        return clock(order)
    if do == "clocks":
        return {"faked": clocks()}
    if do == "fill":
        return fill(order)
    if do == "unfill":
        unfill()
        return {}
    if do == "lose-disk":
        return lose_disk()
    if do == "change-key":
        return change_key()
    if do == "identity":
        return make_identity()
    return mend()


def main() -> None:
    if sys.argv[1:] == ["identity"]:
        print(identity())
        return
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        try:
            result = perform(json.loads(line))
        except (OSError, subprocess.SubprocessError) as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
