# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Twenty at once for one lock: allocations per second, in the ledger and under etcd's lock by turns."""

from __future__ import annotations

from etcd.crowd import Contenders
from figures.figure import Figure, figure
from ledger.crowd import Proposers, Turn


class Contention:
    """The measurements of one number of voters; ``contenders``: None measures the ledger alone."""

    def __init__(self, proposers: Proposers, contenders: Contenders | None, count: int) -> None:
        self._proposers = proposers
        self._contenders = contenders
        self._count = count
        self._ours: list[Turn] = []
        self._theirs: list[tuple[float, int]] = []

    def measure(self, runs: int) -> None:
        """One turn of each in every run, after one in which connections are made and which doesn't count."""
        for run in range(runs + 1):
            turn = self._proposers.turn()
            other = None if self._contenders is None else self._contenders.turn()
            if run:
                self._ours.append(turn)
                if other is not None:
                    self._theirs.append(other)

    def figures(self, voters: int) -> list[Figure]:
        at = {"proposers": self._count, "voters": voters}
        rate = [self._count / one.seconds for one in self._ours]
        messages = [one.messages / self._count for one in self._ours]
        their_rate = their_messages = None
        if self._theirs:
            their_rate = "etcd lock", [self._count / seconds for seconds, _calls in self._theirs]
            their_messages = "etcd lock", [calls / self._count for _seconds, calls in self._theirs]
        trips = [one.round_trips for one in self._ours]
        again = [float(one.asked_again) for one in self._ours]
        return [
            figure("allocation.contended", "per second", "higher", at, rate, their_rate),
            figure("allocation.contended_messages", "messages", "lower", at, messages, their_messages),
            figure("allocation.contended_round_trips", "round trips", "lower", at, trips),
            figure("allocation.contended_asked_again", "proposals", "lower", at, again),
        ]
