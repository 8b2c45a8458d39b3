# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses by which ranges hold them: within a cell, all addresses are treated alike. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from .._common.errors import InvalidInput
from .boxes import Span, union

Numbers = frozenset[int]  # of whatever the ranges belong to: rules, routes

NOBODY: Numbers = frozenset()


class Budget:
    """Limits work that a hostile manifest could make endless."""

    def __init__(self, work: int = 20_000_000) -> None:
        self._left = work

    def spend(self, work: int) -> None:
        """Raises InvalidInput when more was done than allowed."""
        self._left -= work
        if self._left < 0:
            raise InvalidInput(
                "takes too much work to see through for everybody",
                where="manifest",
                remedy="Ask about fewer members at a time, with from and to",
            )


class Cells:
    """The cells that numbered spans of one IP version's addresses make."""

    def __init__(self, spans: Iterable[tuple[int, Span]], budget: Budget) -> None:
        events: dict[int, list[tuple[int, int]]] = {}
        for number, (first, last) in spans:
            events.setdefault(first, []).append((number, 1))
            events.setdefault(last + 1, []).append((number, -1))
        self._starts = sorted(events)
        self._holding: list[Numbers] = []
        depth: dict[int, int] = {}
        for start in self._starts:
            for number, step in events[start]:
                depth[number] = depth.get(number, 0) + step
                if not depth[number]:
                    del depth[number]
            self._holding.append(frozenset(depth))
            budget.spend(len(depth) + 1)

    def __bool__(self) -> bool:
        """Whether an address makes any difference."""
        return bool(self._starts)

    def at(self, address: int) -> Numbers:
        """The numbers whose spans hold the address."""
        cell = bisect_right(self._starts, address)
        return self._holding[cell - 1] if cell else NOBODY

    def starts(self, span: Span) -> list[int]:
        """The first address of each cell's part in ``span``."""
        first, last = span
        return [first, *self._starts[bisect_right(self._starts, first) : bisect_right(self._starts, last)]]

    def parts(self, spans: Iterable[Span]) -> dict[Numbers, tuple[Span, ...]]:
        """The addresses of ``spans`` by what holds them, in the order of the first of each."""
        found: dict[Numbers, list[Span]] = {}
        for span in spans:
            starts = self.starts(span)
            for start, end in zip(starts, (*(each - 1 for each in starts[1:]), span[1]), strict=True):
                found.setdefault(self.at(start), []).append((start, end))
        return {numbers: union(listed) for numbers, listed in found.items()}
