# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chains by which packets enter and leave, and the gateway's own services. Pure.

Nothing here depends on the manifest: it is the frame in which ``decisions`` decides. What the guard knows of routes is
in sets (``carried``).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .._common.errors import InvalidInput
from .._manifest.model import Range
from .crowding import CROWDED, connection_limit
from .endpoints import Address
from .ruleset import Chain, Set, room

MOST_LOCAL = 4096  # endpoints of one network on one host
_ECHOES = "limit rate 4/second burst 8 packets"  # from one host
_INTERFACE = re.compile(r"[a-z0-9]{1,15}", re.ASCII)
_TALK = "ip6 saddr { ::, fe80::/10 } drop"  # of a link, which is no forgery, and nobody's here
_CARRIED = ("iifname . ip saddr @carried4", "iifname . ip6 saddr @carried6")
_SPOOFED = 'counter name "spoofed" drop'
_BY_TUNNEL = (
    f"ip saddr @here4 {_SPOOFED}",
    f"ip6 saddr @here6 {_SPOOFED}",
    "ip saddr @taken4 accept",
    "ip6 saddr @taken6 accept",
    f"ip saddr @untunnelled4 {_SPOOFED}",
    f"ip6 saddr @untunnelled6 {_SPOOFED}",
)
COUNTERS = frozenset({"spoofed", "relayed", "invalid", "midstream", CROWDED, "gateway"})


@dataclass(frozen=True)
class Local:
    """An endpoint of this host: the gateway's end of its veth, what it may send from, and ranges it carries."""

    interface: str
    ipv4: ipaddress.IPv4Address
    ipv6: ipaddress.IPv6Address
    carries: tuple[Range, ...] = ()


@dataclass(frozen=True)
class Neighbours:
    """The addresses of the network's hosts themselves: this one's, and those of the hosts at the tunnels' other
    ends, which may ask with an echo request whether this one is still there."""

    own: tuple[Address, ...] = ()
    others: tuple[Address, ...] = ()


def check_interfaces(names: Iterable[str]) -> None:
    """Raises InvalidInput for a name that no interface of ours has."""
    for interface in names:
        if _INTERFACE.fullmatch(interface) is None:
            raise InvalidInput(f"'{ascii(interface)[1:20]}' is not the name of an interface", where="interface")


def entrances(tunnels: tuple[str, ...], connections: int) -> dict[str, Chain]:
    """The chains that packets enter and leave by, and the services of the gateway itself."""
    named = ", ".join(f'"{name}"' for name in tunnels)
    if len(tunnels) > 1:
        named = f"{{ {named} }}"  # braces make a set, which one name needn't be looked up in
    guard = ['iifname "lo" accept']
    if tunnels:
        guard.append(f"iifname {named} goto tunnelled")
    guard += [
        "iifname . ip saddr @sources4 accept",
        "iifname . ip6 saddr @sources6 accept",
        *(f'{match} counter name "spoofed" drop' for match in ("ip saddr @taken4", "ip6 saddr @taken6")),
        *(f"{match} accept" for match in _CARRIED),
        # Before it has its address an endpoint asks for one; link-local traffic never leaves the veth.
        "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept",
        "ip6 saddr { ::, fe80::/10 } icmpv6 type { 133, 135, 136 } ip6 hoplimit 255 accept",
        "ip6 saddr fe80::/10 udp dport 547 accept",
        _TALK,
        'counter name "spoofed" drop',
    ]
    relayed = [f'iifname {named} oifname {named} counter name "relayed" drop'] if tunnels else []
    # Hosts find out by an echo whether a change of the frame has cut them off. WireGuard's allowed IPs say that the
    # sender is the host it claims to be; each has its own rate, so that none can use up another's.
    asked = []
    for version, ip, echo in ((4, "ip", "icmp type echo-request"), (6, "ip6", "icmpv6 type echo-request")):
        if tunnels:
            limited = f"update @echoes{version} {{ {ip} saddr {_ECHOES} }}"
            asked.append(f"iifname {named} {echo} {ip} saddr . {ip} daddr @hosts{version} {limited} accept")
            asked.append(f"iifname {named} {echo} drop")  # also of one that was answered before
    return {
        # Here only permitted flows count, so that refused attempts don't crowd anybody out.
        "permit": Chain(
            (
                *connection_limit(connections),
                "ct mark set meta mark",
                "meta mark set 0",
                "meta priority set 0",
                "accept",
            )
        ),
        "guard": Chain(tuple(guard), "type filter hook prerouting priority raw; policy drop;"),
        # WireGuard has checked that its peer may send from the address, and knows nothing of what is on this side.
        "tunnelled": Chain((_TALK, *_BY_TUNNEL, "accept")),
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
                *asked,
                "ct state established,related accept",
                *([f"iifname {named} drop"] if tunnels else []),
                # What is behind a carrier isn't an endpoint: it has no use for the network's names.
                *(f'{match} counter name "gateway" drop' for match in _CARRIED),
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


def sources(local: Sequence[Local]) -> dict[str, Set]:
    """Which addresses of endpoints may come from which veth."""
    return {
        f"sources{version}": Set(
            "set",
            f"type ifname . ipv{version}_addr; size {room(len(local), MOST_LOCAL)};",
            {f'"{each.interface}" . {each.ipv4 if version == 4 else each.ipv6}': "" for each in local},
        )
        for version in (4, 6)
    }


def hosts(neighbours: Neighbours) -> dict[str, Set]:
    """Who may ask this host for an echo, at which address; and how often each has lately."""
    sets = {}
    for version, name, kind in ((4, "4", "ipv4_addr"), (6, "6", "ipv6_addr")):
        pairs = {
            f"{other} . {own}": ""
            for other in neighbours.others
            for own in neighbours.own
            if other.version == own.version == version
        }
        sets[f"hosts{name}"] = Set("set", f"type {kind} . {kind};", pairs)
        sets[f"echoes{name}"] = Set("set", f"type {kind}; flags dynamic, timeout; timeout 1m; size 4096;")
    return sets


def pairs_of(sets: Mapping[str, Set]) -> tuple[tuple[str, str], ...]:
    """Of a table's sets: the other hosts' addresses, each with the own address that it may ask."""
    found = [key.split(" . ") for name in ("hosts4", "hosts6") if name in sets for key in sets[name].elements]
    return tuple((other, own) for other, own in found)
