# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chains by which packets enter and leave, and the gateway's own services. Pure.

Nothing here depends on the manifest: it is the frame in which ``decisions`` decides.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .._common.errors import InvalidInput
from .._manifest.model import Range
from .ruleset import Chain, Set

_INTERFACE = re.compile(r"[a-z0-9]{1,15}", re.ASCII)
COUNTERS = frozenset({"spoofed", "relayed", "invalid", "midstream", "crowded", "strangers", "gateway"})


@dataclass(frozen=True)
class Local:
    """An endpoint of this host: the gateway's end of its veth, what it may send from, and ranges it carries."""

    interface: str
    ipv4: ipaddress.IPv4Address
    ipv6: ipaddress.IPv6Address
    carries: tuple[Range, ...] = ()


def check_interfaces(names: Iterable[str]) -> None:
    """Raises InvalidInput for a name that no interface of ours has."""
    for interface in names:
        if _INTERFACE.fullmatch(interface) is None:
            raise InvalidInput(f"'{ascii(interface)[1:20]}' is not the name of an interface", where="interface")


def entrances(tunnels: tuple[str, ...], connections: int, *, carried: bool) -> dict[str, Chain]:
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


def sources(local: Sequence[Local]) -> dict[str, Set]:
    """Which addresses may come from which veth. Exact addresses and carried ranges apart: a hash costs less."""
    found: dict[str, dict[str, str]] = {name: {} for name in ("sources4", "sources6", "carried4", "carried6")}
    for each in local:
        found["sources4"][f'"{each.interface}" . {each.ipv4}'] = ""
        found["sources6"][f'"{each.interface}" . {each.ipv6}'] = ""
        for version, name in ((4, "carried4"), (6, "carried6")):
            ranges = [range_ for range_ in each.carries if range_.version == version]
            for network in ipaddress.collapse_addresses(ranges):  # type: ignore[type-var]
                found[name][f'"{each.interface}" . {network}'] = ""
    sets = {}
    carried = found["carried4"] or found["carried6"]
    for name, elements in found.items():
        kind = "ipv4_addr" if name.endswith("4") else "ipv6_addr"
        flags = " flags interval;" if name.startswith("carried") else ""
        if not flags or carried:
            sets[name] = Set("set", f"type ifname . {kind};{flags}", elements)
    return sets
