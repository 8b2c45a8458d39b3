# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values, changes and answers as JSON: one form each, and every field of a stranger's is looked at."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledger_world import OWNER, Chain, Voters, account, allocate, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, NotPermitted
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.cache import verify_signatures
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import change_from_json, change_json, difference
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import (
    value_bytes,
    value_from_bytes,
    value_from_json,
    value_json,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import BadProof
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Certificate, Certified
from ansible_collections.akash.avpn.plugins.module_utils._quorum.signing import SeedSigner, signed_text, verify
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    chain = Chain()
    chain.deploy("web", 11, 1)
    chain.deploy("api", 12, 2)
    voters = Voters(tmp_path_factory.mktemp("voters"), chain)
    allocate(voters, 1)
    outcome = allocate(voters, 2)
    outcome_certified = Certified(outcome.certificate, outcome.value)
    outcome_certified.verify(chain.record().founders, chain.record().id)
    return outcome_certified


def test_round_trip(certified: Certified) -> None:
    value = certified.value
    assert value_from_bytes(value_bytes(value), "value") == value
    assert value_bytes(value_from_json(value_json(value), "value")) == value_bytes(value)
    document = certified.certificate.to_json()
    assert Certificate.from_json(document, "certificate") == certified.certificate
    change = difference(None, value)
    assert change_from_json(change_json(change), "change", OWNER) == change
    verify_signatures(value)


def _set(path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def act(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for name in parents:
            keys = sorted(document)
            document = document[name if name in document else keys[0]]
        document[last if last != "*" else sorted(document)[0]] = to

    return act


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("network", "0" * 64),
        ("generation", -1),
        ("version", True),
        ("version", 2**63),
        ("parent", "A" * 64),
        ("voters", [{}]),
        ("voters", {}),
        ("record.height", 0),
        ("record.document.cidr", "100.64.0.1/24"),
        ("hosts.*", None),
        ("hosts.x.port", 0),
        ("hosts.x.mtu", 100),
        ("hosts.x.endpoint", "198.18.0.1\nAddress"),
        ("hosts.x.endpoint", "host.example"),
        ("hosts.x.key", "AAAA"),
        ("hosts.x.address", "fd00::1"),
        ("hosts.x.batch", "x/y/0"),
        ("slots.x.address", "100.64.0.02"),
        ("slots.x.address", "100.64.0.256"),
        ("slots.x.address", "100.64.0"),
        ("slots.x.address", "\u0661.0.0.1"),
        ("slots.x.lease", "1/1"),
        ("slots.x.lease", "01/1/1"),
        ("slots.x.lease", 5),
        ("slots.x.bound", 1),
        ("slots.x.host", "akash1/x"),
        ("slots.x.host", account("x") + "/A B"),
        ("slots.x.height", "5"),
        ("slots.x.extra", 1),
        ("slots.bad name/1/0", {}),
        ("slots.web/01/0", {}),
        ("locks.Deploy!", {}),
        ("batches.x.signature", "AAAA"),
        ("batches.x.digests", ["z" * 64]),
        ("batches.x/n/01", {}),
        ("serials.x", 0),
        ("unknown", 1),
    ],
)
def test_hostile_values_are_refused(path: str, to: Any, certified: Certified) -> None:
    document = copy.deepcopy(value_json(certified.value))
    _set(path, to)(document)
    with pytest.raises(InvalidInput) as error:
        value_from_json(document, "value")
    assert error.value.where.startswith("value")


def test_a_slot_of_another_provider_cannot_be_written(certified: Certified) -> None:
    from dataclasses import replace

    value = certified.value
    endpoint, slot = next(iter(value.slots.items()))
    foreign = replace(slot, lease=slot.lease._replace(provider=node(9).provider))
    with pytest.raises(InvalidInput, match="another provider"):
        value_json(replace(value, slots={**value.slots, endpoint: foreign}))


def test_forged_batches_are_found(certified: Certified) -> None:
    from dataclasses import replace

    value: Value = certified.value
    name, batch = next(iter(value.batches.items()))
    forged = replace(value, batches={**value.batches, name: replace(batch, digests=("0" * 64,))})
    with pytest.raises(BadProof, match="wrong signature"):
        verify_signatures(forged)
    with pytest.raises(BadProof, match="another hash"):
        Certified(certified.certificate, forged).verify(value.voters, value.network)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"promise": {}, "learned": 1},
        {"learned": -1},
        {"learned": 1, "change": None},
        {"refused": {"highest": None}},
        {"lacking": [1]},
        {"rejected": {"rule": "Not A Name", "what": "x"}},
        {"unseen": {"what": "line\nbreak", "height": 1}},
        {"fetched": {"certificate": {}}},
        {"newer": {"certificate": {}, "changes": [1]}},
    ],
)
def test_hostile_answers_are_refused(document: Any) -> None:
    with pytest.raises(InvalidInput):
        answers.parse_answer(document, "voter")


def test_signatures_count_for_their_purpose_only() -> None:
    one = signer(1)
    text = signed_text("promise", {"a": 1})
    signature = one.sign(text)
    assert verify(one.public_key, text, signature)
    assert verify(one.public_key, text, signature)  # and from memory
    assert not verify(one.public_key, signed_text("acceptance", {"a": 1}), signature)
    assert not verify(signer(2).public_key, text, signature)


def test_seed_files(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    with pytest.raises(InvalidInput, match="does not exist"):
        SeedSigner.from_file(path)
    path.write_text("c2hvcnQ=")
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match="32 bytes"):
        SeedSigner.from_file(path)
    path.write_text("A" * 43 + "=\n")
    assert SeedSigner.from_file(path).public_key
    os.chmod(path, 0o644)
    with pytest.raises(NotPermitted, match="open to everybody"):
        SeedSigner.from_file(path)
