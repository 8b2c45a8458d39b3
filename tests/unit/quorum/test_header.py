# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A value's hash is over all of it, through its header, and what is remembered of entries is what they are."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_world import Chain, Voters, allocate, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._common import canonical
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import apply_change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import (
    header_of,
    value_bytes,
    value_from_bytes,
    value_hash,
    value_size,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.digests import entry_digest, with_batch
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft, sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.entry_codec import slot_json, slot_text
from ansible_collections.akash.avpn.plugins.module_utils._quorum.header import Header
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire
from ansible_collections.akash.avpn.plugins.module_utils._quorum.signing import entry_text
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value


@pytest.fixture(scope="module")
def value(tmp_path_factory: pytest.TempPathFactory) -> Value:
    chain = Chain(cidr="100.64.0.0/20")
    chain.deploy("web", 11, 1, replicas=300)
    chain.deploy("api", 12, 2)
    voters = Voters(tmp_path_factory.mktemp("voters"), chain)
    allocate(voters, 1)
    found = allocate(voters, 2).value
    lock = sign(Acquire("deploy", 9, chain.height).draft(found, node(1)), found, node(1), signer(1))
    return apply_change(found, value_hash(found), lock)


def parsed(value: Value) -> Value:
    """The same value with nothing remembered."""
    return value_from_bytes(value_bytes(value), "value")


def _another(key: str, entry: Any) -> Any:
    """An entry that differs in one field that its author signs."""
    return replace(entry, token=77) if key == "locks" else replace(entry, height=entry.height + 1)


def test_what_is_remembered_is_what_a_stranger_computes(value: Value) -> None:
    assert parsed(value) == value
    assert value_hash(parsed(value)) == value_hash(value)
    assert value_size(parsed(value)) == value_size(value)
    assert Header.from_json(header_of(value).to_json(), "header") == header_of(value)


def test_every_part_of_a_value_is_in_its_hash(value: Value) -> None:
    hashes = {value_hash(value)}
    others: list[dict[str, Any]] = [
        {"network": "0" * 64},
        {"generation": 3},
        {"version": 99},
        {"decided_by": 7},
        {"seated": 7},
        {"parent": "0" * 64},
        {"record": replace(value.record, cidr=ipaddress.IPv4Network("100.64.0.0/16"))},
        {"record_height": value.record_height + 1},
        {"voters": value.voters[:2]},
        {"voters": tuple(reversed(value.voters))},
        {"voters": (replace(value.voters[0], incarnation="0" * 32), *value.voters[1:])},
        {"serials": {**value.serials, node(1): 99}},
    ]
    for name in ("hosts", "slots", "locks"):
        section = getattr(value, name)
        key, entry = next(iter(section.items()))
        others.append({name: {one: kept for one, kept in section.items() if one != key}})
        others.append({name: {**section, key: _another(name, entry)}})
        others.append({name: {**section, key: replace(entry, batch=f"{node(3)}/7")}})
    name, batch = next(iter(value.batches.items()))
    others.append({"batches": {}})
    others.append({"batches": {**value.batches, name: replace(batch, signature=batch.signature[::-1])}})
    others.append({"batches": {**value.batches, name: replace(batch, digests=batch.digests[1:])}})
    for fields in others:
        hashes.add(value_hash(replace(value, **fields)))
    assert len(hashes) == len(others) + 1


def test_an_entry_under_another_key_is_another_entry(value: Value) -> None:
    (one, first), (two, second) = list(value.slots.items())[:2]
    value_hash(value)
    swapped = replace(value, slots={**value.slots, one: second, two: first})
    assert value_hash(swapped) == value_hash(parsed(swapped)) != value_hash(value)
    assert entry_digest("slot", str(one), first) != entry_digest("slot", str(two), first)
    assert entry_digest("slot", str(one), first) != entry_digest("lock", str(one), first)


def test_a_batch_is_no_part_of_what_it_signs_but_of_the_hash(value: Value) -> None:
    endpoint, slot = next(iter(value.slots.items()))
    named = with_batch("slot", str(endpoint), slot, f"{node(3)}/7")
    assert named == replace(slot, batch=f"{node(3)}/7")
    assert entry_digest("slot", str(endpoint), named) == entry_digest("slot", str(endpoint), slot)
    changed = replace(value, slots={**value.slots, endpoint: named})
    assert value_hash(changed) == value_hash(parsed(changed)) != value_hash(value)


def test_the_size_is_never_below_the_bytes_and_close_to_them(value: Value) -> None:
    for one in (value, replace(value, slots={}, batches={}), replace(value, hosts={}, locks={}, serials={})):
        assert len(value_bytes(one)) <= value_size(one) <= 1.2 * len(value_bytes(one)) + 512


def test_a_small_change_computes_only_what_is_new(value: Value, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.akash.avpn.plugins.module_utils._quorum import digests

    parent_hash = value_hash(value)
    endpoint, slot = next(iter(value.slots.items()))
    change = sign(Draft(slots={endpoint: replace(slot, height=slot.height + 1)}), value, node(1), signer(1))
    counted = []
    text = digests.entry_text
    monkeypatch.setattr(digests, "entry_text", lambda *given: counted.append(given) or text(*given))
    child = apply_change(value, parent_hash, change)
    value_hash(child)
    assert value_size(child) > 0
    assert counted == []  # the one that changed was computed when it was signed


def test_hash_of_a_stored_value_is_that_of_the_database(tmp_path: Path) -> None:
    chain = Chain()
    chain.deploy("web", 11, 1)
    voters = Voters(tmp_path, chain)
    outcome = allocate(voters, 1)
    state = voters.acceptors[2].store.network(outcome.value.network)
    assert state is not None
    assert state.hash == outcome.certificate.hash == header_of(outcome.value).hash


def test_slots_written_by_hand_are_canonical(value: Value) -> None:
    slots = [*value.slots.items()]
    endpoint, slot = slots[0]
    released = replace(slot, bound=False, address=None, created=2**63 - 1, lease=slot.lease._replace(oseq=2**63 - 1))
    for key, one in [*slots, (endpoint, replace(slot, bound=False)), (endpoint, released)]:
        document = slot_json(one, signed=True)
        assert slot_text(one).encode() == canonical.dumps(document)
        text = entry_text("slot", str(key), document)
        assert entry_digest("slot", key, one) == hashlib.sha256(text).hexdigest()
        known = one.known
        assert known is not None
        assert known.leaf == canonical.dumps([str(key), known.digest, one.batch])
        assert with_batch("slot", key, one, "x") == replace(one, batch="x")


def test_a_slot_of_another_provider_has_no_digest(value: Value) -> None:
    endpoint, slot = next(iter(value.slots.items()))
    foreign = replace(slot, lease=slot.lease._replace(provider=node(9).provider))
    with pytest.raises(InvalidInput, match="another provider"):
        entry_digest("slot", endpoint, foreign)
