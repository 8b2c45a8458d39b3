# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a path is permitted or not, and what would permit it: laws, and examples that read as people ask."""

from __future__ import annotations

import fnmatch
import ipaddress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from manifests import MEMBERS, documents, endpoints

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._manifest import ports
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Port
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.boxes import subtract
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoints, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import NO_RULE, evaluate
from ansible_collections.akash.avpn.plugins.module_utils._policy.matrix import difference
from ansible_collections.akash.avpn.plugins.module_utils._policy.paths import Way, explain
from ansible_collections.akash.avpn.plugins.module_utils._policy.portline import port_span
from ansible_collections.akash.avpn.plugins.module_utils._policy.portsets import holds, place_of
from ansible_collections.akash.avpn.plugins.module_utils._policy.remedies import (
    Remedies,
    applied,
    document_of,
    remedies,
)
from ansible_collections.akash.avpn.plugins.module_utils._policy.subjects import Network

OWN = (ipaddress.ip_network("100.64.0.0/24"), ipaddress.ip_network("fd00:1::/64"))
WORLD = Network(OWN, frozenset(MEMBERS))
ENDPOINTS = Endpoints(endpoints(), OWN)
LIVE = Network(OWN, WORLD.members, tuple(ENDPOINTS))
ASKED = ("tcp/80", "tcp/81", "udp/80", "sctp/2", "icmp", "icmpv6", "icmp/13")
ends = st.sampled_from((*MEMBERS, "web/2", "db/1", "192.0.2.129/32", "192.0.2.0/24", "2001:db8::1/128"))


def port(text: str) -> Port:
    return ports.port(text, "port")


@settings(max_examples=100, deadline=None)
@given(documents, st.sampled_from(list(endpoints())), st.sampled_from(list(endpoints())), st.sampled_from(ASKED))
def test_between_endpoints_the_answer_is_the_decision(document: dict[str, Any], one: Any, two: Any, text: str) -> None:
    manifest, asked = parse(document), port(text)
    for way in explain(manifest, LIVE, str(one.id), str(two.id), asked):
        for version in way.versions:
            source, target = (one.ipv4, two.ipv4) if version == 4 else (one.ipv6, two.ipv6)
            decision = evaluate(manifest, ENDPOINTS, Packet(source, target, asked.protocol, asked.first))
            assert way.verdict == ("allow" if decision.permitted else "deny")
            for said, reasons in ((decision.egress, way.egress), (decision.ingress, way.ingress)):
                assert [(said.permitted, said.place, said.why)] == [(r.permitted, r.place, r.why) for r in reasons]


@settings(max_examples=100, deadline=None)
@given(documents, ends, ends, st.sampled_from(ASKED))
@example(
    {"members": {"web": {"ingress": {"allow": [{"peers": ["any"], "ports": ["icmp/13"]}]}}}}, "db/1", "web", "icmp"
)
def test_what_is_to_be_added_permits_it_and_nothing_else(
    document: dict[str, Any], source: str, target: str, text: str
) -> None:
    manifest, asked = parse(document), port(text)
    ways = explain(manifest, WORLD, source, target, asked)
    for way in ways:
        assert bool(way.remedies) is (way.verdict != "allow") or way.egress[0].why.startswith("neither")
    changed = manifest
    for _unused in range(2):  # a first rule can be what makes a lease one of a member's, which are asked about then
        for way in explain(changed, WORLD, source, target, asked):
            changed = applied(changed, way.remedies)
    for way in explain(changed, WORLD, source, target, asked):
        outside = "neither side" in way.egress[0].why
        route = any(each.remedies.route for each in ways)
        assert way.verdict == "allow" or outside or route, way
    if any(way.remedies.remove for way in ways):
        return  # what a deny refused may be more
    ends_of_it = {source.partition("/")[0], target.partition("/")[0]}
    place = place_of(asked.protocol, asked.first)
    for pair in difference(manifest, changed, WORLD):
        assert not pair.lost
        assert {pair.source.member, pair.target.member} - {None} <= ends_of_it
        # A member's rule may permit one type of those that are asked about to its other leases, too.
        span = port_span(asked)
        assert all(holds(grant.ports, place) or not subtract(grant.ports, (span,)) for grant in pair.gained)


DOCUMENT = {
    "groups": {"back": ["api", "db"]},
    "members": {
        "web": {"egress": {"allow": [{"peers": "back", "ports": ["tcp/80", "tcp/5432"]}]}},
        "api": {"egress": {"allow": [{"peers": "db", "ports": "tcp/5432"}]}},
        "db": {
            "ingress": {
                "deny": [{"peers": "100.64.0.0/25", "ports": "tcp/5432"}, {"peers": "web", "ports": "any"}],
                "allow": [{"peers": "api", "ports": "tcp/5432"}],
            }
        },
    },
    "routes": [{"range": "192.0.2.0/24", "via": "web"}],
}


def only(source: str, target: str, text: str = "tcp/5432", network: Network = WORLD) -> Way:
    (way,) = explain(parse(DOCUMENT), network, source, target, port(text))
    return way


def test_a_deny_is_named_with_all_that_stands_in_the_way() -> None:
    four, _six = explain(parse(DOCUMENT), WORLD, "web", "db", port("tcp/5432"))
    assert (four.verdict, four.versions) == ("deny", (4,))
    assert [each.place for each in four.egress] == ["members.web.egress.allow.0"]
    assert {each.place: each.addresses for each in four.ingress} == {
        "members.db.ingress.deny.0": ("100.64.0.0/25",),
        "members.db.ingress.deny.1": ("100.64.0.128/25",),
    }
    assert [each.where for each in four.remedies.remove] == ["members.db.ingress.deny.0", "members.db.ingress.deny.1"]
    assert [(each.where, document_of(each.rule)) for each in four.remedies.add] == [
        ("members.db.ingress.allow", {"peers": "web", "ports": "tcp/5432"})
    ]


def test_it_may_depend_on_addresses_that_are_not_known() -> None:
    four, six = explain(parse(DOCUMENT), WORLD, "api", "db", port("tcp/5432"))
    assert (four.versions, four.verdict, six.versions, six.verdict) == ((4,), "depends", (6,), "allow")
    known, _six = explain(parse(DOCUMENT), LIVE, "api", "db", port("tcp/5432"))
    assert (known.verdict, known.ingress[0].place) == ("deny", "members.db.ingress.deny.0"), (
        "api lives in 100.64.0.0/25"
    )


def test_a_member_without_rules_is_told_what_to_begin_with() -> None:
    way = only("log-1", "api", "udp/53")
    assert (way.verdict, way.versions) == ("deny", (4, 6))
    assert [each.why for each in (*way.egress, *way.ingress)] == ["log-1 has no rules", NO_RULE]
    assert [(each.where, document_of(each.rule)) for each in way.remedies.add] == [
        ("members.log-1.egress.allow", {"peers": "api", "ports": "udp/53"}),
        ("members.api.ingress.allow", {"peers": "log-1", "ports": "udp/53"}),
    ]


def test_ping_is_of_one_version_each() -> None:
    assert only("web", "api", "icmp").versions == (4,)
    assert only("web", "api", "icmpv6").versions == (6,)


def test_outside_a_route_is_needed_first() -> None:
    way = only("web", "198.51.100.7", "tcp/443")
    assert way.ingress[0].why == "outside the network, and no route leads there"
    assert way.remedies.route == ("198.51.100.7/32",)
    assert [(each.where, document_of(each.rule)["peers"]) for each in way.remedies.add] == [
        ("members.web.egress.allow", "198.51.100.7/32")
    ]
    routed = only("192.0.2.7", "web", "tcp/443")
    assert (routed.egress[0].place, routed.remedies.route) == ("routes.0", ())


def test_leases_that_are_told_apart_are_answered_apart() -> None:
    document = {"members": {**DOCUMENT["members"], "api/2": {}}}  # type: ignore[dict-item]
    ways = explain(parse(document), WORLD, "web", "api", port("tcp/80"))
    assert [(way.target, way.remedies.add[-1].where) for way in ways] == [
        ("api/2", "members.api/2.ingress.allow"),
        ("api/*", "members.api.ingress.allow"),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("wep", "from: 'wep' is not a member of the network. Did you mean 'web'?"),
        ("web/x", "from: must be a number written as a string of digits"),
        ("100.64.0.77", "from: lies in the network's own range, and who has it isn't known. Name the member"),
        ("192.0.2.1/24", "from: must be a member, a lease (web/2), an endpoint (web/2/0), an address or a range, *"),
    ],
)  # fmt: skip
def test_ends_that_are_not_known(source: str, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        only(source, "web")
    assert fnmatch.fnmatchcase(str(error.value), message)


def test_an_address_of_an_endpoint_is_that_endpoint() -> None:
    live = next(each for each in endpoints() if each.id.member == "api")
    assert only(str(live.ipv4), "web", network=LIVE).source == str(live.ipv4)
    assert only(str(live.ipv4), "web", network=LIVE).egress[0].why == NO_RULE


def test_nothing_is_to_be_done_for_what_is_permitted() -> None:
    assert remedies(parse(DOCUMENT), OWN, []) == Remedies()
    members = {"web": {"egress": {"allow": [{"peers": "api", "ports": "tcp/80"}]}}}
    members["api"] = {"ingress": {"allow": [{"peers": "web", "ports": "tcp/80"}]}}
    (way,) = explain(parse({"members": members}), WORLD, "web", "api", port("tcp/80"))
    assert (way.verdict, bool(way.remedies)) == ("allow", False)
