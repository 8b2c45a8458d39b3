# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many proposers at once, and proposers over a transport that loses and repeats: never one address twice (R5)."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_world import Chain, Direct, Faulty, Voters, allocate, cache, facts, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import to_change, wish
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value

ROUNDS = int(os.environ.get("AVPN_CONTENTION_ROUNDS", "4"))
_RUNS = itertools.count()


@pytest.mark.slow
def test_twenty_proposers_with_a_voter_killed_in_each_round(tmp_path: Path) -> None:
    chain = Chain(hosts=20, cidr="100.64.0.0/20")
    for number in range(1, 21):
        chain.deploy(f"m{number}", 100 + number, number, replicas=ROUNDS)
    voters = Voters(tmp_path, chain)
    results: list[Value] = []
    failures: list[BaseException] = []

    def claim(number: int, turn: int) -> None:
        mine = {endpoint: lease for endpoint, lease in chain.endpoints(number).items() if endpoint.index <= turn}

        def build(value: Value) -> Change | None:
            view = chain.view()
            return to_change(wish(value, view, facts(number), mine), value, view, facts(number), signer(number))

        try:
            kept = cache(tmp_path / f"cache{number}")
            with Proposer(
                Direct(voters, node(number)), node(number), chain.record(), chain.height, cache=kept, deadline=120
            ) as proposer:
                results.append(proposer.propose(build).value)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    for turn in range(ROUNDS):
        threads = [threading.Thread(target=claim, args=(number, turn)) for number in range(1, 21)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        victim = 1 + turn % 3
        voters.down.add(victim)
        for thread in threads:
            thread.join()
        voters.start(victim)
        voters.down.clear()
        assert not failures, failures[0]
        newest = max(results, key=lambda value: value.version)
        bound = newest.bound()
        assert len(bound) == 20 * (turn + 1)
        addresses = [slot.address for slot in bound.values()] + [host.address for host in newest.hosts.values()]
        assert len(addresses) == len(set(addresses))
        chain.height += 1
    for value in results:
        for endpoint, slot in value.slots.items():
            assert newest.slots[endpoint].address == slot.address


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), loss=st.sampled_from([0.05, 0.15, 0.25]))
def test_lost_and_repeated_messages(seed: int, loss: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Three hosts come and go over a bad network; what one was told once stays so."""
    directory = tmp_path_factory.mktemp("faults")
    dice = random.Random(seed)
    chain = Chain()
    leases = {number: chain.deploy(f"m{number}", 10 + number, number, replicas=2) for number in (1, 2, 3)}
    voters = Voters(directory, chain)
    told: dict[tuple[EndpointId, object], object] = {}
    versions: dict[int, str] = {}
    for step in range(10):
        number = dice.randint(1, 3)
        if dice.random() < 0.3:
            chain.close(leases[number])
            chain.height += dice.choice([1, 30])
            leases[number] = chain.lease(10 + number, number, oseq=step + 2)
        if dice.random() < 0.2:
            victim = dice.randint(1, 3)
            voters.acceptors[victim].store.close()
            voters.start(victim)
        chain.height += 1
        try:
            outcome = allocate(
                voters, number, Faulty(voters, node(number), dice.randint(0, 2**32), loss), deadline=3, hold=50
            )
        except NoMajority:
            continue
        version, hash_ = outcome.value.version, outcome.certificate.hash
        assert versions.setdefault(version, hash_) == hash_
        addresses = [slot.address for slot in outcome.value.slots.values() if slot.address is not None]
        assert len(addresses) == len(set(addresses))
        for endpoint, slot in outcome.value.slots.items():
            assert told.setdefault((endpoint, "address"), slot.address) == slot.address


def test_caches_prove_themselves(tmp_path: Path) -> None:
    chain = Chain()
    chain.deploy("web", 11, 1)
    voters = Voters(tmp_path, chain)
    kept = cache(tmp_path / "cache")
    outcome = allocate(voters, 1, cache=kept)
    record = chain.record()
    loaded = kept.load(record.id, 0, record.founders)
    assert loaded is not None
    assert loaded.value == outcome.value
    assert not kept.save(loaded)
    path = kept.path(record.id)
    path.write_bytes(path.read_bytes().replace(b'"100.64.0.2"', b'"100.64.0.3"'))
    assert kept.load(record.id, 0, record.founders) is None
    again = allocate(voters, 1, cache=kept)
    assert again.value == outcome.value
    assert not again.changed
    repaired = kept.load(record.id, 0, record.founders)
    assert repaired is not None
    assert kept.remove(record.id)
    assert not kept.remove(record.id)
