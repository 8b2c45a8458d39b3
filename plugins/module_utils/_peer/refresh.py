# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the chain anew into the cached view, as avpn: one reader at a time, and not more often than due.

Peers and strangers can cause it, so the pause between two attempts holds for all causes together.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from .._chain.model import View
from .._common.errors import InvalidInput, Unavailable
from .config import ChainConfig, HostConfig
from .paths import Paths

LEAST_PAUSE = 5.0  # seconds between two attempts, whoever asks


def age(paths: Paths) -> float:
    """Seconds since the view was written here; infinite when there is none."""
    try:
        return max(0.0, time.time() - paths.view.stat().st_mtime)
    except OSError:
        return float("inf")


def refresh_view(paths: Paths, config: HostConfig, *, pause: float = LEAST_PAUSE) -> bool:
    """Read the chain and save the view, unless that was tried less than ``pause`` seconds ago; tells whether it did.

    Whoever comes while another reads waits for that reading instead. Raises Unavailable when the chain doesn't answer.
    """
    asked = time.time()
    with open(paths.state / "view.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        attempted = os.fstat(lock.fileno()).st_mtime if lock.tell() else 0.0
        # A clock set back must not stop reading.
        if attempted <= time.time() and (attempted > asked or time.time() - attempted < pause):
            return False
        try:
            save(paths, read(paths, config))
        finally:
            lock.truncate(0)
            lock.write("attempted\n")
            lock.flush()
    return True


def save(paths: Paths, view: View) -> None:
    """Keep a view, unless a newer one was kept meanwhile."""
    from .._chain.view import save_view

    save_view(paths.view, view)


def read(paths: Paths, config: HostConfig) -> View:
    """The chain as it concerns this host, continuing the cached view."""
    from .._chain.carriers import FileCarrier
    from .._chain.reading import read_view
    from .._chain.sources import ChainOptions, Sources
    from .ledgers import references
    from .votes import votes

    file = carrier_file(config.chain)
    if file is not None and not config.chain.endpoints:
        return FileCarrier(file).view()
    previous = _previous(paths)
    owners = {network: owner for network, (owner, _name) in previous.names.items()} if previous else {}
    known, voted = references(paths, owners), votes(paths)
    options = ChainOptions(config.chain.chain_id, config.chain.endpoints, config.chain.own, config.chain.ca_file)
    with Sources(options) as sources:
        return read_view(
            sources,
            provider=config.provider,
            keep=known.networks | voted.keys(),
            names={**{network: (one.owner, one.name) for network, one in voted.items()}, **known.names},
            previous=previous,
            deployments=known.deployments,
            providers=known.providers | {node.provider for one in voted.values() for node in one.voters},
            carrier=FileCarrier(file) if file is not None else None,
        )


def carrier_file(chain: ChainConfig) -> str | None:
    """The file that carries the records, if the first carrier is one."""
    first = chain.carriers[0] if chain.carriers else "audit"
    return first.removeprefix("file:") if first.startswith("file:") else None


def _previous(paths: Paths) -> View | None:
    from .._chain.view import load_view

    try:
        return load_view(Path(paths.view))
    except (InvalidInput, Unavailable):
        # A damaged cache costs what it remembered, which the next readings gather again.
        return None
