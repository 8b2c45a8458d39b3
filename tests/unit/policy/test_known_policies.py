# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Situations that are well known from Kubernetes network policies, said as manifests and put to the evaluator.

The facts are those that its documentation defines and its end-to-end tests probe (namespaces x, y, z with pods a, b, c,
each serving a few ports). A namespace's pod is a member (``x-a``), a namespace a group (``x``), all pods with a label
in every namespace a group (``pod-a``). Kubernetes leaves a side that no policy selects open; a manifest doesn't, so
what isn't the subject of a case is opened explicitly (``FREE``), as an adapter for such a corpus would.
"""

from __future__ import annotations

import ipaddress
import itertools
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate
from ansible_collections.akash.avpn.plugins.module_utils._policy.matrix import matrix
from ansible_collections.akash.avpn.plugins.module_utils._policy.portsets import holds, place_of
from ansible_collections.akash.avpn.plugins.module_utils._policy.subjects import Network

PODS = [f"{space}-{pod}" for space, pod in itertools.product("xyz", "abc")]
GROUPS = {space: [pod for pod in PODS if pod[0] == space] for space in "xyz"}
GROUPS |= {f"pod-{pod}": [f"{space}-{pod}" for space in "xyz"] for pod in "abc"}
OWN = (ipaddress.ip_network("100.64.0.0/24"), ipaddress.ip_network("fd00:1::/64"))
# x has 100.64.0.16/29, y .24/29, z .32/29; a, b, c follow each other.
LIVE = {
    pod: Endpoint(EndpointId(pod, 1, 0), ipaddress.IPv4Address(f"100.64.0.{last}"), OWN[1][last])
    for pod, last in ((pod, 16 + 8 * "xyz".index(pod[0]) + 1 + "abc".index(pod[2])) for pod in PODS)
}
NETWORK = Endpoints(LIVE.values(), OWN)
OUTSIDE = ipaddress.IPv4Address("192.0.2.10")
ANY: list[Any] = [{"peers": "any", "ports": "any"}]
FREE = {"ingress": {"allow": ANY}, "egress": {"allow": ANY}}
PORTS = ("tcp/80", "tcp/81", "udp/80", "udp/81", "sctp/80", "icmp")


def allow(peers: Any, ports: Any = "any") -> dict[str, Any]:
    return {"allow": [{"peers": peers, "ports": ports}]}


def manifest(routes: bool = False, **entries: Any) -> dict[str, Any]:
    """Everything is open but what the entries say; ``x_a`` is x-a's, a single letter all of that namespace's."""
    members: dict[str, Any] = dict.fromkeys(PODS, FREE)
    for key, entry in entries.items():
        for pod in [key.replace("_", "-")] if len(key) > 1 else GROUPS[key]:
            members[pod] = {**members[pod], **entry}
    made = {"groups": GROUPS, "members": members}
    return {**made, "routes": [{"range": "192.0.2.0/24", "via": "z-c"}]} if routes else made


def packet(source: Any, target: Any, port: str) -> Packet:
    protocol, _slash, number = port.partition("/")
    ends = (LIVE[end].ipv4 if end in LIVE else end for end in (source, target))
    return Packet(*ends, protocol, int(number) if number else None)  # type: ignore[arg-type]


def passes(document: dict[str, Any], source: Any, target: Any, port: str = "tcp/80") -> bool:
    return evaluate(parse(document), NETWORK, packet(source, target, port)).permitted


def senders(document: dict[str, Any], target: str, port: str = "tcp/80") -> set[str]:
    """Who reaches it, itself aside."""
    return {pod for pod in PODS if pod != target and passes(document, pod, target, port)}


def others(*pods: str, without: str = "") -> set[str]:
    return {pod for pod in PODS if pod not in pods and (not without or pod[0] != without)}


CASES: list[tuple[str, dict[str, Any], str, str, set[str]]] = [
    # what is said, manifest, target, port, who reaches it
    ("deny all ingress to a pod", manifest(x_a={"ingress": {}}), "x-a", "tcp/80", set()),
    ("deny all ingress to a namespace", manifest(x={"ingress": {}}), "x-c", "udp/81", set()),
    ("and the rest stays open", manifest(x={"ingress": {}}), "y-a", "tcp/80", others("y-a")),
    ("deny all egress from a namespace", manifest(x={"egress": {}}), "y-a", "tcp/80", others("y-a", without="x")),
    ("egress isolation leaves ingress alone", manifest(x={"egress": {}}), "x-a", "tcp/80", others(without="x")),
    ("allow all ingress", manifest(x_a={"ingress": {"allow": ANY}}), "x-a", "sctp/80", others("x-a")),
    ("from one pod", manifest(x_a={"ingress": allow("x-b")}), "x-a", "tcp/80", {"x-b"}),
    ("from a label in any namespace", manifest(x_a={"ingress": allow("pod-b")}), "x-a", "tcp/80",
     {"x-b", "y-b", "z-b"}),
    ("from a namespace", manifest(x_a={"ingress": allow("y")}), "x-a", "tcp/80", {"y-a", "y-b", "y-c"}),
    ("from a namespace or a pod", manifest(x_a={"ingress": allow(["y", "z-b"])}), "x-a", "tcp/80",
     {"y-a", "y-b", "y-c", "z-b"}),
    ("from its own namespace", manifest(x={"ingress": allow("x")}), "x-a", "tcp/80", {"x-b", "x-c"}),
    ("on one port", manifest(x_a={"ingress": allow("any", "tcp/81")}), "x-a", "tcp/80", set()),
    ("on another one", manifest(x_a={"ingress": allow("any", "tcp/81")}), "x-a", "tcp/81", others("x-a")),
    ("a protocol is part of the port", manifest(x_a={"ingress": allow("any", "udp/80")}), "x-a", "tcp/80", set()),
    ("sctp by itself", manifest(x_a={"ingress": allow("y", "sctp/80")}), "x-a", "sctp/80", {"y-a", "y-b", "y-c"}),
    ("a range of ports", manifest(x_a={"ingress": allow("y", "tcp/80-90")}), "x-a", "tcp/81", {"y-a", "y-b", "y-c"}),
    ("beyond a range of ports", manifest(x_a={"ingress": allow("y", "tcp/81-90")}), "x-a", "tcp/80", set()),
    ("ports of one rule only go with its peers", manifest(x_a={"ingress": {"allow": [
        {"peers": "x-b", "ports": "tcp/80"}, {"peers": "y", "ports": "tcp/81"}]}}), "x-a", "tcp/81",
     {"y-a", "y-b", "y-c"}),
    ("policies add up", manifest(x_a={"ingress": {"allow": [
        {"peers": "x-b", "ports": "tcp/80"}, {"peers": "x-c", "ports": "tcp/80"}]}}), "x-a", "tcp/80", {"x-b", "x-c"}),
    ("a block of addresses", manifest(x_a={"ingress": allow("100.64.0.24/29")}), "x-a", "tcp/80",
     {"y-a", "y-b", "y-c"}),
    ("a block with an exception", manifest(x_a={"ingress": allow(
        [{"range": "100.64.0.24/29", "except": ["100.64.0.26/32"]}])}), "x-a", "tcp/80", {"y-a", "y-c"}),
    ("what one rule excepts another may permit", manifest(x_a={"ingress": {"allow": [
        {"peers": [{"range": "100.64.0.24/29", "except": ["100.64.0.26/32"]}], "ports": "any"},
        {"peers": "y-b", "ports": "tcp/80"}]}}), "x-a", "tcp/80", {"y-a", "y-b", "y-c"}),
    ("both sides have to permit", manifest(x_a={"ingress": allow("y-b")}, y_b={"egress": {}}), "x-a", "tcp/80", set()),
    ("egress to a namespace", manifest(x_a={"egress": allow("y")}), "z-a", "tcp/80", others("z-a", "x-a")),
    ("egress on a port", manifest(x_a={"egress": allow("y", "tcp/81")}), "y-a", "tcp/81", others("y-a")),
    ("icmp isn't among ports", manifest(x_a={"ingress": allow("any", ["tcp/1-65535", "udp/1-65535"])}), "x-a", "icmp",
     set()),
]  # fmt: skip


@pytest.mark.parametrize(("document", "target", "port", "reach"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_who_reaches_a_pod(document: dict[str, Any], target: str, port: str, reach: set[str]) -> None:
    assert senders(document, target, port) == reach
    asked = packet("x-a", target, port)
    place = place_of(asked.protocol, asked.port)
    found = {
        pair.source.name
        for pair in matrix(parse(document), Network(OWN, frozenset(PODS), tuple(NETWORK)))
        if pair.target.name == target and any(holds(each.ports, place) for each in pair.permitted if each.version != 6)
    }
    assert found - {target} == reach, "the matrix says the same"


def test_a_deny_overrules_what_is_allowed_below_it() -> None:
    """An administrator's deny stands above the developers' allow; here the manifest's deny does."""
    rules = {"deny": [{"peers": "z", "ports": "tcp/80"}], "allow": ANY}
    document = manifest(x={"ingress": rules})
    assert senders(document, "x-a") == others("x-a", without="z")
    assert senders(document, "x-a", "tcp/81") == others("x-a")


def test_egress_to_a_block_outside_with_an_exception() -> None:
    peers = [{"range": "192.0.2.0/24", "except": ["192.0.2.128/25"]}]
    document = manifest(routes=True, x_a={"egress": allow(peers, "tcp/443")})
    assert passes(document, "x-a", OUTSIDE, "tcp/443")
    assert not passes(document, "x-a", ipaddress.IPv4Address("192.0.2.200"), "tcp/443")
    assert not passes(document, "x-a", OUTSIDE, "tcp/80")
    assert not passes(document, "x-b", OUTSIDE, "tcp/443"), "any is nobody outside"


def test_ingress_from_a_block_outside() -> None:
    document = manifest(routes=True, x_a={"ingress": allow("192.0.2.0/28")})
    assert passes(document, OUTSIDE, "x-a")
    assert not passes(document, ipaddress.IPv4Address("192.0.2.99"), "x-a")


def test_answers_are_part_of_the_flow() -> None:
    """Who may be reached needs no permission to answer: beginning the other way round is another matter."""
    document = manifest(x_a={"ingress": allow("x-b"), "egress": {}}, x_b={"ingress": {}})
    assert passes(document, "x-b", "x-a")
    assert not passes(document, "x-a", "x-b")
