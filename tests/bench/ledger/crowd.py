# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Twenty providers at once, each wanting one endpoint more a turn: the crowd of the integration tests, undisturbed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crowd import Crowd, people
from quorum_site import Site

from .allocating import CIDR


@dataclass(frozen=True)
class Turn:
    """What one turn took. ``asked_again``: proposals that ended without an answer and were made once more."""

    seconds: float
    round_trips: float  # each, on average
    messages: int  # all together
    asked_again: int


class Proposers:
    """Their processes and the network they share."""

    def __init__(self, site: Site, base: Path, count: int, turns: int) -> None:
        self._site = site
        self._next = 0
        site.chain.hosts, site.chain.cidr = count, CIDR
        made = people(site, base, count, turns)
        site.publish()
        self._crowd = Crowd(made, site.view())

    def turn(self) -> Turn:
        """All want their next endpoint at once."""
        self._site.publish()
        self._crowd.start(self._next)
        self._next += 1
        reports = self._crowd.finish()
        for one in reports:
            if one.crash:
                raise RuntimeError(one.crash)
        told = [one.told for one in reports if one.told is not None]
        return Turn(
            max(one.ended for one in told) - min(one.began for one in told),
            sum(one.round_trips for one in reports) / len(reports),
            sum(sum(one.ops.values()) for one in reports),
            sum(len(one.errors) for one in reports),
        )

    def close(self) -> None:
        self._crowd.stop()


@contextmanager
def opened(site: Site, count: int, turns: int) -> Iterator[Proposers]:
    """The proposers, for at most so many turns."""
    with tempfile.TemporaryDirectory(prefix="avpn-bench-", dir="/srv") as directory:
        proposers = Proposers(site, Path(directory), count, turns)
        try:
            yield proposers
        finally:
            proposers.close()
