# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The matrix and the difference of two manifests, held to the definition: packet by packet, over every address."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from manifests import MEMBERS, NESTED, RANGES, endpoints, packets
from manifests import documents as plain

from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import (
    Address,
    Endpoint,
    Endpoints,
    Packet,
)
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import decide, evaluate
from ansible_collections.akash.avpn.plugins.module_utils._policy.matrix import Grant, Pair, difference, matrix
from ansible_collections.akash.avpn.plugins.module_utils._policy.portsets import holds, place_of
from ansible_collections.akash.avpn.plugins.module_utils._policy.prefixes import span_of
from ansible_collections.akash.avpn.plugins.module_utils._policy.subjects import Network, Subject, subjects

OWN = (ipaddress.ip_network("100.64.0.0/24"), ipaddress.ip_network("fd00:1::/64"))
WORLD = Network(OWN)
ENDPOINTS = Endpoints(endpoints(), OWN)
LIVE = Network(OWN, None, tuple(ENDPOINTS))
PLACES = [
    *(("tcp", port) for port in (1, 79, 80, 81, 101, 65535)), ("udp", 1), ("udp", 80), ("udp", 100), ("sctp", 80),
    ("icmp", None), ("icmp", 13), ("icmpv6", None), ("icmpv6", 139), ("other", None),
]  # fmt: skip

# Wide routes, and some of the network's own addresses.
_WIDE = [
    {"range": "0.0.0.0/0", "via": "api", "covers": "default"},
    {"range": "100.64.0.0/24", "via": "db", "covers": "members"},
    {"range": "100.64.0.200/29", "via": "db", "covers": "members"},
    {"range": "::/0", "via": "db", "covers": "default"},
]
_OPEN = {"peers": ["any", "0.0.0.0/0", "::/0"], "ports": "any"}


def _opened(made: tuple[dict[str, Any], list[Any], list[tuple[str, str]]]) -> dict[str, Any]:
    """The document with more routes, and with sides of members that are open but for what they deny: of rules that are
    drawn alone, both sides seldom permit anything."""
    document, routes, sides = made
    members = {key: dict(policy) for key, policy in document["members"].items()}
    for member, side in sides:
        rules = members.setdefault(member, {}).get(side, {})
        members[member][side] = {**rules, "allow": [*rules.get("allow", []), _OPEN]}
    return {**document, "members": members, "routes": [*document["routes"], *routes]}


documents = st.tuples(
    plain,
    st.lists(st.sampled_from(_WIDE), max_size=2, unique_by=str),
    st.sets(st.tuples(st.sampled_from(MEMBERS), st.sampled_from(("ingress", "egress"))), min_size=4).map(sorted),
).map(_opened)


def told(grants: Iterable[Grant], packet: Packet) -> set[bool]:
    """Whether the grants hold a packet: everywhere (True), somewhere (False), not at all (empty)."""
    place, version = place_of(packet.protocol, packet.port), packet.source.version
    return {each.everywhere for each in grants if each.version in (None, version) and holds(each.ports, place)}


def subject_of(listed: Iterable[Subject], endpoint: Endpoint) -> Subject | None:
    """Who an endpoint is."""
    member, gseq, _index = endpoint.id
    by_name = {subject.name: subject for subject in listed}
    names = (str(endpoint.id), f"{member}/{gseq}", f"{member}/*", member)
    return next((by_name[name] for name in names if name in by_name), None)


def outside_of(listed: Iterable[Subject], address: Address) -> Subject | None:
    for subject in listed:
        spans = subject.addresses.get(address.version, ())
        if subject.member is None and any(first <= int(address) <= last for first, last in spans):
            return subject
    return None


def pair_of(pairs: Iterable[Pair], listed: list[Subject], packet: Packet) -> Pair | None:
    world = endpoints()
    ends = []
    for address in (packet.source, packet.target):
        endpoint = world.at(address)
        found = subject_of(listed, endpoint) if endpoint is not None else outside_of(listed, address)
        if found is None:
            return None
        ends.append(found.name)
    return next((pair for pair in pairs if [pair.source.name, pair.target.name] == ends), None)


@settings(max_examples=60, deadline=None)
@given(documents, st.lists(packets(), min_size=20, max_size=40))
def test_where_endpoints_are_known_the_matrix_is_the_definition(document: dict[str, Any], sent: list[Packet]) -> None:
    manifest = parse(document)
    pairs, listed = list(matrix(manifest, LIVE)), subjects([manifest], LIVE)
    for packet in sent:
        if packet.source == packet.target:
            continue  # never leaves the endpoint
        pair = pair_of(pairs, listed, packet)
        said = told(pair.permitted, packet) if pair is not None else set()
        expected = evaluate(manifest, ENDPOINTS, packet).permitted
        outside = pair is not None and None in (pair.source.member, pair.target.member)
        if outside and said == {False}:
            continue  # depends on the address in the range
        assert said == ({True} if expected else set()), packet


@settings(max_examples=60, deadline=None)
@given(documents, documents, st.lists(packets(), min_size=20, max_size=40))
def test_where_endpoints_are_known_the_difference_is_what_decisions_differ_in(
    one: dict[str, Any], two: dict[str, Any], sent: list[Packet]
) -> None:
    before, after = parse(one), parse(two)
    pairs, listed = list(difference(before, after, LIVE)), subjects([before, after], LIVE)
    for packet in sent:
        if packet.source == packet.target:
            continue
        pair = pair_of(pairs, listed, packet)
        gained = told(pair.gained, packet) if pair is not None else set()
        lost = told(pair.lost, packet) if pair is not None else set()
        was = evaluate(before, ENDPOINTS, packet).permitted
        becomes = evaluate(after, ENDPOINTS, packet).permitted
        if False not in gained:
            assert bool(gained) is (becomes and not was), packet
        if False not in lost:
            assert bool(lost) is (was and not becomes), packet


def cells(subject: Subject, version: int) -> Iterator[Address]:
    """An address of every part of a subject's addresses that the generator's ranges tell apart."""
    make: Callable[[int], Address] = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    spans = [span_of(ipaddress.ip_network(text)) for text in (*RANGES, *itertools.chain(*NESTED))]
    starts = {edge for first, last in spans for edge in (first, last + 1)}
    for first, last in subject.addresses[version]:
        yield from (make(place) for place in sorted({first, *starts}) if first <= place <= last)


def decisions(manifest: Manifest, pair: Pair, version: int, protocol: str, port: int | None) -> dict[Any, bool]:
    return {
        (source, target): decide(
            manifest, pair.source.endpoint(), pair.target.endpoint(), Packet(source, target, protocol, port), OWN
        ).permitted
        for source in cells(pair.source, version)
        for target in cells(pair.target, version)
    }


@st.composite
def asked(draw: Any, count: int) -> tuple[list[Manifest], list[Pair]]:
    """Manifests, and some pairs of their subjects."""
    manifests = [parse(draw(documents)) for _unused in range(count)]
    ends = itertools.product(subjects(manifests, WORLD), repeat=2)
    every = [Pair(one, two, ()) for one, two in ends if one.member is not None or two.member is not None]
    return manifests, draw(st.lists(st.sampled_from(every), max_size=4)) if every else []


def check(told_of: Pair | None, pair: Pair, kind: str, is_so: Callable[[int, str, int | None], list[bool]]) -> None:
    """Everywhere, somewhere or nowhere: what is told of a pair is what decisions over all addresses say."""
    grants = getattr(told_of, kind) if told_of is not None else ()
    for version in (4, 6):
        if version not in pair.source.addresses or version not in pair.target.addresses:
            continue
        for protocol, port in PLACES:
            if protocol == ("icmpv6" if version == 4 else "icmp"):
                continue
            cases = is_so(version, protocol, port)
            expected = {True} if all(cases) else {False} if any(cases) else set()
            any_address = ipaddress.ip_address(0 if version == 4 else 1 << 100)
            said = told(grants, Packet(any_address, any_address, protocol, port))
            assert said == expected, (pair.source.name, pair.target.name, version, protocol, port)


def named(pairs: Iterable[Pair]) -> dict[tuple[str, str], Pair]:
    return {(pair.source.name, pair.target.name): pair for pair in pairs}


@settings(max_examples=40, deadline=None)
@given(asked(1))
def test_without_addresses_the_matrix_says_everywhere_somewhere_or_nowhere(case: Any) -> None:
    (manifest,), pairs = case
    found = named(matrix(manifest, WORLD))
    for pair in pairs:

        def is_so(version: int, protocol: str, port: int | None, pair: Pair = pair) -> list[bool]:
            return list(decisions(manifest, pair, version, protocol, port).values())

        check(found.get((pair.source.name, pair.target.name)), pair, "permitted", is_so)


@settings(max_examples=40, deadline=None)
@given(asked(2))
def test_without_addresses_the_difference_is_exact(case: Any) -> None:
    (before, after), pairs = case
    found = named(difference(before, after, WORLD))
    for pair in pairs:
        for kind, old, new in (("gained", before, after), ("lost", after, before)):

            def is_so(
                version: int,
                protocol: str,
                port: int | None,
                pair: Pair = pair,
                old: Manifest = old,
                new: Manifest = new,
            ) -> list[bool]:
                was = decisions(old, pair, version, protocol, port)
                becomes = decisions(new, pair, version, protocol, port)
                return [becomes[at] and not was[at] for at in was]

            check(found.get((pair.source.name, pair.target.name)), pair, kind, is_so)


@settings(max_examples=50, deadline=None)
@given(documents)
def test_nothing_differs_from_itself(document: dict[str, Any]) -> None:
    assert not list(difference(parse(document), parse(document), WORLD))


def test_any_is_nobody_outside() -> None:
    rules = {"allow": [{"peers": "any", "ports": "any"}, {"peers": "192.0.2.0/25", "ports": "tcp/80"}]}
    routes = [{"range": "192.0.2.0/24", "via": "web"}, {"range": "192.0.2.128/25", "via": "web"}]
    manifest = parse({"members": {"web": {"egress": rules}}, "routes": routes})
    (pair,) = (pair for pair in matrix(manifest, WORLD) if pair.target.member is None)
    assert (pair.source.name, pair.target.name) == ("web", "192.0.2.0/24"), "without what the narrower route leads to"
    assert [(each.ports, each.everywhere) for each in pair.permitted] == [(((6 * 65536 + 80, 6 * 65536 + 80),), True)]
