# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network of so many endpoints and rules, and flows that its manifest permits.

The same kinds of rules in the same proportions at every size, so that sizes differ in numbers only: of ten rules
of a member, egress has one deny and one allow of a range outside, one deny and two allows of members; ingress has
one deny of an endpoint's address and one of members, three allows of members.
"""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass
from typing import Any

import conftest  # noqa: F401 - makes the collection importable; pylint: disable=unused-import

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import Local
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate

NET4, NET6 = ipaddress.IPv4Address("100.64.0.0"), ipaddress.IPv6Address("fd00:1::6440:0")
SENDERS, TUNNEL = "vesenders", "avtunnela"
_KINDS = 10  # rules of one member, and of each further round of the same kinds
_MEMBERS = {10: 1, 100: 5, 1_000: 25}  # rules -> members
_BASE_PORT = 10_000


@dataclass(frozen=True)
class Network:
    """endpoints and rules: how many. ``local``: those on the host that is measured, on one interface."""

    manifest: Manifest
    endpoints: Endpoints
    local: tuple[Local, ...]
    rules: int

    @property
    def size(self) -> dict[str, int]:
        return {"endpoints": len(self.endpoints), "rules": self.rules}


def member(number: int) -> str:
    return f"m{number}"


def document(rules: int, members: int, *, changed: int | None = None) -> dict[str, Any]:
    """A manifest with so many rules. ``changed``: a port that one rule of the last member has instead of its own."""
    policies: dict[str, Any] = {}
    rounds = rules // (members * _KINDS)
    for number in range(members):
        egress: dict[str, list[Any]] = {"deny": [], "allow": []}
        ingress: dict[str, list[Any]] = {"deny": [], "allow": []}
        for turn in range(rounds):
            port = _BASE_PORT + 10 * turn
            there, back = member((number + turn) % members), member((number - turn) % members)
            outside = f"198.{18 + turn % 2}.{number % 256}.0/24"
            egress["deny"] += [_rule(outside, f"udp/{port}"), _rule(there, f"udp/{port + 5}")]
            egress["allow"] += [
                _rule(outside, f"tcp/{port}"),
                {"peers": there, "ports": [f"udp/{port}", "icmp"]},
                _rule(there, f"tcp/{port}-{port + 3}"),
            ]
            ingress["deny"] += [_rule(f"100.64.0.{turn % 8 + 1}/32", f"udp/{port + 8}"), _rule(back, f"udp/{port + 6}")]
            ingress["allow"] += [
                {"peers": back, "ports": [f"udp/{port}", "icmp"]},
                _rule(back, f"tcp/{port}-{port + 3}"),
                _rule("everyone", f"tcp/{port + 7}"),
            ]
        policies[member(number)] = {"egress": egress, "ingress": ingress}
    if changed is not None:
        policies[member(members - 1)]["ingress"]["allow"][-1]["ports"] = f"tcp/{changed}"
    return {"groups": {"everyone": [member(number) for number in range(members)]}, "members": policies}


def network(endpoints: int, rules: int, *, changed: int | None = None) -> Network:
    """The network; every second endpoint is on the host that is measured."""
    members = _MEMBERS[rules]
    all_endpoints = Endpoints(
        Endpoint(EndpointId(member(number % members), 1, number // members), NET4 + number + 1, NET6 + number + 1, "l")
        for number in range(endpoints)
    )
    # Endpoints and members are both numbered round robin: halves are made of whole rounds, so that all members send.
    local = tuple(Local(SENDERS, each.ipv4, each.ipv6) for each in all_endpoints if each.id.index % 2 == 0)
    return Network(parse(document(rules, members, changed=changed)), all_endpoints, local, rules)


def _rule(peers: str, ports: str) -> dict[str, str]:
    return {"peers": peers, "ports": ports}


def pairs(of: Network, most: int, *, seed: int = 1, sources: int | None = None) -> list[Packet]:
    """First packets of permitted flows from local endpoints to others: every pair but once, at most ``most`` pairs,
    drawn from all; from so many sources, if that is said."""
    choose = random.Random(seed)
    senders = [each for each in of.endpoints if each.id.index % 2 == 0]
    if sources is not None and sources < len(senders):
        senders = choose.sample(senders, sources)
    by_member: dict[str, list[Endpoint]] = {}
    for each in of.endpoints:
        if each.id.index % 2 == 1:
            by_member.setdefault(each.id.member, []).append(each)
    members = _MEMBERS[of.rules]
    rounds = of.rules // (members * _KINDS)
    wanted: dict[tuple[Any, Any], Packet] = {}
    for _unused in range(20 * most):
        source, turn = choose.choice(senders), choose.randrange(rounds)
        target = choose.choice(by_member[member((int(source.id.member[1:]) + turn) % members)])
        packet = Packet(source.ipv4, target.ipv4, "udp", _BASE_PORT + 10 * turn)
        wanted.setdefault((source.ipv4, target.ipv4), packet)
        if len(wanted) == most:
            break
    found = list(wanted.values())
    for packet in found[:100]:
        if not evaluate(of.manifest, of.endpoints, packet).permitted:
            raise ValueError(f"the manifest doesn't permit {packet}")
    return found
