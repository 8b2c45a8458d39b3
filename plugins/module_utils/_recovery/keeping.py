# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a value keeps of a network, beside what the chain and other values say. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from .._chain.model import Lease, NetworkView
from .._common.ids import EndpointId
from .._quorum.value import Value


@dataclass(frozen=True)
class Keeps:
    """How much of a network is in a value. ``released``: endpoints that are gone and whose address is kept for them."""

    hosts: int
    addresses: int
    released: int
    locks: int


@dataclass(frozen=True)
class Against:
    """A value beside the chain as it is now, in endpoints.

    ``kept``: run by a lease of now, with the address the value has for them. ``moved``: the value has their address,
    bound to an earlier lease: they keep it. ``missing``: run, and the value has no address for them.
    """

    kept: tuple[EndpointId, ...]
    moved: tuple[EndpointId, ...]
    missing: tuple[EndpointId, ...]


def keeps(value: Value) -> Keeps:
    """The numbers of a value."""
    bound = len(value.bound())
    held = sum(1 for slot in value.slots.values() if slot.address is not None)
    return Keeps(len(value.hosts), bound, held - bound, len(value.locks))


def against(value: Value | None, network: NetworkView) -> Against:
    """What runs on chain now, and whether the value (None: empty) knows its address."""
    kept, moved, missing = [], [], []
    for endpoint, lease in running(network):
        slot = None if value is None else value.slots.get(endpoint)
        if slot is None or slot.address is None:
            missing.append(endpoint)
        elif slot.bound and slot.lease == lease.id:
            kept.append(endpoint)
        else:
            moved.append(endpoint)
    return Against(tuple(kept), tuple(moved), tuple(missing))


def running(network: NetworkView) -> Iterator[tuple[EndpointId, Lease]]:
    """Every endpoint that should run now, with its lease: the newest where there are several."""
    found: dict[EndpointId, Lease] = {}
    for lease in sorted(network.running_leases(), key=lambda one: one.created_at):
        member = network.record.member_of(lease.id.dseq)
        deployment = network.deployments.get(lease.id.dseq)
        if member is None or deployment is None:
            continue
        for index in range(deployment.replicas.get(lease.id.gseq, 0)):
            found[EndpointId(member, lease.id.gseq, index)] = lease
    yield from sorted(found.items())


def addresses(value: Value) -> dict[EndpointId, IPv4Address]:
    """The addresses that are bound."""
    return {endpoint: slot.address for endpoint, slot in value.bound().items() if slot.address is not None}


def lost(before: Value, after: Value) -> dict[EndpointId, IPv4Address]:
    """Addresses bound before that are somebody else's, another one's, or nobody's afterwards."""
    new = addresses(after)
    return {endpoint: address for endpoint, address in addresses(before).items() if new.get(endpoint) != address}


def gained(before: Value, after: Value) -> dict[EndpointId, IPv4Address]:
    """Addresses bound afterwards to endpoints that had none, or another one, before."""
    return lost(before=after, after=before)
