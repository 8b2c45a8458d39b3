# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a voter checks of a proposed value, against its certified parent and the voter's view of the chain.

Pure. Every rule has a name, which a refusal carries. Validity never expires: whatever time matters for is
said as a chain height inside the value, so that a value that was valid once stays valid, and a voter whose
view doesn't reach a height says so (Unseen) instead of refusing.
"""

from __future__ import annotations

from .._chain.model import View
from .._chain.records import record_digest
from .._chain.view import record_seen
from . import change as changes
from . import rules_batches, rules_hosts, rules_locks, rules_recovery, rules_slots, rules_voters
from .change import Change, apply_change
from .codec import genesis_parent, value_hash
from .constants import MAX_VERSION
from .rule_context import Context, refuse
from .value import MAX_HOSTS, MAX_LOCKS, MAX_SLOTS, Value


def check(
    parent: Value | None,
    parent_hash: str,
    child: Value,
    view: View,
    *,
    change: Change | None = None,
    vouched: bool = False,
) -> None:
    """Raise RuleBroken, or Unseen, unless ``child`` may follow ``parent`` (None: ``child`` is version 0).

    ``change`` is their difference, if the caller has it; ``vouched``: see ``Context``.
    """
    if parent is None:
        _check_genesis(child, view, vouched, change)
        return
    if change is None:
        change = changes.difference(parent, child)
    refuse(change.recovery is not None, "recovery-start", "only version 0 begins with something", "recovery")
    context = Context(parent, parent_hash, child, change, view, vouched)
    _check_structure(context)
    _check_record(context)
    rules_voters.check_static(context)
    authors = rules_batches.check(context)
    rules_hosts.check_static(context, authors)
    rules_slots.check_static(context, authors)
    rules_locks.check(context, authors)
    _check_record_on_chain(context)
    rules_voters.check_on_chain(context)
    rules_batches.check_keys_on_chain(context)
    rules_hosts.check_on_chain(context, authors)
    rules_slots.check_on_chain(context)


def _check_genesis(child: Value, view: View, vouched: bool, change: Change | None) -> None:
    record = child.record
    refuse(child.network != record.id, "network", "the network is not the record's", "network")
    refuse(child.version != 0, "version", f"the first version is 0, not {child.version}", "version")
    refuse(child.generation != record.generation, "generation", "the generation is not the record's", "generation")
    parent = genesis_parent(child.network, child.generation, record.base)
    refuse(child.parent != parent, "parent", "the parent is not the genesis of this network and generation", "parent")
    refuse(not record.founders, "founders", "the record names no founders yet", "record.founders")
    refuse(child.voters != record.founders, "founders", "the voters are not the record's founders", "voters")
    refuse((child.decided_by, child.seated) != (-1, -1), "seated", "the founders decide it and stay", "voters")
    recovery = None if change is None else change.recovery
    if record.base is None:
        refuse(recovery is not None, "recovery-none", "the record names no base to begin with", "recovery")
        anything = child.hosts or child.slots or child.locks or child.batches or child.serials
        refuse(bool(anything), "genesis-empty", "version 0 holds the record and its founders only", "value")
    else:
        old, accepted, newest = rules_recovery.check(record, recovery)
        if accepted is not None:
            # Whoever accepted it checked it; it is finished here as a half-done version is.
            check(old, value_hash(old), newest, view, change=accepted, vouched=True)
        begun = apply_change(None, "", Change(record=(record, child.record_height), recovery=recovery))
        refuse(value_hash(begun) != value_hash(child), "recovery-exact", "is not what the recovery leads to", "value")
    # The difference from itself is empty, so only the record is left to be looked up.
    _check_record_on_chain(
        Context(child, child.parent, child, Change(record=(record, child.record_height)), view, vouched)
    )


def _check_structure(context: Context) -> None:
    parent, child = context.parent, context.child
    refuse(child.network != parent.network, "network", "the network is not the parent's", "network")
    refuse(child.generation != parent.generation, "generation", "the generation is not the parent's", "generation")
    refuse(
        child.version != parent.version + 1,
        "version",
        f"version {child.version} doesn't follow version {parent.version}",
        "version",
    )
    refuse(child.parent != context.parent_hash, "parent", "the parent's hash is another", "parent")
    refuse(child.version > MAX_VERSION, "version", f"{MAX_VERSION} is the last version of a generation", "version")
    seated = parent.seated if child.voters == parent.voters else child.version
    refuse(
        (child.decided_by, child.seated) != (parent.seated, seated),
        "seated",
        "doesn't name the versions whose voters decide this one and the next",
        "voters",
    )
    sizes = (len(child.slots), MAX_SLOTS, "slots"), (len(child.hosts), MAX_HOSTS, "hosts")
    for count, most, where in (*sizes, (len(child.locks), MAX_LOCKS, "locks")):
        refuse(count > most, "size", f"{count} entries, at most {most} are allowed", where)


def _check_record(context: Context) -> None:
    old, new = context.parent.record, context.child.record
    if context.change.record is None:
        return
    refuse(new.id != old.id, "record-owner", "the record is of another network", "record")
    fixed = [name for name in ("cidr", "founders", "generation", "base") if getattr(old, name) != getattr(new, name)]
    refuse(bool(fixed), "record-fixed", f"{', '.join(fixed)} may not change within a generation", "record")
    refuse(
        context.child.record_height <= context.parent.record_height,
        "record-rising",
        f"height {context.child.record_height} is not above the parent's {context.parent.record_height}",
        "record.height",
    )


def _check_record_on_chain(context: Context) -> None:
    if context.change.record is None:
        return
    record, height = context.change.record
    context.seen(height, "record.height")
    found = record_seen(context.view, context.child.network, record_digest(record), height)
    if found is None:
        # Older than what the view remembers; the network's record as it is now says enough if it is the same.
        network = context.network
        found = True if network is not None and network.record == record else None
    refuse(found is False, "record-seen", f"the chain had another record at height {height}", "record")
    if found is None:
        context.lost("record-seen", f"the chain's record at height {height} is not known here", "record")
