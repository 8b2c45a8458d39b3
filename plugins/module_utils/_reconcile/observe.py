# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first step of a reconciliation: the chain, and what peers have that is newer. Runs as avpn.

Hosts keep what they read in files; the steps after this one read those and talk to nobody, except for the one
that allocates.
"""

from __future__ import annotations

from typing import Any

from .._chain.model import View
from .._chain.view import load_view
from .._chain.view_json import view_from_json, view_to_json
from .._common.errors import InvalidInput, Unavailable
from .._peer import drop, refresh
from .._peer.config import HostConfig
from .._peer.gather import client
from .._peer.identities import Identities
from .._peer.paths import Paths
from .._peer.pull import Pull

SECONDS = 180.0
_PAUSE = 1.0  # a view read less than this ago, by whomever, is new enough


def cached(paths: Paths) -> View | None:
    """The view as it is kept; None if there is none that can be read."""
    try:
        return load_view(paths.view)
    except (InvalidInput, Unavailable):
        return None


def would_read(paths: Paths, config: HostConfig) -> View:
    """The view as it would be, read from the chain and not kept."""
    document = drop.as_user(drop.USER, lambda: view_to_json(refresh.read(paths, config)), seconds=SECONDS)
    return view_from_json(document)


def read(paths: Paths, config: HostConfig) -> View:
    """Read the chain into the cached view. Raises Unavailable when it doesn't answer; the cached view stays."""
    drop.as_user(drop.USER, lambda: refresh.refresh_view(paths, config, pause=_PAUSE), seconds=SECONDS)
    return load_view(paths.view)


def fetch(paths: Paths, config: HostConfig) -> tuple[list[str], dict[str, str]]:
    """Fetch newer ledgers and manifests from peers; what was new (``manifest <network id>``), and what was refused."""

    def work() -> dict[str, Any]:
        view = load_view(paths.view)
        with client(paths, config, view) as calls:
            pull = Pull(paths, Identities(view, config.id), calls)
            pull.compare()
        return {"news": sorted(f"{kind} {network}" for kind, network in pull.news), "problems": pull.problems}

    found = drop.as_user(drop.USER, work, seconds=SECONDS)
    return list(found["news"]), dict(found["problems"])


def lines(view: View | None) -> list[str]:
    """What a view says that matters to this host, one fact a line, without height and time: for differences."""
    if view is None:
        return []
    shown = []
    for network in view.networks.values():
        record = network.record
        manifest = f", manifest from version {record.manifest.version}" if record.manifest else ""
        shown.append(f"network {record.owner}/{record.name}: {record.cidr}, generation {record.generation}{manifest}")
        for member, dseq in record.members.items():
            shown.append(f"network {record.owner}/{record.name} member {member}: {dseq}")
        for lease in network.leases:
            shown.append(f"lease {lease.id}: {lease.state.value}")
    shown += [f"host {host.id}: {host.ssh_address}:{host.ssh_port}" for host in view.hosts.values()]
    shown += [f"problem {where}: {what}" for where, what in view.problems.items()]
    return sorted(shown)
