# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A majority is lost for good: a higher generation begins with what its founders hold (R25)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ledger_world import Chain, Direct, Voters, allocate, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import Voter
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import header_of, value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.constants import FENCE_BLOCKS, token_of
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority, Rejected, RuleBroken
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Ballot, Held, Instance, Promise
from ansible_collections.akash.avpn.plugins.module_utils._quorum.recovery import Recovery
from ansible_collections.akash.avpn.plugins.module_utils._quorum.rules_recovery import check, check_promised
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value


@pytest.fixture
def voters(tmp_path: Path) -> Voters:
    chain = Chain(hosts=5)
    for number, member in ((1, "web"), (2, "api"), (3, "db")):
        chain.deploy(member, 10 + number, number)
    voters = Voters(tmp_path, chain)
    for number in (1, 2, 3):
        allocate(voters, number)
    for number in (4, 5):
        voters.add(number)
    return voters


def certified(voters: Voters, number: int) -> Value:
    store = voters.acceptors[number].store
    value = store.value(store.network(voters.chain.record().id))  # type: ignore[arg-type]
    assert value is not None
    return value


def raised(voters: Voters, base: Value, *founders: int) -> None:
    chain = voters.chain
    named = tuple(Voter(node(one), chain.incarnations[one], signer(one).public_key) for one in founders)
    chain.height += 1
    chain.changes = {"generation": 1, "base": value_hash(base), "founders": tuple(sorted(named))}


def test_a_generation_begins_with_what_a_founder_holds(voters: Voters) -> None:
    old = certified(voters, 1)
    voters.down |= {2, 3}
    raised(voters, old, 1, 4, 5)
    assert not allocate(voters, 1, deadline=8).value.locks
    value = certified(voters, 4)
    assert (value.generation, value.version) == (1, 0)
    assert (value.slots, value.hosts, value.serials) == (old.slots, old.hosts, old.serials)
    # It rests; then it goes on, and no address is given twice.
    voters.chain.deploy("more", 20, 1)
    assert not allocate(voters, 1, deadline=3).changed
    voters.chain.height += FENCE_BLOCKS
    assert allocate(voters, 1, deadline=8).value.version >= 1
    newest = certified(voters, 1)
    addresses = [slot.address for slot in newest.bound().values()]
    assert len(set(addresses)) == len(addresses) == 4
    # Those who come back with what they had are of no use to the lower generation.
    voters.down.clear()
    voters.chain.changes = {}
    for number in (1, 4):
        told = Direct(voters, node(1)).call(node(number), {"op": "fetch", "network": old.network, "have": None})
        assert told["rejected"]["rule"] == "generation"


def test_every_founder_has_to_be_heard(voters: Voters) -> None:
    raised(voters, certified(voters, 1), 1, 4, 5)
    voters.down |= {2, 3, 5}
    with pytest.raises((NoMajority, Rejected), match="all its founders"):
        allocate(voters, 1, deadline=1)


def _promise(number: int, held: tuple[Held, ...] | None) -> Promise:
    instance = Instance("0" * 64, 1, 0, "1" * 64)
    return Promise(instance, Ballot(1, node(1), "a" * 32, "2" * 64), node(number), "b" * 32, None, held=held)


def test_what_a_dishonest_proposer_begins_with(voters: Voters) -> None:
    old = certified(voters, 1)
    raised(voters, old, 1, 4, 5)
    record = voters.chain.record()
    good = Recovery(header_of(old), old)
    check(record, good)
    locked = replace(old, version=old.version + 1)
    outside = replace(record, cidr=type(record.cidr)("100.65.0.0/24"))
    unsigned = replace(
        old, batches={name: replace(one, signature="A" * 86 + "==") for name, one in old.batches.items()}
    )
    forged = replace(record, base=value_hash(unsigned))
    other = replace(old, network="0" * 64)
    for rule, of, lie in (
        ("recovery-missing", record, None),
        ("recovery-base", record, replace(good, base=header_of(locked))),
        ("recovery-network", record, replace(good, value=other)),
        ("recovery-generation", replace(record, generation=0), good),
        ("recovery-value", record, replace(good, value=locked)),
        ("recovery-range", outside, good),
        ("recovery-signature", forged, Recovery(header_of(unsigned), unsigned)),
    ):
        with pytest.raises(RuleBroken) as error:
            check(of, lie)
        assert error.value.rule == rule
    ballot = Ballot(3, node(2), "c" * 32, "3" * 64)
    mine = Held(0, old.version, value_hash(old))
    honest = [_promise(1, (mine,)), _promise(4, ()), _promise(5, ())]
    check_promised(record, good, honest, old)
    for rule, promises in (
        ("recovery-all", honest[:2]),
        ("recovery-held", [*honest[:2], _promise(5, None)]),
        ("recovery-between", [*honest[:2], _promise(5, (Held(9, 0, "5" * 64),))]),
        ("recovery-newest", [*honest[:2], _promise(5, (Held(0, old.version + 1, "5" * 64),))]),
        ("recovery-accepted", [*honest[:2], _promise(5, (replace(mine, accepted=ballot),))]),
    ):
        with pytest.raises(RuleBroken) as error:
            check_promised(replace(record, generation=10), good, promises, old)
        assert error.value.rule == rule


def test_tokens_rise_over_generations() -> None:
    assert token_of(0, 7) == 7 < token_of(1, 0) < token_of(1, 1) < token_of(2**20 - 1, 2**24 - 1) < 2**53
