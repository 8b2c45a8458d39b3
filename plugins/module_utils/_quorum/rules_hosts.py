# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about host entries: a host speaks for itself, with the keys and the endpoint the chain names."""

from __future__ import annotations

import ipaddress

from .constants import RELEASE_BLOCKS, usable
from .errors import Unseen
from .rule_context import Context, refuse, same_but_signature
from .rules_batches import Authors


def check_static(context: Context, authors: Authors) -> None:
    """What can be told from parent and child alone."""
    parent, child = context.parent, context.child
    in_use = {slot.host for slot in child.slots.values() if slot.bound}
    for node in in_use:
        refuse(node not in child.hosts, "slot-host", f"slots are bound to {node}, which is not a host", f"hosts.{node}")
    for node, entry in context.change.hosts.items():
        if entry is None:
            continue
        where = f"hosts.{node}"
        author = authors["host", node]
        refuse(author != node, "host-author", f"is signed by {author}, not by the host itself", where)
        before = parent.hosts.get(node)
        if same_but_signature(before, entry):
            continue
        refuse(
            not parent.record.permits(node.provider),
            "host-permitted",
            "the tenant's record doesn't permit this provider",
            where,
        )
        inside = int(entry.address) in usable(child.record.cidr)
        refuse(not inside, "address-in-range", f"{entry.address} is not", where)
        refuse(not _reachable(entry.endpoint), "endpoint-allowed", f"{entry.endpoint} is no peer's address", where)
        if before is not None:
            refuse(entry.height < before.height, "host-height", "the height falls", where)
            refuse(entry.address != before.address, "address-kept", "a host keeps its address", where)
    if context.change.hosts:
        keys = [entry.wireguard for entry in child.hosts.values()]
        refuse(len(set(keys)) != len(keys), "wireguard-key-once", "a WireGuard key stands in two host entries", "hosts")


def check_on_chain(context: Context, authors: Authors) -> None:
    """What takes the view."""
    for node, entry in context.change.hosts.items():
        where = f"hosts.{node}"
        if entry is None:
            if authors["host", node] != node:
                _check_removal_by_other(context, node.provider, where)
            continue
        if same_but_signature(context.parent.hosts.get(node), entry):
            continue
        context.seen(entry.height, where)
        if not context.ran(node.provider, entry.height):
            context.lost("host-lease", f"no lease of a member ran at the provider at height {entry.height}", where)
        record = context.host_record(node)
        if record is None or record.wireguard_address != entry.endpoint:
            context.lost("endpoint-on-chain", "the chain names another WireGuard address for this host", where)


def _check_removal_by_other(context: Context, provider: str, where: str) -> None:
    """Anybody may remove a host whose provider has gone: not permitted, or every lease closed k blocks ago."""
    if context.vouched or not context.parent.record.permits(provider):
        return
    for lease in context.leases.values():
        if lease.id.provider != provider or lease.id.dseq not in context.members:
            continue
        gone = lease.closed_at != 0 and lease.closed_at + RELEASE_BLOCKS <= context.view.height
        if not gone:
            # A removal names no height; a newer view may well show the lease as closed.
            raise Unseen(
                f"lease {lease.id} was not closed {RELEASE_BLOCKS} blocks ago at height {context.view.height} "
                "(rule:host-removal)",
                height=context.view.height + 1,
                where=where,
            )


def _reachable(endpoint: str) -> bool:
    """Whether it can be another host's address at all. Private ranges are for each team to allow or not."""
    address = ipaddress.ip_address(endpoint)
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address == ipaddress.IPv4Address("255.255.255.255")
    )
