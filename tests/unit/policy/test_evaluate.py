# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a manifest means, by example: each example is one sentence of the definition."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from manifests import endpoints

from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import NO_RULE, Decision, evaluate

ADDRESSES = {"outside": ipaddress.ip_address("192.0.2.9"), "elsewhere": ipaddress.ip_address("203.0.113.9")}
ADDRESSES |= {f"{each.id}": each.ipv4 for each in endpoints()}
ALL = {"allow": [{"peers": "any", "ports": "any"}]}
OPEN = {"ingress": ALL, "egress": ALL}


def ask(document: dict[str, Any], source: str, target: str, port: str = "tcp/80") -> Decision:
    protocol, _unused, number = port.partition("/")
    packet = Packet(ADDRESSES[source], ADDRESSES[target], protocol, int(number) if number else None)
    return evaluate(parse(document), endpoints(), packet)


def test_nothing_passes_without_rules() -> None:
    decision = ask({}, "web/1/0", "db/1/0")
    assert not decision.permitted
    assert decision.egress.why == "web has no rules"
    assert decision.ingress.why == "db has no rules"


def test_both_sides_must_permit_and_each_names_its_rule() -> None:
    sender = {"web": {"egress": ALL}}
    receiver = {"db": {"ingress": ALL}}
    assert not ask({"members": sender}, "web/1/0", "db/1/0").permitted
    assert not ask({"members": receiver}, "web/1/0", "db/1/0").permitted
    decision = ask({"members": {**sender, **receiver}}, "web/1/0", "db/1/0")
    assert decision.permitted
    assert decision.egress.place == "members.web.egress.allow.0"
    assert decision.ingress.place == "members.db.ingress.allow.0"
    assert not ask({"members": {**sender, **receiver}}, "db/1/0", "web/1/0").permitted, "one direction only"


def test_deny_wins_wherever_it_stands() -> None:
    rules = {"deny": [{"peers": "api", "ports": "any"}, {"peers": "web", "ports": "tcp/80"}], **ALL}
    members = {"web": OPEN, "db": {"ingress": rules}}
    decision = ask({"members": members}, "web/1/0", "db/1/0")
    assert (decision.permitted, decision.ingress.place) == (False, "members.db.ingress.deny.1")
    assert ask({"members": members}, "web/1/0", "db/1/0", "tcp/81").permitted


def test_a_leases_entry_replaces_its_members() -> None:
    members = {"web": OPEN, "db": {"ingress": ALL}, "db/2": {"ingress": {"allow": [{"peers": "api", "ports": "any"}]}}}
    assert ask({"members": members}, "web/1/0", "db/1/0").permitted
    decision = ask({"members": members}, "web/1/0", "db/2/0")
    assert (decision.permitted, decision.ingress.why) == (False, NO_RULE)
    assert not ask({"members": {**members, "db/2": {}}}, "web/1/0", "db/2/0").permitted, "empty is none"


@pytest.mark.parametrize(
    ("peer", "permitted"),
    [
        ("any", True),
        ("web", True),
        ("web/1", True),
        ("web/2", False),
        ("front", True),
        ("back", False),
        ("100.64.0.0/24", True),
        ("192.0.2.0/24", False),
        ("0.0.0.0/0", True),
        ("::/0", False),
        ({"range": "100.64.0.0/24", "except": "100.64.0.1/32"}, False),
        ({"range": "100.64.0.0/24", "except": ["100.64.0.2/32", "100.64.0.0/32"]}, True),
        ({"range": "0.0.0.0/0", "except": ["100.64.0.0/10", "10.0.0.0/8"]}, False),
    ],
)
def test_peers(peer: Any, permitted: bool) -> None:
    document = {
        "groups": {"front": ["web"], "back": ["db"]},
        "members": {"web": OPEN, "db": {"ingress": {"allow": [{"peers": peer, "ports": "any"}]}}},
    }
    assert ask(document, "web/1/0", "db/1/0").permitted is permitted


@pytest.mark.parametrize(
    ("rule", "packet", "permitted"),
    [
        ("tcp/80", "tcp/80", True),
        ("tcp/80", "udp/80", False),
        ("tcp/80", "tcp/81", False),
        ("tcp/79-81", "tcp/81", True),
        ("tcp/79-81", "tcp/82", False),
        ("sctp/80", "sctp/80", True),
        ("icmp", "icmp", True),
        ("icmp", "icmpv6", False),
        ("icmpv6", "icmpv6", True),
        ("icmp", "tcp/80", False),
        ("any", "tcp/80", True),
        ("any", "icmp", True),
        ("any", "other", True),
        ("tcp/1-65535", "other", False),
        ("icmp/echo-request", "icmp", True),
        ("icmp/8", "icmp/8", True),
        ("icmp/8", "icmp/13", False),
        ("icmp/timestamp-request", "icmp/13", True),
        ("icmp/timestamp-request", "icmp", False),
        ("icmp", "icmp/13", True),
        ("icmpv6/node-information-query", "icmpv6/139", True),
        ("icmpv6/128", "icmpv6", True),
        ("icmpv6/128", "icmpv6/139", False),
    ],
)
def test_ports(rule: str, packet: str, permitted: bool) -> None:
    document = {"members": {"web": OPEN, "db": {"ingress": {"allow": [{"peers": "web", "ports": rule}]}}}}
    assert ask(document, "web/1/0", "db/1/0", packet).permitted is permitted


def test_the_outside_takes_part_by_routes_alone() -> None:
    both = {"allow": [{"peers": "0.0.0.0/0", "ports": "any"}]}
    members = {"web": {"egress": both, "ingress": both}}
    assert not ask({"members": members}, "web/1/0", "outside").permitted, "no route"
    routed = {"members": members, "routes": [{"range": "192.0.2.0/24", "via": "api"}]}
    decision = ask(routed, "web/1/0", "outside")
    assert (decision.permitted, decision.ingress.place) == (True, "routes.0")
    assert ask(routed, "outside", "web/1/0").permitted
    assert not ask(routed, "elsewhere", "web/1/0").permitted
    assert not ask(routed, "outside", "db/1/0").permitted, "db has no rules"
    assert not ask(routed, "outside", "elsewhere").permitted
    assert not ask(routed, "outside", "outside").permitted, "nothing passes between outside addresses"


def test_any_is_nobody_outside() -> None:
    document = {"members": {"web": OPEN}, "routes": [{"range": "192.0.2.0/24", "via": "api"}]}
    assert not ask(document, "web/1/0", "outside").permitted
    assert not ask(document, "outside", "web/1/0").permitted
