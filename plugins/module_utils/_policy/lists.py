# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lists of rules of a manifest's entries, each as what it covers. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .._manifest.model import Rule
from .boxes import subtract
from .coverage import VERSIONS, Listed, Spans, Term, World


class Lists:
    """Lists by entry, side and verdict, made when they are first asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._made: dict[tuple[str, str, str, int], Listed] = {}

    def rules(self, key: str, side: str, verdict: str) -> tuple[Rule, ...]:
        """The rules of an entry's list."""
        listed: tuple[Rule, ...] = getattr(getattr(self.world.manifest.policies[key], side), verdict)
        return listed

    def of(self, key: str, side: str, verdict: str, version: int) -> Listed:
        """What an entry's list covers."""
        place = (key, side, verdict, version)
        if place not in self._made:
            self._made[place] = listed(self.world, self.rules(key, side, verdict), version)
        return self._made[place]


def listed(world: World, rules: Iterable[Rule], version: int) -> Listed:
    """What these rules cover together."""
    made = Listed(world, version)
    for rule in rules:
        made.add(rule)
    return made


def covered(world: World, rule: Rule, by: dict[int, Listed]) -> bool:
    """Whether everything that a rule matches is surely matched by lists, one of each IP version."""
    for version in VERSIONS:
        ports = world.ports(rule, version)
        if not ports:
            continue
        for term in (term for peer in rule.peers for term in world.terms(peer, version)):
            if _left(ports, by[version], term):
                return False
    return True


def _left(ports: Spans, by: Listed, term: Term) -> Spans:
    return subtract(ports, by.surely(term))
