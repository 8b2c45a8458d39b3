# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which addresses outside the network may come from where (R8): what the guard knows about routes. Pure.

An address belongs to the route with the longest prefix, on every host alike, and comes from where that one's carrier
is: from its veth, if it is here; by a tunnel, if it is elsewhere, where WireGuard has found its peer by the same rule;
else from nowhere. What is an address of the network itself is nobody's to carry, whatever range holds it.

| set | holds | what it is for |
| --- | --- | --- |
| ``carried4`` | interface . range | what a carrier of this host forwards |
| ``untunnelled4`` | ranges that no other host carries | they don't come by a tunnel, whatever its peer may send |
| ``taken4`` | endpoints and hosts inside those | no carrier speaks for them, and by a tunnel they may come |
| ``here4`` | endpoints of this host, its own address, the gateway's | don't come by a tunnel |

``untunnelled4`` and ``here4`` matter because WireGuard's own check knows only what its other peers have: without them
a peer that carries a wide range could send in the name of everything that is here.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .._manifest.model import Range
from .boxes import Span, union
from .endpoints import Address, Endpoints
from .entrances import Local, Neighbours
from .prefixes import NEVER, elements, partition, span_of
from .ruleset import Set

_KINDS = {4: "ipv4_addr", 6: "ipv6_addr"}


@dataclass(frozen=True)
class Routing:
    """What a host knows of routes beside the manifest.

    ``elsewhere``: ranges whose carriers are on other hosts; ``hosts``: the addresses of all hosts in the network;
    ``gateway``: addresses in its ranges that every host's gateway has.
    """

    elsewhere: frozenset[Range] = frozenset()
    hosts: tuple[Address, ...] = ()
    gateway: tuple[Address, ...] = ()


def carried_sets(
    ranges: Sequence[Range], endpoints: Endpoints, local: Sequence[Local], neighbours: Neighbours, routing: Routing
) -> dict[str, Set]:
    """The guard's sets for the ranges of a manifest's routes."""
    sets: dict[str, Set] = {}
    for version in (4, 6):
        parts = partition(ranges, endpoints.ranges, version)
        kind = _KINDS[version]
        carried = {
            f'"{each.interface}" . {network}': ""
            for each in local
            if each.carries
            for network in elements((span for range_ in each.carries for span in parts.get(range_, ())), version)
        }
        away = union(span for range_, spans in parts.items() if range_ not in routing.elsewhere for span in spans)
        known = [*_addresses(endpoints), *routing.hosts, *routing.gateway] if away else []
        taken = _inside(_of_family(known, version), away)
        mine = [address for each in local for address in (each.ipv4, each.ipv6)]
        sets[f"carried{version}"] = Set("set", f"type ifname . {kind}; flags interval;", carried)
        sets[f"taken{version}"] = _plain(kind, taken)
        sets[f"untunnelled{version}"] = Set(
            "set",
            f"type {kind}; flags interval;",
            dict.fromkeys(elements([*away, *map(span_of, NEVER[version])], version), ""),
        )
        sets[f"here{version}"] = _plain(kind, _of_family([*mine, *neighbours.own, *routing.gateway], version))
    return sets


def _addresses(endpoints: Endpoints) -> Iterable[Address]:
    for each in endpoints:
        yield each.ipv4
        yield each.ipv6


def _of_family(addresses: Iterable[Address], version: int) -> list[Address]:
    return [address for address in addresses if address.version == version]


def _inside(addresses: Iterable[Address], spans: Sequence[Span]) -> list[Address]:
    firsts = [first for first, _last in spans]

    def within(address: Address) -> bool:
        place = bisect.bisect_right(firsts, int(address)) - 1
        return place >= 0 and int(address) <= spans[place][1]

    return [each for each in addresses if within(each)]


def _plain(kind: str, addresses: Iterable[Address]) -> Set:
    return Set("set", f"type {kind};", {str(address): "" for address in sorted(set(addresses), key=int)})
