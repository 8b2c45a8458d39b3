# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a manifest and the network's endpoints to the nftables table of one host's namespace. Pure.

How a packet goes through the table (what it must agree with is ``evaluate``)::

    guard      prerouting, before connection tracking: from a veth only its own addresses, from nowhere unknown
    clamp      forward: TCP's segment size fits the tunnel
    forward    established under the current epoch: accepted. Everything else, established or not:
    decide     the flow's ORIGINAL source address -> class -> the chain of the sender's rules
      e_<who>  the original target's class and address against the sender's deny and allow
      receiver the original target's class -> the chain of the receiver's rules
      i_<who>  the original source's class and address against the receiver's deny and allow
    permit     the connection gets the epoch as its mark
    gateway    input: DHCP, neighbour discovery, DNS and echo from endpoints; from tunnels nothing new

The epoch is a hash of everything here that bears on a decision. When it changes, the next packet of every flow,
in either direction, is evaluated again as if it began the flow: permitted ones are marked anew and don't notice,
others end. The epoch is read before the rules are (into the packet's mark) and given to the connection after
them, so a packet that meets the rules while they change can't mark a flow as if it had seen the new ones.

Cost per packet: each chain asks at most three sets for deny and three for allow, whatever their sizes. Sizes:
two elements per endpoint, and per rule its peers × ports; never pairs of endpoints.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .._common import canonical
from .._common.errors import InvalidInput
from .._manifest.model import Manifest, Policy, Port, Range, RangePeer, Rule
from .boxes import ALL_PORTS, Span, disjoint, port_boxes
from .classes import Classes, written
from .endpoints import Endpoints
from .evaluate import policy_of
from .ruleset import Chain, Ruleset, Set

MAX_ELEMENTS = 200_000  # of all rules together: beyond, a manifest is refused rather than a host exhausted
_MAX_PAIRS = 5 * MAX_ELEMENTS  # of classes and ports in one list, before they are united
CONNECTIONS = 8192  # of one endpoint at a time

_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132}
_INTERFACE = re.compile(r"[a-z0-9]{1,15}", re.ASCII)

# nft 1.0.6 knows the type of a connection's port only when the rule itself has named a transport protocol, so
# each rule names them all: this is always true. (A related error's own protocol differs from its flow's.)
_ANY_PROTOCOL = "meta l4proto { tcp, 0-5, 7-255 }"
_FLOW = "ct original protocol . ct original proto-dst"


@dataclass(frozen=True)
class Local:
    """An endpoint of this host: the gateway's end of its veth, what it may send from, and ranges it carries."""

    interface: str
    ipv4: ipaddress.IPv4Address
    ipv6: ipaddress.IPv6Address
    carries: tuple[Range, ...] = ()


def compile_ruleset(
    manifest: Manifest | None,
    endpoints: Endpoints,
    local: Iterable[Local],
    tunnels: Sequence[str],
    *,
    connections: int = CONNECTIONS,
) -> Ruleset:
    """The table for one host. ``manifest`` None: there is none yet, and nothing passes. ``endpoints``: those of
    all hosts; ``local``: those of this one; ``tunnels``: names of the network's WireGuard interfaces.

    Raises InvalidInput if the manifest is too large for these endpoints.
    """
    local = sorted(local, key=lambda each: each.interface)
    for interface in (*tunnels, *(each.interface for each in local)):
        if _INTERFACE.fullmatch(interface) is None:
            raise InvalidInput(f"'{ascii(interface)[1:20]}' is not the name of an interface", where="interface")
    sets, chains, counters = _rules(manifest or Manifest(), endpoints)
    epoch = _epoch(sets, chains)
    sets["current"] = Set("set", "type mark;", {epoch: ""})
    sets["epoch"] = Set("map", "type nf_proto : mark;", {"ipv4": epoch, "ipv6": epoch})
    for family, kind in (("4", "ipv4_addr"), ("6", "ipv6_addr")):
        sets[f"connections{family}"] = Set("set", f"type {kind}; flags dynamic; size 65535;")
    sets.update(_sources(local))
    chains.update(_entrances(tuple(tunnels), connections, carried="carried4" in sets))
    counters |= {"spoofed", "relayed", "invalid", "midstream", "crowded", "strangers", "gateway"}
    tenancy = {
        f"{endpoint.ipv4} {endpoint.ipv6}": hashlib.sha256(endpoint.lease.encode()).hexdigest()[:16]
        for endpoint in endpoints
    }
    return Ruleset(chains, sets, frozenset(counters), tenancy)


def closed_ruleset() -> Ruleset:
    """What a namespace gets before anything else: nothing comes in, nothing passes."""
    return Ruleset(
        {
            "forward": Chain((), "type filter hook forward priority filter; policy drop;"),
            "gateway": Chain((), "type filter hook input priority filter; policy drop;"),
        },
        {},
        frozenset(),
    )


def _entrances(tunnels: tuple[str, ...], connections: int, *, carried: bool) -> dict[str, Chain]:
    """The chains that packets enter and leave by, and the services of the gateway itself."""
    named = "{ " + ", ".join(f'"{name}"' for name in tunnels) + " }"
    guard = ['iifname "lo" accept']
    if tunnels:
        guard.append(f"iifname {named} accept")  # WireGuard has checked the source by its allowed IPs
    guard += ["iifname . ip saddr @sources4 accept", "iifname . ip6 saddr @sources6 accept"]
    if carried:
        guard += ["iifname . ip saddr @carried4 accept", "iifname . ip6 saddr @carried6 accept"]
    guard += [
        # Before it has its address an endpoint asks for one; link-local traffic never leaves the veth.
        "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept",
        "ip6 saddr { ::, fe80::/10 } icmpv6 type { 133, 135, 136 } ip6 hoplimit 255 accept",
        "ip6 saddr fe80::/10 udp dport 547 accept",
        "ip6 saddr { ::, fe80::/10 } drop",  # other link-local talk is no forgery, and nobody's here
        'counter name "spoofed" drop',
    ]
    relayed = [f'iifname {named} oifname {named} counter name "relayed" drop'] if tunnels else []
    services = [f"iifname {named} drop"] if tunnels else []
    crowded = 'counter name "crowded" drop'
    return {
        # Here only permitted flows count, so that refused attempts don't crowd anybody out.
        "permit": Chain(
            (
                f"ct state new add @connections4 {{ ct original ip saddr ct count over {connections} }} {crowded}",
                f"ct state new add @connections6 {{ ct original ip6 saddr ct count over {connections} }} {crowded}",
                "ct mark set meta mark",
                "meta mark set 0",
                "meta priority set 0",
                "accept",
            )
        ),
        "guard": Chain(tuple(guard), "type filter hook prerouting priority raw; policy drop;"),
        "clamp": Chain(
            ("tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu",),
            "type filter hook forward priority mangle; policy accept;",
        ),
        "forward": Chain(
            (
                *relayed,  # a host is not a relay between other hosts
                "ct state established,related ct mark @current accept",
                'ct state invalid counter name "invalid" drop',
                # A stream whose connection is not known here may not begin in the middle: a flow that was cut
                # would come back, and perhaps in the wrong direction.
                'ct state new tcp flags & (fin | syn | rst | ack) != syn counter name "midstream" drop',
                "goto decide",
            ),
            "type filter hook forward priority filter; policy drop;",
        ),
        "gateway": Chain(
            (
                'iifname "lo" accept',
                "ct state established,related accept",
                *services,
                "icmpv6 type { 133, 135, 136 } ip6 hoplimit 255 accept",
                "icmp type echo-request accept",
                "icmpv6 type echo-request accept",
                "udp dport { 53, 67, 547 } accept",
                "tcp dport 53 accept",
                'counter name "gateway" drop',
            ),
            "type filter hook input priority filter; policy drop;",
        ),
    }


def _sources(local: Sequence[Local]) -> dict[str, Set]:
    """Which addresses may come from which veth. Exact addresses and carried ranges apart: a hash costs less."""
    sources: dict[str, dict[str, str]] = {name: {} for name in ("sources4", "sources6", "carried4", "carried6")}
    for each in local:
        sources["sources4"][f'"{each.interface}" . {each.ipv4}'] = ""
        sources["sources6"][f'"{each.interface}" . {each.ipv6}'] = ""
        for version, name in ((4, "carried4"), (6, "carried6")):
            ranges = [range_ for range_ in each.carries if range_.version == version]
            for network in ipaddress.collapse_addresses(ranges):  # type: ignore[type-var]
                sources[name][f'"{each.interface}" . {network}'] = ""
    sets = {}
    carried = sources["carried4"] or sources["carried6"]
    for name, elements in sources.items():
        kind = "ipv4_addr" if name.endswith("4") else "ipv6_addr"
        flags = " flags interval;" if name.startswith("carried") else ""
        if not flags or carried:
            sets[name] = Set("set", f"type ifname . {kind};{flags}", elements)
    return sets


def _rules(manifest: Manifest, endpoints: Endpoints) -> tuple[dict[str, Set], dict[str, Chain], set[str]]:
    """Everything that bears on a decision: classes, both sides' chains and their sets."""
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
        senders[number], receivers[number] = f"goto e_{who}", f"goto i_{who}"
    sets = {
        "class4": Set("map", "type ipv4_addr : classid;", class4),
        "class6": Set("map", "type ipv6_addr : classid;", class6),
        "senders": Set("map", "type classid : verdict;", senders),
        "receivers": Set("map", "type classid : verdict;", receivers),
        "routed4": Set("set", "type ipv4_addr; flags interval;", _routed(manifest, 4)),
        "routed6": Set("set", "type ipv6_addr; flags interval;", _routed(manifest, 6)),
    }
    chains = {
        "decide": Chain(
            (
                "meta mark set meta nfproto map @epoch",
                "jump source",
                "meta priority vmap @senders",
                "ct original ip saddr @routed4 goto outside",
                "ct original ip6 saddr @routed6 goto outside",
                'counter name "strangers" drop',
            )
        ),
        "source": _class_of("saddr"),
        "target": _class_of("daddr"),
        "outside": Chain(("jump target", "meta priority vmap @receivers", 'counter name "strangers" drop')),
        "receiver": Chain(
            (
                "meta priority vmap @receivers",
                "ct original ip daddr @routed4 goto permit",
                "ct original ip6 daddr @routed6 goto permit",
                'counter name "strangers" drop',
            )
        ),
    }
    counters: set[str] = set()
    budget = MAX_ELEMENTS
    for who, policy in sorted(policies.items()):
        for name, other, address, rules, go in (
            (f"e_{who}", "target", "daddr", policy.egress, "receiver"),
            (f"i_{who}", "source", "saddr", policy.ingress, "permit"),
        ):
            drop = f'counter name "{name}" drop'
            lines = [f"jump {other}"]
            for verdict, listed, then in (("deny", rules.deny, drop), ("allow", rules.allow, f"goto {go}")):
                made = _matches(f"{name}_{verdict}", listed, classes, address)
                for set_name, (match, matched) in made.items():
                    sets[set_name] = matched
                    budget -= len(matched.elements)
                    lines.append(f"{match} @{set_name} {then}")
                if budget < 0:
                    raise _too_large()
            chains[name] = Chain((*lines, drop))
            counters.add(name)
    return sets, chains, counters


def _too_large() -> InvalidInput:
    return InvalidInput(
        f"makes more than {MAX_ELEMENTS} elements of firewall rules for the network's endpoints",
        where="manifest",
        remedy="Use ranges of ports, and members in fewer combinations of groups",
    )


def _class_of(address: str) -> Chain:
    """The class of one end of the flow, into the packet's priority: 0 for an address that no endpoint has."""
    return Chain(
        (
            "meta priority set 0",
            f"meta priority set ct original ip {address} map @class4",
            f"meta priority set ct original ip6 {address} map @class6",
        )
    )


def _routed(manifest: Manifest, version: int) -> dict[str, str]:
    ranges = [route.range for route in manifest.routes if route.range.version == version]
    return {str(network): "" for network in ipaddress.collapse_addresses(ranges)}  # type: ignore[type-var]


def _matches(name: str, rules: Iterable[Rule], classes: Classes, address: str) -> dict[str, tuple[str, Set]]:
    """The sets of one list of rules, each with the words that look a flow up in it: by the other end's class,
    IPv4 address, IPv6 address. Sets that would be empty aren't made."""
    pairs = 0
    by_class: dict[Span, list[Span]] = {}
    by_address: dict[int, dict[Span, list[Span]]] = {4: {}, 6: {}}
    for rule in rules:
        ports = [_ports(port) for port in rule.ports]
        for peer in rule.peers:
            if isinstance(peer, RangePeer):
                span = (int(peer.range.network_address), int(peer.range.broadcast_address))
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
            match = f"{_ANY_PROTOCOL} {key} . {_FLOW}"
            made[f"{name}{suffix}"] = (match, Set("set", flow.format(kind), elements))
    return made


def _ports(port: Port) -> Span:
    if port.protocol == "any":
        return ALL_PORTS
    base = _PROTOCOLS[port.protocol] * 65536
    if port.first is None or port.last is None:
        return base, base + 65535
    return base + port.first, base + port.last


def _ipv4(number: int) -> str:
    return str(ipaddress.IPv4Address(number))


def _ipv6(number: int) -> str:
    return str(ipaddress.IPv6Address(number))


def _span(span: Span, write: Callable[[int], str] = str) -> str:
    first, last = span
    return write(first) if first == last else f"{write(first)}-{write(last)}"


def _epoch(sets: Mapping[str, Set], chains: Mapping[str, Chain]) -> str:
    """32 bits that change with anything that bears on a decision; never 0, which is an unmarked connection's."""
    document: canonical.Json = {
        "sets": {name: dict(each.elements) for name, each in sets.items()},
        "chains": {name: list(chain.rules) for name, chain in chains.items()},
    }
    digest = hashlib.sha256(canonical.dumps(document)).digest()
    return f"0x{int.from_bytes(digest[:4], 'big') or 1:08x}"
