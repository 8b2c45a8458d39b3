# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether recovery is needed, what is proposed for it, and what is refused (R25)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_world import node
from ruins import Ruins

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._recovery import proposal as proposing
from ansible_collections.akash.avpn.plugins.module_utils._recovery.candidates import Found
from ansible_collections.akash.avpn.plugins.module_utils._recovery.proposal import NONE, Wanted, propose, refusal


@pytest.fixture
def ruins(tmp_path: Path) -> Ruins:
    made = Ruins(tmp_path, hosts=5)
    made.allocate(1, 2, 3)
    return made


def founders(ruins: Ruins, **wanted: Any) -> list[int]:
    return sorted(ruins.voters.number(voter.node) for voter in ruins.propose(**wanted).founders)


def lease(ruins: Ruins, *numbers: int) -> None:
    for number in numbers:
        ruins.chain.deploy(f"new{number}", 40 + number, number)


def test_a_majority_that_answers_needs_no_recovery(ruins: Ruins) -> None:
    ruins.voters.down = {2}
    now = ruins.standing()
    assert now.able and now.silent == (node(2),)
    assert "2 of 3 voters answer" in str(refusal(now))


def test_a_majority_that_is_silent_does(ruins: Ruins) -> None:
    ruins.voters.down = {2, 3}
    now = ruins.standing()
    assert not now.able and refusal(now) is None
    assert not now.complete  # the two may have agreed on something that the third never heard of
    assert now.answering == (node(1),)


def test_a_host_with_another_database_is_no_voter(ruins: Ruins) -> None:
    ruins.voters.down = {3}
    ruins.lies[2] = lambda _request, answer: {"surveyed": {**answer["surveyed"], "incarnation": "0" * 32}}
    now = ruins.standing()
    assert not now.able
    assert now.changed == (node(2),) and set(now.silent) == {node(2), node(3)}


def test_of_two_voters_the_one_left_knows_all_that_was_agreed(tmp_path: Path) -> None:
    ruins = Ruins(tmp_path, voters=2)
    ruins.allocate(1, 2)
    ruins.voters.down = {2}
    now = ruins.standing()
    assert not now.able and now.complete


def test_the_survivor_is_joined_by_holders_of_leases_then_witnesses(ruins: Ruins) -> None:
    ruins.voters.down = {2, 3}
    assert founders(ruins) == [1]
    lease(ruins, 4)
    assert founders(ruins) == [1, 4]
    ruins.chain.changes = {"witnesses": (node(5),)}
    assert founders(ruins) == [1, 4, 5]
    one = ruins.propose()
    assert one.hearing == (node(1),) and one.generation == 1
    assert one.candidate is not None and one.base == one.candidate.hash


def test_founders_are_never_those_who_do_not_answer_or_may_not(ruins: Ruins) -> None:
    lease(ruins, 4, 5)
    ruins.voters.down = {2, 3, 4}
    assert founders(ruins) == [1, 5]
    ruins.chain.changes = {"evicted": (node(5).provider,)}
    assert founders(ruins) == [1]
    assert any("evicted" in note for note in ruins.propose().notes)
    ruins.chain.changes = {}
    ruins.lies[5] = lambda _request, answer: {"surveyed": {**answer["surveyed"], "incarnation": "0" * 32}}
    assert founders(ruins) == [1]
    assert any("another database" in note for note in ruins.propose().notes)


def test_every_voter_of_before_that_answers_is_a_founder(tmp_path: Path) -> None:
    ruins = Ruins(tmp_path, voters=5, hosts=5)
    ruins.allocate(1, 2, 3, 4, 5)
    ruins.voters.down = {1, 2, 3}
    assert founders(ruins) == [4, 5]
    ruins.voters.down = {1}
    assert founders(ruins, force=True) == [2, 3, 4, 5]
    left_out = ruins.propose(founders=(node(2), node(3), node(4)))
    assert any(str(node(5)) in note and "no founder" in note for note in left_out.notes)


def test_named_founders_must_answer(ruins: Ruins) -> None:
    ruins.voters.down = {2, 3}
    assert founders(ruins, founders=(node(1), node(5))) == [1, 5]
    with pytest.raises(InvalidInput, match="has to hear every founder"):
        ruins.propose(founders=(node(1), node(2)))
    assert founders(ruins, founders=(node(1), node(2)), force=True) == [1, 2]
    with pytest.raises(InvalidInput, match="no valid host record"):
        ruins.propose(founders=(node(9),), force=True)


def test_a_base_that_nobody_shows_is_refused(ruins: Ruins) -> None:
    ruins.voters.down = {2, 3}
    for force in (False, True):
        with pytest.raises(InvalidInput, match="which no host that answers shows"):
            ruins.propose(base="5" * 64, force=force)


def test_nothing_proven_is_not_taken_for_empty(tmp_path: Path) -> None:
    ruins = Ruins(tmp_path)
    ruins.voters.down = {2, 3}
    with pytest.raises(InvalidInput, match="start empty"):
        ruins.propose()
    assert ruins.propose(base=NONE).base is None


def test_without_any_host_there_is_no_way(ruins: Ruins) -> None:
    ruins.voters.down = {1, 2, 3, 4, 5}
    with pytest.raises(Unavailable, match="no host that could start"):
        ruins.propose(base=NONE)


def test_two_certified_values_of_one_version_are_for_the_tenant_to_choose(ruins: Ruins) -> None:
    survey, found = ruins.survey()
    assert found.best is not None
    other = replace(found.best, hash="5" * 64)
    both = Found((found.best, other), ())
    view = ruins.chain.view()
    network = view.networks[ruins.chain.record().id]
    with pytest.raises(InvalidInput, match="Voters have lied"):
        propose(network, view.hosts, both, survey.surveyed, Wanted())
    chosen = propose(network, view.hosts, both, survey.surveyed, Wanted(base="5" * 64))
    assert chosen.base == "5" * 64


def test_going_back_behind_a_generation_that_founders_have_begun(ruins: Ruins) -> None:
    survey, found = ruins.survey()
    assert found.best is not None
    position = survey.surveyed[node(1)].positions[0]
    later = replace(survey.surveyed[node(1)], positions=(replace(position, generation=1), position))
    view = ruins.chain.view()
    with pytest.raises(InvalidInput, match="would refuse the start"):
        propose(
            view.networks[ruins.chain.record().id], view.hosts, found, {**survey.surveyed, node(1): later}, Wanted()
        )


def test_a_generation_that_is_about_to_start_needs_every_founder(ruins: Ruins) -> None:
    _survey, found = ruins.survey()
    assert found.best is not None
    record = ruins.chain.record()
    ruins.chain.changes = {"generation": 1, "base": found.best.hash, "founders": record.founders}
    now = ruins.standing()
    assert now.start and now.able and "about to start" in str(refusal(now))
    ruins.voters.down = {2}
    now = ruins.standing()
    assert not now.able and refusal(now) is None
    assert ruins.propose().generation == 2


def test_at_most_five_are_named(ruins: Ruins) -> None:
    with pytest.raises(InvalidInput, match="at most 5"):
        ruins.propose(founders=tuple(node(number) for number in range(1, 7)))
    assert proposing.MAX_VOTERS == 5
