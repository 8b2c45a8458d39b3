# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this host calls its networks: a short name and a WireGuard port each, given once and kept.

Both are local. The short name starts as the id's own first letters and moves on while something on the
machine already carries it; the port is the first free one.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .._common import canonical, fields
from .._common.errors import InvalidInput, Unavailable
from .._peer import files
from .names import namespace_path, tunnel

_LIMIT = 4 << 20
_MOST = 16_384
_TRIES = 1_000


@dataclass(frozen=True)
class Registration:
    """``short``: 8 characters a-z2-7; ``port``: UDP port of the network's encrypted socket on this host."""

    short: str
    port: int


class Registry:
    """The file ``/var/lib/avpn-host/registry.json``. Each method takes the lock, reads, and writes what changed."""

    def __init__(self, path: Path, first_port: int) -> None:
        self._path = path
        self._first_port = first_port

    def read(self) -> dict[str, Registration]:
        """All registrations by network id. InvalidInput: the file is damaged."""
        return _load(self._path)

    def allocate(self, network: str) -> Registration:
        """The network's registration, made now if there is none."""
        with self._locked() as entries:
            if network not in entries:
                entries[network] = Registration(_free_short(network, entries), _free_port(self._first_port, entries))
            return entries[network]

    def release(self, network: str) -> None:
        """Forget the network; its names and port may be given again."""
        with self._locked() as entries:
            entries.pop(network, None)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[dict[str, Registration]]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        with open(self._path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = _load(self._path)
            before = dict(entries)
            yield entries
            if entries != before:
                files.write(self._path, canonical.dumps(_document(entries)) + b"\n")


def _document(entries: Mapping[str, Registration]) -> canonical.Json:
    return {network: {"short": entry.short, "port": entry.port} for network, entry in entries.items()}


def _load(path: Path) -> dict[str, Registration]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    document = canonical.loads(data, where=str(path), limit=_LIMIT)
    return fields.mapping(document, "registry", fields.hex64, _registration, most=_MOST)


def _registration(value: object, where: str) -> Registration:
    entry = fields.obj(value, where, required={"short", "port"})
    short = fields.text(entry["short"], f"{where}.short", most=8)
    if len(short) != 8 or not set(short) <= set("abcdefghijklmnopqrstuvwxyz234567"):
        raise InvalidInput("must be 8 characters a-z2-7", where=f"{where}.short")
    return Registration(short, fields.integer(entry["port"], f"{where}.port", least=1, most=65_535))


def _free_short(network: str, entries: Mapping[str, Registration]) -> str:
    taken = {entry.short for entry in entries.values()}
    for attempt in range(_TRIES):
        seed = bytes.fromhex(network) if attempt == 0 else hashlib.sha256(f"{network}/{attempt}".encode()).digest()
        short = base64.b32encode(seed).decode().lower()[:8]
        if short not in taken and not _exists(short):
            return short
    raise Unavailable("no free short name was found", where=f"network {network[:12]}")


def _exists(short: str) -> bool:
    """Whether a namespace or an interface of this name is on the machine, ours or not.

    wireguard-go's control socket is named after the interface alone, whatever its namespace, so it counts too.
    """
    interface = tunnel(short)
    return (
        os.path.lexists(namespace_path(short))
        or interface in (name for _index, name in socket.if_nameindex())
        or os.path.lexists(f"/run/wireguard/{interface}.sock")
    )


def _free_port(first: int, entries: Mapping[str, Registration]) -> int:
    taken = {entry.port for entry in entries.values()}
    for port in range(first, min(first + _TRIES * 4, 65_536)):
        if port not in taken and _bindable(port):
            return port
    raise Unavailable(
        f"no free UDP port from {first} on", where="wireguard.first_port", remedy="Give the host another first port"
    )


def _bindable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
