# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a voter answers to a single request: ballots, holds, proofs, and who may ask at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_world import Chain, Direct, Voters, allocate, builder, cache, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError, InvalidInput, NotPermitted
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.acceptor import MAX_COUNTER_JUMP
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import apply_change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import BadProof, OutcomeUnknown
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Acceptance,
    Ballot,
    Certificate,
    Certified,
    Instance,
    Promise,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer, verified_update
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Accept, Fetch, Learn, Prepare, Update

RUN = "ab" * 16


class Desk:
    """Three voters with a settled ledger, and single requests to them."""

    def __init__(self, directory: Path) -> None:
        self.chain = Chain(hosts=4)
        for number, member in ((1, "web"), (2, "api"), (3, "db")):
            self.chain.deploy(member, 10 + number, number)
        self.voters = Voters(directory, self.chain)
        self.now = 1_000_000
        for acceptor in self.voters.acceptors.values():
            acceptor.store.milliseconds = lambda: self.now
        kept = cache(directory / "cache")
        for number in (1, 2, 3):
            allocate(self.voters, number, cache=kept)
        self.now += 120_000
        record = self.chain.record()
        certified = kept.load(record.id, 0, record.founders)
        assert certified is not None
        self.parent: Certified = certified

    def flow(self) -> None:
        """From now on time passes by itself."""

        def later() -> int:
            self.now += 200
            return self.now

        for acceptor in self.voters.acceptors.values():
            acceptor.store.milliseconds = later

    def ask(self, voter: int, request: Any, caller: int = 1, **fields: Any) -> answers.Answer:
        document = {**request.to_json(), "as": str(node(caller)), **fields}
        return answers.parse_answer(self.voters.acceptors[voter].handle(document, [node(caller)]), "voter")

    def lock(self, ttl: int = 5, caller: int = 1, counter: int = 1, run: str = RUN) -> tuple[Prepare, Any]:
        """A prepare for a change that takes a lock, and the change."""
        draft = Acquire("deploy", ttl, self.chain.height).draft(self.parent.value, node(caller))
        change = sign(draft, self.parent.value, node(caller), signer(caller))
        child = apply_change(self.parent.value, self.parent.certificate.hash, change)
        ballot = Ballot(counter, node(caller), run, value_hash(child))
        return Prepare(Instance.of(child), ballot, 1000, self.parent.certificate), change

    def promises(self, prepare: Prepare, voters: tuple[int, ...] = (1, 2)) -> tuple[Promise, ...]:
        found = []
        for voter in voters:
            answer = self.ask(voter, prepare, int(prepare.ballot.node.node[1:]))
            assert isinstance(answer, answers.Promised), answer
            found.append(answer.promise)
        return tuple(found)


def test_strangers_learn_nothing(desk: Desk) -> None:
    fetch = Fetch(desk.parent.value.network)
    for caller, fields in ((4, {}), (1, {"network": "0" * 64})):
        with pytest.raises(NotPermitted, match="is not permitted"):
            desk.ask(1, fetch, caller, **fields)
    with pytest.raises(NotPermitted):
        desk.voters.acceptors[1].handle({**fetch.to_json(), "as": str(node(2))}, [node(1)])
    prepare, _change = desk.lock()
    with pytest.raises(NotPermitted):
        desk.ask(1, prepare, caller=2)  # somebody else's ballot


def test_identical_repeat_is_answered_alike_and_lower_is_refused(desk: Desk) -> None:
    prepare, _change = desk.lock(counter=3)
    first = desk.ask(1, prepare)
    assert desk.ask(1, prepare) == first
    lower, _unused = desk.lock(counter=2)
    refusal = desk.ask(1, lower)
    assert isinstance(refusal, answers.Refused)
    assert refusal.highest == prepare.ballot
    assert refusal.shown is not None


def test_hold_keeps_others_away_until_it_ends(desk: Desk) -> None:
    prepare, _change = desk.lock()
    assert isinstance(desk.ask(1, prepare), answers.Promised)
    other, _unused = desk.lock(caller=2, counter=9)
    refusal = desk.ask(1, other, 2)
    assert isinstance(refusal, answers.Refused)
    assert (refusal.holder, refusal.wait) == (node(1), 1000)
    again, _unused = desk.lock(counter=2)
    assert isinstance(desk.ask(1, again), answers.Promised)  # not away from itself
    desk.now += 1001
    assert isinstance(desk.ask(1, other, 2), answers.Promised)


def test_hold_is_given_up_by_its_holder(desk: Desk) -> None:
    prepare, _change = desk.lock()
    desk.ask(1, prepare)
    desk.ask(1, replace(prepare, hold=0))
    other, _unused = desk.lock(caller=2, counter=9)
    assert isinstance(desk.ask(1, other, 2), answers.Promised)


def test_who_held_yields_as_long(desk: Desk) -> None:
    prepare, _change = desk.lock()
    desk.ask(1, prepare)
    desk.now += 1100
    second, _unused = desk.lock(counter=2)
    desk.ask(1, second)
    other, _unused = desk.lock(caller=2, counter=9)
    assert isinstance(desk.ask(1, other, 2), answers.Promised)


def test_holds_have_a_budget(desk: Desk) -> None:
    held = 0
    for counter in range(1, 40):
        prepare, _unused = desk.lock(counter=counter, run=f"{counter:032x}")
        before = desk.now
        desk.ask(1, replace(prepare, hold=10_000))
        state = desk.voters.acceptors[1].store.network(desk.parent.value.network)
        assert state is not None
        pending = desk.voters.acceptors[1].store.pending(state)
        held += max(0, pending.hold_until - before)
        desk.now += max(1, pending.hold_until - before) + 1
        if desk.now > 1_000_000 + 120_000 + 60_000:
            break
    assert held <= 60_000 // 6 * 2  # never more than a budget in a minute, with the edges of two


def test_counters_do_not_jump(desk: Desk) -> None:
    prepare, _change = desk.lock(counter=MAX_COUNTER_JUMP + 5)
    answer = desk.ask(1, prepare)
    assert isinstance(answer, answers.RejectedBy)
    assert answer.rule == "counter-jump"
    low, _unused = desk.lock(counter=MAX_COUNTER_JUMP)
    promised = desk.ask(2, low)
    assert isinstance(promised, answers.Promised)
    shown = replace(prepare, shown=promised.promise)
    assert isinstance(desk.ask(1, shown), answers.Promised)
    forged = replace(promised.promise, ballot=replace(low.ballot, counter=10**12))
    with pytest.raises(BadProof):
        desk.ask(3, replace(prepare, shown=forged))


def test_accept_needs_the_proof(desk: Desk) -> None:
    prepare, change = desk.lock()
    promises = desk.promises(prepare)
    accept = Accept(prepare.instance, prepare.ballot, promises, change, desk.parent.certificate)
    lies: dict[str, tuple[Promise, ...]] = {
        "no majority": promises[:1],
        "twice": (promises[0], promises[0]),
        "wrong signature": (promises[0], replace(promises[1], signature=promises[0].signature)),
        "another instance or ballot": (promises[0], replace(promises[1], ballot=replace(prepare.ballot, counter=2))),
        "not a voter": (promises[0], replace(promises[1], voter=node(4))),
        "another incarnation": (promises[0], replace(promises[1], incarnation="0" * 32)),
        "not below": (promises[0], replace(promises[1], accepted=replace(prepare.ballot, counter=2))),
    }
    for what, proof in lies.items():
        with pytest.raises(BadProof, match=what):
            desk.ask(3, replace(accept, promises=proof))
    wrong = desk.ask(3, replace(accept, change=desk.lock(ttl=9)[1]))
    assert isinstance(wrong, answers.RejectedBy)
    assert wrong.rule == "hash"
    good = desk.ask(3, accept)
    assert isinstance(good, answers.Accepted)
    assert desk.ask(3, accept) == good


def test_half_done_value_must_be_finished(desk: Desk) -> None:
    prepare, change = desk.lock()
    accept = Accept(prepare.instance, prepare.ballot, desk.promises(prepare), change, desk.parent.certificate)
    assert isinstance(desk.ask(3, accept), answers.Accepted)
    desk.now += 2000
    other, own = desk.lock(ttl=77, caller=2, counter=9)
    shown = desk.ask(3, other, 2)
    assert isinstance(shown, answers.Promised)
    assert shown.promise.accepted == prepare.ballot
    assert shown.change is not None
    promises = (shown.promise, *desk.promises(other, (1,)))
    refusal = desk.ask(1, Accept(other.instance, other.ballot, promises, own, desk.parent.certificate), 2)
    assert isinstance(refusal, answers.RejectedBy)
    assert refusal.rule == "half-done"
    # The proposer finishes it and then gets its own, where every majority has heard of it.
    desk.voters.down.add(2)
    outcome = allocate_lock(desk, 2)
    assert outcome.value.version == desk.parent.value.version + 2


def allocate_lock(desk: Desk, caller: int) -> Any:
    desk.flow()

    def build(value: Any) -> Any:
        draft = Acquire("mine", 50, desk.chain.height).draft(value, node(caller))
        return sign(draft, value, node(caller), signer(caller)) if draft else None

    transport = Direct(desk.voters, node(caller))
    with Proposer(transport, node(caller), desk.chain.record(), desk.chain.height, pauses=0.1) as proposer:
        return proposer.propose(build)


def test_voter_that_lacks_the_parent_is_brought_up_to_date(desk: Desk) -> None:
    desk.voters.down.add(3)
    outcome = allocate_lock(desk, 1)
    desk.voters.down.clear()
    desk.parent = Certified(outcome.certificate, outcome.value)
    prepare, _change = desk.lock()
    lacking = desk.ask(3, prepare)
    assert lacking == answers.Lacking((0, desk.parent.value.version - 1))
    assert desk.ask(3, Learn(outcome.certificate)) == lacking
    assert desk.ask(3, Learn(outcome.certificate, outcome.value)) == answers.Learned(outcome.value.version)
    assert isinstance(desk.ask(3, prepare), answers.Promised)


def test_newer_and_fetch_hand_out_what_is_missing(desk: Desk) -> None:
    allocate_lock(desk, 1)
    prepare, _change = desk.lock()
    newer = desk.ask(1, prepare)
    assert isinstance(newer, answers.Newer)
    assert newer.update.value is None
    assert len(newer.update.changes) == 1
    whole = desk.ask(1, Fetch(desk.parent.value.network))
    assert isinstance(whole, answers.Fetched)
    assert whole.update is not None
    assert whole.update.value is not None
    have = desk.ask(1, Fetch(desk.parent.value.network, (0, whole.update.value.version)))
    assert have == answers.Fetched(None)


def test_forged_certificates(desk: Desk) -> None:
    certificate, value = desk.parent.certificate, desk.parent.value
    prepare, _change = desk.lock()
    forged = replace(certificate, ballot=replace(certificate.ballot, hash="0" * 64))
    with pytest.raises(InvalidInput):
        desk.ask(1, replace(prepare, certificate=forged))
    next_instance = replace(certificate.instance, version=value.version + 1, parent=certificate.hash)
    with pytest.raises(BadProof, match="signature"):
        desk.ask(1, Learn(replace(certificate, instance=next_instance), value))
    fewer = Certificate(certificate.instance, certificate.ballot, certificate.acceptances[:1])
    with pytest.raises(BadProof, match="no majority"):
        desk.ask(1, Learn(fewer, value))


def test_a_good_certificate_with_another_value_teaches_nothing(desk: Desk) -> None:
    prepare, change = desk.lock()
    promises = desk.promises(prepare, (1, 2))
    accept = Accept(prepare.instance, prepare.ballot, promises, change, desk.parent.certificate)
    taken = [desk.ask(voter, accept) for voter in (1, 2)]
    certificate = Certificate.of([one.acceptance for one in taken if isinstance(one, answers.Accepted)])
    child = apply_change(desk.parent.value, desk.parent.certificate.hash, change)
    freed = replace(
        child, slots={**child.slots, **{key: replace(one, bound=False) for key, one in child.slots.items()}}
    )
    for wrong in (freed, replace(child, version=child.version + 1), replace(child, hosts={}), desk.parent.value):
        with pytest.raises(BadProof):
            desk.ask(3, Learn(certificate, wrong))
    before = desk.ask(3, Fetch(child.network))
    assert isinstance(before, answers.Fetched) and before.update is not None
    assert before.update.certificate == desk.parent.certificate
    assert desk.ask(3, Learn(certificate, child)) == answers.Learned(child.version)


@pytest.mark.parametrize("field", ["network", "generation", "version", "parent"])
def test_a_certificate_is_of_the_very_place_that_its_value_names(desk: Desk, field: str) -> None:
    """Else signatures for one place would carry an old value to another, which readers take for newer."""
    known, value = desk.parent.certificate, desk.parent.value
    other = {"network": "0" * 64, "generation": 7, "version": value.version + 1000, "parent": "0" * 64}[field]
    instance = replace(known.instance, **{field: other})
    signed = [
        Acceptance(instance, known.ballot, node(voter), desk.chain.incarnations[voter]).signed(signer(voter))
        for voter in (1, 2, 3)
    ]
    certificate = Certificate.of(signed)
    certificate.verify(value.voters)
    with pytest.raises(BadProof, match="another network, generation, version or parent"):
        Certified(certificate, value).verify(value.voters, value.network)


def test_an_update_of_another_generation_is_no_fact(desk: Desk) -> None:
    """After a recovery, what the voters of before certified is over, though their signatures are as good as ever."""
    certified, record = desk.parent, desk.chain.record()
    update = Update(certified.certificate, value=certified.value)
    assert verified_update(update, None, record) == certified
    with pytest.raises(BadProof, match="generation"):
        verified_update(update, None, replace(record, generation=1))
    with pytest.raises(BadProof):
        verified_update(update, None, replace(record, founders=record.founders[:1]))


def test_old_view_gives_no_vote(desk: Desk) -> None:
    prepare, _change = desk.lock()
    old = desk.chain.view()
    desk.voters.views[1] = lambda: old
    desk.chain.height += 2000  # the clock of these tests is the chain's
    answer = desk.ask(1, prepare)
    assert isinstance(answer, answers.NotSeen)
    assert "s old" in answer.what
    refreshed = []

    def refresh() -> bool:
        refreshed.append(True)
        del desk.voters.views[1]
        return True

    desk.voters.acceptors[1]._refresh = refresh
    assert isinstance(desk.ask(1, prepare), answers.Promised)
    assert refreshed == [True]


def test_another_database_does_not_vote(desk: Desk, tmp_path: Path) -> None:
    for file in tmp_path.glob("voter1.db*"):
        file.unlink()
    desk.voters.start(1)
    prepare, _change = desk.lock()
    assert desk.ask(1, prepare) == answers.Lacking(None)
    assert isinstance(desk.ask(1, Learn.of(desk.parent, None)), answers.Learned)
    answer = desk.ask(1, prepare)
    assert isinstance(answer, answers.RejectedBy)
    assert answer.rule == "incarnation"


def test_own_promise_forgotten_is_kept_as_evidence(desk: Desk) -> None:
    prepare, change = desk.lock()
    promises = desk.promises(prepare, (1, 3))
    store = desk.voters.acceptors[3].store
    with store.transaction() as database:
        database.execute("DELETE FROM pending")
    accept = Accept(prepare.instance, prepare.ballot, promises, change, desk.parent.certificate)
    answer = desk.ask(3, accept)
    assert isinstance(answer, answers.RejectedBy)
    assert answer.rule == "memory"
    assert [one["what"] for one in store.evidence()] == ["own promise forgotten"]


def test_two_certificates_of_one_version_are_kept_as_evidence_and_not_without_end(desk: Desk) -> None:
    """Who has a majority of the keys can sign as many contradictions as it likes, and each would cost a row."""
    store, known = desk.voters.acceptors[3].store, desk.parent.certificate
    for number in range(40):
        ballot = Ballot(1, node(1), RUN, f"{number:064x}")
        signed = [
            Acceptance(known.instance, ballot, node(voter), desk.chain.incarnations[voter]).signed(signer(voter))
            for voter in (1, 2)
        ]
        answer = desk.ask(3, Learn(Certificate.of(signed)))
        assert isinstance(answer, answers.Learned)
    found = store.evidence()
    assert {one["what"] for one in found} == {"two certificates"}
    assert found[0]["second"]["ballot"]["hash"] == f"{0:064x}"
    assert len(found) == 16
    assert desk.ask(3, Fetch(desk.parent.value.network, known.position)) == answers.Fetched(None), (
        "nothing else came of it"
    )


def test_a_voter_with_another_signing_key_does_not_vote(desk: Desk) -> None:
    """What it signs would count for nobody, and its promises could not be held against it."""
    prepare, _change = desk.lock()
    desk.voters.acceptors[2]._signer = signer(9)
    answer = desk.ask(2, prepare)
    assert isinstance(answer, answers.RejectedBy)
    assert answer.rule == "voter-key"


def test_other_founders_within_a_generation_are_refused(desk: Desk) -> None:
    """A record that was deleted and written anew begins nothing anew where the ledger of before is known."""
    prepare, _change = desk.lock()
    founders = desk.chain.record().founders
    for others in (founders[:1], (founders[0], replace(founders[1], incarnation="0" * 32), founders[2])):
        desk.chain.changes["founders"] = others
        for request in (prepare, Fetch(desk.parent.value.network), Learn.of(desk.parent, None)):
            answer = desk.ask(1, request)
            assert isinstance(answer, answers.RejectedBy) and answer.rule == "founders"
            assert "raise it" in answer.what
    desk.chain.changes["founders"] = founders
    assert isinstance(desk.ask(1, prepare), answers.Promised)


def test_raised_generation_ends_the_old_one(desk: Desk) -> None:
    prepare, _change = desk.lock()
    desk.chain.changes["generation"] = 1
    answer = desk.ask(1, prepare)
    assert isinstance(answer, answers.RejectedBy)
    assert answer.rule == "generation"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"hold": -1}, "hold"),
        ({"hold": "1"}, "hold"),
        ({"extra": 1}, "extra"),
        ({"version": 2**70}, "request.version"),
        ({"ballot": None}, "ballot"),
        ({"as": "akash1x/n"}, "as"),
        ({"op": "format"}, "op"),
    ],
)
def test_malformed_requests_name_the_field(change: Mapping[str, Any], where: str, desk: Desk) -> None:
    prepare, _change = desk.lock()
    with pytest.raises(InvalidInput) as error:
        desk.ask(1, prepare, **change)
    assert error.value.where == where


def test_restart_forgets_nothing(desk: Desk) -> None:
    prepare, change = desk.lock()
    promises = desk.promises(prepare)
    accept = Accept(prepare.instance, prepare.ballot, promises, change, desk.parent.certificate)
    before = desk.ask(1, accept)
    desk.voters.acceptors[1].store.close()
    desk.voters.start(1)
    assert desk.ask(1, accept) == before
    assert desk.ask(1, replace(prepare, ballot=replace(prepare.ballot, run="aa" * 16))) == answers.Refused(
        prepare.ballot, node(1), 0, promises[0]
    )


def test_unknown_outcome_asked_again_gives_the_same_address(desk: Desk) -> None:
    class LosesAcceptances(Direct):
        def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
            answer = super().call(node, request)
            if request["op"] == "accept" and self.voters.number(node) != 1:
                raise AvpnError("the answer was lost")
            return answer

    desk.flow()
    desk.chain.deploy("more", 14, 2, replicas=3)
    allocate(desk.voters, 1)  # the record goes in first, as anybody's version
    with pytest.raises(OutcomeUnknown, match="whether the change was agreed is not known"):
        allocate(desk.voters, 2, LosesAcceptances(desk.voters, node(2)), deadline=2)
    desk.chain.height += 1
    outcome = allocate(desk.voters, 2)
    more = {
        str(endpoint): str(slot.address) for endpoint, slot in outcome.value.slots.items() if "more" in str(endpoint)
    }
    assert more == {"more/1/0": "100.64.0.5", "more/1/1": "100.64.0.6", "more/1/2": "100.64.0.7"}
    assert builder(desk.chain, 2)(outcome.value) is None
