# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A raised generation that a founder accepted and nobody shows as certified, when the majority is lost again (R25)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from ledger_world import OWNER, allocate, node, signer
from ruins import Ruins

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import Voter
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import (
    apply_change,
    change_from_json,
    change_json,
    difference,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import value_from_json, value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft, sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Promise
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value
from ansible_collections.akash.avpn.plugins.module_utils._recovery.acceptable import accepted_by
from ansible_collections.akash.avpn.plugins.module_utils._recovery.candidates import Found, Proof
from ansible_collections.akash.avpn.plugins.module_utils._recovery.proposal import refusal

FOUNDERS = (1, 4, 5)


@pytest.fixture
def ruins(tmp_path: Path) -> Ruins:
    """Generation 1 has three founders; only host 4 has accepted version 0 of it. What 1 had half done goes on."""
    made = Ruins(tmp_path, hosts=5)
    made.allocate(1, 2, 3)
    for number in (4, 5):
        made.chain.deploy(f"new{number}", 40 + number, number)
    made.chain.deploy("more", 20, 1)
    made.allocate(2)  # agrees on the new record
    made.half(1)
    made.voters.down = {2, 3}
    _survey, found = made.survey()
    assert found.best is not None
    raise_to(made, 1, found.best.hash, FOUNDERS)
    made.half(4)
    return made


def raise_to(ruins: Ruins, generation: int, base: str | None, founders: tuple[int, ...]) -> None:
    hosts = ruins.chain.view().hosts
    new = tuple(Voter(node(n), hosts[node(n)].incarnation, hosts[node(n)].signing_key) for n in sorted(founders))
    ruins.chain.height += 1
    ruins.chain.changes = {"generation": generation, "base": base, "founders": new}


def start(ruins: Ruins, number: int) -> Value:
    return allocate(ruins.voters, number, deadline=5).value


def numbers(ruins: Ruins, nodes: tuple[NodeId, ...]) -> list[int]:
    return sorted(map(ruins.voters.number, nodes))


def test_it_is_proven_and_proposed_before_what_it_began_with(ruins: Ruins) -> None:
    ruins.voters.down = {1, 2, 3}
    _survey, found = ruins.survey()
    assert found.best is not None
    assert (found.best.proof, found.best.generation, found.best.version) == (Proof.BEGUN, 1, 0)
    assert found.best.holders == (node(4),)
    assert "more/1/0" in {str(endpoint) for endpoint in found.best.value.bound()}
    ruins.voters.down = {2, 3, 5, 1}
    proposal = ruins.propose()
    assert (proposal.generation, proposal.base) == (2, found.best.hash)
    assert [voter.node for voter in proposal.founders] == [node(4)]
    raise_to(ruins, proposal.generation, proposal.base, (4,))
    value = start(ruins, 4)
    assert (value.generation, value.slots) == (2, found.best.value.slots)


def test_what_it_began_with_is_shown_too_and_comes_after_it(ruins: Ruins) -> None:
    _survey, found = ruins.survey()
    assert [(one.generation, one.proof) for one in found.candidates] == [(1, Proof.BEGUN), (0, Proof.BASE)]
    assert found.contradiction is None


def test_a_majority_of_the_founders_finishes_it_by_itself(ruins: Ruins) -> None:
    lie(ruins, 1, name_another_height)
    ruins.voters.down = {1, 2, 3}
    now = ruins.standing()
    assert now.able and not now.start
    assert "enough to go on without recovery" in str(refusal(now))
    assert start(ruins, 5).generation == 1
    # What was tried doesn't count any more where a certificate is shown.
    ruins.voters.down = {2, 3}
    _survey, found = ruins.survey()
    assert [one.proof for one in found.candidates] == [Proof.CERTIFIED]


def test_without_a_host_that_accepted_it_all_founders_are_needed(ruins: Ruins) -> None:
    ruins.voters.down = {2, 3, 4}
    now = ruins.standing()
    assert now.start and not now.able
    _survey, found = ruins.survey()
    assert found.best is not None and found.best.proof is Proof.BASE


def test_going_back_behind_it_needs_founders_that_have_not_accepted_it(ruins: Ruins) -> None:
    _survey, found = ruins.survey()
    before = found.candidates[1].hash
    ruins.voters.down = {2, 3}
    with pytest.raises(InvalidInput, match=f"{node(4)} has accepted the first version of a later one"):
        ruins.propose(base=before, force=True)
    proposal = ruins.propose(base=before, founders=(node(1), node(5)), force=True)
    raise_to(ruins, proposal.generation, before, (1, 5))
    value = start(ruins, 5)
    assert value.generation == 2 and "more/1/0" in {str(endpoint) for endpoint in value.bound()}


# --- one that makes it up


def lie(ruins: Ruins, liar: int, change: Callable[[dict[str, Any]], Any]) -> str:
    """A founder says that it accepted another change, made of that which host 4 has; returns its hash."""
    request = {"op": "survey", "network": ruins.chain.record().id, "generation": 1, "as": OWNER}
    told = ruins.voters.acceptors[4].handle(request, [OWNER])["surveyed"]["holding"]
    told = copy.deepcopy(told)
    accepted = told["accepted"]
    change(accepted["change"])
    made = apply_change(None, "", change_from_json(accepted["change"], "change", OWNER))
    accepted["ballot"]["hash"] = value_hash(made)
    accepted["ballot"]["counter"] += 1
    position = {"generation": 1, "version": -1, "hash": None, "accepted": accepted["ballot"], "promised": None}

    def answer(asked: dict[str, Any], honest: Any) -> Any:
        surveyed = honest["surveyed"]
        if asked["generation"] is None:
            others = [one for one in surveyed["holdings"] if one["generation"] != 1]
            surveyed["holdings"] = [position, *others]
        elif asked["generation"] == 1:
            surveyed["holding"] = told
        return honest

    ruins.lies[liar] = answer
    return str(accepted["ballot"]["hash"])


def name_another_height(change: dict[str, Any]) -> None:
    """No lie: another proposer would have read the chain then."""
    change["record"]["height"] -= 1


def leave_out_a_promise(change: dict[str, Any]) -> None:
    del change["recovery"]["promises"][0]


def leave_out_what_was_accepted(change: dict[str, Any]) -> None:
    change["recovery"]["accepted"] = None


def leave_out_the_proof(change: dict[str, Any]) -> None:
    value = apply_change(None, "", change_from_json(change, "change", OWNER))
    change.clear()
    change.update(copy.deepcopy(change_json(difference(None, value))))


def put_something_beside_it(change: dict[str, Any]) -> None:
    """The proof is good, and more is in the value than it leads to, though well signed."""
    value = apply_change(None, "", change_from_json(change, "change", OWNER))
    own = EndpointId("more", 1, 0)
    draft = Draft(slots={own: replace(value.slots[own], address=IPv4Address("100.64.0.77"))})
    beside = change_json(sign(draft, value, node(1), signer(1)))
    change.update(slots=beside["slots"], batches=beside["batches"])


def name_other_voters(change: dict[str, Any]) -> None:
    """The record names its accomplices, in whom the next generation would believe."""
    change["record"]["document"]["founders"] = change["record"]["document"]["founders"][:1]


def accept_what_breaks_the_rules(change: dict[str, Any]) -> None:
    """Founder 1 says, signed, that it accepted a version with an address that another endpoint has."""
    recovery = change["recovery"]
    value = value_from_json(recovery["value"], "value")
    accepted = apply_change(value, value_hash(value), change_from_json(recovery["accepted"], "accepted", OWNER))
    taken = value.slots[EndpointId("web", 1, 0)].address
    own = EndpointId("more", 1, 0)
    draft = Draft(slots={own: replace(accepted.slots[own], address=taken)})
    evil = sign(draft, value, node(1), signer(1))
    recovery["accepted"] = change_json(evil)
    hash_ = value_hash(apply_change(value, value_hash(value), evil))
    for index, one in enumerate(recovery["promises"]):
        promise = Promise.from_json(one, "promise")
        if promise.voter == node(1):
            (held,) = promise.held or ()
            assert held.accepted is not None
            said = (replace(held, accepted=replace(held.accepted, hash=hash_)),)
            recovery["promises"][index] = replace(promise, held=said).signed(signer(1)).to_json()


LIES = [
    accept_what_breaks_the_rules,
    leave_out_a_promise,
    leave_out_what_was_accepted,
    leave_out_the_proof,
    put_something_beside_it,
    name_other_voters,
]


@pytest.mark.parametrize("change", LIES, ids=[one.__name__ for one in LIES])
def test_a_liars_version_0_is_its_word_only(ruins: Ruins, change: Callable[[dict[str, Any]], Any]) -> None:
    hash_ = lie(ruins, 5, change)
    ruins.voters.down = {2, 3, 4}
    _survey, found = ruins.survey()
    assert found.best is not None and (found.best.proof, found.best.generation) == (Proof.BASE, 0)
    made_up = found.named(hash_)
    assert made_up is None or made_up.proof is Proof.ACCEPTED
    # It would be a founder by default, and stop the start.
    with pytest.raises(InvalidInput, match=f"{node(5)} has accepted the first version of a later one"):
        ruins.propose(force=True)
    proposal = ruins.propose(founders=(node(1),), force=True)
    assert proposal.base == found.best.hash


def test_a_liar_that_shows_it_without_proof_does_not_hide_the_proof(ruins: Ruins) -> None:
    request = {"op": "survey", "network": ruins.chain.record().id, "generation": 1, "as": OWNER}
    honest = ruins.voters.acceptors[4].handle(request, [OWNER])["surveyed"]["holding"]
    for liar in (1, 5):  # one of them is asked before host 4, whatever order hosts are asked in
        lie(ruins, liar, leave_out_the_proof)
        inner = ruins.lies[liar]

        def same_ballot(asked: dict[str, Any], answer: Any, inner: Any = inner) -> Any:
            told = inner(asked, answer)
            if asked["generation"] is None:
                told["surveyed"]["holdings"][0]["accepted"] = honest["accepted"]["ballot"]
            elif asked["generation"] == 1:
                told["surveyed"]["holding"]["accepted"]["ballot"] = honest["accepted"]["ballot"]
            return told

        ruins.lies[liar] = same_ballot
    _survey, found = ruins.survey()
    assert found.best is not None and found.best.proof is Proof.BEGUN
    assert node(4) in found.best.holders


def test_of_two_that_were_tried_the_founders_highest_ballot_counts(ruins: Ruins) -> None:
    survey, found = ruins.survey()
    first = found.best
    assert first is not None and first.ballot is not None
    higher = replace(first.ballot, counter=first.ballot.counter + 7, hash="5" * 64)
    second = replace(first, hash=higher.hash, ballot=higher, holders=(node(5),))
    both = Found((second, first), ())
    assert both.contradiction is None and second.rank > first.rank
    position = survey.surveyed[node(4)].positions[0]
    told = {
        **survey.surveyed,
        node(5): replace(survey.surveyed[node(5)], positions=(replace(position, accepted=higher),)),
    }
    assert accepted_by([node(4), node(5)], first, both, told) == second
    assert accepted_by([node(1), node(4)], second, both, told) == first
    with pytest.raises(InvalidInput, match=f"isn't what {node(5)} has accepted as version 0"):
        accepted_by([node(4), node(5)], first, Found((first,), ()), told)
