# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of the ledger to canonical JSON and back, strictly. Their entries are ``entry_codec``'s.

Reading is linear in the size and refuses what has no canonical form, so that equal values have equal bytes.
"""

from __future__ import annotations

from typing import Any

from .._chain.model import NetworkRecord
from .._chain.records import network_record_from_json, network_record_json
from .._common import canonical, fields
from .._common.canonical import Json
from .._common.errors import InvalidInput
from .._common.ids import EndpointId
from .digests import batches_size, section_size
from .entry_codec import (
    MAX_BATCHES,
    batch_json,
    batches_from_json,
    host_from_json,
    host_json,
    lock_from_json,
    lock_json,
    parse_node,
    section,
    slot_from_json,
    slot_json,
    voter_from_json,
    voter_json,
)
from .header import Header
from .value import MAX_HOSTS, MAX_LOCKS, MAX_SLOTS, MAX_VOTERS, Value

_FIXED_SIZE = 512  # network, generation, version, parent and the names of all parts
MAX_BYTES = (8 << 20) - (64 << 10)  # of a value's canonical JSON; with its certificate it fits a request


def value_json(value: Value) -> dict[str, Json]:
    """The document of a value: what is stored and sent whole."""
    return {
        "network": value.network,
        "generation": value.generation,
        "version": value.version,
        "parent": value.parent,
        "decided_by": value.decided_by,
        "seated": value.seated,
        "record": record_json(value.record, value.record_height),
        "voters": [voter_json(voter) for voter in value.voters],
        "hosts": {str(node): host_json(entry) for node, entry in value.hosts.items()},
        "slots": {str(endpoint): slot_json(slot) for endpoint, slot in value.slots.items()},
        "locks": {name: lock_json(lock) for name, lock in value.locks.items()},
        "batches": {name: batch_json(batch) for name, batch in value.batches.items()},
        "serials": {str(node): serial for node, serial in value.serials.items()},
    }


def value_hash(value: Value) -> str:
    """Its identity in ballots, parents and certificates: the digest of its header (``header``)."""
    return header_of(value).hash


def header_of(value: Value) -> Header:
    """What the hash is over."""
    return Header.of(value, record_json(value.record, value.record_height))


def value_size(value: Value) -> int:
    """Bytes of the value's canonical JSON, or a few more; the same for everybody, and cheap after a small change."""
    rest: dict[str, Json] = {
        "record": record_json(value.record, value.record_height),
        "voters": [*map(voter_json, value.voters)],
    }
    serials = sum(len(str(node)) + len(str(serial)) + 4 for node, serial in value.serials.items())
    entries = section_size("host", value.hosts) + section_size("slot", value.slots) + section_size("lock", value.locks)
    return _FIXED_SIZE + len(canonical.dumps(rest)) + serials + entries + batches_size(value.batches)


def value_bytes(value: Value) -> bytes:
    """The canonical JSON itself: what is stored."""
    return canonical.dumps(value_json(value))


def value_from_bytes(data: bytes, where: str) -> Value:
    """Parse stored or received bytes; InvalidInput names the field that breaks the grammar."""
    return value_from_json(canonical.loads(data, where=where, limit=MAX_BYTES), where)


def value_from_json(document: Any, where: str) -> Value:
    """Parse a value's document (see ``value_json``); InvalidInput names the field that breaks the grammar."""
    names = {"network", "generation", "version", "parent", "decided_by", "seated", "record", "voters"}
    sections = {"hosts", "slots", "locks", "batches", "serials"}
    raw = fields.obj(document, where, required=names | sections)
    record, record_height = record_from_json(raw["record"], f"{where}.record")
    network = fields.hex64(raw["network"], f"{where}.network")
    if network != record.id:
        raise InvalidInput("is not the id of the record's owner and name", where=f"{where}.network")
    owner = record.owner
    serials = section(
        raw["serials"], f"{where}.serials", parse_node, lambda item, at: fields.integer(item, at, least=1), MAX_BATCHES
    )
    return Value(
        network=network,
        generation=fields.integer(raw["generation"], f"{where}.generation"),
        version=fields.integer(raw["version"], f"{where}.version"),
        parent=fields.hex64(raw["parent"], f"{where}.parent"),
        record=record,
        record_height=record_height,
        voters=tuple(fields.items(raw["voters"], f"{where}.voters", voter_from_json, most=MAX_VOTERS)),
        hosts=section(raw["hosts"], f"{where}.hosts", parse_node, host_from_json, MAX_HOSTS),
        slots=section(
            raw["slots"],
            f"{where}.slots",
            EndpointId.parse,
            lambda item, at: slot_from_json(item, at, owner),
            MAX_SLOTS,
        ),
        locks=section(raw["locks"], f"{where}.locks", fields.name, lock_from_json, MAX_LOCKS),
        batches=batches_from_json(raw["batches"], f"{where}.batches"),
        serials=serials,
        decided_by=fields.integer(raw["decided_by"], f"{where}.decided_by", least=-1),
        seated=fields.integer(raw["seated"], f"{where}.seated", least=-1),
    )


def genesis_parent(network: str, generation: int, base: str | None) -> str:
    """The parent that version 0 of a generation names."""
    return canonical.digest({"genesis": network, "generation": generation, "base": base})


def record_json(record: NetworkRecord, height: int) -> dict[str, Json]:
    """A network record with the chain height it was read at."""
    return {"height": height, "document": network_record_json(record)}


def record_from_json(value: Any, where: str) -> tuple[NetworkRecord, int]:
    raw = fields.obj(value, where, required={"height", "document"})
    height = fields.integer(raw["height"], f"{where}.height", least=1)
    try:
        record = network_record_from_json(raw["document"])
    except InvalidInput as error:
        raise InvalidInput(error.what, where=f"{where}.document.{error.where}") from error
    if network_record_json(record) != raw["document"]:
        raise InvalidInput("is not in its usual form", where=f"{where}.document")
    return record, height
