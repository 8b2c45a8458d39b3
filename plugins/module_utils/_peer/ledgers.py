# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quick looks into the cached ledgers (``_quorum.cache`` writes and reads them whole)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .._common.errors import Unavailable
from .paths import Paths

_LIMIT = 64 << 20
_HEAD = 64 << 10  # bytes in which the certificate surely ends; the value, much longer, follows it


@dataclass(frozen=True)
class References:
    """What the cached ledgers refer to, so that a reading of the chain includes it."""

    networks: frozenset[str]
    deployments: Mapping[str, frozenset[int]] = field(default_factory=dict)  # by network id: dseqs of slots
    providers: frozenset[str] = frozenset()


def path_of(paths: Paths, network: str) -> Path:
    """The file of a network (an id that was checked)."""
    return paths.ledgers / f"{network}.json"


def networks(paths: Paths) -> list[str]:
    """Ids of the networks with a cached value, sorted."""
    names = (name.removesuffix(".json") for name in os.listdir(paths.ledgers) if name.endswith(".json"))
    return sorted(name for name in names if len(name) == 64)


def position(paths: Paths, network: str) -> tuple[int, int] | None:
    """Generation and version of the cached value, without parsing the value; None: there is none."""
    head = _read(path_of(paths, network), _HEAD)
    if head is None:
        return None
    prefix = '{"certificate":'
    text = head.decode("utf-8", "replace")
    try:
        document, _end = json.JSONDecoder().raw_decode(text, len(prefix))
        generation, version = document["generation"], document["version"]
    except (ValueError, KeyError, TypeError):
        return None
    return (generation, version) if isinstance(generation, int) and isinstance(version, int) else None


def references(paths: Paths) -> References:
    """What all cached ledgers refer to; damaged files are left out."""
    known = networks(paths)
    deployments: dict[str, frozenset[int]] = {}
    providers: set[str] = set()
    for network in known:
        try:
            data = json.loads(_read(path_of(paths, network), _LIMIT) or b"{}")["value"]
            # Plain parsing: these only widen what is read, and a large value must not cost a strict pass.
            deployments[network] = frozenset(int(slot["lease"].split("/")[1]) for slot in data["slots"].values())
            providers |= {str(node).split("/")[0] for node in data["hosts"]}
            providers |= {str(voter["node"]).split("/")[0] for voter in data["voters"]}
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            continue
    return References(frozenset(known), deployments, frozenset(providers))


def _read(path: Path, limit: int) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read(limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"can't be read: {error.strerror}", where=str(path)) from error
