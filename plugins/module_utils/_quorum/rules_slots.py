# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about slots: claims, releases, and the reuse of released addresses.

A changed slot is one of three things. A *claim* binds it to a lease. A *release* unbinds it and keeps
everything else, so that the endpoint finds its address again. A *yield* takes the address of a released
slot away, because another endpoint claims it in the same change.
"""

from __future__ import annotations

from dataclasses import replace

from .._common.ids import EndpointId
from .constants import COOLDOWN_BLOCKS, RELEASE_BLOCKS, capacity, usable
from .errors import RuleBroken
from .rule_context import Context, refuse, same_but_signature
from .rules_batches import Authors
from .value import Slot

# What a refusal says is put together only once there is one: for 10,000 slots that would cost more than all the rules.


def check_static(context: Context, authors: Authors) -> None:
    """What can be told from parent and child alone."""
    parent, child = context.parent, context.child
    numbers = usable(child.record.cidr)
    for endpoint in parent.slots.keys() - child.slots.keys():
        raise RuleBroken("slot-removed", "slots are released, never removed", where=_at(endpoint))
    for endpoint, slot in context.change.slots.items():
        before, author = parent.slots.get(endpoint), authors["slot", endpoint]
        if slot.bound and author != slot.host:
            raise RuleBroken("slot-author", f"is claimed for {slot.host} by {author}", where=_at(endpoint))
        if same_but_signature(before, slot):
            continue
        if before is not None and slot.height <= before.height:
            raise RuleBroken(
                "slot-height",
                f"height {slot.height} is not above the slot's newest, {before.height}",
                where=_at(endpoint),
            )
        if slot.bound:
            _check_claim(context, endpoint, slot, before, numbers)
        else:
            _check_unbound(slot, before, _at(endpoint))
    if context.change.slots or context.change.hosts:
        _check_addresses(context)


def check_on_chain(context: Context) -> None:
    """What takes the view."""
    for endpoint, slot in context.change.slots.items():
        before = context.parent.slots.get(endpoint)
        if same_but_signature(before, slot):
            continue
        if slot.height > context.view.height:
            context.seen(slot.height, _at(endpoint))
        if slot.bound:
            _check_lease(context, endpoint, slot)
        elif before is not None and before.bound:
            _check_closed(context, endpoint, slot, _at(endpoint))


def _at(endpoint: EndpointId) -> str:
    return f"slots.{endpoint}"


def _check_claim(context: Context, endpoint: EndpointId, slot: Slot, before: Slot | None, numbers: range) -> None:
    record = context.parent.record
    if record.members.get(endpoint.member) != slot.lease.dseq or slot.lease.gseq != endpoint.gseq:
        what = (
            f"lease {slot.lease} is not one of member {endpoint.member}, group {endpoint.gseq}, in the parent's record"
        )
        raise RuleBroken("lease-member", what, where=_at(endpoint))
    if not record.permits(slot.lease.provider):
        raise RuleBroken("lease-provider", "the tenant's record doesn't permit it", where=_at(endpoint))
    if slot.address is None:
        raise RuleBroken("address-missing", "is bound without an address", where=_at(endpoint))
    if int(slot.address) not in numbers:
        what = f"{slot.address} is not a usable address of {context.child.record.cidr}"
        raise RuleBroken("address-in-range", what, where=_at(endpoint))
    if before is None:
        return
    where = _at(endpoint)
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
    holders: dict[int, object] = {}
    for node, entry in child.hosts.items():
        other = holders.setdefault(int(entry.address), node)
        if other is not node:
            raise RuleBroken("address-unique", f"{entry.address} is also {other}'s", where=f"hosts.{node}")
    for endpoint, slot in child.slots.items():
        if slot.address is not None:
            other = holders.setdefault(int(slot.address), endpoint)
            if other is not endpoint:
                raise RuleBroken("address-unique", f"{slot.address} is also {other}'s", where=_at(endpoint))
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


def _check_lease(context: Context, endpoint: EndpointId, slot: Slot) -> None:
    lease = context.leases.get(slot.lease)
    if lease is None:
        context.lost("lease-unknown", f"the chain shows no lease {slot.lease}", _at(endpoint))
        return
    if lease.created_at != slot.created:
        what = f"the lease was created at {lease.created_at}"
        raise RuleBroken("lease-created", what, where=_at(endpoint))
    if not lease.ran_at(slot.height):
        what = f"lease {slot.lease} didn't run at height {slot.height}"
        raise RuleBroken("lease-running", what, where=_at(endpoint))
    deployment = context.network.deployments.get(slot.lease.dseq) if context.network is not None else None
    if deployment is None:
        context.lost("replica-index", f"the chain shows no deployment {slot.lease.dseq}", _at(endpoint))
        return
    replicas = deployment.replicas.get(endpoint.gseq, 0)
    if endpoint.index >= replicas:
        what = f"group {endpoint.gseq} has {replicas} replicas"
        raise RuleBroken("replica-index", what, where=_at(endpoint))


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
