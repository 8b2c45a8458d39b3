# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one side's rules say about everybody, before and after a change, without asking about each port. Pure.

The meaning is ``evaluate``'s, and tests hold this to it. What differs is the order of work: a side's rules are sorted
once by whom they name and by where their CIDRs cut the addresses. For an end whose address isn't known, the
outcome is a set of cases, one for each combination of rules that some address meets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .._manifest.model import AnyMember, GroupPeer, Manifest, MemberPeer, Rules
from .boxes import Span, subtract, union
from .cells import NOBODY, Budget, Cells, Numbers
from .evaluate import policy_of
from .portline import port_span
from .portsets import ALL, NONE, TRAVELS, Ports, intersect, together
from .remainders import spans_of
from .subjects import Network, Subject, carried

Cases = frozenset[tuple[Numbers, Numbers]]  # rules whose CIDRs match: before, after

_ONE_CASE: Cases = frozenset({(NOBODY, NOBODY)})


class State(NamedTuple):
    """What one side permits of the other end: wherever that may be, and somewhere; and what somewhere is permitted
    that wasn't there before, and the other way round."""

    always_before: Ports = NONE
    possible_before: Ports = NONE
    always: Ports = NONE
    possible: Ports = NONE
    gained: Ports = NONE
    lost: Ports = NONE


class Table(NamedTuple):
    """States by numbers: of every endpoint, of those that differ, of ranges outside."""

    usual: int
    special: Mapping[int, int]
    outside: Mapping[int, int]


class Sides:
    """Tables of both sides for each subject, made when first asked for. State 0 is that nothing was or is permitted."""

    def __init__(
        self, before: Manifest, after: Manifest, network: Network, listed: Sequence[Subject], budget: Budget
    ) -> None:
        self._network = network
        self.states: list[State] = [State()]
        self._numbers: dict[State, int] = {State(): 0}
        self._manifests = (before, after)
        self._listed = listed
        self._inside = sum(subject.member is not None for subject in listed)
        self._budget = budget
        self._index = _Index(listed[: self._inside])
        self._rules: dict[tuple[int, str | None, str], _Rules] = {}
        self._tables: dict[tuple[str | None, str | None, str, int], Table] = {}

    def table(self, subject: Subject, side: str, version: int) -> Table:
        """What the subject's ``egress`` or ``ingress`` says of each other one, over an IP version."""
        if subject.member is None:
            return self._routed(subject, version)
        keys = [_key(manifest, subject) for manifest in self._manifests]
        place = (keys[0], keys[1], side, version)
        if place not in self._tables:
            before, after = (self._rules_of(number, key, side) for number, key in enumerate(keys))
            self._tables[place] = self._made(before, after, version)
        return self._tables[place]

    def _routed(self, subject: Subject, version: int) -> Table:
        """Outside, a route is all that's asked for."""
        if version not in subject.addresses:
            return Table(0, {}, {})
        covered = [carried(manifest, subject, version, self._network) for manifest in self._manifests]
        before, after = (intersect(ALL if each else NONE, TRAVELS[version]) for each in covered)
        return Table(self._number(_state([(before, after)])), {}, {})

    def _made(self, before: _Rules, after: _Rules, version: int) -> Table:
        memo: dict[tuple[Numbers, Numbers, Cases], int] = {}

        def number(one: Numbers, two: Numbers, cases: Cases) -> int:
            key = (one, two, cases)
            if key not in memo:
                self._budget.spend(8 * len(cases))
                pairs = {(before.ports(one | first), after.ports(two | second)) for first, second in cases}
                travels = TRAVELS[version]
                memo[key] = self._number(_state([(intersect(a, travels), intersect(b, travels)) for a, b in pairs]))
            return memo[key]

        cut = bool(before.cells[version] or after.cells[version])
        cases_at: dict[tuple[Span, ...], Cases] = {}

        def cases(subject: Subject) -> Cases:
            spans = subject.addresses[version]
            if not cut:
                return _ONE_CASE
            if spans not in cases_at:
                cases_at[spans] = _cases(before.cells[version], after.cells[version], spans)
                self._budget.spend(len(cases_at[spans]))
            return cases_at[spans]

        somewhere = next((each for each in self._listed[: self._inside] if not each.known), None)
        usual = 0
        if not cut or somewhere is not None:
            around = cases(somewhere) if somewhere is not None else _ONE_CASE
            usual = number(before.everyone, after.everyone, around)
        special = {}
        named = before.named.keys() | after.named.keys()
        known = (index for index in range(self._inside) if self._listed[index].known) if cut else ()
        for index in {*named, *known}:
            one, two = before.named.get(index, before.everyone), after.named.get(index, after.everyone)
            found = number(one, two, cases(self._listed[index]))
            if found != usual:
                special[index] = found
        self._budget.spend(len(named) + (self._inside if cut else 0))
        far = {}
        for index in range(self._inside, len(self._listed)) if cut else ():
            if version in self._listed[index].addresses:
                found = number(NOBODY, NOBODY, cases(self._listed[index]))
                if found:
                    far[index] = found
        return Table(usual, special, far)

    def _number(self, state: State) -> int:
        if state not in self._numbers:
            self._numbers[state] = len(self.states)
            self.states.append(state)
        return self._numbers[state]

    def _rules_of(self, which: int, key: str | None, side: str) -> _Rules:
        place = (which, key, side)
        if place not in self._rules:
            manifest = self._manifests[which]
            rules = getattr(manifest.policies[key], side) if key is not None else Rules()
            self._rules[place] = _Rules(rules, manifest, self._index, self._budget)
        return self._rules[place]


class _Index:
    """Subjects by what peers call them."""

    def __init__(self, inside: Sequence[Subject]) -> None:
        self.members: dict[str, set[int]] = {}
        self.leases: dict[tuple[str, int], set[int]] = {}
        for index, subject in enumerate(inside):
            if subject.member is not None:
                self.members.setdefault(subject.member, set()).add(index)
                self.leases.setdefault((subject.member, subject.gseq), set()).add(index)


class _Rules:
    """One side's rules of one entry, by whom they name (``everyone`` else: those for ``any``) and by address."""

    def __init__(self, rules: Rules, manifest: Manifest, index: _Index, budget: Budget) -> None:
        self._denying = len(rules.deny)
        listed = (*rules.deny, *rules.allow)
        self._ports = [union(port_span(port) for port in rule.ports) for rule in listed]
        self._permitted: dict[Numbers, Ports] = {}
        self._budget = budget
        named: dict[int, list[int]] = {}
        everyone = []
        spans: dict[int, list[tuple[int, Span]]] = {4: [], 6: []}
        for number, rule in enumerate(listed):
            meant: set[int] = set()
            for peer in rule.peers:
                if isinstance(peer, AnyMember):
                    everyone.append(number)
                elif isinstance(peer, GroupPeer):
                    meant.update(*(index.members.get(name, ()) for name in manifest.groups.get(peer.group, ())))
                elif isinstance(peer, MemberPeer):
                    found = index.members.get(peer.member, set())
                    meant |= found if peer.gseq is None else index.leases.get((peer.member, peer.gseq), set())
                else:
                    spans[peer.range.version].extend((number, span) for span in spans_of(peer))
            for each in meant:
                named.setdefault(each, []).append(number)
            budget.spend(len(meant) + len(rule.peers) + len(rule.ports))
        self.everyone = frozenset(everyone)
        self.named = {each: self.everyone.union(numbers) for each, numbers in named.items()}
        self.cells = {version: Cells(each, budget) for version, each in spans.items()}

    def ports(self, matching: Numbers) -> Ports:
        """What is permitted where these rules match."""
        if matching not in self._permitted:
            denied = [self._ports[number] for number in matching if number < self._denying]
            allowed = [self._ports[number] for number in matching if number >= self._denying]
            self._budget.spend(sum(map(len, denied)) + sum(map(len, allowed)))
            self._permitted[matching] = subtract(together(allowed), together(denied))
        return self._permitted[matching]


def _cases(before: Cells, after: Cells, spans: Iterable[Span]) -> Cases:
    places = {start for span in spans for cells in (before, after) for start in cells.starts(span)}
    return frozenset((before.at(place), after.at(place)) for place in places)


def _state(cases: Sequence[tuple[Ports, Ports]]) -> State:
    """The state of an end that may be in any of these cases: what is permitted before, and after."""
    befores, afters = {before for before, _after in cases}, {after for _before, after in cases}
    return State(
        _everywhere(befores),
        together(befores),
        _everywhere(afters),
        together(afters),
        together(subtract(after, before) for before, after in cases),
        together(subtract(before, after) for before, after in cases),
    )


def _everywhere(sets: Iterable[Ports]) -> Ports:
    left = ALL
    for ports in sets:
        left = intersect(left, ports)
    return left


def _key(manifest: Manifest, subject: Subject) -> str | None:
    endpoint = subject.endpoint()
    entry = policy_of(manifest, endpoint) if endpoint is not None else None
    return None if entry is None else entry[0]
