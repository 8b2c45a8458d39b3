# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tunnel keys: made on the host, read by WireGuard from their file, never anywhere else."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Protocol

from .._common import fields
from .._common.errors import InvalidInput, Unsupported
from .._peer import files
from .command import CommandFailed, run
from .registry import Registry


class KeyPaths(Protocol):
    """What is needed of ``_peer.paths.Paths``."""

    @property
    def wireguard(self) -> Path: ...


def key_path(paths: KeyPaths, network: str) -> Path:
    """Where the network's private key is."""
    return paths.wireguard / f"{network}.key"


def ensure_key(path: Path) -> None:
    """Make the private key unless there is one. Mode 0600 from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        files.create(path, base64.b64encode(_clamped(os.urandom(32))) + b"\n", mode=0o600)


def public_key(path: Path) -> str:
    """The public key of the private key at ``path``, in base64."""
    try:
        secret = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise Unsupported("the tunnel's private key can't be read", where=str(path)) from error
    try:
        return fields.key32(run(["wg", "pubkey"], stdin=secret).strip(), str(path))
    except CommandFailed as error:
        raise InvalidInput("is not a WireGuard private key", where=str(path)) from error


def prepare_tunnel(paths: KeyPaths, registry: Registry, network: str) -> tuple[str, int]:
    """The public key and UDP port of this host's tunnel in a network, made on demand.

    For the host's entry in the ledger, which comes before anything runs.
    """
    registration = registry.allocate(network)
    path = key_path(paths, network)
    ensure_key(path)
    return public_key(path), registration.port


def _clamped(secret: bytes) -> bytes:
    """An X25519 scalar in its usual form (RFC 7748, section 5)."""
    return bytes((secret[0] & 0xF8, *secret[1:31], (secret[31] & 0x7F) | 0x40))
