# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A voter that contradicts itself is found out by those it tells, its vote is left out, and it is taken out (R21)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_world import Direct, Voters, allocate, node, reshape, signer
from test_acceptor import RUN, Desk
from test_voters import Town

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import Voter
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.contradiction import Contradiction, vote_json
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority, OutcomeUnknown, Rejected
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Acceptance,
    Ballot,
    Certificate,
    Instance,
    Promise,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Accept, Learn
from ansible_collections.akash.avpn.plugins.module_utils._quorum.sightings import Caught, caught, keep, see
from ansible_collections.akash.avpn.plugins.module_utils._quorum.store import Store
from ansible_collections.akash.avpn.plugins.module_utils._quorum.watching import Watch


def voter_of(chain: Any, number: int) -> Voter:
    return Voter(node(number), chain.incarnations[number], signer(number).public_key)


def promise(desk: Desk, ballot: Ballot, shown: Ballot | None = None, number: int = 3, by: int = 3) -> Promise:
    instance = desk.lock()[0].instance
    made = Promise(instance, ballot, node(number), desk.chain.incarnations[number], shown)
    return made.signed(signer(by))


def acceptance(desk: Desk, ballot: Ballot, number: int = 3) -> Acceptance:
    instance = desk.lock()[0].instance
    return Acceptance(instance, ballot, node(number), desk.chain.incarnations[number]).signed(signer(number))


def found(desk: Desk, number: int) -> list[Caught]:
    return caught(desk.voters.acceptors[number].store.reading())


def rows(store: Store, table: str = "sightings") -> int:
    return int(store.reading().execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def of_version(store: Store, version: int) -> int:
    query = "SELECT count(*) FROM sightings WHERE version = ?"
    return int(store.reading().execute(query, (version,)).fetchone()[0])


def test_a_voter_that_is_shown_both_keeps_the_proof_and_raises_it(desk: Desk) -> None:
    """3 has shown 1 that it accepted nothing below ballot 5, and its acceptance of ballot 2 comes in a certificate."""
    told: list[str] = []
    desk.voters.acceptors[1]._alarm = told.append
    first, change = desk.lock(counter=2)
    lie = promise(desk, replace(first.ballot, counter=5, run="ee" * 16, node=node(2)))
    second, _unused = desk.lock(caller=2, counter=5, run="ee" * 16)
    (mine,) = desk.promises(replace(second, ballot=lie.ballot), (1,))
    accept = Accept(lie.instance, lie.ballot, (mine, lie), change, desk.parent.certificate)
    assert isinstance(desk.ask(1, accept, 2), answers.Accepted)
    assert found(desk, 1) == [] and told == []
    certificate = Certificate.of([acceptance(desk, first.ballot, 2), acceptance(desk, first.ballot, 3)])
    assert isinstance(desk.ask(1, Learn(certificate), 2), answers.Learned), "a certificate is a fact, whoever signed it"
    (caught_,) = found(desk, 1)
    assert caught_.voter == voter_of(desk.chain, 3)
    assert caught_.proof.by(caught_.voter, lie.instance.network, 0)
    assert len(told) == 1 and str(node(3)) in told[0] and "accepted a ballot" in told[0]
    # What it said before this host noticed is on disk.
    desk.voters.acceptors[1].store.close()
    desk.voters.start(1)
    assert found(desk, 1) == [caught_]


def test_nobody_is_caught_by_what_it_did_not_sign(desk: Desk) -> None:
    """Not by another's signature, another database's, or by somebody who doesn't vote; nor are such kept at all."""
    store = desk.voters.acceptors[1].store
    ballots = [Ballot(counter, node(2), RUN, "2" * 64) for counter in (4, 9)]
    voters = desk.parent.value.voters
    good = promise(desk, ballots[1])
    bad = [
        promise(desk, ballots[1], by=2),
        replace(good, signature=promise(desk, ballots[0]).signature),
        replace(good, incarnation="0" * 32).signed(signer(3)),
        replace(good, voter=node(4)).signed(signer(4)),
    ]
    with store.transaction() as database:
        assert see(database, bad, voters) == []
        assert of_version(store, good.instance.version) == 0
        assert see(database, [good], voters) == []
        assert see(database, [replace(acceptance(desk, ballots[0]), signature=good.signature)], voters) == []
        assert of_version(store, good.instance.version) == 1
        (caught_,) = see(database, [acceptance(desk, ballots[0])], voters)
    assert caught_.voter.node == node(3)


def test_the_tables_stay_small(desk: Desk) -> None:
    """Whoever has a key can sign on and on; of each voter the few newest statements stay, and one proof."""
    store, voters = desk.voters.acceptors[1].store, desk.parent.value.voters
    with store.transaction() as database:
        for counter in range(1, 60):
            ballot = Ballot(counter, node(2), RUN, "2" * 64)
            see(database, [promise(desk, ballot), acceptance(desk, ballot)], voters)
            wrong = promise(desk, ballot, replace(ballot, counter=counter + 1))
            see(database, [wrong], voters)
    version = desk.parent.value.version + 1
    query = "SELECT kind, count(*) AS number, min(counter) AS least FROM sightings WHERE version = ? GROUP BY kind"
    kept = {row["kind"]: (row["number"], row["least"]) for row in store.reading().execute(query, (version,))}
    assert kept == {"acceptance": (4, 56), "promise": (4, 58)}
    assert rows(store, "contradictions") == 1
    for later in range(1, 30):
        instance = replace(desk.lock()[0].instance, version=version + later)
        vote = Acceptance(instance, ballot, node(3), desk.chain.incarnations[3]).signed(signer(3))
        with store.transaction() as database:
            see(database, [vote], voters)
    assert rows(store) == 2
    state = store.network(version_of(desk))
    assert state is not None
    with store.transaction() as database:
        for number in range(100):
            liar = replace(voter_of(desk.chain, 3), incarnation=f"{number:032x}")
            keep(database, Caught(state.network, 0, liar, Contradiction(vote, vote)))
    assert rows(store, "contradictions") == 64
    store.forget(state.network)
    assert (rows(store), rows(store, "contradictions")) == (0, 0)


def version_of(desk: Desk) -> str:
    return desk.parent.value.network


class Liar(Direct):
    """A host's way to the voters, one of which denies what it accepted: as one that forgets, its other word is said."""

    def __init__(self, voters: Voters, caller: NodeId, liar: int) -> None:
        super().__init__(voters, caller)
        self.liar = liar
        self.lies = 0

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        answer = super().call(node, request)
        if self.voters.number(node) == self.liar and "promise" in answer:
            said = Promise.from_json(answer["promise"], "said")
            answer["promise"] = replace(said, accepted=None).signed(signer(self.liar)).to_json()
            answer["change"] = None
            self.lies += said.accepted is not None
        return answer


def known_by(town: Town, number: int) -> Watch:
    """What a host's own database has for its proposer."""
    return Watch(town.chain.record().id, 0, town.voters.acceptors[number].store)


def lied(town: Town, number: int = 3) -> Contradiction:
    """A proof as a voter that forgot an acceptance leaves it, of a version that was never decided."""
    instance = Instance(town.chain.record().id, 0, 99, "1" * 64)
    low, high = (Ballot(counter, node(1), RUN, "2" * 64) for counter in (4, 9))
    of = (node(number), town.chain.incarnations[number])
    made = Contradiction(Promise(instance, high, *of, None), Acceptance(instance, low, *of))
    return Contradiction(made.first.signed(signer(number)), made.second.signed(signer(number)))


def tell(town: Town, proof: Contradiction, *numbers: int, liar: int = 3) -> None:
    """These hosts know it."""
    voter = voter_of(town.chain, liar)
    for number in numbers:
        with town.voters.acceptors[number].store.transaction() as database:
            assert keep(database, Caught(town.chain.record().id, 0, voter, proof))


def test_a_proposer_leaves_out_whoever_denies_what_it_accepted(town: Town) -> None:
    """2's round is accepted by 3 alone. 1 has seen that, and 3 denies it: without 3 nobody stands in the way."""
    town.chain.height += 1
    town.chain.deploy("more", 14, 2)

    class OnlyThree(Direct):
        def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
            if request["op"] in ("accept", "learn") and self.voters.number(node) != 3:
                raise NoMajority("lost")
            return super().call(node, request)

    watch = known_by(town, 1)
    with pytest.raises(NoMajority):
        allocate(town.voters, 1, OnlyThree(town.voters, node(1)), deadline=2, hold=0, watch=watch)
    assert watch.caught == {}
    watch = known_by(town, 1)
    liar = Liar(town.voters, node(1), 3)
    town.voters.down = {2}
    with pytest.raises(NoMajority, match="has contradicted itself"):
        allocate(town.voters, 1, liar, deadline=3, watch=watch)
    assert liar.lies and set(watch.caught) == {voter_of(town.chain, 3)}
    town.voters.down = set()
    assert allocate(town.voters, 1, liar, watch=known_by(town, 1)).changed
    certificate = town.known(1).certificate
    assert {one[0] for one in certificate.acceptances} == {node(1), node(2)}


def test_an_acceptance_that_gives_a_voter_away_does_not_count(town: Town) -> None:
    """1 has seen that 3 promised a higher ballot. 3 has forgotten that, promises this one and accepts it."""
    town.chain.deploy("more", 14, 1)
    certificate, three = town.known(1).certificate, voter_of(town.chain, 3)
    instance = replace(certificate.instance, version=certificate.instance.version + 1, parent=certificate.hash)
    forgotten = Promise(instance, Ballot(50, node(2), RUN, "2" * 64), three.node, three.incarnation, None)
    with town.voters.acceptors[1].store.transaction() as database:
        assert see(database, [forgotten.signed(signer(3))], [three]) == []
    town.voters.down = {2}
    watch = known_by(town, 1)
    with pytest.raises(OutcomeUnknown, match="has contradicted itself"):
        allocate(town.voters, 1, deadline=2.5, watch=watch)
    assert set(watch.caught) == {three}
    assert isinstance(watch.caught[three].second, Acceptance) or isinstance(watch.caught[three].first, Acceptance)
    town.voters.down = set()
    assert allocate(town.voters, 1, watch=known_by(town, 1)).changed
    assert {one[0] for one in town.known(1).certificate.acceptances} == {node(1), node(2)}


def test_a_frozen_voter_still_counts_in_how_many_are_needed(town: Town) -> None:
    tell(town, lied(town), 1)
    town.voters.down = {2}
    # Its promise doesn't count for those who only ask what is newest.
    with (
        pytest.raises(NoMajority),
        Proposer(
            Direct(town.voters, node(1)),
            node(1),
            town.chain.record(),
            town.chain.height,
            deadline=2.5,
            watch=known_by(town, 1),
        ) as proposer,
    ):
        proposer.confirm()
    # Nor for one that proposes: it doesn't come to be accepted by anybody.
    town.chain.deploy("more", 14, 1)
    transport = Direct(town.voters, node(1))
    with pytest.raises(NoMajority):
        allocate(town.voters, 1, transport, deadline=2.5, watch=known_by(town, 1))
    assert {op for _at, op in transport.calls} >= {"prepare"} and "accept" not in {op for _at, op in transport.calls}
    # Who doesn't know it goes on, and what it gets is a fact for everybody.
    assert allocate(town.voters, 2, watch=known_by(town, 2)).changed
    assert town.known(1).value.version == town.known(3).value.version
    with pytest.raises(NoMajority):
        town.chain.deploy("another", 15, 1)
        allocate(town.voters, 1, deadline=2.5, watch=known_by(town, 1))


def test_whoever_knows_it_takes_the_voter_out_and_the_others_need_nothing_but_the_proof(town: Town) -> None:
    town.come(4)
    allocate(town.voters, 1)
    proof = lied(town)
    tell(town, proof, 1)
    done = reshape(town.voters, 1, watch=known_by(town, 1))
    assert [str(step) for step in done.steps] == [f"+{node(4)} -{node(3)}: has contradicted itself"]
    assert town.names(town.known(2).value) == {1, 2, 4}
    # All who voted for it know why, and nobody has to be told.
    for number in (1, 2):
        assert known_by(town, number).caught == {voter_of(town.chain, 3): proof}
    assert reshape(town.voters, 2, watch=known_by(town, 2)).steps == []


def test_somebody_who_does_not_know_it_cannot_bring_the_voter_back(town: Town) -> None:
    tell(town, lied(town), 1)
    reshape(town.voters, 1, watch=known_by(town, 1))
    assert town.names(town.known(2).value) == {1, 2}
    with pytest.raises(Rejected, match="rule:voter-caught"):
        reshape(town.voters, 3, watch=Watch(town.chain.record().id, 0))
    # One with a new database is another voter.
    town.voters.acceptors[3].store.close()
    for file in town.directory.glob("voter3.db*"):
        file.unlink()
    town.voters.add(3)
    assert reshape(town.voters, 2, watch=known_by(town, 2)).steps
    assert town.names(town.known(2).value) == {1, 2, 3}


def test_what_one_accepted_before_it_knew_is_finished(town: Town) -> None:
    """3 comes back by a round that only voters who know nothing took; whoever knows finishes it all the same."""
    tell(town, lied(town), 1)
    reshape(town.voters, 1, watch=known_by(town, 1))
    for number in (1, 2):
        with town.voters.acceptors[number].store.transaction() as database:
            database.execute("DELETE FROM contradictions")

    class OnlyTwo(Direct):
        def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
            if request["op"] == "accept" and self.voters.number(node) != 2:
                raise NoMajority("lost")
            return super().call(node, request)

    with pytest.raises(NoMajority):
        reshape(town.voters, 3, OnlyTwo(town.voters, node(3)), deadline=2.5)
    tell(town, lied(town), 1)
    town.chain.deploy("more", 14, 1)
    assert allocate(town.voters, 1, watch=known_by(town, 1)).changed
    assert town.names(town.known(1).value) == {1, 2, 3}


def test_a_proposer_writes_down_what_it_saw(town: Town, tmp_path: Path) -> None:
    """It need not vote itself: whoever it tells its next run to is a host with a database."""
    store = Store(tmp_path / "other.db")
    town.come(4)
    allocate(town.voters, 4, watch=Watch(town.chain.record().id, 0, store))
    assert rows(store) >= 4
    vote = next(iter(store.reading().execute("SELECT vote FROM sightings")))[0]
    assert b'"voter"' in bytes(vote)
    again = Watch(town.chain.record().id, 0, store)
    assert again.caught == {}
    certificate = town.known(1).certificate
    liar = next(one for one in town.known(1).value.voters if one.node == certificate.acceptances[0][0])
    number = town.voters.number(liar.node)
    denial = Promise(
        certificate.instance,
        replace(certificate.ballot, counter=certificate.ballot.counter + 5),
        liar.node,
        liar.incarnation,
        None,
    )
    assert not again.counts(denial.signed(signer(number)), [liar])
    again.flush()
    assert vote_json(caught(store.reading())[0].proof.second)
    store.close()
