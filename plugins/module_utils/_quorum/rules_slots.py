# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about slots: claims, releases, and the reuse of released addresses.

A changed slot is one of three things. A *claim* binds it to a lease. A *release* unbinds it and keeps
everything else, so that the endpoint finds its address again. A *yield* takes the address of a released
slot away, because another endpoint claims it in the same change.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from .._common.ids import EndpointId
from .constants import COOLDOWN_BLOCKS, RELEASE_BLOCKS, capacity, usable
from .errors import RuleBroken
from .rule_context import Context, refuse, same_but_signature
from .rules_batches import Authors
from .value import Slot


def check_static(context: Context, authors: Authors) -> None:
    """What can be told from parent and child alone."""
    parent, child = context.parent, context.child
    for endpoint in parent.slots:
        refuse(endpoint not in child.slots, "slot-removed", "slots are released, never removed", f"slots.{endpoint}")
    for endpoint, slot in context.change.slots.items():
        where = f"slots.{endpoint}"
        before, author = parent.slots.get(endpoint), authors["slot", endpoint]
        refuse(slot.bound and author != slot.host, "slot-author", f"is claimed for {slot.host} by {author}", where)
        if same_but_signature(before, slot):
            continue
        if before is not None:
            refuse(
                slot.height <= before.height,
                "slot-height",
                f"height {slot.height} is not above the slot's newest, {before.height}",
                where,
            )
        if slot.bound:
            _check_claim(context, endpoint, slot, before, where)
        else:
            _check_unbound(slot, before, where)
    if context.change.slots or context.change.hosts:
        _check_addresses(context)


def check_on_chain(context: Context) -> None:
    """What takes the view."""
    for endpoint, slot in context.change.slots.items():
        where = f"slots.{endpoint}"
        before = context.parent.slots.get(endpoint)
        if same_but_signature(before, slot):
            continue
        context.seen(slot.height, where)
        if slot.bound:
            _check_lease(context, endpoint, slot, where)
        elif before is not None and before.bound:
            _check_closed(context, endpoint, slot, where)


def _check_claim(context: Context, endpoint: EndpointId, slot: Slot, before: Slot | None, where: str) -> None:
    record = context.parent.record
    refuse(
        record.members.get(endpoint.member) != slot.lease.dseq or slot.lease.gseq != endpoint.gseq,
        "lease-member",
        f"lease {slot.lease} is not one of member {endpoint.member}, group {endpoint.gseq}, in the parent's record",
        where,
    )
    refuse(not record.permits(slot.lease.provider), "lease-provider", "the tenant's record doesn't permit it", where)
    if slot.address is None:
        raise RuleBroken("address-missing", "is bound without an address", where=where)
    refuse(
        not usable(context.child.record.cidr, slot.address),
        "address-in-range",
        f"{slot.address} is not a usable address of {context.child.record.cidr}",
        where,
    )
    if before is None:
        return
    refuse(
        before.address is not None and slot.address != before.address,
        "address-kept",
        f"the endpoint's address is {before.address}",
        where,
    )
    if slot.lease == before.lease:
        refuse(slot.created != before.created, "lease-created", "the lease was created at another height", where)
    else:
        refuse(
            slot.created <= before.created,
            "slot-rebinding",
            f"a lease created at {slot.created} can't follow one created at {before.created}",
            where,
        )


def _check_unbound(slot: Slot, before: Slot | None, where: str) -> None:
    if before is None:
        raise RuleBroken("slot-change", "a new slot must be bound", where=where)
    expected = replace(before, bound=False, height=slot.height, batch=slot.batch)
    if not before.bound:
        refuse(before.address is None, "slot-change", "has no address left to give up", where)
        expected = replace(expected, address=None)
    refuse(slot != expected, "slot-change", "is neither a release nor the giving up of a released address", where)


def _check_addresses(context: Context) -> None:
    """Addresses are unique; a released one is reused last, after the cooldown, the longest released first."""
    parent, child = context.parent, context.child
    holders: dict[IPv4Address, str] = {}
    for node, entry in child.hosts.items():
        other = holders.setdefault(entry.address, str(node))
        refuse(other != str(node), "address-unique", f"{entry.address} is also {other}'s", f"hosts.{node}")
    for endpoint, slot in child.slots.items():
        if slot.address is not None:
            other = holders.setdefault(slot.address, str(endpoint))
            refuse(other != str(endpoint), "address-unique", f"{slot.address} is also {other}'s", f"slots.{endpoint}")
    yielded = {
        before.address: before
        for endpoint, slot in context.change.slots.items()
        if slot.address is None and (before := parent.slots.get(endpoint)) is not None and before.address is not None
    }
    if not yielded:
        return
    for endpoint, slot in context.change.slots.items():
        released = yielded.pop(slot.address, None) if slot.address is not None and slot.bound else None
        if released is not None:
            refuse(
                slot.height - released.height < COOLDOWN_BLOCKS,
                "cooldown",
                f"{slot.address} was released at {released.height}, less than {COOLDOWN_BLOCKS} blocks before",
                f"slots.{endpoint}",
            )
    refuse(bool(yielded), "yield", "an address is given up that nobody claims", "slots")
    taken = [before for endpoint, before in parent.slots.items() if child.slots[endpoint].address is None]
    newest = max((before.height, before.address) for before in taken if before.address is not None)
    for endpoint, slot in child.slots.items():
        if not slot.bound and slot.address is not None and endpoint not in context.change.slots:
            refuse(
                (slot.height, slot.address) < newest,
                "oldest-first",
                f"{slot.address}, released at {slot.height}, has waited longer",
                f"slots.{endpoint}",
            )
    refuse(
        len(holders) < capacity(child.record.cidr),
        "reuse-last",
        "there are addresses that nobody had yet",
        "slots",
    )


def _check_lease(context: Context, endpoint: EndpointId, slot: Slot, where: str) -> None:
    lease = context.leases.get(slot.lease)
    if lease is None:
        context.lost("lease-unknown", f"the chain shows no lease {slot.lease}", where)
        return
    refuse(lease.created_at != slot.created, "lease-created", f"the lease was created at {lease.created_at}", where)
    refuse(
        not lease.ran_at(slot.height), "lease-running", f"lease {slot.lease} didn't run at height {slot.height}", where
    )
    deployment = context.network.deployments.get(slot.lease.dseq) if context.network is not None else None
    if deployment is None:
        context.lost("replica-index", f"the chain shows no deployment {slot.lease.dseq}", where)
        return
    replicas = deployment.replicas.get(endpoint.gseq, 0)
    refuse(endpoint.index >= replicas, "replica-index", f"group {endpoint.gseq} has {replicas} replicas", where)


def _check_closed(context: Context, endpoint: EndpointId, slot: Slot, where: str) -> None:
    if not context.permits(endpoint, slot.lease):
        return  # the tenant took the member, its deployment or the provider out of the record
    lease = context.leases.get(slot.lease)
    if lease is None:
        context.lost("release-closed", f"the chain shows no lease {slot.lease}", where)
        return
    refuse(
        lease.closed_at == 0 or lease.closed_at + RELEASE_BLOCKS > slot.height,
        "release-closed",
        f"lease {slot.lease} was not closed {RELEASE_BLOCKS} blocks before height {slot.height}",
        where,
    )
