# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may reach whom on which ports, for every pair at once, and what a change makes of it. Pure.

The meaning is ``evaluate``'s; see ``sides`` for how it is had without asking about every port and address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .._manifest.model import Manifest
from .boxes import subtract
from .cells import Budget
from .portsets import NONE, Ports, intersect, together, whole
from .sides import Sides, State, Table
from .subjects import VERSIONS, Network, Subject, subjects


@dataclass(frozen=True)
class Grant:
    """Ports that are permitted, gained or lost. ``version``: over this IP version only, though both could be;
    ``everywhere``: wherever the two ends' addresses are, else it depends on them."""

    ports: Ports
    version: int | None = None
    everywhere: bool = True


Grants = tuple[Grant, ...]


@dataclass(frozen=True)
class Pair:
    """One subject's way to another: what is permitted, and what of it wasn't before, or is no longer."""

    source: Subject
    target: Subject
    permitted: Grants
    gained: Grants = ()
    lost: Grants = ()


Chosen = Callable[[Subject], bool]


def _all(subject: Subject) -> bool:
    return bool(subject.name)


def matrix(
    manifest: Manifest, network: Network, *, source: Chosen = _all, target: Chosen = _all, budget: Budget | None = None
) -> Iterator[Pair]:
    """All pairs of which anything is permitted, sources in order. ``source`` and ``target`` choose among subjects.

    Raises InvalidInput when it takes more than ``budget``.
    """
    listed = subjects([manifest], network)
    for pair in _Pairs(manifest, manifest, network, listed, budget or Budget()).within(source, target):
        if pair.permitted:
            yield pair


def difference(
    before: Manifest,
    after: Manifest,
    network: Network,
    *,
    source: Chosen = _all,
    target: Chosen = _all,
    budget: Budget | None = None,
) -> Iterator[Pair]:
    """All pairs that gain or lose anything by going from one manifest to the other.

    A port is gained if there are addresses of the two ends between which it is permitted afterwards and wasn't
    before; ``everywhere``, if that is so for all their addresses. Likewise what is lost.
    """
    listed = subjects([before, after], network)
    for pair in _Pairs(before, after, network, listed, budget or Budget()).within(source, target, changed=True):
        if pair.gained or pair.lost:
            yield pair


class _Pairs:
    def __init__(
        self, before: Manifest, after: Manifest, network: Network, listed: Sequence[Subject], budget: Budget
    ) -> None:
        self._sides = Sides(before, after, network, listed, budget)
        self._listed = listed
        self._inside = sum(subject.member is not None for subject in listed)
        self._budget = budget
        self._made: dict[tuple[tuple[int, int, int], ...], tuple[Grants, Grants, Grants]] = {}

    def within(self, source: Chosen, target: Chosen, *, changed: bool = False) -> Iterator[Pair]:
        """The pairs of chosen subjects in which something is or was permitted; ``changed``: where a side differs."""
        targets = [index for index, each in enumerate(self._listed) if target(each)]
        receiving = {index: self._tables(index, "ingress") for index in targets}
        # Those that let in whoever isn't named, and by source those that name it.
        free = {index for index, tables in receiving.items() if _usual(tables)}
        naming: dict[int, set[int]] = {}
        for other, tables in receiving.items():
            for index in _named(tables):
                naming.setdefault(index, set()).add(other)
        differing = {index for index in targets if self._differs(receiving[index])} if changed else set()
        for index, subject in enumerate(self._listed):
            if not source(subject):
                continue
            sending = self._tables(index, "egress")
            met = free | naming.get(index, set()) if index < self._inside else naming.get(index, set())
            if not _usual(sending):
                met &= _named(sending)
            if changed and not self._differs(sending):
                met &= differing
            self._budget.spend(len(met))
            for other in sorted(met):
                pair = self._pair(index, other, sending, receiving[other])
                if pair is not None:
                    yield pair

    def _tables(self, index: int, side: str) -> dict[int, Table]:
        return {version: self._sides.table(self._listed[index], side, version) for version in VERSIONS}

    def _differs(self, tables: dict[int, Table]) -> bool:
        numbers = {each for table in tables.values() for each in (table.usual, *table.special.values())}
        numbers |= {each for table in tables.values() for each in table.outside.values()}
        states = (self._sides.states[number] for number in numbers)
        return any(state.gained or state.lost for state in states)

    def _pair(self, index: int, other: int, sending: dict[int, Table], receiving: dict[int, Table]) -> Pair | None:
        if index == other and self._listed[index].alone:
            return None
        key = tuple(
            (version, self._entry(sending[version], other), self._entry(receiving[version], index))
            for version in VERSIONS
            if version in self._listed[index].addresses and version in self._listed[other].addresses
        )
        if key not in self._made:
            self._budget.spend(50)
            self._made[key] = self._grants(key)
        permitted, gained, lost = self._made[key]
        if not permitted and not lost:
            return None
        return Pair(self._listed[index], self._listed[other], permitted, gained, lost)

    def _entry(self, table: Table, index: int) -> int:
        if index >= self._inside:
            return table.outside.get(index, 0)
        return table.special.get(index, table.usual)

    def _grants(self, key: tuple[tuple[int, int, int], ...]) -> tuple[Grants, Grants, Grants]:
        states = self._sides.states
        both = {version: _both(states[one], states[two]) for version, one, two in key}
        return (
            _told({version: (each.always, each.possible) for version, each in both.items()}),
            _told(
                {version: (subtract(each.always, each.possible_before), each.gained) for version, each in both.items()}
            ),
            _told(
                {version: (subtract(each.always_before, each.possible), each.lost) for version, each in both.items()}
            ),
        )


def _usual(tables: dict[int, Table]) -> bool:
    """Whether something is permitted of whoever isn't named."""
    return any(table.usual for table in tables.values())


def _named(tables: dict[int, Table]) -> set[int]:
    return {index for table in tables.values() for index in (*table.special, *table.outside)}


def _both(one: State, two: State) -> State:
    """Two sides together. Where the one end is bears on the other side's decision alone, so cases combine freely."""
    return State(
        intersect(one.always_before, two.always_before),
        intersect(one.possible_before, two.possible_before),
        intersect(one.always, two.always),
        intersect(one.possible, two.possible),
        together((intersect(one.gained, two.possible), intersect(one.possible, two.gained))),
        together((intersect(one.lost, two.possible_before), intersect(one.possible_before, two.lost))),
    )


def _told(sets: dict[int, tuple[Ports, Ports]]) -> Grants:
    """By IP version, the ports that are so everywhere and those that are so somewhere, for people."""
    everywhere = {version: each[0] for version, each in sets.items()}
    somewhere = {version: subtract(each[1], each[0]) for version, each in sets.items()}
    return (*_families(everywhere, everywhere=True), *_families(somewhere, everywhere=False))


def _families(sets: dict[int, Ports], *, everywhere: bool) -> Iterator[Grant]:
    """What is so over both IP versions, and over one alone. Each has its own ICMP, which is never over one alone."""
    if len(sets) < 2:
        for ports in filter(None, sets.values()):
            yield Grant(ports, None, everywhere)
        return
    four, six = sets[4], sets[6]
    own4, own6 = intersect(four, whole("icmp")), intersect(six, whole("icmpv6"))
    plain4, plain6 = subtract(four, own4), subtract(six, own6)
    common = intersect(plain4, plain6)
    only4, only6 = subtract(plain4, common), subtract(plain6, common)
    # Ping goes with the rest of its version, where the other has nothing at all.
    apart4, apart6 = bool(only4) and not six, bool(only6) and not four
    both = together((common, NONE if apart4 else own4, NONE if apart6 else own6))
    for ports, version in (
        (both, None),
        (together((only4, own4 if apart4 else NONE)), 4),
        (together((only6, own6 if apart6 else NONE)), 6),
    ):
        if ports:
            yield Grant(ports, version, everywhere)
