# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A majority is lost for good, the tenant raises the generation: what survives goes on, the old ones don't (R25)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_world import OWNER, Direct, allocate, cache, facts, node, signer
from recovery_town import RUN, Choosy, Town

from ansible_collections.akash.avpn.plugins.module_utils._common import canonical
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import wish
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import (
    Change,
    apply_change,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import header_of, value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.constants import FENCE_BLOCKS, token_of
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft, sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.fence import rests_until
from ansible_collections.akash.avpn.plugins.module_utils._quorum.former import positions
from ansible_collections.akash.avpn.plugins.module_utils._quorum.leaving import serves
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire
from ansible_collections.akash.avpn.plugins.module_utils._quorum.membership import wanted
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Ballot,
    Instance,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.raising import supersede
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Accept, Fetch, Prepare, Survey, Wait
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


def test_what_a_survivor_holds_goes_on_with_new_founders(town: Town) -> None:
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    value = town.start(4)
    assert (value.generation, value.version) == (1, 0)
    assert (value.slots, value.hosts, value.serials) == (
        before.value.slots,
        before.value.hosts,
        before.value.serials,
    )
    assert value.voters == town.chain.record().founders
    assert positions(town.voters.acceptors[3].store, value.network)[0].generation == 1
    # It rests, says until when, and goes on then.
    view = town.chain.view()
    until = rests_until(value, view.height)
    assert until == value.record_height + FENCE_BLOCKS
    waiting = wish(value, view, facts(4), town.chain.endpoints(4)).waiting
    assert waiting == {EndpointId("four", 1, 0): f"the new generation rests until block {until}"}
    assert wanted(value, view) is None
    with pytest.raises(Unavailable, match=f"block {until}"):
        Acquire("job", 5, view.height).draft(value, node(3))
    town.chain.height = until
    after = allocate(town.voters, 4).value
    assert set(after.bound()) == set(before.value.bound()) | {EndpointId("four", 1, 0)}
    addresses = [slot.address for slot in after.slots.values()] + [host.address for host in after.hosts.values()]
    assert len(addresses) == len(set(addresses))
    lock = Acquire("job", 5, town.chain.height).draft(after, node(3)).locks["job"]
    assert lock is not None and lock.token == token_of(1, after.version + 1) > 1 << 24
    # Nothing of the old generation is kept once the new one is certified.
    assert [one.generation for one in positions(town.voters.acceptors[3].store, value.network)] == [1]


def test_what_was_accepted_by_one_survivor_goes_on(town: Town) -> None:
    town.half_do(3, "late", (3,))
    before = town.certified(3)
    assert town.content(3).accepted is not None
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    assert EndpointId("late", 1, 0) in town.start(5).bound()


def test_what_is_newer_than_the_base_goes_on(town: Town) -> None:
    before = town.certified(3)
    town.content(3)  # shown to the tenant, who names it
    allocate(town.voters, 4)
    newer = town.certified(3)
    assert newer.value.version > before.value.version
    town.voters.down = {1, 2}
    request = {**Survey(before.value.network).to_json(), "as": OWNER}
    town.voters.acceptors[3].handle(request, [OWNER])
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    with pytest.raises(Unavailable, match="nobody who answers shows the base"):
        town.start(4, deadline=2)
    # As when it had been surveyed before.
    base = header_of(before.value)
    with town.voters.acceptors[3].store.transaction() as database:
        database.execute(
            "INSERT INTO headers VALUES (?, ?, ?, ?, ?)",
            (base.network, 0, base.version, base.hash, canonical.dumps(base.to_json())),
        )
    assert town.start(4).slots == newer.value.slots


def test_all_founders_have_to_be_heard(town: Town) -> None:
    before = town.certified(3)
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    town.voters.down = {1, 2, 5}
    with pytest.raises(NoMajority, match="all founders have to take part.*" + str(node(5))):
        town.start(4, deadline=2)
    # So the tenant does, with others.
    town.raise_to(2, before.certificate.hash, (3, 4))
    assert town.start(4).slots == before.value.slots


def test_a_half_done_start_is_finished_by_another_though_a_founder_is_lost_since(town: Town) -> None:
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    with pytest.raises(NoMajority):
        town.start(4, transport=Choosy(town.voters, node(4), (4,)), deadline=3)
    for number in (3, 4, 5):
        town.voters.acceptors[number].store.close()
        town.voters.start(number)
    town.voters.down = {1, 2, 5}
    town.chain.height += 3
    value = town.start(3)
    assert (value.generation, value.version, value.slots) == (1, 0, before.value.slots)


def test_a_start_without_a_base_is_empty(town: Town) -> None:
    town.raise_to(1, None, (3, 4, 5))
    town.voters.down = {1, 2}
    value = town.start(4)
    assert (value.generation, value.version, value.slots, value.hosts) == (1, 0, {}, {})
    town.chain.height += 1
    assert rests_until(value, town.chain.height) is not None


def test_the_old_ones_come_back(town: Town, tmp_path: Path) -> None:
    kept = cache(tmp_path / "old")
    allocate(town.voters, 1, cache=kept)
    old_record, old_view = town.chain.record(), town.chain.view()
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    value = town.start(4)
    town.chain.height = value.record_height + FENCE_BLOCKS
    after = allocate(town.voters, 4).value
    town.voters.down = set()
    for number in (1, 2):
        town.voters.acceptors[number].store.close()
        town.voters.start(number)
    town.chain.deploy("again", 99, 1)
    town.chain.height += 900  # seconds here
    # With the views of then: too old to vote on. The others have ended that generation.
    town.voters.views = {1: lambda: old_view, 2: lambda: old_view}
    with Proposer(
        Direct(town.voters, node(1)), node(1), old_record, old_view.height, cache=kept, deadline=3, pauses=0.1
    ) as proposer:
        with pytest.raises(NoMajority, match="the view of the chain is") as error:
            proposer.propose(_claim(town, 1))
        assert "rule:generation" in str(error.value)
    # With views of now: they know that it is over, and don't vote in the new one.
    town.voters.views = {}
    with (
        Proposer(
            Direct(town.voters, node(1)), node(1), old_record, old_view.height, cache=kept, deadline=3, pauses=0.1
        ) as proposer,
        pytest.raises(Exception, match="rule:generation"),
    ):
        proposer.propose(_claim(town, 1))
    # Readers take the new one, and nothing lower over it.
    newest = allocate(town.voters, 1, cache=kept).value
    assert newest.generation == 1 and set(after.bound()) <= set(newest.bound())
    stored = kept.load(newest.network, 1, town.chain.record().founders)
    assert stored is not None and stored.value == newest
    assert not kept.save(before)
    assert kept.load(newest.network, 1, town.chain.record().founders) is not None


def _claim(town: Town, number: int) -> Callable[[Value], Change | None]:
    def build(value: Value) -> Change | None:
        entry = replace(value.hosts[node(number)], mtu=1400, height=town.chain.height)
        return sign(Draft(hosts={node(number): entry}), value, node(number), signer(number))

    return build


def test_a_view_that_goes_back_begins_nothing(town: Town) -> None:
    old = town.chain.view()
    town.raise_to(1, town.certified(3).certificate.hash, (3, 4, 5))
    fetch = {**Fetch(town.chain.record().id).to_json(), "as": str(node(4))}
    town.voters.acceptors[3].handle(fetch, [node(4)])
    town.voters.views[3] = lambda: old
    answer = town.voters.acceptors[3].handle(fetch, [node(4)])
    assert answer["rejected"]["rule"] == "generation"


def test_a_base_that_only_a_host_shows_that_is_no_founder(town: Town) -> None:
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (4, 5))
    with pytest.raises(Unavailable, match="nobody who answers shows the base"):
        town.start(4, deadline=2)
    assert town.start(4, others=[node(3)]).slots == before.value.slots


def test_a_record_that_changes_its_base_without_another_generation_begins_nothing(town: Town) -> None:
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    fetch = {**Fetch(town.chain.record().id).to_json(), "as": str(node(4))}
    for number in (3, 4, 5):
        town.voters.acceptors[number].handle(fetch, [node(4)])
    town.raise_to(1, None, (3, 4, 5))
    with pytest.raises(NoMajority, match=r"rule:base.*another base than generation 1 began with"):
        town.start(4, deadline=2)


def test_the_rest_counts_from_what_a_voter_saw_itself(town: Town) -> None:
    """Whatever height version 0 claims: who is asked for the next one has waited since it saw the generation."""
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    value = town.start(4)
    parent = town.certified(3, 1)
    change = _claim(town, 3)(value)
    assert change is not None
    child = apply_change(value, parent.certificate.hash, change)
    instance, ballot = Instance.of(child), Ballot(1, node(3), RUN, value_hash(child))
    prepare = Prepare(instance, ballot, 0, parent.certificate)
    for before_hand in (FENCE_BLOCKS, 1):
        town.chain.height = value.record_height + FENCE_BLOCKS - before_hand
        told = town.ask(3, prepare, node(3))
        assert isinstance(told, answers.NotSeen)
        assert told.height == value.record_height + FENCE_BLOCKS
    town.chain.height += 1
    promises = []
    for number in (3, 4):
        promised = town.ask(number, prepare, node(3))
        assert isinstance(promised, answers.Promised)
        promises.append(promised.promise)
    # One whose view lies behind again doesn't accept either, whatever it has promised.
    accept = Accept(instance, ballot, tuple(promises), change, parent.certificate)
    town.chain.height -= 1
    told = town.ask(3, accept, node(3))
    assert isinstance(told, answers.NotSeen)
    town.chain.height += 1
    assert isinstance(town.ask(3, accept, node(3)), answers.Accepted)


def test_a_host_that_sees_the_generation_later_waits_longer(town: Town) -> None:
    town.voters.down = {1, 2}
    town.raise_to(1, None, (3, 4, 5))
    town.voters.down |= {5}
    value = town.start(4)
    town.chain.height += 100
    town.voters.down = {1, 2}
    fetch = {**Fetch(value.network).to_json(), "as": str(node(4))}
    town.voters.acceptors[5].handle(fetch, [node(4)])
    late = town.chain.height
    town.chain.height = value.record_height + FENCE_BLOCKS
    town.voters.down = {1, 2, 4}
    with pytest.raises(NoMajority, match=f"rests until block {late + FENCE_BLOCKS}"):
        allocate(town.voters, 3, deadline=2)
    town.voters.down = {1, 2, 5}
    assert allocate(town.voters, 3).changed


def test_whoever_waits_is_told_that_the_generation_is_over(town: Town) -> None:
    parent = town.certified(3)
    instance = Instance(parent.value.network, 0, parent.value.version + 1, parent.certificate.hash)
    held = town.ask(3, Prepare(instance, Ballot(1, node(1), RUN, "1" * 64), 2_000, parent.certificate), node(1))
    assert isinstance(held, answers.Promised)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(town.ask, 3, Wait(parent.value.network, parent.certificate.position, 2_000), node(2))
        time.sleep(0.1)
        assert not waiting.done()
        town.raise_to(1, parent.certificate.hash, (3, 4, 5))
        town.ask(3, Fetch(parent.value.network), node(4))
        told = waiting.result(1)
    assert isinstance(told, answers.RejectedBy) and told.rule == "generation"


def test_a_founder_that_claims_what_it_cannot_prove_is_named(town: Town) -> None:
    before = town.certified(3)
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    town.voters.down = {1, 2}
    fetch = {**Fetch(town.chain.record().id).to_json(), "as": str(node(4))}
    town.voters.acceptors[3].handle(fetch, [node(4)])
    with town.voters.acceptors[3].store.transaction() as database:
        database.execute("UPDATE former SET version = version + 5, hash = ?", ("3" * 64,))
    with pytest.raises(Unavailable, match=f"{node(3)} says to hold version"):
        town.start(4, deadline=2)


@pytest.mark.parametrize("done", [True, False], ids=["certified", "accepted"])
def test_a_generation_between_is_not_lost(town: Town, done: bool) -> None:
    before = town.certified(3)
    town.content(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    if done:
        town.start(4)
    else:
        with pytest.raises(NoMajority):
            town.start(4, transport=Choosy(town.voters, node(4), (4,)), deadline=3)
    shown = town.content(4, 1)
    first = shown.certified.certificate.hash if done else shown.accepted.ballot.hash
    town.raise_to(2, before.certificate.hash, (3, 4, 5))
    why = r"nobody who answers shows the base.* holds version 0 of generation 1" if done else r"recovery-between"
    with pytest.raises(AvpnError, match=why):
        town.start(4, deadline=2)
    town.raise_to(3, first, (3, 4, 5))
    value = town.start(4)
    assert (value.generation, value.slots) == (3, before.value.slots)


def test_whoever_shows_something_else_is_passed_by(town: Town) -> None:
    """A host that shows a wrong change for the accepted ballot, or a wrong certificate, stops nobody."""
    town.half_do(3, "late", (3,))
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))

    third, fourth = node(3), node(4)

    class Misleading(Direct):
        def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
            answer = super().call(node, request)
            if request["op"] == "survey" and request["generation"] == 0 and node == fourth:
                told = super().call(third, request)["surveyed"]
                told["content"]["accepted"]["change"] = {}
                told["content"]["certified"]["certificate"]["acceptances"] = []
                return {"surveyed": {**told, "node": str(fourth)}}
            return answer

    assert EndpointId("late", 1, 0) in town.start(5, transport=Misleading(town.voters, node(5))).bound()


def test_an_old_voter_serves_what_it_holds_until_the_new_generation_is_known(town: Town) -> None:
    before = town.certified(1)
    network = before.value.network
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    store = town.voters.acceptors[1].store
    fetch = {**Fetch(network).to_json(), "as": str(node(4))}
    town.voters.acceptors[1].handle(fetch, [node(4)])
    assert serves(store, node(1), network)
    assert town.content(1).certified.certificate.hash == before.certificate.hash
    town.start(4)
    record = town.chain.record()
    supersede(store, node(1), record, before, town.chain.height)
    assert serves(store, node(1), network)
    supersede(store, node(1), record, town.certified(4, 1), town.chain.height)
    assert not serves(store, node(1), network)
    assert positions(store, network) == ()
    # It remembers that the lower one is over.
    assert store.network(network).generation == 1  # type: ignore[union-attr]
    # One that wasn't asked anything meanwhile, too; a founder keeps what it has.
    store = town.voters.acceptors[2].store
    supersede(store, node(2), record, town.certified(4, 1), town.chain.height)
    assert store.network(network).generation == 1 and not serves(store, node(2), network)  # type: ignore[union-attr]
    supersede(town.voters.acceptors[5].store, node(5), record, town.certified(4, 1), town.chain.height)
    assert serves(town.voters.acceptors[5].store, node(5), network)
