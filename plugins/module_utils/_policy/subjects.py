# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who can be asked about: what manifests treat alike is one subject. Pure.

A subject is a member (``web``); where a manifest tells leases of it apart, each of those (``web/2``) and the rest
(``web/*``); where endpoints are known and a CIDR tells them apart, each of them (``web/1/0``); and every range outside
that a route leads to. A narrower route's range is a subject of its own and no part of the wider one.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .._chain.model import NetworkRecord
from .._common.ids import EndpointId
from .._manifest.model import Manifest, MemberPeer, Policy, Range, RangePeer, Rule
from .boxes import Span, subtract, union
from .endpoints import Address, Endpoint
from .expectations import ula
from .prefixes import longest, partition, span_of
from .remainders import spans_of

VERSIONS = (4, 6)
EVERYWHERE: Mapping[int, tuple[Span, ...]] = {4: ((0, 2**32 - 1),), 6: ((0, 2**128 - 1),)}


@dataclass(frozen=True)
class Network:
    """What is known besides manifests. ``own``: the network's ranges, empty if they aren't known; ``members``: those of
    its record, None if that isn't known; ``endpoints``: those that live now."""

    own: tuple[Range, ...] = ()
    members: frozenset[str] | None = None
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def addresses(self) -> dict[int, tuple[Span, ...]]:
        """Where endpoints may be, by IP version: anywhere, if that isn't known."""
        inside: dict[int, tuple[Span, ...]] = {each.version: (span_of(each),) for each in self.own}
        return {version: inside.get(version, EVERYWHERE[version]) for version in VERSIONS}


def network_of(record: NetworkRecord, endpoints: Iterable[Endpoint] = ()) -> Network:
    """What a network's record and ledger tell."""
    return Network((record.cidr, ula(record.id)), frozenset(record.members), tuple(endpoints))


@dataclass(frozen=True)
class Subject:
    """Endpoints, or outside addresses, that are treated alike.

    ``gseq``: of the endpoint that stands for it; ``addresses``: where it may be, by IP version; ``known``: these are
    addresses of endpoints that live, and one of them stands for all; ``alone``: it is one endpoint, which has nobody
    like it to talk to.
    """

    name: str
    member: str | None  # None: outside
    gseq: int = 0
    addresses: Mapping[int, tuple[Span, ...]] = field(default_factory=dict)
    known: bool = False
    alone: bool = False

    def endpoint(self) -> Endpoint | None:
        """Who stands for it in ``evaluate.decide``, which is told the address by the packet."""
        if self.member is None:
            return None
        return Endpoint(EndpointId(self.member, self.gseq, 0), ipaddress.IPv4Address(0), ipaddress.IPv6Address(0))


def subjects(manifests: Sequence[Manifest], network: Network) -> list[Subject]:
    """Those that any of the manifests has rules or routes for; endpoints first, then ranges outside."""
    keys = {key for manifest in manifests for key in manifest.policies}
    told = apart(manifests)
    cuts = Cuts(manifests, network)
    found: list[Subject] = []
    for member in sorted({key.partition("/")[0] for key in keys}):
        numbers = told.get(member, frozenset())
        for subject in members_subjects(member, numbers, cuts):
            key = f"{member}/{subject.gseq}"
            if member in keys or key in keys:
                found.append(subject)
    return found + outside(manifests, network)


def members_subjects(member: str, told: frozenset[int], cuts: Cuts) -> Iterator[Subject]:
    """The subjects of a member whose leases ``told`` are told apart."""
    for gseq in sorted(told):
        yield from cuts.split(f"{member}/{gseq}", member, gseq, frozenset({gseq}).__contains__)
    rest = min(set(range(1, len(told) + 2)) - told)
    yield from cuts.split(f"{member}/*" if told else member, member, rest, lambda number: number not in told)


def apart(manifests: Iterable[Manifest]) -> dict[str, frozenset[int]]:
    """The leases of members that manifests name: by entries or as peers."""
    found: dict[str, set[int]] = {}
    for manifest in manifests:
        for key in manifest.policies:
            member, slash, gseq = key.partition("/")
            if slash:
                found.setdefault(member, set()).add(int(gseq))
        for rule in every_rule(manifest):
            for peer in rule.peers:
                if isinstance(peer, MemberPeer) and peer.gseq is not None:
                    found.setdefault(peer.member, set()).add(peer.gseq)
    return {member: frozenset(numbers) for member, numbers in found.items()}


def every_rule(manifest: Manifest) -> Iterator[Rule]:
    """All rules of all members."""
    for policy in manifest.policies.values():
        yield from rules_of(policy)


def rules_of(policy: Policy) -> Iterator[Rule]:
    """All rules of one entry."""
    for rules in (policy.ingress, policy.egress):
        yield from rules.deny
        yield from rules.allow


def single(address: Address) -> tuple[Span, ...]:
    return ((int(address), int(address)),)


class Cuts:
    """Where CIDRs of the manifests cut the addresses of the network's endpoints."""

    def __init__(self, manifests: Sequence[Manifest], network: Network) -> None:
        starts: dict[int, set[int]] = {4: set(), 6: set()}
        ranges: set[RangePeer] = set()
        for manifest in manifests:
            for rule in every_rule(manifest):
                ranges.update(peer for peer in rule.peers if isinstance(peer, RangePeer))
        for peer in ranges:
            for first, last in spans_of(peer):
                starts[peer.range.version] |= {first, last + 1}
        self._starts = {version: sorted(numbers) for version, numbers in starts.items()}
        self._by_member: dict[str, list[Endpoint]] = {}
        for endpoint in sorted(network.endpoints, key=lambda each: each.id):
            self._by_member.setdefault(endpoint.id.member, []).append(endpoint)
        self._anywhere = possible(manifests, network)

    def split(self, name: str, member: str, gseq: int, belongs: Callable[[int], bool]) -> Iterator[Subject]:
        """The subjects of one lease, or of all of a member's that nothing tells apart."""
        live = [each for each in self._by_member.get(member, ()) if belongs(each.id.gseq)]
        if not live:
            yield Subject(name, member, gseq, self._anywhere)
        elif len({self._cell(each) for each in live}) == 1:
            yield self.endpoint(live[0], name, alone=len(live) == 1)
        else:
            for each in live:
                yield self.endpoint(each, str(each.id), alone=True)

    @staticmethod
    def endpoint(live: Endpoint, name: str, *, alone: bool = True) -> Subject:
        """A living endpoint, as a subject or standing for one."""
        addresses = {4: single(live.ipv4), 6: single(live.ipv6)}
        return Subject(name, live.id.member, live.id.gseq, addresses, known=True, alone=alone)

    def _cell(self, endpoint: Endpoint) -> tuple[int, int]:
        four, six = int(endpoint.ipv4), int(endpoint.ipv6)
        return bisect_right(self._starts[4], four), bisect_right(self._starts[6], six)


def possible(manifests: Iterable[Manifest], network: Network) -> dict[int, tuple[Span, ...]]:
    """Where endpoints may be. Where the network's range isn't known, it is not where routes lead outside."""
    addresses = dict(network.addresses)
    for version in VERSIONS:
        if addresses[version] == EVERYWHERE[version]:
            ranges = (route for manifest in manifests for route in manifest.routes if "members" not in route.covers)
            taken = union(span_of(route.range) for route in ranges if route.range.version == version)
            addresses[version] = subtract(addresses[version], taken) or EVERYWHERE[version]
    return addresses


def outside(manifests: Iterable[Manifest], network: Network) -> list[Subject]:
    """The ranges that routes lead to, without what narrower ones lead to and without endpoints."""
    ranges = {route.range for manifest in manifests for route in manifest.routes}
    found = []
    for version in VERSIONS:
        living = (each.ipv4 if version == 4 else each.ipv6 for each in network.endpoints)
        taken = union(span for address in living for span in single(address))
        for range_, spans in partition(ranges, network.own, version).items():
            left = subtract(spans, taken)
            if left:
                found.append(Subject(str(range_), None, 0, {version: left}))
    return sorted(found, key=lambda each: (min(each.addresses), each.addresses[min(each.addresses)]))


def carried(manifest: Manifest, subject: Subject, version: int, network: Network) -> bool:
    """Whether a route of the manifest leads to an outside subject: to all of it, or to nothing of it."""
    place = subject.addresses[version][0][0]
    address = ipaddress.IPv4Address(place) if version == 4 else ipaddress.IPv6Address(place)
    return longest(address, (route.range for route in manifest.routes), network.own) is not None
