# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From recorded changes to every version of the ledger, with nothing but JSON and SHA-256.

An implementation of its own of what docs/architecture.md says about values and changes: the collection's own is
under test.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .events import Recording
from .versions import Version

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Chain:
    """Versions from 0, without a gap, and of each what it holds as documents, and the change that made it.

    ``founders``: the voters that decide version 0. ``problems``: why it isn't longer, or a fork.
    """

    versions: Sequence[Version]
    slots: Sequence[Mapping[str, Document]]
    hosts: Sequence[Mapping[str, Document]]
    voters: Sequence[Sequence[Mapping[str, str]]]
    changes: Sequence[Document]
    founders: Sequence[Mapping[str, str]]
    genesis: str
    problems: Sequence[str]

    def deciders(self, version: int) -> Sequence[Mapping[str, str]] | None:
        """The voters that decide a version: those whom the one before it names. None: that one isn't known."""
        if version == 0:
            return self.founders
        return self.voters[version - 1] if version <= len(self.voters) else None

    def parent(self, version: int) -> str:
        """The hash that a version must name as its parent's, which must be known."""
        return self.genesis if version == 0 else self.versions[version - 1].hash


_IN_FULL = ("network", "generation", "version", "parent", "decided_by", "seated", "voters")  # in a header


def digest(document: Any) -> str:
    """SHA-256 of the canonical JSON: sorted keys, no white space, UTF-8."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def value_hash(value: Document) -> str:
    """The digest of a value's header (docs/ledger.md): its sections by digests over their entries' digests."""
    header = {name: value[name] for name in _IN_FULL}
    for kind, name in (("host", "hosts"), ("slot", "slots"), ("lock", "locks")):
        leaves = []
        for key, entry in value[name].items():
            signed = {field: one for field, one in entry.items() if field != "batch"}
            leaves.append([key, digest({"kind": kind, "key": key, "entry": signed}), entry["batch"]])
        header[name] = _in_order(leaves)
    header["batches"] = _in_order([[name, digest(batch)] for name, batch in value["batches"].items()])
    header["record"], header["serials"] = digest(value["record"]), digest(value["serials"])
    return digest(header)


def _in_order(leaves: list[list[str]]) -> str:
    return digest(sorted(leaves, key=lambda leaf: json.dumps(leaf, separators=(",", ":"), ensure_ascii=False).encode()))


def genesis(network: str, generation: int, base: str | None) -> str:
    """The parent that version 0 names."""
    return digest({"genesis": network, "generation": generation, "base": base})


def child(parent: Document | None, parent_hash: str, change: Document, network: str, generation: int) -> dict[str, Any]:
    """The value that a change makes of its parent (None: version 0)."""
    if parent is None:
        record = change["record"]
        return {
            "network": network,
            "generation": generation,
            "version": 0,
            "parent": parent_hash,
            "record": record,
            "voters": [_voter(founder) for founder in record["document"]["founders"]],
            "decided_by": -1,
            "seated": -1,
            **{name: {} for name in ("hosts", "slots", "locks", "batches", "serials")},
        }
    value = {**parent, "version": parent["version"] + 1, "parent": parent_hash}
    for name in ("record", "voters"):
        value[name] = change.get(name, parent[name])
    value["decided_by"] = parent["seated"]
    value["seated"] = parent["seated"] if value["voters"] == parent["voters"] else value["version"]
    for name in ("hosts", "slots", "locks"):
        merged = {**parent[name], **change.get(name, {})}
        value[name] = {key: entry for key, entry in merged.items() if entry is not None}
    used = {entry["batch"] for name in ("hosts", "slots", "locks") for entry in value[name].values()}
    new = change.get("batches", {})
    value["batches"] = {**{name: batch for name, batch in parent["batches"].items() if name in used}, **new}
    serials = dict(parent["serials"])
    for name in new:
        author, _slash, serial = name.rpartition("/")
        serials[author] = max(int(serial), serials.get(author, 0))
    value["serials"] = serials
    for name in change.keys() - {"record", "voters", "hosts", "slots", "locks", "batches", "evidence"}:
        value[name] = change[name]
    return value


def _voter(founder: Document) -> dict[str, Any]:
    """A founder of the record as a voter of the value."""
    node = f"{founder['provider']}/{founder['node']}"
    return {"node": node, "incarnation": founder["incarnation"], "key": founder["key"]}


def version_of(value: Document, hash_: str) -> Version:
    """The part of a value that says who has which address."""
    bound = {endpoint: (slot["host"], slot["address"]) for endpoint, slot in value["slots"].items() if slot["bound"]}
    hosts = {node: entry["address"] for node, entry in value["hosts"].items()}
    return Version(value["version"], hash_, value["parent"], bound, hosts)


def replay(recording: Recording) -> Chain:
    """Follow the changes from version 0. A version counts when its hash is certified, or its child names it."""
    problems = []
    certified: dict[int, str] = {}
    for certificate in recording.certificates:
        number, hash_ = certificate["version"], certificate["ballot"]["hash"]
        if certified.setdefault(number, hash_) != hash_:
            problems.append(f"two values of version {number} are certified")
    versions, slots, hosts, voters, changes = [], [], [], [], []
    for value, hash_, change in _values(recording, certified, problems):
        versions.append(version_of(value, hash_))
        slots.append(value["slots"])
        hosts.append(value["hosts"])
        voters.append(value["voters"])
        changes.append(change)
    start = recording.start
    first = genesis(start["network"], start.get("generation", 0), start.get("base"))
    if certified and max(certified) >= len(versions):
        problems.append(f"version {len(versions)} is not in the recording, though {max(certified)} is certified")
    return Chain(versions, slots, hosts, voters, changes, start["voters"], first, problems)


def _values(
    recording: Recording, certified: Mapping[int, str], problems: list[str]
) -> Iterator[tuple[dict[str, Any], str, Document]]:
    start = recording.start
    network, generation = start["network"], start.get("generation", 0)
    value: dict[str, Any] | None = None
    hash_ = genesis(network, generation, start.get("base"))
    number = 0
    while number in recording.changes:
        found = None
        for change in recording.changes[number]:
            value_here = child(value, hash_, change, network, generation)
            hash_here = value_hash(value_here)
            if certified.get(number, hash_here) != hash_here:
                problems.append(f"version {number} was handed out with a change that isn't the certified one")
            elif found is not None and found[1] != hash_here:
                problems.append(f"two changes lead to a version {number}")
            else:
                found = value_here, hash_here, change
        if found is None:
            return
        value, hash_ = found[:2]
        yield found
        number += 1
