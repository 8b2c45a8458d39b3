# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of ports on the ports' line (see ``portline``), and how people read them. Pure.

Only some types of ICMP can begin a flow; the others say nothing about what is permitted, so they aren't written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .._manifest import icmp
from .boxes import ALL_PORTS, Span, subtract, union
from .portline import PROTOCOLS

Ports = tuple[Span, ...]  # ascending, neither overlapping nor touching

NONE: Ports = ()
ALL: Ports = (ALL_PORTS,)

_ORDER = ("tcp", "udp", "sctp", "icmp", "icmpv6")  # in which people read them
_OTHER = 255 * 65536  # stands for every protocol that only ``any`` covers: they are always permitted together


def whole(protocol: str) -> Ports:
    """All ports of a protocol."""
    base = PROTOCOLS[protocol] * 65536
    return ((base, base + 65535),)


# What travels over an IP version: everything but the other one's ICMP.
TRAVELS = {4: subtract(ALL, whole("icmpv6")), 6: subtract(ALL, whole("icmp"))}


def intersect(one: Ports, two: Ports) -> Ports:
    """The ports in both."""
    if not one or not two:
        return NONE
    if one == ALL:
        return two
    return one if two == ALL else subtract(one, subtract(one, two))


def place_of(protocol: str, port: int | None) -> int:
    """Where a packet stands on the line (``endpoints.Packet``)."""
    if protocol == "other":
        return _OTHER
    base = PROTOCOLS[protocol] * 65536
    if protocol in icmp.ECHO_REQUEST:
        return base + ((icmp.ECHO_REQUEST[protocol] if port is None else port) << 8)
    return base + (port or 0)


def holds(ports: Ports, place: int) -> bool:
    """Whether a place of the line is among them."""
    return any(first <= place <= last for first, last in ports)


def written(ports: Ports) -> list[str]:
    """As a manifest writes them: ``["icmp", "tcp/80", "udp/5000-5100"]``. What holds every protocol but not every
    port is one text, ``any except tcp/22, udp/53``."""
    if not holds(ports, _OTHER):
        return list(_terms(ports))
    missing = list(_terms(subtract(ALL, ports)))
    return [f"any except {', '.join(missing)}"] if missing else ["any"]


def _terms(ports: Ports) -> Iterator[str]:
    for protocol in _ORDER:
        base = PROTOCOLS[protocol] * 65536
        inside = intersect(ports, whole(protocol))
        if protocol in icmp.BEGINNING:
            types = list(icmp.BEGINNING[protocol].values())
            held = [each for each in types if holds(inside, base + (each << 8))]
            if held == types:
                yield protocol
            else:
                yield from (icmp.written(protocol, each) for each in held)
        else:
            for first, last in inside:
                yield f"{protocol}/{first - base}" + (f"-{last - base}" if last > first else "")


def together(sets: Iterable[Ports]) -> Ports:
    """The ports in any of them."""
    distinct = set(sets)
    return distinct.pop() if len(distinct) == 1 else union(span for ports in distinct for span in ports)
