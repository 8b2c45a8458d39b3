# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The difference between a value and its parent: what a proposer sends and a voter applies.

A change says only what can't be derived. Version, parent, serials and the dropping of batches
that nothing refers to any more follow from the parent, the same for everybody; the hash in the
ballot then tells whether both mean the same child.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from .._chain.model import NetworkRecord, Voter
from .._common import fields
from .._common.canonical import Json
from .._common.errors import InvalidInput
from .._common.ids import EndpointId, NodeId
from . import codec, entry_codec
from .evidence import Evidence
from .recovery import Recovery
from .value import MAX_HOSTS, MAX_LOCKS, MAX_SLOTS, MAX_VOTERS, Batch, HostEntry, Lock, Slot, Value

K = TypeVar("K")
E = TypeVar("E")


@dataclass(frozen=True)
class Change:
    """What a child has other than its parent. ``None`` as an entry removes it; slots are never removed."""

    record: tuple[NetworkRecord, int] | None = None  # with the chain height it was read at
    voters: tuple[Voter, ...] | None = None
    hosts: Mapping[NodeId, HostEntry | None] = field(default_factory=dict)
    slots: Mapping[EndpointId, Slot] = field(default_factory=dict)
    locks: Mapping[str, Lock | None] = field(default_factory=dict)
    batches: Mapping[str, Batch] = field(default_factory=dict)  # new ones only
    recovery: Recovery | None = None  # what version 0 begins with, and the proof
    evidence: Evidence | None = None  # why the voters change; no part of the value

    def __bool__(self) -> bool:
        sections = (self.hosts, self.slots, self.locks, self.batches)
        return self.record is not None or self.voters is not None or any(sections)


def genesis(record: NetworkRecord, height: int) -> Value:
    """Version 0: the record, its founders as voters, and nothing else."""
    return Value(
        network=record.id,
        generation=record.generation,
        version=0,
        parent=codec.genesis_parent(record.id, record.generation, record.base),
        record=record,
        record_height=height,
        voters=record.founders,
    )


def apply_change(parent: Value | None, parent_hash: str, change: Change) -> Value:
    """The child that ``change`` makes of ``parent`` (None: version 0, whose change must carry a record).

    The caller knows ``parent_hash`` and compares the child's hash with the ballot's.
    """
    if parent is None:
        if change.record is None:
            raise InvalidInput("is missing", where="change.record")
        parent = genesis(*change.record)
        if change.recovery is not None:
            parent = _recovered(parent, change.recovery)
        version, parent_hash = 0, parent.parent
    else:
        version = parent.version + 1
    hosts = _merged(parent.hosts, change.hosts)
    slots = _merged(parent.slots, change.slots)
    locks = _merged(parent.locks, change.locks)
    record, height = change.record or (parent.record, parent.record_height)
    serials = dict(parent.serials)
    for batch in change.batches.values():
        serials[batch.author] = max(batch.serial, serials.get(batch.author, 0))
    used = references(hosts, slots, locks)
    batches = {name: batch for name, batch in parent.batches.items() if name in used}
    voters = parent.voters if change.voters is None else change.voters
    return replace(
        parent,
        version=version,
        parent=parent_hash,
        record=record,
        record_height=height,
        voters=voters,
        hosts=hosts,
        slots=slots,
        locks=locks,
        batches={**batches, **change.batches},
        serials=serials,
        decided_by=parent.seated,
        seated=parent.seated if voters == parent.voters else version,
    )


def _recovered(start: Value, recovery: Recovery) -> Value:
    """Version 0 with what is kept: entries, their signatures and serials. Locks end with their generation."""
    old = recovery.value
    if recovery.accepted is not None:
        accepted = change_from_json(recovery.accepted, "recovery.accepted", start.record.owner)
        old = apply_change(old, codec.value_hash(old), accepted)
    used = references(old.hosts, old.slots, {})
    batches = {name: batch for name, batch in old.batches.items() if name in used}
    return replace(start, hosts=old.hosts, slots=old.slots, batches=batches, serials=old.serials)


def difference(parent: Value | None, child: Value) -> Change:
    """The change that makes ``child`` of ``parent``; ``apply_change`` undoes it for every valid child."""
    if parent is None:
        parent = genesis(child.record, child.record_height)
        record: tuple[NetworkRecord, int] | None = (child.record, child.record_height)
    else:
        same = parent.record == child.record and parent.record_height == child.record_height
        record = None if same else (child.record, child.record_height)
    slots = {key: entry for key, entry in _changed(parent.slots, child.slots).items() if entry is not None}
    return Change(
        record=record,
        voters=None if parent.voters == child.voters else child.voters,
        hosts=_changed(parent.hosts, child.hosts),
        slots=slots,
        locks=_changed(parent.locks, child.locks),
        batches={name: batch for name, batch in child.batches.items() if parent.batches.get(name) != batch},
    )


def references(
    hosts: Mapping[NodeId, HostEntry], slots: Mapping[EndpointId, Slot], locks: Mapping[str, Lock]
) -> dict[str, int]:
    """How many entries each batch covers, by its name."""
    counts: dict[str, int] = {}
    for section in (hosts, slots, locks):
        for entry in section.values():
            counts[entry.batch] = counts.get(entry.batch, 0) + 1
    return counts


def change_json(change: Change) -> dict[str, Json]:
    """The document of a change; empty sections are left out."""
    document: dict[str, Json] = {}
    if change.record is not None:
        document["record"] = codec.record_json(*change.record)
    if change.voters is not None:
        document["voters"] = [entry_codec.voter_json(voter) for voter in change.voters]
    if change.hosts:
        document["hosts"] = {
            str(node): None if entry is None else entry_codec.host_json(entry) for node, entry in change.hosts.items()
        }
    if change.slots:
        document["slots"] = {str(endpoint): entry_codec.slot_json(slot) for endpoint, slot in change.slots.items()}
    if change.locks:
        document["locks"] = {
            name: None if lock is None else entry_codec.lock_json(lock) for name, lock in change.locks.items()
        }
    if change.batches:
        document["batches"] = {name: entry_codec.batch_json(batch) for name, batch in change.batches.items()}
    if change.evidence is not None:
        document["evidence"] = change.evidence.to_json()
    if change.recovery is not None:
        document["recovery"] = change.recovery.to_json()
    return document


def change_from_json(value: Any, where: str, owner: str) -> Change:
    """Parse a change of a network of ``owner``; InvalidInput names the field that breaks the grammar."""
    sections = {"record", "voters", "hosts", "slots", "locks", "batches", "evidence", "recovery"}
    raw = fields.obj(value, where, required=set(), optional=sections)
    return Change(
        record=codec.record_from_json(raw["record"], f"{where}.record") if "record" in raw else None,
        voters=tuple(fields.items(raw["voters"], f"{where}.voters", entry_codec.voter_from_json, most=MAX_VOTERS))
        if "voters" in raw
        else None,
        hosts=entry_codec.section(
            raw.get("hosts", {}),
            f"{where}.hosts",
            entry_codec.parse_node,
            _optional(entry_codec.host_from_json),
            MAX_HOSTS,
        ),
        slots=entry_codec.section(
            raw.get("slots", {}),
            f"{where}.slots",
            EndpointId.parse,
            lambda item, at: entry_codec.slot_from_json(item, at, owner),
            MAX_SLOTS,
        ),
        locks=entry_codec.section(
            raw.get("locks", {}), f"{where}.locks", fields.name, _optional(entry_codec.lock_from_json), MAX_LOCKS
        ),
        batches=entry_codec.batches_from_json(raw.get("batches", {}), f"{where}.batches"),
        recovery=Recovery.from_json(raw["recovery"], f"{where}.recovery") if "recovery" in raw else None,
        evidence=Evidence.from_json(raw["evidence"], f"{where}.evidence") if "evidence" in raw else None,
    )


def _optional(parse: Any) -> Any:
    return lambda item, at: None if item is None else parse(item, at)


def _merged(before: Mapping[K, E], changes: Mapping[K, E | None] | Mapping[K, E]) -> dict[K, E]:
    after = dict(before)
    for key, entry in changes.items():
        if entry is None:
            after.pop(key, None)
        else:
            after[key] = entry
    return after


def _changed(before: Mapping[K, E], after: Mapping[K, E]) -> dict[K, E | None]:
    changes: dict[K, E | None] = {key: None for key in before if key not in after}
    for key, entry in after.items():
        old = before.get(key)
        if old is not entry and old != entry:
            changes[key] = entry
    return changes
