# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who carries which range outside the network (R8). Pure.

Every host decides from what was agreed and what the tenant signed, so all come to the same carrier: the first live
replica, by group and index, of the member that the route names, on a host that has a tunnel in the network. When that
one goes, the next is planned with; while there is none, the range is unreachable, rather than left to whatever other
way out a workload has, or to a wider route.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from .._chain.model import HostRecord
from .._common.ids import EndpointId, NodeId
from .._manifest.coverage import Address, addresses_of, unasked, wanted
from .._manifest.model import Route
from .._policy.boxes import subtract, union
from .._policy.carried import Routing
from .._policy.prefixes import cidrs, partition, span_of
from .._quorum.value import Value
from .model import CarriedRange, LiveSlot
from .names import AnyAddress, AnyNetwork, gateway_ipv6, ipv6_of


def carried_ranges(
    routes: Iterable[Route],
    value: Value,
    own: Sequence[AnyNetwork],
    live: Iterable[LiveSlot],
    records: Mapping[NodeId, HostRecord],
    notes: list[str],
) -> tuple[CarriedRange, ...]:
    """The ranges of the manifest's routes, each with its carrier now.

    A route that covers addresses of hosts unasked is carried by nobody: a host's address may change any day, and what
    the tenant meant for a carrier must not leave by another way because of that. One that covers the network's own
    ranges, or everything, unasked is not there at all.
    """
    first: dict[str, LiveSlot] = {}
    for slot in live:
        if slot.host in value.hosts:
            first.setdefault(slot.endpoint.member, slot)
    hosts = _hosts(value, records)
    found = []
    for route in routes:
        missing = dict(unasked(route, own, hosts))
        carrier = first.get(route.via)
        for word, what in missing.items():
            remedy = f"If it is meant to, write '{wanted(route, word)}'"
            notes.append(f"route {route.range} {what}, and isn't carried. {remedy}")
        if not missing and carrier is None:
            notes.append(f"route {route.range}: {route.via} has no live endpoint to carry it")
        if not missing.keys() & {"default", "members"}:
            found.append(CarriedRange(route.range, None if missing else carrier))
    return tuple(found)


def _hosts(value: Value, records: Mapping[NodeId, HostRecord]) -> dict[Address, str]:
    """The addresses of the network's hosts, as ledger and host records have them, and whose they are."""
    found = addresses_of(records[node] for node in sorted(value.hosts) if node in records)
    for node, entry in sorted(value.hosts.items()):
        found.setdefault(ipaddress.ip_address(entry.endpoint), str(node))
    return found


def carried_by(ranges: Iterable[CarriedRange], endpoint: EndpointId) -> tuple[AnyNetwork, ...]:
    """What an endpoint carries."""
    return tuple(each.range for each in ranges if each.carrier is not None and each.carrier.endpoint == endpoint)


def routing(ranges: Iterable[CarriedRange], here: NodeId, value: Value, prefix: ipaddress.IPv6Network) -> Routing:
    """What the firewall of the host ``here`` has to know of them."""
    hosts: list[AnyAddress] = []
    for entry in value.hosts.values():
        hosts += [entry.address, ipv6_of(prefix, entry.address)]
    away = (each.range for each in ranges if each.carrier is not None and each.carrier.host != here)
    return Routing(frozenset(away), tuple(hosts), (gateway_ipv6(prefix),))


def reached(
    ranges: Iterable[CarriedRange], own: Sequence[AnyNetwork], carries: Sequence[AnyNetwork]
) -> tuple[AnyNetwork, ...]:
    """What a workload that itself ``carries`` some ranges reaches beside the network's ``own``: what others carry.

    What it carries is left out to the address, so that it goes on by the way that the workload has for it, also where
    somebody else carries a wider range.
    """
    listed = [each.range for each in ranges]
    found: list[AnyNetwork] = []
    for version in (4, 6) if listed else ():
        # The network itself is reached by the same gateway, so no hole is cut for it.
        parts = partition(listed, (), version)
        spans = [span for range_, there in parts.items() if range_ not in carries for span in there]
        found += [range_ for range_ in cidrs(spans, version) if not any(within(range_, other) for other in own)]
    return tuple(found)


def apart(ranges: Iterable[AnyNetwork], others: Sequence[AnyNetwork]) -> tuple[AnyNetwork, ...]:
    """The addresses of ``ranges`` that aren't in ``others``, as ranges again."""
    listed = tuple(ranges)
    found: list[AnyNetwork] = []
    for version in (4, 6):
        mine, theirs = (union(span_of(each) for each in group if each.version == version) for group in (listed, others))
        found += cidrs(subtract(mine, theirs), version)
    return tuple(found)


def within(range_: AnyNetwork, other: AnyNetwork) -> bool:
    """Whether all of a range lies in another, of whichever family."""
    (first, last), (start, end) = span_of(range_), span_of(other)
    return range_.version == other.version and start <= first and last <= end
