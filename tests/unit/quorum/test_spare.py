# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A change as large as the value is sent to a majority only, and to the others if one of those fails (R16)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ledger_world import Chain, Direct, Voters, allocate, builder, node

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum import attempt, proposer


class Watched(Direct):
    """Who is asked to accept; the first of them fails, or is slow."""

    def __init__(self, voters: Voters, caller: NodeId, *, fails: bool = False, slow: float = 0.0) -> None:
        super().__init__(voters, caller)
        self.asked: list[int] = []
        self.fails, self.slow = fails, slow

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        if request["op"] == "accept":
            self.asked.append(self.voters.number(node))
            if len(self.asked) == 1 and self.fails:
                raise Unavailable("the disk is full", where=str(node))
            if len(self.asked) == 1:
                time.sleep(self.slow)
        return super().call(node, request)


@pytest.fixture
def voters(tmp_path: Path) -> Voters:
    chain = Chain(voters=5, hosts=5, cidr="100.64.0.0/20")
    chain.deploy("few", 10, 1, replicas=2)
    voters = Voters(tmp_path, chain)
    allocate(voters, 1)
    chain.deploy("many", 11, 1, replicas=attempt._MANY)
    allocate(voters, 2)  # the record
    return voters


def held(voters: Voters) -> dict[int, int]:
    """The version that each voter holds."""
    stores = {number: acceptor.store for number, acceptor in voters.acceptors.items()}
    return {number: store.network(voters.chain.record().id).version for number, store in stores.items()}  # type: ignore[union-attr]


def test_a_large_change_is_sent_to_a_majority_and_the_others_are_told_what_was_agreed(voters: Voters) -> None:
    transport = Watched(voters, node(1))
    value = allocate(voters, 1, transport).value
    assert len(value.bound()) == attempt._MANY + 2
    assert len(transport.asked) == 3
    assert set(held(voters).values()) == {value.version}


def test_a_small_change_is_sent_to_all(voters: Voters) -> None:
    allocate(voters, 1)
    voters.chain.deploy("more", 12, 1)
    transport = Watched(voters, node(1))
    value = allocate(voters, 1, transport).value
    assert sorted(transport.asked) == sorted([1, 2, 3, 4, 5] * 2)  # the record, then the endpoint
    assert set(held(voters).values()) == {value.version}


def test_where_one_of_the_majority_does_not_accept_the_others_are_asked_at_once(voters: Voters) -> None:
    transport = Watched(voters, node(1), fails=True)
    began = time.monotonic()
    value = allocate(voters, 1, transport).value
    assert len(transport.asked) == 5
    assert time.monotonic() - began < proposer._SPARE_SECONDS
    assert set(held(voters).values()) == {value.version}


def test_where_one_of_the_majority_is_slow_the_others_are_asked_in_the_end(
    voters: Voters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposer, "_SPARE_SECONDS", 0.5)
    transport = Watched(voters, node(1), slow=4.0)
    began = time.monotonic()
    with proposer.Proposer(transport, node(1), voters.chain.record(), voters.chain.height, pauses=0.1) as proposing:
        value = proposing.propose(builder(voters.chain, 1)).value
        took = time.monotonic() - began
    assert len(transport.asked) == 5 and 0.5 < took < 4.0
    assert len(value.bound()) == attempt._MANY + 2
