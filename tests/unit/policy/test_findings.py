# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Warnings: none is false, whatever is generated, and each is given where it belongs."""

from __future__ import annotations

import copy
import ipaddress
import time
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from manifests import MEMBERS, documents, endpoints, packets

from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Address, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate
from ansible_collections.akash.avpn.plugins.module_utils._policy.findings import Finding, look

QUICK = (Phase.explicit, Phase.reuse, Phase.generate)  # making these documents smaller takes minutes
OWN = (ipaddress.ip_network("100.64.0.0/25"), ipaddress.ip_network("fd00:1::/64"))


def found(document: dict[str, Any]) -> tuple[Finding, ...]:
    return look(parse(document), MEMBERS, OWN)


def told(document: dict[str, Any]) -> dict[str, str]:
    return {finding.where: f"{finding.what}. {finding.remedy}" for finding in found(document)}


def without(document: dict[str, Any], places: set[str]) -> dict[str, Any]:
    """A document without the rules, peers and ports at these places, and without rules of which nothing is left."""
    kept = copy.deepcopy(document)
    for key, policy in kept.get("members", {}).items():
        for side, lists in policy.items():
            for verdict, rules in lists.items():
                for number, rule in enumerate(rules):
                    for field in ("peers", "ports"):
                        at = f"members.{key}.{side}.{verdict}.{number}.{field}"
                        rule[field] = [each for n, each in enumerate(rule[field]) if f"{at}.{n}" not in places]
                at = f"members.{key}.{side}.{verdict}"
                lists[verdict] = [
                    rule
                    for n, rule in enumerate(rules)
                    if f"{at}.{n}" not in places and rule["peers"] and rule["ports"]
                ]
    return kept


def takes_part(manifest: Manifest, address: Address) -> bool:
    """Whether packets come from an address, or go there: otherwise it doesn't matter what one side would say."""
    return endpoints().at(address) is not None or any(address in route.range for route in manifest.routes)


def pass_alike(one: dict[str, Any], two: dict[str, Any], sent: list[Packet]) -> None:
    first, second = parse(one), parse(two)
    for packet in sent:
        if not all(takes_part(first, address) for address in (packet.source, packet.target)):
            continue
        before, after = (evaluate(manifest, endpoints(), packet) for manifest in (first, second))
        assert before.egress.permitted == after.egress.permitted, packet
        assert before.ingress.permitted == after.ingress.permitted, packet


@settings(max_examples=150, deadline=None, phases=QUICK)
@given(documents, st.lists(packets(), min_size=30, max_size=30))
def test_what_is_superfluous_can_be_taken_out(document: dict[str, Any], sent: list[Packet]) -> None:
    places = {finding.where for finding in found(document) if finding.superfluous}
    pass_alike(document, without(document, places), sent)
    for place in places:
        pass_alike(document, without(document, {place}), sent)


@settings(max_examples=100, deadline=None, phases=QUICK)
@given(documents, st.lists(packets(), min_size=40, max_size=40))
def test_what_is_onesided_never_passes(document: dict[str, Any], sent: list[Packet]) -> None:
    """A permission that the other side doesn't share: its taking out changes nothing that passes both sides."""
    places = {finding.where for finding in found(document) if "nothing passes" in finding.what}
    first, second = parse(document), parse(without(document, places))
    for packet in sent:
        before, after = (evaluate(manifest, endpoints(), packet) for manifest in (first, second))
        if endpoints().at(packet.source) and endpoints().at(packet.target):
            assert before.permitted == after.permitted, packet


def rules(*allow: Any, deny: Any = ()) -> dict[str, Any]:
    return {"deny": list(deny), "allow": list(allow)}


def rule(peers: Any, ports: Any = "any") -> dict[str, Any]:
    return {"peers": peers, "ports": ports}


def web(allow: Any, deny: Any = (), **more: Any) -> dict[str, Any]:
    """web's egress says this, and everybody's ingress permits all."""
    everybody = {name: {"ingress": rules(rule("any"))} for name in MEMBERS}
    everybody["web"]["egress"] = rules(*allow, deny=deny)
    return {"members": everybody, **more}


E = "members.web.egress"
NET = "192.0.2.0/24"
ROUTED = {"routes": [{"range": NET, "via": "api"}]}


@pytest.mark.parametrize(
    ("document", "where", "message"),
    [
        (web([rule("g")], groups={"g": []}), f"{E}.allow.0", "never matches: the group g has no members"),
        (web([rule("db")], groups={"g": ["api"]}), "groups.g", "is a group that no rule names"),
        (web([rule(["db", "g"])], groups={"g": []}), f"{E}.allow.0.peers.1", "the group g has no members"),
        (web([rule(NET)]), f"{E}.allow.0", "192.0.2.0/24 lies outside of the network, and no route leads there"),
        (web([rule(["db", NET])]), f"{E}.allow.0.peers.1", "no route leads there"),
        (web([rule({"range": "192.0.0.0/16", "except": NET})], **ROUTED), f"{E}.allow.0", "no route leads there"),
        (web([rule("100.64.0.0/29", "icmpv6")]), f"{E}.allow.0", "its ports are not of IPv4, of which its peers are"),
        (web([rule("fd00:1::/64", ["icmp", "tcp/1"])]), f"{E}.allow.0.ports.0",
         "never matches: it is of IPv4, and none of the rule's peers is"),
        (web([rule(["100.64.0.0/29", "fd00:1::/64"], "icmp")]), f"{E}.allow.0.peers.1",
         "none of the rule's ports is of its IP version"),
        (web([rule("db", "tcp/80")], [rule("any", "tcp/1-100")]), f"{E}.allow.0",
         f"never matches: {E}.deny.0 denies all of it"),
        (web([rule("db", "tcp/80")], [rule("any", "tcp/1-80"), rule("any", "tcp/80-90")]), f"{E}.allow.0",
         f"{E}.deny.0 denies all"),
        (web([rule("db", "tcp/80-90")], [rule("any", "tcp/1-85"), rule("any", "tcp/86-90")]), f"{E}.allow.0",
         f"the rules in {E}.deny together deny all of it"),
        (web([rule("g")], [rule("api"), rule("db")], groups={"g": ["api", "db"]}), f"{E}.allow.0", "together deny"),
        (web([rule("any")], [rule(name) for name in MEMBERS]), f"{E}.allow.0", "together deny"),
        (web([rule("db/2")], [rule("db")]), f"{E}.allow.0", "denies all of it"),
        (web([rule("db", "icmp")], [rule("db", ["icmp/8", "icmp/13", "icmp/15", "icmp/17"])]), f"{E}.allow.0",
         "denies all of it"),
        (web([rule("db")], [rule(["100.64.0.0/16", "fd00:1::/64"])]), f"{E}.allow.0", "denies all of it"),
        (web([rule("100.64.0.0/29")], [rule("any")]), f"{E}.allow.0", "denies all of it"),
        (web([rule({"range": "100.64.0.0/24", "except": "100.64.0.8/29"})], [rule("100.64.0.0/16")]),
         f"{E}.allow.0", "denies all of it"),
        (web([rule("db", "tcp/80"), rule("db", "tcp/1-100")]), f"{E}.allow.0",
         f"says nothing new: {E}.allow.1 matches all of it"),
        (web([rule("db"), rule("db")]), f"{E}.allow.1", f"says nothing new: {E}.allow.0 matches"),
        (web([rule("any")], [rule("db"), rule("db/1", "tcp/1")]), f"{E}.deny.1", f"{E}.deny.0 matches all of it"),
        (web([rule("db", "tcp/80")], [rule("db", "tcp/81")]), f"{E}.deny.0", "denies nothing that a rule allows"),
        (web([rule("db", "tcp/80")], [rule("api")]), f"{E}.deny.0", "denies nothing that a rule allows"),
        (web([rule(NET)], [rule("any")], **ROUTED), f"{E}.deny.0", "denies nothing that a rule allows"),
        (web([rule(["db", "db"])]), f"{E}.allow.0.peers.1", f"is {E}.allow.0.peers.0 again"),
        (web([rule("db", ["tcp/80", "tcp/1-100"])]), f"{E}.allow.0.ports.0", f"is part of {E}.allow.0.ports.1"),
        (web([rule("db")], **ROUTED), "routes.0", "carries traffic to 192.0.2.0/24, but no rule allows any"),
        (web([rule(NET)], routes=[{"range": NET, "via": "api", "covers": "default"}]), "routes.0.covers",
         "says default, but the range is no default route"),
        (web([rule(NET)], routes=[{"range": NET, "via": "api", "covers": ["members"]}]), "routes.0.covers",
         "doesn't overlap the network's own"),
        (web([rule(NET)], routes=[{"range": NET, "via": "api"}, {"range": "192.0.2.0/25", "via": "api"}]), "routes.1",
         "lies within routes.0, which api carries, too"),
        ({"members": {"web": {"egress": rules(rule("db", "tcp/80"))}}}, f"{E}.allow.0",
         "to db, but db has no rules: nothing passes. Add {peers: web, ports: tcp/80} to members.db.ingress.allow"),
        ({"members": {"web": {"egress": rules(rule("db", "tcp/80"))}, "db": {"ingress": rules(rule("web", "tcp/81"))}}},
         f"{E}.allow.0", "no ingress rule on that side permits it"),
        ({"members": {"db": {"ingress": rules(rule("web", "icmp/8"))}}}, "members.db.ingress.allow.0",
         "nothing passes. Add {peers: db, ports: icmp/echo-request} to members.web.egress.allow"),
        ({"members": {"web": {"egress": rules(rule("db", ["tcp/80", "tcp/81"]))},
                      "db": {"ingress": rules(rule("any", "tcp/81"))}}},
         f"{E}.allow.0.ports.0", "lets web send tcp/80 to db"),
        ({"members": {"web": {"egress": rules(rule(["db", "api"], "tcp/81"))},
                      "db": {"ingress": rules(rule("any", "tcp/81"))}}}, f"{E}.allow.0.peers.1", "api has no rules"),
        ({"members": {"web": {"egress": rules(rule("db"))},
                      "db": {"ingress": rules(rule("any"), deny=[rule("web")])}}}, f"{E}.allow.0", "nothing passes"),
        ({"members": {"web": {"egress": rules(rule("any", "udp/1"))}}}, f"{E}.allow.0", "to any member"),
        ({"staged": {"groups": {"g": ["web"]}}}, "staged.groups.g", "is a group that no rule names"),
        ({"groups": {}, "staged": {}}, "staged", "says the same as what is enforced"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_where_it_is(document: dict[str, Any], where: str, message: str) -> None:
    told_ = told(document)
    assert where in told_, told_
    assert message in told_[where]


@pytest.mark.parametrize(
    "document",
    [
        web([rule("any")], [rule("db")]),
        web([rule("db", "tcp/1-100")], [rule("any", "tcp/80")]),
        web([rule("g")], groups={"g": ["api", "db"]}),
        web([rule("db"), rule("db/1", "any")][:1]),
        web([rule("g")], [rule("db")], groups={"g": ["api", "db"]}),
        web([rule("g")], [rule("api", "tcp/80"), rule("db")], groups={"g": ["api", "db"]}),
        web([rule("any")], [rule("web")]),
        web([rule("db")], [rule(["100.64.0.0/29", "fd00:1::/64"])]),
        web([rule("100.64.0.0/29")], [rule("100.64.0.1/32")]),
        web([rule([NET, "db"])], **ROUTED),
        web([rule("0.0.0.0/0")], [rule("any")], **ROUTED),
        web([rule("db"), rule(NET)], **ROUTED),
        web([rule({"range": "100.64.0.0/25", "except": "100.64.0.0/29"})], [rule("100.64.0.64/26")]),
        web([rule(NET)], routes=[{"range": "0.0.0.0/0", "via": "api", "covers": "default"}]),
        web([rule(NET)], routes=[{"range": NET, "via": "api"}, {"range": "192.0.2.0/25", "via": "db"},
                                 {"range": "192.0.2.0/26", "via": "api"}]),
        web([rule("0.0.0.0/0")], routes=[{"range": "0.0.0.0/0", "via": "api", "covers": "default"},
                                         {"range": "100.64.0.0/26", "via": "api", "covers": "members"}]),
        web([rule("100.64.0.0/29")], routes=[{"range": "100.64.0.0/16", "via": "api", "covers": "members"}]),
        {"members": {"web": {"egress": rules(rule("db", "tcp/80"))}, "db": {},
                     "db/2": {"ingress": rules(rule("web/1", "any"))}}},
    ],
)  # fmt: skip
def test_what_is_in_order_is_left_in_peace(document: dict[str, Any]) -> None:
    assert told(document) == {}


def test_a_deny_is_needed_for_what_it_denies_whole() -> None:
    """Taken out alone, it would open what it denies: only the allow that never matches is superfluous."""
    document = web([rule("db", "tcp/80")], [rule("any", "tcp/1-100")])
    assert [finding.where for finding in found(document)] == [f"{E}.allow.0"]


def test_a_hostile_manifest_keeps_nobody_busy() -> None:
    """The work is bounded, and it is said that there may be more."""
    ports = [f"tcp/{2 * number + 1}" for number in range(250)]
    many = [rule("any", ports[number % 200 :]) for number in range(100)]
    members = {name: {side: rules(*many, deny=many) for side in ("ingress", "egress")} for name in MEMBERS}
    start = time.process_time()
    finding = found({"members": members})[-1]
    assert finding.where == "manifest"
    assert "may be more" in finding.what
    assert time.process_time() - start < 60, "not for the time it takes, but so that the test itself ends"
