# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cached ledgers make a host read, also those of tenants who certify whatever they like."""

from __future__ import annotations

import json
import pathlib

import pytest
import scene
from scene import ALICE, BOB, P1, P2

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, LeaseId
from ansible_collections.akash.avpn.plugins.module_utils._peer import ledgers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import genesis
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import slot_json, value_json
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Slot


def put(tree: scene.HostTree, owner: str, name: str, dseqs: list[int], *, bound: int = 0, more: int = 0) -> str:
    """A ledger with a slot for each deployment, of which the first ``bound`` run; ``more`` bytes of anything."""
    record = scene.network(owner, name, (P1, P2), founders=(P1, P2)).record
    document = value_json(genesis(record, 5))
    slots = {}
    for index, dseq in enumerate(dseqs):
        lease = LeaseId(owner, dseq, 77, 88, P1.provider)
        slot = Slot(None, lease, 1, P1, 1, index < bound, f"{P1}/1")
        slots[str(EndpointId("web", 77, index))] = slot_json(slot)
    text = json.dumps({"certificate": {}, "value": {**document, "slots": slots}}) + " " * more
    ledgers.path_of(tree.paths, record.id).write_text(text)
    return record.id


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> scene.HostTree:
    return scene.HostTree.make(tmp_path, P1)


def test_deployments_of_slots_and_providers_are_referred_to(tree: scene.HostTree) -> None:
    network = put(tree, ALICE, "prod", [1234, 5678])
    found = ledgers.references(tree.paths, {network: ALICE})
    assert found.networks == {network}
    assert found.deployments == {network: {1234, 5678}}
    assert found.providers == {P1.provider, P2.provider}
    assert found.names == {network: (ALICE, "prod")}


def test_an_owner_refers_to_so_many_deployments_and_no_more(tree: scene.HostTree) -> None:
    many = [
        put(tree, ALICE, f"n{number}", list(range(1000 * number, 1000 * number + 400)), bound=3) for number in (1, 2, 3)
    ]
    other = put(tree, BOB, "prod", [7])
    found = ledgers.references(tree.paths, {**dict.fromkeys(many, ALICE), other: BOB})
    assert sum(len(found.deployments[network]) for network in many) == 512
    first = found.deployments[min(many)]
    assert len(first) == 400
    assert found.deployments[other] == {7}, "others don't pay for it"
    cut = next(network for network in sorted(many) if 0 < len(found.deployments[network]) < 400)
    number = many.index(cut) + 1
    assert set(range(1000 * number, 1000 * number + 3)) <= found.deployments[cut], "what runs is read first"


def test_an_owners_ledgers_are_read_up_to_a_size(tree: scene.HostTree) -> None:
    large = [put(tree, ALICE, f"n{number}", [1], more=6 << 20) for number in range(4)]
    small, other = put(tree, ALICE, "small", [1]), put(tree, BOB, "prod", [1], more=6 << 20)
    owners = {**dict.fromkeys([*large, small], ALICE), other: BOB}
    worth = ledgers.affordable(tree.paths, owners)
    assert len(worth & set(large)) == 2
    assert {small, other} <= worth
    assert set(ledgers.references(tree.paths, owners).deployments) == worth
