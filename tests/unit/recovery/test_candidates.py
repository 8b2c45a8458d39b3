# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts show, and what of it counts: honest ones, and such as lie (R25)."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from ledger_world import OWNER, node
from ruins import Ruins

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import Voter
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Survey
from ansible_collections.akash.avpn.plugins.module_utils._recovery.candidates import Proof

FIRST, SECOND, _THIRD = sorted((1, 2, 3), key=node)  # in the order in which they are asked
OTHERS = {1, 2, 3} - {FIRST}


@pytest.fixture
def ruins(tmp_path: Path) -> Ruins:
    made = Ruins(tmp_path, hosts=5)
    made.allocate(1, 2, 3)
    return made


def content(answer: Any) -> Any:
    """The content in an answer; None in one with positions."""
    return answer["surveyed"].get("holding")


def positions(answer: Any) -> Any:
    return answer["surveyed"].get("holdings")


def begin_half(ruins: Ruins) -> None:
    """A new endpoint at host 3 that only host 3 has accepted."""
    ruins.chain.deploy("more", 20, 3)
    ruins.allocate(1)  # agrees on the new record
    ruins.half(3)


def test_the_newest_certified_value_is_proven_from_the_founders(ruins: Ruins) -> None:
    ruins.voters.down = {2, 3}
    survey, found = ruins.survey()
    assert found.best is not None and found.doubts == ()
    assert (found.best.generation, found.best.version, found.best.proof) == (0, 3, Proof.CERTIFIED)
    assert found.best.holders == (node(1),)
    assert len(found.best.signers) >= 2
    assert {str(endpoint) for endpoint in found.best.value.bound()} == {"web/1/0", "api/1/0", "db/1/0"}
    assert set(survey.silent) == {node(2), node(3)}
    assert set(survey.surveyed) == {node(1), node(4), node(5)}


def test_one_of_those_that_hold_the_same_is_asked_for_it(ruins: Ruins) -> None:
    ruins.survey()
    assert [call for call in ruins.calls if call[1] is not None] == [(FIRST, 0)]


def test_older_ones_are_candidates_too_and_come_after_it(ruins: Ruins) -> None:
    ruins.voters.down = {3}
    ruins.chain.deploy("more", 20, 1)
    ruins.allocate(1)
    ruins.voters.down = set()
    _survey, found = ruins.survey()
    # The member's deployment, and then its endpoint.
    assert [one.version for one in found.candidates] == [5, 3]
    assert found.candidates[1].holders == (node(3),)
    assert found.contradiction is None


def test_a_forged_certificate_is_doubted_and_another_host_is_asked(ruins: Ruins) -> None:
    def forge(_request: Any, answer: Any) -> Any:
        if content(answer):
            for acceptance in content(answer)["certified"]["certificate"]["acceptances"]:
                acceptance["signature"] = base64.b64encode(b"0" * 64).decode()
        return answer

    ruins.lies[FIRST] = forge
    _survey, found = ruins.survey()
    assert found.best is not None and found.best.version == 3
    assert [(doubt.node, doubt.version) for doubt in found.doubts] == [(node(FIRST), 3)]
    assert "signature" in found.doubts[0].why
    ruins.voters.down = OTHERS
    _survey, alone = ruins.survey()
    assert alone.best is None and alone.candidates == ()


@pytest.mark.parametrize("what", ["address", "lease", "record"])
def test_a_changed_value_is_doubted(ruins: Ruins, what: str) -> None:
    def change(_request: Any, answer: Any) -> Any:
        if content(answer):
            value = content(answer)["certified"]["value"]
            if what == "address":
                value["slots"]["web/1/0"]["address"] = "100.64.0.77"
            elif what == "lease":
                value["slots"]["web/1/0"]["bound"] = False
            else:
                value["record"]["height"] += 1
        return answer

    ruins.lies[FIRST] = change
    ruins.voters.down = OTHERS
    _survey, found = ruins.survey()
    assert found.candidates == ()
    assert [doubt.node for doubt in found.doubts] == [node(FIRST)]
    assert "without proof" in found.doubts[0].why


def test_a_version_that_is_claimed_and_not_shown(ruins: Ruins) -> None:
    def boast(_request: Any, answer: Any) -> Any:
        if positions(answer):
            positions(answer)[0].update(version=50, hash="5" * 64)
        return answer

    ruins.lies[FIRST] = boast
    _survey, found = ruins.survey()
    assert found.best is not None and found.best.version == 3
    assert node(FIRST) not in found.best.holders
    assert [(doubt.node, doubt.version) for doubt in found.doubts] == [(node(FIRST), 50)]
    # What it showed instead is proven, so it's taken for what it is.
    assert "doesn't show it" in found.doubts[0].why


def test_a_generation_that_the_chain_does_not_know(ruins: Ruins) -> None:
    def ahead(_request: Any, answer: Any) -> Any:
        if positions(answer):
            answer["surveyed"]["holdings"][0]["generation"] = 9
        return answer

    ruins.lies[FIRST] = ahead
    _survey, found = ruins.survey()
    assert found.best is not None and found.best.holders == tuple(sorted(map(node, OTHERS)))
    assert [(doubt.node, doubt.generation) for doubt in found.doubts] == [(node(FIRST), 9)]


def test_another_networks_value_is_doubted(ruins: Ruins, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Ruins(tmp_path / "other")
    other.chain.changes = {"name": "other"}
    other.allocate(1)
    foreign = other.voters.acceptors[1].handle(
        {"op": "survey", "network": other.chain.record().id, "generation": 0, "as": other.chain.record().owner},
        [other.chain.record().owner],
    )
    ruins.lies[FIRST] = lambda _request, answer: foreign if content(answer) else answer
    ruins.voters.down = OTHERS
    _survey, found = ruins.survey()
    assert found.candidates == ()
    assert [doubt.node for doubt in found.doubts] == [node(FIRST)]


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda _request, _answer: {"surveyed": None},
        lambda _request, _answer: {},
        lambda _request, answer: {"surveyed": {**answer["surveyed"], "node": str(node(SECOND))}},
        lambda _request, answer: {"surveyed": {**answer["surveyed"], "holdings": [{}] * 99}},
        lambda _request, answer: {"surveyed": {**answer["surveyed"], "more": 1}},
    ],
)
def test_nonsense_counts_as_silence(ruins: Ruins, nonsense: Any) -> None:
    ruins.lies[FIRST] = nonsense
    survey, found = ruins.survey()
    assert "nonsense" in survey.silent[node(FIRST)]
    assert found.best is not None and found.best.holders == tuple(sorted(map(node, OTHERS)))


def test_contents_instead_of_positions_and_the_other_way_round(ruins: Ruins) -> None:
    def swap(request: Any, answer: Any) -> Any:
        if request["generation"] is None:
            return answer
        return {"surveyed": {**{k: v for k, v in answer["surveyed"].items() if k != "holding"}, "holdings": []}}

    ruins.lies[FIRST] = swap
    _survey, found = ruins.survey()
    assert found.best is not None  # from the next one that holds the same
    assert [call for call in ruins.calls if call[1] is not None] == [(FIRST, 0), (SECOND, 0)]


def test_what_is_half_done_is_shown_with_what_it_follows(ruins: Ruins) -> None:
    begin_half(ruins)
    ruins.voters.down = {1, 2}
    _survey, found = ruins.survey()
    assert found.best is not None and found.best.version == 4
    (half,) = found.best.halves
    assert half.nodes == (node(3),)
    assert "more/1/0" in {str(endpoint) for endpoint in half.value.bound()}


def test_what_somebody_accepted_who_is_no_voter_does_not_count(ruins: Ruins) -> None:
    begin_half(ruins)
    ruins.lies[3] = lambda _request, answer: {"surveyed": {**answer["surveyed"], "incarnation": "0" * 32}}
    ruins.voters.down = {1, 2}
    _survey, found = ruins.survey()
    assert found.best is not None and found.best.halves == ()
    assert "no voter" in found.doubts[0].why


def test_an_accepted_child_that_is_not_what_its_ballot_names(ruins: Ruins) -> None:
    begin_half(ruins)

    def change(_request: Any, answer: Any) -> Any:
        if content(answer):
            content(answer)["accepted"]["change"]["slots"]["more/1/0"]["address"] = "100.64.0.99"
        return answer

    ruins.lies[3] = change
    ruins.voters.down = {1, 2}
    _survey, found = ruins.survey()
    assert found.best is not None and found.best.halves == ()
    assert "another value" in found.doubts[0].why


def test_a_first_version_that_was_only_accepted_is_not_chosen_but_can_be_named(tmp_path: Path) -> None:
    ruins = Ruins(tmp_path)
    ruins.half(1)
    ruins.voters.down = {2, 3}
    _survey, found = ruins.survey()
    assert found.best is None
    (only,) = found.candidates
    assert only.proof is Proof.ACCEPTED
    _survey, named = ruins.survey(only.hash)
    assert named.best is not None and named.best.proof is Proof.NAMED


# --- a generation that was raised and hasn't begun: the tenant looks again


def raised(ruins: Ruins, base: str | None, founders: int = 4) -> None:
    record = ruins.chain.record()
    hosts = ruins.chain.view().hosts
    new = tuple(Voter(node(n), hosts[node(n)].incarnation, hosts[node(n)].signing_key) for n in (1, founders, 5))
    ruins.chain.changes = {"generation": record.generation + 1, "base": base, "founders": new}


def test_the_base_on_chain_proves_what_the_generation_before_holds(ruins: Ruins) -> None:
    _survey, before = ruins.survey()
    assert before.best is not None
    raised(ruins, before.best.hash)
    _survey, found = ruins.survey()
    assert found.best is not None
    assert (found.best.proof, found.best.hash) == (Proof.BASE, before.best.hash)


def test_what_was_agreed_after_the_base_is_proven_by_its_voters(ruins: Ruins) -> None:
    _survey, before = ruins.survey()
    assert before.best is not None
    ruins.chain.deploy("more", 20, 1)
    ruins.allocate(1)
    raised(ruins, before.best.hash)
    _survey, found = ruins.survey()
    assert found.best is not None
    assert (found.best.proof, found.best.version) == (Proof.CERTIFIED, before.best.version + 2)


def test_without_a_base_the_generation_before_is_given_up(ruins: Ruins) -> None:
    _survey, before = ruins.survey()
    assert before.best is not None
    raised(ruins, None)
    _survey, found = ruins.survey()
    assert found.candidates == ()
    # But the tenant may change its mind, and says so by naming it.
    _survey, named = ruins.survey(before.best.hash)
    assert named.best is not None and named.best.proof is Proof.NAMED


def test_a_base_that_nobody_shows_proves_nothing(ruins: Ruins) -> None:
    raised(ruins, "7" * 64)
    _survey, found = ruins.survey()
    assert found.candidates == ()
    assert found.doubts and all("nothing on chain leads to" in doubt.why for doubt in found.doubts)


def test_however_many_liars_claim_the_newest_the_honest_host_is_asked(tmp_path: Path) -> None:
    ruins = Ruins(tmp_path, voters=5, hosts=6)
    ruins.allocate(1, 2)
    honest = max(range(1, 6), key=node)  # the last that would be asked
    told = ruins.voters.acceptors[honest].handle({**Survey(ruins.chain.record().id).to_json(), "as": OWNER}, [OWNER])
    holdings = told["surveyed"]["holdings"]

    def lie(request: dict[str, Any], answer: Any) -> Any:
        if request["generation"] is None:
            answer["surveyed"]["holdings"] = holdings
        else:
            answer["surveyed"]["holding"] = None
        return answer

    ruins.lies = {number: lie for number in range(1, 7) if number != honest}
    _survey, found = ruins.survey()
    assert found.best is not None and found.best.proof is Proof.CERTIFIED
    assert sum(1 for _number, generation in ruins.calls if generation == 0) >= 5


def test_what_is_half_done_after_a_named_value_is_kept_whoever_shows_it_too(ruins: Ruins) -> None:
    """The value is proven by its name alone; a second host that holds it takes nothing away."""
    begin_half(ruins)
    _survey, before = ruins.survey()
    assert before.best is not None and len(before.best.halves) == 1
    ruins.chain.changes = {"generation": 1}
    _survey, found = ruins.survey(before.best.hash)
    assert found.best is not None and found.best.proof is Proof.NAMED
    assert found.best.halves == before.best.halves
