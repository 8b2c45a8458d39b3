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
from .._common.ids import network_id
from .._quorum import budget
from .paths import Paths

_LIMIT = 64 << 20
_DEPLOYMENTS, _PROVIDERS = 512, 256  # of one owner's ledgers together
_HEAD = 64 << 10  # bytes in which the certificate surely ends; the value, much longer, follows it


@dataclass(frozen=True)
class References:
    """What the cached ledgers refer to, so that a reading of the chain includes it."""

    networks: frozenset[str]
    deployments: Mapping[str, frozenset[int]] = field(default_factory=dict)  # by network id: dseqs of slots
    providers: frozenset[str] = frozenset()
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # by network id: owner and name


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


def affordable(paths: Paths, owners: Mapping[str, str]) -> frozenset[str]:
    """Those of the networks (id -> owner) whose cached ledgers may be read."""
    return budget.affordable(paths.ledgers, owners)


def references(paths: Paths, owners: Mapping[str, str]) -> References:
    """What the cached ledgers refer to; ``owners``: who is known to own which network. Damaged files are left out.

    All of it is asked for at every reading, so an owner's ledgers refer to so many things and no more.
    """
    known = networks(paths)
    # Those whose owner isn't known yet share the room of one.
    worth = affordable(paths, {network: owners.get(network, "") for network in known})
    deployments: dict[str, frozenset[int]] = {}
    providers: dict[str, list[str]] = {}
    left: dict[str, int] = {}
    names: dict[str, tuple[str, str]] = {}
    for network in sorted(worth):
        try:
            data = json.loads(_read(path_of(paths, network), _LIMIT) or b"{}")["value"]
            # Plain parsing: these only widen what is read, and a large value must not cost a strict pass.
            document = data["record"]["document"]
            owner = str(document["owner"])
            slots = sorted((bool(slot["bound"]), int(slot["lease"].split("/")[0])) for slot in data["slots"].values())
            # What runs first, then what was replaced last.
            dseqs = list(dict.fromkeys(dseq for _bound, dseq in reversed(slots)))[
                : left.setdefault(owner, _DEPLOYMENTS)
            ]
            nodes = [str(voter["node"]) for voter in data["voters"]] + [str(node) for node in data["hosts"]]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            continue
        if network_id(owner, str(document["name"])) == network:
            names[network] = (owner, str(document["name"]))
        deployments[network] = frozenset(dseqs)
        left[owner] -= len(dseqs)
        providers.setdefault(owner, []).extend(node.split("/")[0] for node in nodes)
    named = (list(dict.fromkeys(listed))[:_PROVIDERS] for listed in providers.values())
    accounts = frozenset(account for some in named for account in some)
    return References(frozenset(known), deployments, accounts, names)


def _read(path: Path, limit: int) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read(limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"can't be read: {error.strerror}", where=str(path)) from error
