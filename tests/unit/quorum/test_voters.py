# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of voters between real acceptors: who replaces whom, and how it is proven to those who weren't there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_world import Chain, Direct, Voters, allocate, cache, node, reshape, signer

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change, apply_change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import header_of, value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import BadProof, NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Acceptance,
    Ballot,
    Certificate,
    Certified,
    Instance,
    Link,
    follow,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer, verified_update
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Fetch, Learn, Update
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value
from ansible_collections.akash.avpn.plugins.module_utils._quorum.voting import Membership

MEMBERS = {1: "web", 2: "api", 3: "db", 4: "four", 5: "five", 6: "six"}


class Town:
    """Three voters with leases and addresses; further hosts that can come."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.chain = Chain()
        self.leases = {number: self.chain.deploy(MEMBERS[number], 10 + number, number) for number in (1, 2, 3)}
        self.voters = Voters(directory, self.chain)
        for number in (1, 2, 3):
            allocate(self.voters, number)

    def come(self, number: int) -> None:
        self.voters.add(number)
        self.leases[number] = self.chain.deploy(MEMBERS[number], 10 + number, number)

    def go(self, number: int) -> None:
        self.chain.close(self.leases[number])
        self.chain.height += 10

    def known(self, number: int, by: int = 0) -> Certified:
        """What one voter hands out to somebody who knows nothing, proven."""
        answer = answers.parse_answer(
            Direct(self.voters, node(by or number)).call(node(number), Fetch(self.chain.record().id).to_json()), "voter"
        )
        assert isinstance(answer, answers.Fetched) and answer.update is not None
        return verified_update(answer.update, None, self.chain.record())

    def names(self, value: Value) -> set[int]:
        return {self.voters.number(voter.node) for voter in value.voters}


def test_a_provider_that_left_is_replaced_by_one_that_came(town: Town) -> None:
    town.come(4)
    town.go(2)
    allocate(town.voters, 1)
    before = town.known(1).value
    done = reshape(town.voters, 1)
    assert [str(step) for step in done.steps] == [f"+{node(4)} -{node(2)}: holds no lease any more"]
    after = town.known(4)
    assert town.names(after.value) == {1, 3, 4}
    assert (after.value.slots, after.value.hosts) == (before.slots, before.hosts)
    # The new one counts, the old one doesn't: with 1 and 4 there is a majority, with 1 and 2 there is none.
    town.voters.down.add(3)
    town.chain.height += 1
    assert allocate(town.voters, 4).changed
    town.voters.down = {4, 3}
    town.chain.deploy("more", 99, 1)
    with pytest.raises(NoMajority):
        allocate(town.voters, 1, deadline=2)


def test_nothing_is_changed_without_need(town: Town) -> None:
    assert reshape(town.voters, 1).steps == []
    town.come(4)  # four tolerate no more losses than three
    allocate(town.voters, 1)
    assert reshape(town.voters, 4).steps == []
    town.come(5)
    allocate(town.voters, 1)
    assert len(reshape(town.voters, 5).steps) == 2
    assert town.names(town.known(5).value) == {1, 2, 3, 4, 5}
    assert reshape(town.voters, 2).steps == []


def test_all_founders_are_replaced_one_after_another_and_newcomers_prove_it_from_the_chain(
    town: Town, tmp_path: Path
) -> None:
    kept = cache(tmp_path / "cache")
    allocate(town.voters, 1, cache=kept)
    for old, new in ((1, 4), (2, 5), (3, 6)):
        town.come(new)
        town.go(old)
        allocate(town.voters, new)
        assert reshape(town.voters, new).steps
        allocate(town.voters, new)
    newest = town.known(6)
    assert town.names(newest.value) == {4, 5, 6}
    assert len(newest.trail()) == 3
    # Nothing of the founders is needed any more.
    town.voters.down = {1, 2, 3}
    town.chain.height += 1
    outcome = allocate(town.voters, 5, cache=cache(tmp_path / "late"), others=[node(4), node(5), node(6)])
    assert {str(endpoint.member) for endpoint in outcome.value.bound()} == {"four", "five", "six"}
    record = town.chain.record()
    late = cache(tmp_path / "late").load(record.id, 0, record.founders)
    assert late is not None and late.value == outcome.value
    # Who last looked long ago goes on from there.
    again = kept.load(record.id, 0, record.founders)
    assert again is not None and town.names(again.value) == {1, 2, 3}
    with Proposer(Direct(town.voters, node(4)), node(4), record, town.chain.height, cache=kept) as proposer:
        town.voters.down = set()
        assert proposer.fetch() is not None
        assert proposer.known is not None and proposer.known.value == outcome.value


def test_links_that_prove_nothing(town: Town) -> None:
    town.come(4)
    town.go(2)
    allocate(town.voters, 1)
    reshape(town.voters, 1)
    town.come(5)
    town.go(3)
    allocate(town.voters, 1)
    reshape(town.voters, 1)
    town.chain.deploy("more", 99, 1)
    allocate(town.voters, 1)
    record = town.chain.record()
    fact = town.known(1)
    first, second = fact.trail()
    follow(record.founders, (first, second), record.id, 0)
    usurper = replace(first.header, voters=(replace(first.header.voters[0], key=signer(9).public_key),))
    hash_ = usurper.hash
    ballot = replace(first.certificate.ballot, hash=hash_)
    instance = first.certificate.instance

    def signed(*numbers: int, key: int = 0) -> Certificate:
        statements = [
            Acceptance(instance, ballot, node(one), town.chain.founded.get(one, "0" * 32)).signed(signer(key or one))
            for one in numbers
        ]
        return Certificate.of(statements)

    lies = {
        "another value": (Link(usurper, first.certificate), second),
        "no majority": (Link(usurper, signed(1)), second),
        "wrong signature": (Link(usurper, signed(1, 2, key=9)), second),
        "not a voter": (Link(usurper, signed(1, 4)), second),
        "out of order": (first, first),
        "another network": (Link(replace(first.header, network="0" * 64), first.certificate), second),
        "another version": (Link(replace(first.header, parent="0" * 64), first.certificate), second),
    }
    for what, links in lies.items():
        with pytest.raises(BadProof, match=what):
            follow(record.founders, links, record.id, 0)
    # A majority of the voters of before is none of today's, though some of them vote still.
    for links in ((second,), (first,), (), (second, first), (first, second, second)):
        with pytest.raises(BadProof):
            verified_update(Update(fact.certificate, fact.value, links=links), None, record)
    assert verified_update(Update(fact.certificate, fact.value, links=(first, second)), None, record) == fact
    # A host that only knows the founders believes the same, and nothing less.
    town.voters.add(6)
    town.chain.deploy("six", 16, 6)
    with pytest.raises(BadProof):
        Direct(town.voters, node(1)).call(node(6), Learn(fact.certificate, fact.value, (second,)).to_json())
    told = Direct(town.voters, node(1)).call(node(6), Learn.of(fact, None).to_json())
    assert told == {"learned": fact.value.version}


def test_acceptances_of_a_minority_prove_nothing_though_they_were_a_majority_once(town: Town) -> None:
    """1 and 2 of five have accepted: with the links left out, they would be two of the three founders."""
    town.come(4)
    town.come(5)
    allocate(town.voters, 1)
    assert len(reshape(town.voters, 1).steps) == 2
    fact, record = town.known(1), town.chain.record()
    parent = fact.value

    def half_done(change: Change) -> tuple[Certificate, Value]:
        child = apply_change(parent, fact.certificate.hash, change)
        ballot = Ballot(1, node(1), "ab" * 16, value_hash(child))
        statements = [
            Acceptance(Instance.of(child), ballot, node(one), town.chain.incarnations[one]).signed(signer(one))
            for one in (1, 2)
        ]
        return Certificate.of(statements), child

    draft = Acquire("deploy", 9, town.chain.height).draft(parent, node(1))
    certificate, child = half_done(sign(draft, parent, node(1), signer(1)))
    certificate.verify(record.founders)
    for links in ((), fact.trail()[:1], fact.trail()):
        with pytest.raises(BadProof):
            verified_update(Update(certificate, child, links=links), None, record)
    # And neither do they make a link.
    certificate, child = half_done(Change(voters=parent.voters[:4]))
    for links in ((), fact.trail()[:1], fact.trail()):
        with pytest.raises(BadProof):
            follow(record.founders, (*links, Link(header_of(child), certificate)), record.id, 0)


def test_a_voter_that_was_away_learns_of_those_who_came(town: Town) -> None:
    town.voters.down.add(3)
    town.come(4)
    town.go(2)
    allocate(town.voters, 1)
    reshape(town.voters, 1)
    allocate(town.voters, 4)
    town.voters.down = {1}
    town.chain.deploy("more", 99, 4)
    outcome = allocate(town.voters, 4)
    assert outcome.changed
    assert town.known(3).value == outcome.value


def test_a_lost_disk_returns_only_as_another_incarnation(town: Town) -> None:
    for file in town.directory.glob("voter2.db*"):
        file.unlink()
    town.voters.start(2)
    town.voters.down = {3}
    town.chain.deploy("more", 98, 1)
    # With the old incarnation named, it counts for nothing, though it would answer.
    with pytest.raises(NoMajority, match="incarnation") as error:
        allocate(town.voters, 1, deadline=3)
    assert str(error.value).count("(rule:incarnation)") == 1
    town.voters.down = set()
    allocate(town.voters, 1)
    town.chain.incarnations[2] = town.voters.acceptors[2].store.incarnation
    town.chain.height += 1
    (step,) = reshape(town.voters, 1).steps
    assert step.added is not None and step.removed is not None
    assert (step.added.node, step.removed.node) == (node(2), node(2))
    assert step.why == "has another database or key now"
    town.voters.down = {3}
    town.chain.deploy("even-more", 97, 1)
    assert allocate(town.voters, 1).changed


def test_another_signing_key_returns_only_as_another_voter(town: Town) -> None:
    """With the same database: what it promised with the old key it has not forgotten."""
    town.chain.signers[2] = signer(102)
    town.chain.height += 1
    town.voters.start(2)
    town.voters.down = {3}
    town.chain.lease(11, 1, oseq=2)
    with pytest.raises(NoMajority, match="voter-key"):
        allocate(town.voters, 1, deadline=3)
    town.voters.down = set()
    (step,) = reshape(town.voters, 1).steps
    assert step.added is not None and step.removed is not None
    assert (step.added.incarnation, step.added.key) == (step.removed.incarnation, signer(102).public_key)
    assert step.why == "has another database or key now"
    town.voters.down = {3}
    assert allocate(town.voters, 2).changed
    fact = town.known(2)
    assert fact.value.hosts[node(2)].key == signer(102).public_key
    # Whoever knows only the founders, with the key of before, believes it.
    assert town.known(1) == fact


def test_a_half_done_change_of_voters_is_finished_by_whoever_comes_next(town: Town) -> None:
    """Its evidence travels with it."""

    third = node(3)

    class Dies(Direct):
        """Whoever uses it is gone once voter 3 has accepted."""

        def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
            if request["op"] == "accept" and node != third:
                raise Unavailable("is gone", where=str(node))
            return super().call(node, request)

    town.come(4)
    town.go(2)
    allocate(town.voters, 1)
    with pytest.raises(NoMajority):
        reshape(town.voters, 1, Dies(town.voters, node(1)), deadline=3)
    # The lease that the change was for is closed meanwhile; what was right when it was accepted is finished.
    town.go(4)
    town.voters.down = {1}
    town.chain.deploy("more", 99, 3)
    allocate(town.voters, 3, deadline=5)
    links = town.known(3).trail()
    assert any(voter.node == node(4) for link in links for voter in link.header.voters)


def test_ready_is_said_of_what_is_held_and_nothing_else(town: Town) -> None:
    town.come(4)
    fact = town.known(1)
    with Proposer(Direct(town.voters, node(1)), node(1), town.chain.record(), town.chain.height) as proposer:
        proposer.fetch()
        step_voter = town.known(1).value.voters[0]
        membership = Membership(proposer, town.chain.view())
        assert membership.statements([step_voter], 10).keys() == {step_voter.node}
    transport = Direct(town.voters, node(1))
    asked = {"op": "ready", "network": fact.value.network, "certificate": fact.certificate.to_json()}
    assert transport.call(node(4), asked) == {"lacking": None}
    transport.call(node(4), Learn.of(fact, None).to_json())
    answer = answers.parse_answer(transport.call(node(4), asked), "voter")
    assert isinstance(answer, answers.Ready)
    assert answer.statement.hash == fact.certificate.hash
    instance = Instance(fact.value.network, 0, fact.value.version, fact.value.parent)
    other = Certificate(instance, Ballot(1, node(1), "ab" * 16, "c" * 64), fact.certificate.acceptances)
    assert transport.call(node(4), {**asked, "certificate": other.to_json()}) == {"lacking": [0, fact.value.version]}


class _Overtaken(Direct):
    """Somebody else gets a version agreed while the hosts are asked whether they are ready, so many times over."""

    def __init__(self, town: Town, caller: NodeId, times: int) -> None:
        super().__init__(town.voters, caller)
        self.overtaken = 0
        self._town = town
        self._times = times
        self._asked = 0
        self._lock = threading.Lock()

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        with self._lock:
            if request["op"] == "ready" and self._asked < self._times:
                self._asked += 1
                self._town.chain.lease(11, 1, oseq=1 + self._asked)
                with contextlib.suppress(NoMajority):  # held back
                    self.overtaken += allocate(self._town.voters, 1, deadline=0.2).changed
        return super().call(node, request)


@pytest.mark.parametrize("times", [3, 1_000_000])
def test_voters_change_though_others_are_faster(town: Town, times: int) -> None:
    """Found by campaigns of faults: whoever was asked too late was taken for not willing, and passed by; and what
    the hosts said was about a version that wasn't the newest any more, again and again."""
    town.come(4)
    town.go(2)
    allocate(town.voters, 1)
    transport = _Overtaken(town, node(3), times)
    done = reshape(town.voters, 3, transport, deadline=8)
    assert transport.overtaken
    assert done.waiting == {}
    assert town.names(town.known(4).value) == {1, 3, 4}
