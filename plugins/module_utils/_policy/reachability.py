# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pairs of the matrix and of differences, as plain data for other programs and as lines for people. Pure.

An entry is ``{"from": "web", "to": "db", "ports": ["tcp/5432"], "family": "both", "addresses": "all"}``; ``family`` is
``ipv4`` or ``ipv6`` where only that one is meant, ``addresses`` is ``some`` where it depends on those of the two ends.
Lines put together what is alike: ``web, api -> db: tcp/5432``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .matrix import Grants, Pair
from .portsets import written

MOST_ENTRIES = 10_000
_MOST_NAMES = 8  # of one end of a line
_FAMILIES = {None: "both", 4: "ipv4", 6: "ipv6"}


@dataclass
class Told:
    """What was told of pairs. ``entries``: at most MOST_ENTRIES; ``more``: how many were left out there, while lines
    tell of all."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    more: int = 0
    groups: dict[str, dict[Grants, list[str]]] = field(default_factory=dict)

    def add(self, pair: Pair, grants: Grants) -> None:
        """One pair's grants, gains or losses."""
        if not grants:
            return
        self.groups.setdefault(pair.source.name, {}).setdefault(grants, []).append(pair.target.name)
        for grant in grants:
            if len(self.entries) == MOST_ENTRIES:
                self.more += 1
                continue
            self.entries.append(
                {
                    "from": pair.source.name,
                    "to": pair.target.name,
                    "ports": written(grant.ports),
                    "family": _FAMILIES[grant.version],
                    "addresses": "all" if grant.everywhere else "some",
                }
            )

    def lines(self, verb: str = ":") -> list[str]:
        """For people, in the order of the first source of each."""
        alike: dict[tuple[tuple[str, ...], Grants], list[str]] = {}
        for source, by_grants in self.groups.items():
            for grants, targets in by_grants.items():
                alike.setdefault((tuple(targets), grants), []).append(source)
        return [
            f"{_names(sources)} -> {_names(targets)}{verb} {_text(grants)}"
            for (targets, grants), sources in alike.items()
        ]


@dataclass(frozen=True)
class Change:
    """A difference, told."""

    gains: Told
    loses: Told

    def __bool__(self) -> bool:
        return bool(self.gains.groups or self.loses.groups)

    def as_document(self) -> dict[str, Any]:
        """As modules return it."""
        return {
            "gains": self.gains.entries,
            "loses": self.loses.entries,
            "more": self.gains.more + self.loses.more,
        }

    def lines(self) -> list[str]:
        """What is lost, then what is gained."""
        return [*self.loses.lines(" loses"), *self.gains.lines(" gains")]


def permitted(pairs: Iterable[Pair]) -> Told:
    """Tell of a matrix."""
    told = Told()
    for pair in pairs:
        told.add(pair, pair.permitted)
    return told


def change(pairs: Iterable[Pair]) -> Change:
    """Tell of a difference."""
    gains, loses = Told(), Told()
    for pair in pairs:
        gains.add(pair, pair.gained)
        loses.add(pair, pair.lost)
    return Change(gains, loses)


def shortened(lines: list[str], most: int) -> list[str]:
    """At most that many lines, the last of which says how many there are beyond."""
    return lines if len(lines) <= most else [*lines[: most - 1], f"… and {len(lines) - most + 1} lines more"]


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    if len(listed) <= _MOST_NAMES:
        return ", ".join(listed)
    return f"{', '.join(listed[: _MOST_NAMES - 1])} and {len(listed) - _MOST_NAMES + 1} more"


def _text(grants: Grants) -> str:
    return "; ".join(_parts(grants))


def _parts(grants: Grants) -> Iterator[str]:
    for grant in grants:
        conditions = []
        if grant.version is not None:
            conditions.append(f"IPv{grant.version} only")
        if not grant.everywhere:
            conditions.append("for some addresses")
        yield ", ".join(written(grant.ports)) + (f" ({', '.join(conditions)})" if conditions else "")
