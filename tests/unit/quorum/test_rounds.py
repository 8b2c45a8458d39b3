# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rounds between a proposer and voters with real databases, without faults of the network."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ledger_world import Chain, Direct, Voters, allocate, cache, node

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.attempt import Outcome
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Ballot, Instance
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Prepare
from ansible_collections.akash.avpn.plugins.module_utils._quorum.store import Store


@pytest.fixture
def voters(tmp_path: Path) -> Voters:
    chain = Chain()
    chain.deploy("web", 11, 1)
    chain.deploy("api", 12, 2, replicas=2)
    chain.deploy("db", 13, 3)
    return Voters(tmp_path, chain)


def test_three_hosts_get_addresses(voters: Voters) -> None:
    for number in (1, 2, 3):
        outcome = allocate(voters, number)
        assert outcome.changed
    addresses = {str(endpoint): str(slot.address) for endpoint, slot in outcome.value.slots.items()}
    assert addresses == {
        "web/1/0": "100.64.0.2",
        "api/1/0": "100.64.0.3",
        "api/1/1": "100.64.0.4",
        "db/1/0": "100.64.0.5",
    }
    hosts = {number: str(outcome.value.hosts[node(number)].address) for number in (1, 2, 3)}
    assert hosts == {1: "100.64.0.254", 2: "100.64.0.253", 3: "100.64.0.252"}
    assert outcome.value.version == 3
    again = allocate(voters, 3)
    assert not again.changed
    assert again.value == outcome.value


def test_two_round_trips_when_the_newest_is_known(voters: Voters, tmp_path: Path) -> None:
    kept = cache(tmp_path / "cache")
    allocate(voters, 1, cache=kept)
    voters.chain.deploy("more", 14, 1, replicas=3)
    record_first = allocate(voters, 1, cache=kept)
    assert record_first.round_trips == 4  # the record, then the addresses
    voters.chain.close(next(lease for lease in voters.chain.leases if lease.dseq == 14))
    voters.chain.lease(14, 1, oseq=2)
    again = allocate(voters, 1, cache=kept)
    assert again.changed
    assert again.round_trips == 2


def test_minority_down_is_no_matter_and_catches_up(voters: Voters) -> None:
    voters.down.add(3)
    for number in (1, 2):
        outcome = allocate(voters, number)
    voters.down.clear()
    voters.chain.deploy("more", 14, 1)
    transport = Direct(voters, node(1))
    outcome = allocate(voters, 1, transport)
    state = voters.acceptors[3].store.network(outcome.value.network)
    assert state is not None
    assert state.hash == outcome.certificate.hash
    assert voters.acceptors[3].store.value(state) == outcome.value


def test_majority_down_says_who_and_gives_nothing(voters: Voters) -> None:
    allocate(voters, 1)
    voters.chain.deploy("more", 14, 1)
    voters.down.update({2, 3})
    with pytest.raises(NoMajority) as error:
        allocate(voters, 1, deadline=1.5)
    assert "no majority: 1 of 3 voters answered" in str(error.value)
    assert "/n2: is down" in str(error.value) or "/n2: " in str(error.value)
    state = voters.acceptors[1].store.network(voters.chain.record().id)
    assert state is not None
    assert state.version == 1


def test_voters_a_little_behind_need_not_read_the_chain(voters: Voters) -> None:
    for number in (1, 2, 3):
        allocate(voters, number)
    chain = voters.chain
    chain.close(next(lease for lease in chain.leases if lease.dseq == 11))
    chain.lease(11, 1, oseq=2)
    behind = chain.view()
    chain.height += 5
    for number in (1, 2, 3):
        voters.views[number] = lambda: behind
    outcome = allocate(voters, 1, deadline=5)
    (web,) = [slot for endpoint, slot in outcome.value.slots.items() if endpoint.member == "web"]
    assert web.lease.oseq == 2
    assert web.height == web.created


class _Stalling(Direct):
    """A transport to voters of which one doesn't answer until it is let go."""

    def __init__(self, voters: Voters, caller: NodeId, stalled: int) -> None:
        super().__init__(voters, caller)
        self._stalled = stalled
        self.go = threading.Event()
        self.given_up = threading.Event()  # voter 1 was told that nothing is held there any more

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        if self.voters.number(node) == self._stalled:
            self.go.wait()
        answer = super().call(node, request)
        if self.voters.number(node) == 1 and request.get("hold") == 0 and not self.go.is_set():
            self.given_up.set()
        return answer


def test_nobody_holds_one_voter_while_waiting_for_a_slow_one(voters: Voters) -> None:
    """Voter 2 has promised another, voter 3 is slow: what voter 1 promised is given up before voter 3 answers."""
    allocate(voters, 1)
    record, height = voters.chain.record(), voters.chain.height
    other = Direct(voters, node(3))
    with Proposer(other, node(3), record, height) as proposer:
        known = proposer.fetch()
    assert known is not None
    instance = Instance(record.id, 0, known.value.version + 1, known.certificate.hash)
    prepare = Prepare(instance, Ballot(1, node(3), "ab" * 16, "cd" * 32), 10_000, known.certificate, None)
    assert "promise" in other.call(node(2), dict(prepare.to_json()))

    transport = _Stalling(voters, node(2), stalled=3)
    outcomes: list[Outcome] = []
    claim = threading.Thread(target=lambda: outcomes.append(allocate(voters, 2, transport, deadline=120)))
    claim.start()
    try:
        assert transport.given_up.wait(30)
    finally:
        transport.go.set()
        claim.join()
    assert len(outcomes[0].value.bound()) == 3


def test_a_session_goes_on_from_the_value_it_has(voters: Voters) -> None:
    """Every peer's session is a process with a memory of its own, which is behind the database most of the time."""
    allocate(voters, 1)
    network = voters.chain.record().id
    session = Store(voters.directory / "voter1.db")
    for number in (2, 3):
        before = session.network(network)
        assert before is not None
        assert session.value(before) is not None
        newest = allocate(voters, number)
        now = session.network(network)
        assert now is not None
        assert session.value(now) == newest.value
    session.close()
