# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last step of a reconciliation: telling the others what is newer here, once each.

A hint goes round the gossip ring; where there is none, it goes to each of the network's hosts over the peer channel.
Whoever misses it finds out by comparison, so nothing waits for an answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._chain.view import load_view
from .._common.errors import AvpnError
from .._peer import drop, files, gossip, versions
from .._peer.config import HostConfig
from .._peer.gather import client
from .._peer.hints import Hint
from .._peer.identities import Identities
from .._peer.paths import Paths

_SECONDS = 10.0
_ALL_SECONDS = 60.0


@dataclass(frozen=True)
class News:
    """By network id ``{"ledger": [g, v] | null, "manifest": n | null}``: what is here, and what was announced."""

    here: Mapping[str, Mapping[str, Any]]
    announced: Mapping[str, Mapping[str, Any]]

    def hints(self) -> list[Hint]:
        """What the others haven't been told yet."""
        found = []
        for network, have in sorted(self.here.items()):
            told = self.announced.get(network, {})
            if have["ledger"] is not None and have["ledger"] != told.get("ledger"):
                found.append(Hint("ledger", network, have["ledger"][1]))
            if have["manifest"] is not None and have["manifest"] != told.get("manifest"):
                found.append(Hint("manifest", network, have["manifest"]))
        return found


def observe(paths: Paths) -> News:
    """What this host has of the networks in its view, and what it told the others last."""

    def work() -> Any:
        return versions.versions(paths, load_view(paths.view).networks)

    return News(drop.as_user(drop.USER, work, seconds=_ALL_SECONDS), _announced(_file(paths)))


def tell(paths: Paths, config: HostConfig, news: News) -> list[str]:
    """Send the hints and remember that; the nodes that couldn't be told directly where there was no ring."""
    told = news.hints()
    missed = drop.as_user(drop.USER, lambda: _send(paths, config, told), seconds=_ALL_SECONDS) if told else []
    files.write(_file(paths), json.dumps(dict(news.here), sort_keys=True).encode() + b"\n", durable=False)
    return list(missed)


def _send(paths: Paths, config: HostConfig, told: list[Hint]) -> list[str]:
    alone = [hint for hint in told if not gossip.emit(paths, config, hint)]
    if not alone:
        return []
    view = load_view(paths.view)
    identities = Identities(view, config.id)
    missed: set[str] = set()
    with client(paths, config, view) as calls:
        for hint in alone:
            if hint.network not in identities.networks:
                continue
            nodes = [host.id for host in identities.hosts_of(hint.network) if host.id != config.id]
            request = {"op": "hint", "network": hint.network, "kind": hint.kind, "version": hint.version}
            for node, answer in calls.call_all(nodes, request, seconds=_SECONDS):
                if isinstance(answer, AvpnError):
                    missed.add(str(node))
    return sorted(missed)


def _file(paths: Paths) -> Path:
    return paths.host_state / "announced.json"


def _announced(path: Path) -> dict[str, dict[str, Any]]:
    """What was told before; if that was lost, it is told once more."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {network: told for network, told in document.items() if isinstance(told, dict)}
