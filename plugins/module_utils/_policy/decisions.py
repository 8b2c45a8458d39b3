# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that bears on a decision: classes of endpoints, both sides' chains and their sets. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .._common.errors import InvalidInput
from .._manifest.model import Manifest, Policy, RangePeer, Rule
from .boxes import Span, disjoint, port_boxes
from .classes import Classes, written
from .endpoints import Endpoints
from .evaluate import policy_of
from .portline import port_span
from .prefixes import cidrs, partition
from .remainders import pieces, spans_of
from .ruleset import Chain, Set

MAX_ELEMENTS = 200_000  # of all rules together: beyond, a manifest is refused rather than a host exhausted
_MAX_PAIRS = 5 * MAX_ELEMENTS  # of classes and ports in one list, before they are united

# nft 1.0.6 knows the type of a connection's port only when the rule itself has named a transport protocol, so
# each rule names them all: this is always true. (A related error's own protocol differs from its flow's.)
ANY_PROTOCOL = "meta l4proto { tcp, 0-5, 7-255 }"
_FLOW = "ct original protocol . ct original proto-dst"


@dataclass(frozen=True)
class Words:
    """How decisions are written: before every name, at every counter's, and what permits and refuses."""

    prefix: str = ""
    counter: str = ""
    permit: str = "goto permit"
    refuse: str = "drop"

    def refusal(self, counter: str) -> str:
        return f'counter name "{self.counter}{counter}" {self.refuse}'


ENFORCED = Words()


def decisions(
    manifest: Manifest, endpoints: Endpoints, words: Words = ENFORCED
) -> tuple[dict[str, Set], dict[str, Chain], set[str]]:
    """Everything that bears on a decision: classes, both sides' chains and their sets.

    The chain to begin at is ``decide``, behind the prefix of ``words``.
    """
    pre, strangers = words.prefix, words.refusal("strangers")
    classes = Classes(manifest, endpoints)
    class4: dict[str, str] = {}
    class6: dict[str, str] = {}
    senders: dict[str, str] = {}
    receivers: dict[str, str] = {}
    policies: dict[str, Policy] = {}
    for endpoint in endpoints:
        number = written(classes.of(endpoint.id.member, endpoint.id.gseq))
        class4[str(endpoint.ipv4)] = class6[str(endpoint.ipv6)] = number
        key, policy = policy_of(manifest, endpoint) or (endpoint.id.member, Policy())
        who = key.replace("/", ".")
        policies[who] = policy
        senders[number], receivers[number] = f"goto {pre}e_{who}", f"goto {pre}i_{who}"
    sets = {
        f"{pre}class4": Set("map", "type ipv4_addr : classid;", class4),
        f"{pre}class6": Set("map", "type ipv6_addr : classid;", class6),
        f"{pre}senders": Set("map", "type classid : verdict;", senders),
        f"{pre}receivers": Set("map", "type classid : verdict;", receivers),
        f"{pre}routed4": Set("set", "type ipv4_addr; flags interval;", _routed(manifest, endpoints, 4)),
        f"{pre}routed6": Set("set", "type ipv6_addr; flags interval;", _routed(manifest, endpoints, 6)),
    }
    chains = {
        f"{pre}decide": Chain(
            (
                f"jump {pre}source",
                f"meta priority vmap @{pre}senders",
                f"ct original ip saddr @{pre}routed4 goto {pre}outside",
                f"ct original ip6 saddr @{pre}routed6 goto {pre}outside",
                strangers,
            )
        ),
        f"{pre}source": _class_of("saddr", pre),
        f"{pre}target": _class_of("daddr", pre),
        f"{pre}outside": Chain((f"jump {pre}target", f"meta priority vmap @{pre}receivers", strangers)),
        f"{pre}receiver": Chain(
            (
                f"meta priority vmap @{pre}receivers",
                f"ct original ip daddr @{pre}routed4 {words.permit}",
                f"ct original ip6 daddr @{pre}routed6 {words.permit}",
                strangers,
            )
        ),
    }
    if sum(map(pieces, policies.values())) > MAX_ELEMENTS:
        raise _too_large()
    counters = {f"{words.counter}strangers"}
    budget = MAX_ELEMENTS
    for who, policy in sorted(policies.items()):
        for name, other, address, rules, go in (
            (f"e_{who}", "target", "daddr", policy.egress, f"goto {pre}receiver"),
            (f"i_{who}", "source", "saddr", policy.ingress, words.permit),
        ):
            drop = words.refusal(name)
            lines = [f"jump {pre}{other}"]
            for verdict, listed, then in (("deny", rules.deny, drop), ("allow", rules.allow, go)):
                made = _matches(f"{pre}{name}_{verdict}", listed, classes, address)
                for set_name, (match, matched) in made.items():
                    sets[set_name] = matched
                    budget -= len(matched.elements)
                    lines.append(f"{match} @{set_name} {then}")
                if budget < 0:
                    raise _too_large()
            chains[f"{pre}{name}"] = Chain((*lines, drop))
            counters.add(f"{words.counter}{name}")
    return sets, chains, counters


def _too_large() -> InvalidInput:
    return InvalidInput(
        f"makes more than {MAX_ELEMENTS} elements of firewall rules for the network's endpoints",
        where="manifest",
        remedy="Use ranges of ports, and members in fewer combinations of groups",
    )


def _class_of(address: str, prefix: str) -> Chain:
    """The class of one end of the flow, into the packet's priority: 0 for an address that no endpoint has."""
    return Chain(
        (
            "meta priority set 0",
            f"meta priority set ct original ip {address} map @{prefix}class4",
            f"meta priority set ct original ip6 {address} map @{prefix}class6",
        )
    )


def _routed(manifest: Manifest, endpoints: Endpoints, version: int) -> dict[str, str]:
    parts = partition((route.range for route in manifest.routes), endpoints.ranges, version)
    return {str(network): "" for network in cidrs((span for spans in parts.values() for span in spans), version)}


def _matches(name: str, rules: Iterable[Rule], classes: Classes, address: str) -> dict[str, tuple[str, Set]]:
    """The sets of one list of rules, each with the words that look a flow up in it: by the other end's class,
    IPv4 address, IPv6 address. Sets that would be empty aren't made."""
    pairs = 0
    by_class: dict[Span, list[Span]] = {}
    by_address: dict[int, dict[Span, list[Span]]] = {4: {}, 6: {}}
    for rule in rules:
        ports = [port_span(port) for port in rule.ports]
        for peer in rule.peers:
            if isinstance(peer, RangePeer):
                for span in spans_of(peer):
                    by_address[peer.range.version].setdefault(span, []).extend(ports)
            else:
                for span in classes.spans(peer):
                    by_class.setdefault(span, []).extend(ports)
                    pairs += len(ports)
        if pairs > _MAX_PAIRS:
            raise _too_large()
    flow = "type {} . inet_proto . inet_service; flags interval;"
    made = {}
    for suffix, kind, key, wanted, write in (
        ("", "classid", "meta priority", by_class, written),
        ("4", "ipv4_addr", f"ct original ip {address}", by_address[4], _ipv4),
        ("6", "ipv6_addr", f"ct original ip6 {address}", by_address[6], _ipv6),
    ):
        elements = {
            # Ports are always written as a range: without any range in an element, nft 1.0.6 has a class's bytes in
            # another order when it deletes than when it adds.
            f"{_span(peer, write)} . {_span(protocols)} . {ports[0]}-{ports[1]}": ""
            for peer, spans in disjoint(wanted)
            for span in spans
            for protocols, ports in port_boxes(span)
        }
        if elements:
            match = f"{ANY_PROTOCOL} {key} . {_FLOW}"
            made[f"{name}{suffix}"] = (match, Set("set", flow.format(kind), elements))
    return made


def _ipv4(number: int) -> str:
    return str(ipaddress.IPv4Address(number))


def _ipv6(number: int) -> str:
    return str(ipaddress.IPv6Address(number))


def _span(span: Span, write: Callable[[int], str] = str) -> str:
    first, last = span
    return write(first) if first == last else f"{write(first)}-{write(last)}"
