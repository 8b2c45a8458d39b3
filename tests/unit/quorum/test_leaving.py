# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who doesn't vote any more serves until others hold what it holds; then only the way to them is left of it (R12)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_world import Direct, allocate, cache, node, reshape, signer
from test_voters import Town

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.evidence import Statement
from ansible_collections.akash.avpn.plugins.module_utils._quorum.leaving import leave, serves
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Acceptance,
    Ballot,
    Certificate,
    Certified,
    Instance,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import (
    Fetch,
    Learn,
    Leave,
    Prepare,
    ReadyRequest,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.voting import Membership


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """4 has replaced 2, which has heard of it."""
    town = Town(tmp_path)
    town.come(4)
    town.go(2)
    allocate(town.voters, 1)
    reshape(town.voters, 1)
    return town


def ask(town: Town, number: int, request: Any, caller: int = 1) -> answers.Answer:
    return answers.parse_answer(Direct(town.voters, node(caller)).call(node(number), request.to_json()), "voter")


def said(town: Town, number: int, fact: Certified, **fields: object) -> Statement:
    incarnation = town.chain.incarnations[number]
    value = fact.value
    made = Statement("ready", value.network, 0, value.version, fact.certificate.hash, node(number), incarnation)
    return replace(made, **fields).signed(signer(number))  # type: ignore[arg-type]


def accepted(town: Town, instance: Instance, ballot: Ballot, *numbers: int) -> Certificate:
    """What these hosts would sign."""
    return Certificate.of(
        [Acceptance(instance, ballot, node(one), town.chain.incarnations[one]).signed(signer(one)) for one in numbers]
    )


def kept(town: Town, number: int) -> dict[str, int]:
    """Rows of each table of a voter's database."""
    with town.voters.acceptors[number].store.transaction() as database:
        tables = ("networks", "links", "changes", "pending", "holds", "evidence")
        counts = {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
        snapshots = database.execute("SELECT count(*) FROM networks WHERE snapshot IS NOT NULL").fetchone()[0]
        counts["values"] = int(bool(snapshots or counts["changes"]))
    return counts


def test_it_serves_until_the_others_hold_the_value(town: Town) -> None:
    fact = town.known(1)
    assert fact.value.version == fact.value.seated
    assert town.known(2, by=1) == fact  # it hands out what it holds
    lies = {
        "nobody": Leave(fact.value.network, fact.trail()),
        "one of three": Leave(fact.value.network, fact.trail(), ready=(said(town, 1, fact),)),
        "twice": Leave(fact.value.network, fact.trail(), ready=(said(town, 1, fact), said(town, 1, fact))),
        "itself": Leave(fact.value.network, fact.trail(), ready=(said(town, 1, fact), said(town, 2, fact))),
        "different": Leave(
            fact.value.network, fact.trail(), ready=(said(town, 1, fact), said(town, 4, fact, hash="0" * 64))
        ),
        "older": Leave(
            fact.value.network,
            fact.trail(),
            ready=tuple(said(town, one, fact, version=fact.value.version - 1) for one in (1, 4)),
        ),
        "the certificate that took it out": Leave(
            fact.value.network, fact.trail(), accepted(town, fact.certificate.instance, fact.certificate.ballot, 1, 3)
        ),
    }
    for what, lie in lies.items():
        with pytest.raises(AvpnError):
            ask(town, 2, lie)
        assert kept(town, 2)["values"] == 1, what
    good = Leave(fact.value.network, fact.trail(), ready=(said(town, 1, fact), said(town, 4, fact)))
    assert ask(town, 2, good) == answers.Left(fact.trail())
    found = kept(town, 2)
    assert found == {**dict.fromkeys(found, 0), "networks": 1, "links": 1}


def test_a_voter_is_not_sent_away(town: Town) -> None:
    fact = town.known(1)
    ready = (said(town, 1, fact), said(town, 4, fact))
    answer = ask(town, 3, Leave(fact.value.network, fact.trail(), ready=ready))
    assert isinstance(answer, answers.RejectedBy) and answer.rule == "leave-voter"
    # Nor by what was before it came.
    answer = ask(town, 4, Leave(fact.value.network, ()))
    assert isinstance(answer, answers.RejectedBy) and answer.rule == "leave-voter"


def test_a_later_version_of_the_new_voters_is_enough(town: Town) -> None:
    town.chain.deploy("more", 99, 1)
    allocate(town.voters, 1)
    fact = town.known(1)
    assert fact.value.version > fact.value.seated
    assert ask(town, 2, Leave(fact.value.network, fact.trail(), fact.certificate)) == answers.Left(fact.trail())


def test_one_that_was_away_is_told_all_at_once(town: Town) -> None:
    """3 was away when it was taken out, and everything it knows is old."""
    town.voters.down = {3}
    town.come(5)
    town.go(3)
    allocate(town.voters, 1)
    reshape(town.voters, 1)
    allocate(town.voters, 5)
    town.voters.down = set()
    with Proposer(Direct(town.voters, node(1)), node(1), town.chain.record(), town.chain.height) as proposer:
        proposer.fetch()
        gone = Membership(proposer, town.chain.view()).dismiss(())
    fact = town.known(1)
    assert {word.rpartition("@")[0] for word in gone} == {str(node(2)), str(node(3))}
    for number in (2, 3):
        assert kept(town, number)["values"] == 0
        assert ask(town, number, Fetch(fact.value.network)) == answers.Left(fact.trail()[:2])
    assert Membership(proposer, town.chain.view()).dismiss(gone) == set()


def tombstone(town: Town, number: int = 2) -> Certified:
    fact = town.known(1)
    ready = tuple(said(town, one, fact) for one in (1, 4))
    assert isinstance(ask(town, number, Leave(fact.value.network, fact.trail(), ready=ready)), answers.Left)
    return fact


def test_a_tombstone_votes_for_nothing_and_takes_nothing(town: Town) -> None:
    fact = tombstone(town)
    trail = fact.trail()
    instance = fact.certificate.instance
    for version in (0, instance.version, instance.version + 1, instance.version + 2):
        asked = Prepare(
            replace(instance, version=version, parent=fact.certificate.hash if version else instance.parent),
            replace(fact.certificate.ballot, node=node(1)),
            0,
            replace(fact.certificate, instance=replace(instance, version=version - 1)) if version else None,
        )
        assert ask(town, 2, asked) == answers.Left(trail), version
    assert ask(town, 2, Learn.of(fact, None)) == answers.Left(trail)
    assert kept(town, 2)["values"] == 0
    town.voters.acceptors[2].store.close()
    town.voters.start(2)
    assert ask(town, 2, Fetch(fact.value.network)) == answers.Left(trail)


def test_who_finds_tombstones_only_is_led_to_the_voters(town: Town, tmp_path: Path) -> None:
    for old, new in ((1, 5), (3, 6)):
        town.come(new)
        town.go(old)
        allocate(town.voters, new)
        reshape(town.voters, new)
        allocate(town.voters, new)
    with Proposer(Direct(town.voters, node(4)), node(4), town.chain.record(), town.chain.height) as proposer:
        proposer.fetch()
        assert len(Membership(proposer, town.chain.view()).dismiss(())) == 3
    assert all(kept(town, number)["values"] == 0 for number in (1, 2, 3))
    # From the chain's founders alone.
    town.chain.deploy("more", 99, 5)
    outcome = allocate(town.voters, 5)
    assert town.names(outcome.value) == {4, 5, 6}
    assert any(str(endpoint) == "more/1/0" for endpoint in outcome.value.bound())
    # And without them, from whoever holds a lease; without anybody, nothing is made up.
    town.voters.down = {1, 2, 3}
    assert not allocate(town.voters, 5, cache=cache(tmp_path / "one"), others=[node(6)]).changed
    with pytest.raises(NoMajority):
        allocate(town.voters, 5, deadline=2)
    town.voters.down = {4, 5, 6}
    with pytest.raises(NoMajority):
        allocate(town.voters, 5, deadline=1)


def test_one_that_left_can_come_back(town: Town) -> None:
    tombstone(town)
    town.go(3)
    town.chain.lease(12, 2, oseq=2)
    allocate(town.voters, 1)
    (step,) = reshape(town.voters, 1).steps
    assert step.added is not None and step.added.node == node(2)
    town.voters.down = {1}
    town.chain.deploy("more", 99, 4)
    assert allocate(town.voters, 4).changed
    assert town.names(town.known(2, by=4).value) == {1, 2, 4}


def test_one_that_left_comes_back_to_the_very_version(town: Town) -> None:
    """Nothing was agreed since. It takes that value and no other, and doesn't say that it holds it before."""
    fact = tombstone(town)
    town.chain.lease(12, 2, oseq=2)
    asked = ReadyRequest(fact.certificate)
    assert isinstance(ask(town, 2, asked), answers.Lacking)
    other = replace(fact.value, locks={}, record_height=fact.value.record_height + 1)
    with pytest.raises(AvpnError, match="left with"):
        ask(town, 2, Learn(fact.certificate, other))
    assert kept(town, 2)["values"] == 0
    assert ask(town, 2, Learn(fact.certificate)) == answers.Learned(fact.value.version)
    assert isinstance(ask(town, 2, asked), answers.Lacking)
    assert ask(town, 2, Learn.of(fact, None)) == answers.Learned(fact.value.version)
    assert isinstance(ask(town, 2, asked), answers.Ready)
    assert town.known(2, by=1) == fact


def test_it_goes_by_itself_when_its_own_ledger_shows_it(town: Town) -> None:
    store, network = town.voters.acceptors[2].store, town.chain.record().id
    fact = town.known(1)
    assert not leave(store, node(2), network, None)
    assert not leave(store, node(2), network, fact)  # nobody has decided anything since
    assert serves(store, node(2), network)
    town.chain.deploy("more", 99, 1)
    allocate(town.voters, 1)
    fact = town.known(1)
    assert not leave(town.voters.acceptors[3].store, node(3), network, fact)
    assert leave(store, node(2), network, fact)
    assert not serves(store, node(2), network)
    assert kept(town, 2)["values"] == 0
    assert store.forget(network)
    found = kept(town, 2)
    assert found == dict.fromkeys(found, 0)
