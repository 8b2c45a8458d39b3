# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long no host had a majority of the voters, told from what was broken when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Broken:
    """From ``begin`` to ``end`` these hosts were no voters, or packets of these pairs (from, to) were dropped."""

    begin: float
    end: float
    hosts: frozenset[int] = frozenset()
    pairs: frozenset[tuple[int, int]] = frozenset()


class Away:
    """Hosts that hold no lease for a while, and have no vote then."""

    def __init__(self, hosts: int) -> None:
        self._hosts = frozenset(range(hosts))
        self._since: dict[int, float] = {}
        self._over: list[Broken] = []

    def note(self, holders: Collection[int], now: float) -> None:
        """These hold a lease now."""
        for host in self._hosts - self._since.keys() - set(holders):
            self._since[host] = now
        for host in self._since.keys() & set(holders):
            self._over.append(Broken(self._since.pop(host), now, hosts=frozenset({host})))

    def periods(self, end: float) -> list[Broken]:
        """All until then."""
        return [*self._over, *(Broken(since, end, hosts=frozenset({host})) for host, since in self._since.items())]


def lost_majority(broken: Sequence[Broken], hosts: int) -> float:
    """Seconds in which no host reached a majority of all voters, itself among them.

    With one of five away, a majority of the four that vote is three, as of the five.
    """
    edges = sorted({edge for one in broken for edge in (one.begin, one.end)})
    return sum(
        after - before
        for before, after in pairwise(edges)
        if not _has_majority([one for one in broken if one.begin <= before and after <= one.end], hosts)
    )


def _has_majority(broken: Iterable[Broken], hosts: int) -> bool:
    now = list(broken)
    down = frozenset[int]().union(*(one.hosts for one in now))
    cut = frozenset[tuple[int, int]]().union(*(one.pairs for one in now))
    alive = [host for host in range(hosts) if host not in down]
    return any(
        sum(host == other or ((host, other) not in cut and (other, host) not in cut) for other in alive) > hosts // 2
        for host in alive
    )
