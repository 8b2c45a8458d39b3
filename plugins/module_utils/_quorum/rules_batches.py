# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about signatures: every changed entry is covered by exactly one new batch of its author, and nothing else is.

Who counts as the author of a kind of change is the matter of the other rules; here it is found out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .._common.ids import NodeId
from .change import references
from .constants import WASTE_ALLOWANCE, WASTE_FACTOR
from .digests import Entry, entry_digest
from .errors import RuleBroken
from .rule_context import Context, refuse
from .signing import verify_batch
from .value import Batch

Authors = Mapping[tuple[str, object], NodeId]  # (kind, key) of each changed entry -> who signed it


def check(context: Context) -> Authors:
    """Raise RuleBroken unless signatures and serials are exact; return who signed each changed entry."""
    parent, child = context.parent, context.child
    new = context.change.batches
    _check_new(context, new)
    used = references(child.hosts, child.slots, child.locks)
    kept = {name for name in parent.batches if name in used}
    refuse(
        child.batches.keys() != kept | new.keys(),
        "batch-kept",
        "old batches must stay while an entry refers to them, and go when none does",
        "batches",
    )
    serials = dict(parent.serials)
    for batch in new.values():
        serials[batch.author] = batch.serial
    refuse(dict(child.serials) != serials, "serials-exact", "are not those the new batches lead to", "serials")
    authors = _attribute(context, new)
    _check_waste(context, new, used)
    return authors


def check_keys_on_chain(context: Context) -> None:
    """A new batch is signed with the key the author is known by, or with a new one that the chain names."""
    for batch in context.change.batches.values():
        known = context.parent.hosts.get(batch.author)
        if known is not None and known.key == batch.key:
            continue
        entry = context.change.hosts.get(batch.author)
        if entry is not None and entry.key == batch.key:
            context.seen(entry.height, f"hosts.{batch.author}")
            record = context.host_record(batch.author)
            if record is None or record.signing_key != batch.key:
                context.lost("host-key", f"the chain names another key for {batch.author}", f"hosts.{batch.author}")


def _check_new(context: Context, new: Mapping[str, Batch]) -> None:
    parent, child = context.parent, context.child
    authors: set[NodeId] = set()
    for name, batch in new.items():
        where = f"batches.{name}"
        refuse(name != batch.name, "batch-name", "is kept under a name that is not its author's and serial's", where)
        refuse(name in parent.batches, "batch-kept", "changes a batch that was there before", where)
        refuse(batch.author in authors, "one-batch", "is the second new one of its author", where)
        authors.add(batch.author)
        refuse(batch.generation != child.generation, "batch-generation", "is of another generation", where)
        refuse(
            batch.serial <= parent.serials.get(batch.author, 0),
            "serial-rises",
            f"serial {batch.serial} is not above {parent.serials.get(batch.author, 0)}",
            where,
        )
        refuse(not batch.digests, "batch-extra", "covers nothing", where)
        ordered = all(one < two for one, two in zip(batch.digests, batch.digests[1:], strict=False))
        refuse(not ordered, "batch-order", "its digests are not in ascending order", where)
        known, entry = parent.hosts.get(batch.author), child.hosts.get(batch.author)
        refuse(known is None and entry is None, "author-is-host", "its author is not a host of the network", where)
        changed = context.change.hosts.get(batch.author)
        keys = {one.key for one in (known, changed) if one is not None}
        refuse(batch.key not in keys, "batch-key", "is signed with a key that is not its author's", where)
        refuse(not verify_batch(child.network, batch), "batch-signature", "has a wrong signature", where)


def _attribute(context: Context, new: Mapping[str, Batch]) -> Authors:
    """Find the new batch that covers each changed entry; refuse an entry without, and a batch with more."""
    covers = {digest: name for name, batch in new.items() for digest in batch.digests}
    refuse(
        len(covers) != sum(len(batch.digests) for batch in new.values()),
        "batch-extra",
        "two batches cover one entry",
        "batches",
    )
    authors: dict[tuple[str, object], NodeId] = {}
    for kind, key, entry, batch in _changed(context):
        name = covers.pop(entry_digest(kind, key, entry), None)
        if name is None:
            raise RuleBroken("entry-unsigned", "is covered by no new batch", where=f"{kind}s.{key}")
        if batch is not None and batch != name:
            raise RuleBroken("entry-unsigned", f"names {batch}, but {name} covers it", where=f"{kind}s.{key}")
        authors[kind, key] = new[name].author
    refuse(bool(covers), "batch-extra", "cover entries that are not part of the change", "batches")
    return authors


def _changed(context: Context) -> Iterator[tuple[str, object, Entry | None, str | None]]:
    change = context.change
    for node, host in change.hosts.items():
        yield "host", node, host, host.batch if host else None
    for endpoint, slot in change.slots.items():
        # A slot whose lease is not of its host's provider can't be written at all.
        if slot.lease.provider != slot.host.provider or slot.lease.owner != context.parent.record.owner:
            what = "binds a lease of another owner, or of another provider"
            raise RuleBroken("slot-host", what, where=f"slots.{endpoint}")
        yield "slot", endpoint, slot, slot.batch
    for name, lock in change.locks.items():
        yield "lock", name, lock, lock.batch if lock else None


def _check_waste(context: Context, new: Mapping[str, Batch], used: Mapping[str, int]) -> None:
    """Old batches with few entries left would let a value grow without bound."""
    for author in {batch.author for batch in new.values()}:
        own = [(name, batch) for name, batch in context.child.batches.items() if batch.author == author]
        digests = sum(len(batch.digests) for _name, batch in own)
        covered = sum(used.get(name, 0) for name, _batch in own)
        refuse(
            digests > WASTE_FACTOR * covered + WASTE_ALLOWANCE,
            "batch-waste",
            f"the batches of {author} name {digests} digests for {covered} entries",
            "batches",
        )
