# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may enter a host, and what it must not carry on, whatever the manifest says: every packet with its place.

The counterpart of ``compare`` for the frame of the table (``_policy.entrances``): everything is permitted here, so
that what is dropped is dropped by the frame.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from compare import Comparison, Disagreement
from frames import NUMBERS, Flow, first
from manifests import MEMBERS
from observer import observed
from passive import Line, line
from wire import GATEWAY4, GATEWAY6, TUNNEL, Site, inside, run

from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoints, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import Neighbours
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters, remove

_BOTH = {"allow": [{"peers": "any", "ports": "any"}]}
_OPEN: dict[str, Any] = {"members": {name: {"ingress": _BOTH, "egress": _BOTH} for name in MEMBERS}}
_LIMIT, _BEYOND = 20, 5  # connections of one endpoint, and how many more are tried
_MTU = 1280
_FLOOD = 60  # echo requests
_HERE, _THERE = ("100.64.255.0", "fd00:1::ff:0"), ("100.64.255.1", "fd00:1::ff:1")  # the two hosts themselves

_Expected = tuple[str, bytes, dict[str, int]]


def check_entrances(comparison: Comparison) -> None:
    """Raises Disagreement unless the first site's table, as mutated, treats every packet as it must."""
    wire, (one, two) = comparison.wire, comparison.wire.sites
    for site in (one, two):
        remove(site.namespace, site.state)
    run("ip", "-n", one.namespace, "link", "set", TUNNEL, "mtu", str(_MTU))
    endpoints = Endpoints(each.endpoint for each in wire.workloads)
    ruleset = compile_ruleset(
        parse(_OPEN),
        endpoints,
        [each.local for each in one.workloads],
        [TUNNEL],
        neighbours=Neighbours(*(tuple(map(ipaddress.ip_address, each)) for each in (_HERE, _THERE))),
        connections=_LIMIT,
    )
    one.apply(comparison.mutation(ruleset) if comparison.mutation else ruleset)
    wire.forget_flows()
    web = wire.lines[ipaddress.IPv4Address("100.64.0.1")]
    api = wire.lines[ipaddress.IPv4Address("100.64.0.4")]
    tunnel = line(two.namespace, TUNNEL, "02:00:00:00:00:00", "02:00:00:00:00:01")
    try:
        _judge(comparison, one, web, tunnel)
        _flood(comparison, one, tunnel)
        _crowd(comparison, one, web, api)
        _clamp(comparison, api, tunnel)
    finally:
        tunnel.socket.close()
        # An element of a set that counts connections keeps the limit that it was made with: not for other tests.
        remove(one.namespace, one.state)


def _judge(comparison: Comparison, site: Site, web: Line, tunnel: Line) -> None:
    """Single packets, each with what it must move."""
    before = _moved(site)
    wanted = Counter(before)
    with comparison.wire.sending():
        for where, packet, moves in (*_from_a_workload(), *_from_the_tunnel()):
            (web if where == "workload" else tunnel).send([packet])
            wanted.update(moves)
        _speak_itself(site, tunnel)
    wanted["tunnelled"] += 1
    _compare(site, wanted)


def _from_a_workload() -> Iterable[_Expected]:
    def moves(counter: str, *packets: bytes) -> Iterable[_Expected]:
        return [("workload", packet, {counter: 1} if counter else {}) for packet in packets]

    own4, own6, nearby = "100.64.0.1", "fd00:1::6440:1", "fe80::9"
    for own, gateway in ((own4, GATEWAY4), (own6, GATEWAY6)):
        echo = "icmp" if own == own4 else "icmpv6"
        yield from moves("entered", _packet(own, gateway, echo), _packet(own, gateway, "tcp", 53))
        yield from moves("entered", *(_packet(own, gateway, "udp", port) for port in (53, 67, 547)))
        yield from moves("gateway", _packet(own, gateway, "tcp", 22), _packet(own, gateway, "udp", 5000))
        yield from moves("gateway", _packet(own, gateway, "other"))
        yield from moves("spoofed", _packet("100.64.0.2" if own == own4 else "fd00:1::6440:2", gateway, echo))
    for kind in (133, 135, 136):
        yield from moves("entered", _hops(_packet(nearby, GATEWAY6, "icmpv6", kind), 255))
        yield from moves("entered", _hops(_packet(own6, GATEWAY6, "icmpv6", kind), 255))
        yield from moves("gateway", _hops(_packet(own6, GATEWAY6, "icmpv6", kind), 64))
        yield from moves("", _hops(_packet(nearby, GATEWAY6, "icmpv6", kind), 64))
    yield from moves("entered", _packet(nearby, GATEWAY6, "udp", 547))
    yield from moves("", _packet(nearby, GATEWAY6, "udp", 5000), _packet(nearby, GATEWAY6, "icmpv6"))
    yield from moves("entered", _packet("0.0.0.0", "255.255.255.255", "udp", 67, ident=68))
    yield from moves("spoofed", _packet("0.0.0.0", "255.255.255.255", "udp", 67, ident=69))
    yield from moves("spoofed", _packet("0.0.0.0", "255.255.255.255", "udp", 5000, ident=68))


def _from_the_tunnel() -> Iterable[_Expected]:
    for here, there, own, other, db, web in (
        (*(each[0] for each in (_HERE, _THERE)), GATEWAY4, "100.64.0.6", "100.64.0.5", "100.64.0.1"),
        (*(each[1] for each in (_HERE, _THERE)), GATEWAY6, "fd00:1::6440:6", "fd00:1::6440:5", "fd00:1::6440:1"),
    ):
        echo = "icmp" if own == GATEWAY4 else "icmpv6"
        yield "tunnel", _packet(there, here, echo), {"tunnelled": 1}
        yield "tunnel", _packet(other, here, echo), {}  # a workload there
        yield "tunnel", _packet(web, here, echo), {"spoofed": 1}  # says that it is one of those here
        nobody = "100.64.0.77" if own == GATEWAY4 else "fd00:1::6440:77"
        yield "tunnel", _packet(nobody, web, "udp", 80), {"strangers": 1}
        yield "tunnel", _packet(there, here, "tcp", 22), {}
        yield "tunnel", _packet(there, here, "udp", 53), {}
        yield "tunnel", _packet(other, db, "udp", 80), {"relayed": 1}
        if echo == "icmpv6":
            yield "tunnel", _hops(_packet(there, here, "icmpv6", 135), 255), {}


def _speak_itself(site: Site, tunnel: Line) -> None:
    """The host asks a workload, and is answered; and it talks to itself."""

    def ask() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.bind((_HERE[0], 40000))
            asking.sendto(b"?", ("100.64.0.5", 40001))
            tunnel.send([_packet("100.64.0.5", _HERE[0], "udp", 40000, ident=40001)])
            asking.sendto(b"itself", ("127.0.0.1", 40002))

    inside(site.namespace, ask)


def _flood(comparison: Comparison, site: Site, tunnel: Line) -> None:
    """Another host may ask for an echo now and then, not at will."""
    for here, there, echo in ((_HERE[0], _THERE[0], "icmp"), (_HERE[1], _THERE[1], "icmpv6")):
        before = _moved(site)["tunnelled"]
        with comparison.wire.sending():
            tunnel.send([_packet(there, here, echo)] * _FLOOD)
        if not 0 < (entered := _moved(site)["tunnelled"] - before) < _FLOOD // 2:
            raise Disagreement(f"of {_FLOOD} echo requests from another host {entered} entered", _OPEN)


def _crowd(comparison: Comparison, site: Site, web: Line, api: Line) -> None:
    """One endpoint's connections are limited."""
    comparison.wire.forget_flows()
    list(api.arrived())
    before = _moved(site)
    with comparison.wire.sending():
        for source, target in (("100.64.0.1", "100.64.0.4"), ("fd00:1::6440:1", "fd00:1::6440:4")):
            web.send(_packet(source, target, "udp", 80, ident=2000 + ident) for ident in range(_LIMIT + _BEYOND))
    _compare(site, {**before, "crowded": before["crowded"] + 2 * _BEYOND})
    if (arrived := len(list(api.arrived()))) != 2 * _LIMIT:
        raise Disagreement(f"of one endpoint's connections {arrived} passed, not {2 * _LIMIT}", _OPEN)


def _clamp(comparison: Comparison, api: Line, tunnel: Line) -> None:
    """Segments fit the tunnel."""
    list(tunnel.frames())
    with comparison.wire.sending():
        api.send([_offering("100.64.0.4", "100.64.0.5"), _offering("fd00:1::6440:4", "fd00:1::6440:5")])
    sizes: dict[int, int] = {}
    for frame in tunnel.frames():
        version = frame[14] >> 4
        segment = frame[14 + (20 if version == 4 else 40) :]
        if len(segment) == 24 and segment[20:22] == b"\x02\x04":
            sizes[version] = struct.unpack("!H", segment[22:24])[0]
    if sizes != {4: _MTU - 40, 6: _MTU - 60}:
        raise Disagreement(f"segment sizes through a tunnel of {_MTU} bytes: {sizes}", _OPEN)


def _compare(site: Site, wanted: Mapping[str, int]) -> None:
    odd = {name: seen - wanted[name] for name, seen in _moved(site).items() if seen != wanted[name]}
    if odd:
        raise Disagreement(f"the host let in, or dropped, what it must not: {odd}", _OPEN)


def _moved(site: Site) -> dict[str, int]:
    refused = counters(site.namespace)
    frame = {name: count for name, count in refused.items() if name[:2] not in ("e_", "i_")}
    return {**frame, **{name: count for name, count in observed(site).items() if name in ("entered", "tunnelled")}}


def _packet(source: str, target: str, protocol: str, port: int | None = None, ident: int = 2000) -> bytes:
    packet = Packet(ipaddress.ip_address(source), ipaddress.ip_address(target), protocol, port)
    return first(Flow(packet, ident, NUMBERS.get(protocol, 47)), 1)[0]


def _hops(packet: bytes, limit: int) -> bytes:
    return packet[:7] + bytes([limit]) + packet[8:]


def _offering(source: str, target: str) -> bytes:
    """A SYN that offers segments of 9,000 bytes."""
    option = struct.pack("!BBH", 2, 4, 9000)
    packet = Packet(ipaddress.ip_address(source), ipaddress.ip_address(target), "tcp", 80)
    return first(Flow(packet, 3000, 6, offers=option), 1)[0]
