# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of several nested ranges an address belongs to: the one with the longest prefix, as for every router. Pure.

The network's own ranges take part in it like routes: a wider route leaves the network's addresses alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from .._manifest.model import Range
from .boxes import Span, subtract, union
from .endpoints import Address

# Addresses that no route carries, however wide it is: this host, loopback, link-local, multicast, reserved; and of
# IPv6 the block that holds ::, ::1 and every way to write IPv4 addresses. (IANA's special-purpose registries.)
NEVER: dict[int, tuple[Range, ...]] = {
    4: tuple(map(ipaddress.IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"))),
    6: tuple(map(ipaddress.IPv6Network, ("::/8", "fe80::/10", "ff00::/8"))),
}


def span_of(network: Range) -> Span:
    """First and last address of a range, as numbers."""
    return int(network.network_address), int(network.broadcast_address)


def longest(address: Address, ranges: Iterable[Range], own: Iterable[Range]) -> Range | None:
    """The range that carries an address; None if none does, or the network's own is the longest."""
    if any(address in network for network in NEVER[address.version]):
        return None
    least = max((network.prefixlen for network in own if address in network), default=0)
    found = [network for network in ranges if address in network and network.prefixlen >= least]
    return max(found, key=lambda network: network.prefixlen, default=None)


def partition(ranges: Iterable[Range], own: Iterable[Range], version: int) -> dict[Range, tuple[Span, ...]]:
    """The same for all addresses of a family at once: the spans that each range carries."""
    listed = {span_of(network): network for network in ranges if network.version == version}
    spans = set(listed) | {span_of(network) for network in own if network.version == version}
    found: dict[Span, list[Span]] = {span: [] for span in spans}
    around: list[Span] = []  # the ranges that contain the present place, the widest first
    place = 0

    def advance(until: int) -> None:
        """Give everything before ``until`` to the innermost range there."""
        nonlocal place
        while around and place < until:
            last = min(around[-1][1], until - 1)
            if place <= last:
                found[around[-1]].append((place, last))
                place = last + 1
            if around[-1][1] < until:
                around.pop()

    for span in sorted(spans, key=lambda each: (each[0], -each[1])):
        advance(span[0])
        around.append(span)
        place = span[0]
    advance(1 << 129)
    never = union(map(span_of, NEVER[version]))
    return {network: subtract(union(found[span]), never) for span, network in listed.items()}


def cidrs(spans: Iterable[Span], version: int) -> tuple[Range, ...]:
    """The CIDRs that make up these spans, ascending, as few as can be."""
    make: type[Address] = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    return tuple(_cidrs(union(spans), make))


def elements(spans: Iterable[Span], version: int) -> tuple[str, ...]:
    """These spans as nft writes elements of interval sets, ascending: a CIDR where it is one, else both ends."""
    make: type[Address] = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    return tuple(_element(*span, make) for span in union(spans))


def _element(first: int, last: int, make: type[Address]) -> str:
    size = last - first + 1
    if size & (size - 1) == 0 and first % size == 0:
        return f"{make(first)}/{(32 if make is ipaddress.IPv4Address else 128) - size.bit_length() + 1}"
    return f"{make(first)}-{make(last)}"


def _cidrs(spans: Sequence[Span], make: type[Address]) -> Iterator[Range]:
    for first, last in spans:
        yield from ipaddress.summarize_address_range(make(first), make(last))
