# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nested routes: which one carries an address, and who may send from it (R8)."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import Interpreter, _interval
from manifests import endpoints

from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Range, Route
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.carried import Routing
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Address, Endpoints, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import Local, Neighbours
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate
from ansible_collections.akash.avpn.plugins.module_utils._policy.prefixes import (
    NEVER,
    cidrs,
    longest,
    partition,
    span_of,
)
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset

OWN = (ipaddress.ip_network("100.64.0.0/24"), ipaddress.ip_network("fd00:1::/64"))
EVERYBODY = Endpoints(endpoints(), OWN)
# Nested, beside one another, around the network, in it and equal to it, and around what is never carried.
RANGES: tuple[Range, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "100.0.0.0/8", "100.64.0.0/10", "100.64.0.0/24",
            "100.64.0.0/29", "100.64.0.128/25", "100.64.0.200/32", "169.0.0.0/8", "192.0.2.0/24",
            "192.0.2.0/25", "192.0.2.9/32", "::/0", "8000::/1", "fd00::/16", "fd00:1::/64",
            "fd00:1::6440:0/112", "2001:db8::/32", "2001:db8::/48", "2001:db8::9/128",
        ),
    )
)  # fmt: skip
_EDGES = sorted(
    {
        make(number)
        for network in (*RANGES, *OWN, *NEVER[4], *NEVER[6])
        for first, last in (span_of(network),)
        for make, most in ((ipaddress.IPv4Address, 2**32) if network.version == 4 else (ipaddress.IPv6Address, 2**128),)
        for number in (first - 1, first, last, last + 1)
        if 0 <= number < most
    },
    key=lambda address: (address.version, int(address)),
)
some_ranges = st.lists(st.sampled_from(RANGES), unique=True, max_size=8)


@settings(max_examples=300, deadline=None)
@given(some_ranges, st.lists(st.sampled_from(_EDGES), min_size=10, max_size=30))
def test_all_at_once_is_the_same_as_one_by_one(ranges: list[Range], addresses: list[Address]) -> None:
    parts = {**partition(ranges, OWN, 4), **partition(ranges, OWN, 6)}
    for address in addresses:
        holding = [
            range_
            for range_, spans in parts.items()
            if range_.version == address.version and any(first <= int(address) <= last for first, last in spans)
        ]
        expected = longest(address, ranges, OWN)
        assert holding == ([] if expected is None else [expected]), address


@settings(max_examples=200, deadline=None)
@given(some_ranges, st.data())
def test_compiled_agrees_with_evaluate_about_nested_routes(ranges: list[Range], data: Any) -> None:
    rules = {"allow": [{"peers": ["any", "0.0.0.0/0", "::/0"], "ports": "any"}]}
    manifest = dataclasses.replace(
        parse({"members": {"web": {"ingress": rules, "egress": rules}, "api": {"egress": rules}}}),
        routes=tuple(Route(each, "web") for each in ranges),
    )
    ruleset = compile_ruleset(manifest, EVERYBODY, [], ["avtunnela"])
    inside: list[Address] = [address for each in EVERYBODY for address in (each.ipv4, each.ipv6)]
    for _try in range(20):
        source = data.draw(st.sampled_from([*inside, *_EDGES]))
        target = data.draw(st.sampled_from([each for each in (*inside, *_EDGES) if each.version == source.version]))
        packet = Packet(source, target, "tcp", 80)
        assert Interpreter(ruleset, packet).permitted() == evaluate(manifest, EVERYBODY, packet).permitted, packet


def test_the_deciding_route_is_the_longest() -> None:
    manifest = dataclasses.replace(
        parse({"members": {"web": {"egress": {"allow": [{"peers": "0.0.0.0/0", "ports": "any"}]}}}}),
        routes=tuple(Route(ipaddress.ip_network(each), "api") for each in ("0.0.0.0/0", "192.0.2.0/24")),
    )
    for target, place in (("192.0.2.1", "routes.1"), ("198.51.100.1", "routes.0"), ("100.64.0.99", None)):
        decided = evaluate(
            manifest, EVERYBODY, Packet(next(iter(EVERYBODY)).ipv4, ipaddress.ip_address(target), "tcp", 80)
        )
        assert decided.ingress.place == place


# who may send


def guard(ranges: list[str], carries: list[str], elsewhere: list[str], own: tuple[Range, ...] = OWN) -> Ruleset:
    manifest = dataclasses.replace(parse({}), routes=tuple(Route(ipaddress.ip_network(each), "api") for each in ranges))
    api = next(each for each in EVERYBODY if each.id.member == "api")
    return compile_ruleset(
        manifest,
        Endpoints(EVERYBODY, own),
        [Local("ve00000001", api.ipv4, api.ipv6, tuple(map(ipaddress.ip_network, carries)))],
        ["avtunnela"],
        neighbours=Neighbours((ipaddress.ip_address("100.64.0.254"),)),
        routing=Routing(
            frozenset(map(ipaddress.ip_network, elsewhere)),
            (ipaddress.ip_address("100.64.0.254"), ipaddress.ip_address("100.64.0.253")),
        ),
    )


def holds(ruleset: Ruleset, name: str, address: str) -> bool:
    return any(first <= int(ipaddress.ip_address(address)) <= last for first, last in spans_in(ruleset, name))


def spans_in(ruleset: Ruleset, name: str) -> list[tuple[int, int]]:
    return [_interval(each.rpartition(" . ")[2]) for each in ruleset.sets[name].elements]


def test_a_carrier_sends_from_what_it_carries_and_not_from_what_another_has_a_longer_prefix_for() -> None:
    found = guard(["0.0.0.0/0", "192.0.2.0/24"], ["0.0.0.0/0"], ["192.0.2.0/24"])
    for address, may in (
        ("198.51.100.1", True), ("192.0.2.1", False), ("100.64.0.99", False), ("127.0.0.1", False),
        ("169.254.64.1", False), ("224.0.0.1", False), ("255.255.255.255", False), ("0.0.0.0", False),
    ):  # fmt: skip
        assert holds(found, "carried4", address) is may, address
    assert not holds(found, "untunnelled4", "192.0.2.1")
    for address in ("198.51.100.1", "169.254.64.1", "127.0.0.1", "224.0.0.1"):
        assert holds(found, "untunnelled4", address), address


def test_a_range_without_a_carrier_is_not_left_to_a_wider_one() -> None:
    found = guard(["0.0.0.0/0", "192.0.2.0/24"], [], ["0.0.0.0/0"])
    assert holds(found, "untunnelled4", "192.0.2.1") and not holds(found, "untunnelled4", "192.0.3.1")
    assert not holds(guard(["0.0.0.0/0", "192.0.2.0/24"], ["0.0.0.0/0"], []), "carried4", "192.0.2.1")


def test_a_carrier_does_not_speak_for_endpoints_and_hosts_inside_its_range() -> None:
    found = guard(["100.64.0.0/24"], ["100.64.0.0/24"], [])
    assert holds(found, "carried4", "100.64.0.99")
    wanted = {str(each.ipv4) for each in EVERYBODY} | {"100.64.0.254", "100.64.0.253"}
    assert set(found.sets["taken4"].elements) == wanted
    rules = found.chains["guard"].rules
    assert (
        rules.index("iifname . ip saddr @sources4 accept")
        < rules.index('ip saddr @taken4 counter name "spoofed" drop')
        < rules.index("iifname . ip saddr @carried4 accept")
    )
    # Outside of what is carried here nobody has to be told apart.
    for range_ in ("192.0.2.0/24", "100.64.0.0/10", "0.0.0.0/0"):
        assert not guard([range_], [range_], []).sets["taken4"].elements


def test_a_tunnel_brings_nothing_of_what_is_here() -> None:
    found = guard(["0.0.0.0/0"], [], ["0.0.0.0/0"])
    api = next(each for each in EVERYBODY if each.id.member == "api")
    assert set(found.sets["here4"].elements) == {str(api.ipv4), "100.64.0.254"}
    assert 'iifname "avtunnela" goto tunnelled' in found.chains["guard"].rules
    rules = found.chains["tunnelled"].rules
    for name in ("here", "untunnelled"):
        for family, version in (("ip", 4), ("ip6", 6)):
            rule = f'{family} saddr @{name}{version} counter name "spoofed" drop'
            assert rules.index(rule) < rules.index("accept")


def test_without_routes_nothing_is_carried_and_the_frame_is_the_same() -> None:
    without, found = guard([], [], []), guard(["192.0.2.0/24"], ["192.0.2.0/24"], [])
    assert without.chains["guard"] == found.chains["guard"] and without.chains["gateway"] == found.chains["gateway"]
    for name in ("carried4", "carried6", "taken4", "taken6"):
        assert not without.sets[name].elements
    assert not holds(without, "untunnelled4", "192.0.2.1") and holds(found, "untunnelled4", "192.0.2.1")


@settings(max_examples=100, deadline=None)
@given(some_ranges, st.data())
def test_no_two_elements_overlap(ranges: list[Range], data: Any) -> None:
    """The kernel refuses interval sets whose elements do."""
    carries = data.draw(st.lists(st.sampled_from(ranges), unique=True)) if ranges else []
    elsewhere = [each for each in ranges if each not in carries]
    found = guard([str(each) for each in ranges], [str(each) for each in carries], [str(each) for each in elsewhere])
    for name in ("routed4", "routed6", "carried4", "carried6", "untunnelled4", "untunnelled6"):
        spans = sorted(spans_in(found, name))
        assert all(one[1] < two[0] for one, two in itertools.pairwise(spans)), name


def test_256_nested_routes_stay_small() -> None:
    listed = [ipaddress.ip_network((int(ipaddress.IPv4Address("10.0.0.0")), length)) for length in range(8, 33)]
    listed += [ipaddress.ip_network(f"172.{number}.0.0/16") for number in range(231)]
    parts = partition(listed, OWN, 4)
    assert len(parts) == 256
    assert sum(len(cidrs(spans, 4)) for spans in parts.values()) == 256
