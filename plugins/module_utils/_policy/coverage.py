# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lists of rules cover, whatever endpoints there will be. Pure.

Two questions about a list: on which ports does it *surely* match a peer (then a rule that says no more is superfluous),
and on which does it *possibly* match one (then a rule that touches none of them is for nothing). Nothing is known of
leases and addresses, so both err on the side on which no finding is false.

A peer is asked about as terms, one IP version at a time: names, or spans of those addresses that an endpoint, or
something behind a route, can have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Union

from .._manifest.icmp import BEGINNING
from .._manifest.model import AnyMember, GroupPeer, Manifest, Peer, Range, RangePeer, Rule
from .boxes import ALL_PORTS, Span, subtract, union
from .portline import PROTOCOLS, port_span
from .remainders import spans_of


class Who(NamedTuple):
    """Endpoints by name. ``kind``: any, group, member, lease; ``gseq``: of a lease."""

    kind: str
    name: str = ""
    gseq: int = 0


Term = Union[Who, Span]
Spans = tuple[Span, ...]
VERSIONS = (4, 6)

ANY = Who("any")
MAX_WORK = 1_000_000  # spans looked at: well under a second, whatever the manifest


class TooLarge(Exception):
    """The manifest is too large to be looked at whole."""


def common(one: Spans, two: Spans) -> Spans:
    """The integers in both; ascending and disjoint, as both are."""
    return subtract(one, subtract(one, two))


def _possible(version: int) -> Spans:
    """The ports that a flow of this IP version can have: ICMP is its version's, and only of types that begin one."""
    own, other = ("icmp", "icmpv6") if version == 4 else ("icmpv6", "icmp")
    without = union((PROTOCOLS[name] * 65536, PROTOCOLS[name] * 65536 + 65535) for name in (own, other))
    base = PROTOCOLS[own] * 65536
    types = [(base + (number << 8), base + (number << 8 | 0xFF)) for number in BEGINNING[own].values()]
    return union((*subtract((ALL_PORTS,), without), *types))


POSSIBLE: Mapping[int, Spans] = {version: _possible(version) for version in VERSIONS}


@dataclass
class World:
    """What a manifest's rules are about: its groups, the network's members and ranges, and what routes reach."""

    manifest: Manifest
    members: frozenset[str]
    own: tuple[Range, ...]
    work: int = 0

    def spend(self, count: int) -> None:
        """Raises TooLarge when all that may be spent is spent."""
        self.work += count
        if self.work > MAX_WORK:
            raise TooLarge

    @cached_property
    def inside(self) -> Mapping[int, Spans]:
        """The addresses that endpoints can have, by IP version."""
        return self._by_version(self.own)

    @cached_property
    def outside(self) -> Mapping[int, Spans]:
        """The addresses that routes reach."""
        return self._by_version(route.range for route in self.manifest.routes)

    @cached_property
    def groups_of(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for group, members in self.manifest.groups.items():
            for member in members:
                found.setdefault(member, []).append(group)
        return {member: tuple(groups) for member, groups in found.items()}

    @staticmethod
    def _by_version(ranges: Iterable[Range]) -> dict[int, Spans]:
        found: dict[int, list[Span]] = {version: [] for version in VERSIONS}
        for each in ranges:
            found[each.version].append((int(each.network_address), int(each.broadcast_address)))
        return {version: union(spans) for version, spans in found.items()}

    def terms(self, peer: Peer, version: int) -> list[Term]:
        """The peer as terms; none if nobody can ever be it."""
        if isinstance(peer, RangePeer):
            if peer.range.version != version:
                return []
            spans = union(spans_of(peer))
            self.spend(len(spans))
            inside, outside = self.inside[version], self.outside[version]
            return [*common(spans, inside), *common(spans, subtract(outside, inside))]
        if isinstance(peer, AnyMember):
            return [ANY] if self.members else []
        if isinstance(peer, GroupPeer):
            return [Who("group", peer.group)] if self.manifest.groups.get(peer.group) else []
        return [Who("member", peer.member) if peer.gseq is None else Who("lease", peer.member, peer.gseq)]

    def ports(self, rule: Rule, version: int) -> Spans:
        """The rule's ports, as far as a flow of this IP version can have them."""
        self.spend(len(rule.ports))
        return common(union(map(port_span, rule.ports)), POSSIBLE[version])


@dataclass
class Listed:
    """Rules of one list, one IP version: by term, the ports and whose they are."""

    world: World
    version: int
    whom: dict[Who, Spans] = field(default_factory=dict)
    spans: dict[Span, Spans] = field(default_factory=dict)
    _wide: Spans = ()  # of spans that hold every endpoint's address
    _near: Spans = ()  # of spans that hold some endpoint's

    def add(self, rule: Rule) -> None:
        """Take a rule in."""
        ports = self.world.ports(rule, self.version)
        if not ports:
            return
        for peer in rule.peers:
            for term in self.world.terms(peer, self.version):
                if isinstance(term, Who):
                    self.whom[term] = self._united(self.whom.get(term, ()), ports)
                else:
                    self._add_span(term, ports)

    def _add_span(self, span: Span, ports: Spans) -> None:
        self.spans[span] = self._united(self.spans.get(span, ()), ports)
        inside = self.world.inside[self.version]
        if common(inside, (span,)):
            self._near = self._united(self._near, ports)
        if inside and not subtract(inside, (span,)):
            self._wide = self._united(self._wide, ports)

    def _united(self, one: Spans, two: Spans) -> Spans:
        self.world.spend(len(one) + len(two))
        return union((*one, *two))

    # --- surely

    def surely(self, term: Term) -> Spans:
        """Ports on which every flow with this term is matched."""
        if not isinstance(term, Who):
            return self._surely_span(term)
        direct = self._surely_direct(term)
        parts = self._parts(term)
        if not parts:
            return direct
        every: Spans = POSSIBLE[self.version]
        for part in parts:
            every = common(every, self._surely_direct(part))
            if not every:
                break
        return self._united(direct, every)

    def _parts(self, term: Who) -> list[Who]:
        kind, name, _gseq = term
        if kind == "any":
            return [Who("member", member) for member in sorted(self.world.members)]
        if kind == "group":
            return [Who("member", member) for member in self.world.manifest.groups[name]]
        return []

    def _surely_direct(self, term: Who) -> Spans:
        kind, name, _gseq = term
        keys = [term, ANY]
        if kind in ("member", "lease"):
            keys += [Who("group", group) for group in self.world.groups_of.get(name, ())]
        if kind == "lease":
            keys.append(Who("member", name))
        found = self._wide
        for key in dict.fromkeys(keys):
            self.world.spend(1)
            if key in self.whom:
                found = self._united(found, self.whom[key])
        return found

    def _surely_span(self, span: Span) -> Spans:
        found: Spans = ()
        for other, ports in self.spans.items():
            self.world.spend(1)
            if other[0] <= span[0] and span[1] <= other[1]:
                found = self._united(found, ports)
        if ANY in self.whom and not common(self.world.outside[self.version], (span,)):
            found = self._united(found, self.whom[ANY])  # only endpoints can be there
        return found

    # --- possibly

    def possibly(self, term: Term) -> Spans:
        """Ports on which some flow with this term may be matched."""
        if not isinstance(term, Who):
            return self._possibly_span(term)
        found = self._near
        for key in self._touching(term):
            self.world.spend(1)
            if key in self.whom:
                found = self._united(found, self.whom[key])
        return found

    def _touching(self, term: Who) -> Iterator[Who]:
        kind, name, gseq = term
        if kind == "any":
            yield from self.whom
            return
        members = self.world.manifest.groups[name] if kind == "group" else (name,)
        yield ANY
        for member in members:
            yield Who("member", member)
            for group in self.world.groups_of.get(member, ()):
                yield Who("group", group)
        if kind == "lease":
            yield Who("lease", name, gseq)
        else:
            named = set(members)
            yield from (key for key in self.whom if key[0] == "lease" and key[1] in named)

    def _possibly_span(self, span: Span) -> Spans:
        found: Spans = ()
        for other, ports in self.spans.items():
            self.world.spend(1)
            if other[0] <= span[1] and span[0] <= other[1]:
                found = self._united(found, ports)
        if common(self.world.inside[self.version], (span,)):
            for ports in self.whom.values():
                found = self._united(found, ports)
        return found
