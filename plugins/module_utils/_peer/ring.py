# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The key of the gossip ring: which one is used, and how hosts come to the same one.

A host asks its peers (the ``ring`` operation, over SSH, only between holders of leases in a common network)
and everybody keeps the key with the lowest SHA-256 of those it sees. That order is the same everywhere and
needs no acquaintance: hosts that share no network still end up with one key through those between them,
which "the lowest node's key" would not achieve. Nobody has one: the host makes one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable

from .._common import fields
from .._common.errors import InvalidInput, Unsupported
from . import files
from .paths import Paths

_MOST_KEYS = 4


def keys(paths: Paths) -> list[str]:
    """The keyring, the key in use first; empty when there is none."""
    try:
        document = json.loads(paths.keyring.read_text("ascii"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise Unsupported(
            "isn't a keyring", where=str(paths.keyring), remedy="Remove it; a new one is agreed"
        ) from error
    return fields.items(document, str(paths.keyring), fields.key32, most=64)


def current_key(paths: Paths) -> str | None:
    """The key in use, base64; None when this host has no ring."""
    return next(iter(keys(paths)), None)


def parse_offer(answer: object) -> str | None:
    """A peer's answer to ``ring``: its key, or None."""
    key = fields.obj(answer, "ring", required={"key"})["key"]
    return None if key is None else fields.key32(key, "ring.key")


def agree(paths: Paths, offers: Iterable[str]) -> bool:
    """Put the key to use that wins among the own one and the peers' offers; tells whether that is another than before.

    The key before stays in the ring for decryption, so that hosts which haven't changed yet are understood.
    """
    try:
        present = keys(paths)
    except InvalidInput:
        present = []
    candidates = set(present[:1]) | set(offers) or {base64.b64encode(os.urandom(32)).decode()}
    winner = min(candidates, key=lambda key: hashlib.sha256(key.encode()).digest())
    if present[:1] == [winner]:
        return False
    ring = [winner, *(key for key in present if key != winner)][:_MOST_KEYS]
    files.write(paths.keyring, json.dumps(ring).encode() + b"\n", mode=0o600)
    return True


def forget(paths: Paths) -> None:
    """Remove all of the ring: this host shares no network with anybody any more."""
    for path in (paths.keyring, paths.serf_config, paths.rpc_token, paths.gossip / "snapshot"):
        path.unlink(missing_ok=True)
