# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exactly those pairs of statements are proofs that no honest voter signs, in any order, with any restarts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from ledger_world import incarnation, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import Voter
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._quorum.contradiction import (
    Contradiction,
    Vote,
    conflict,
    vote_from_json,
    vote_json,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Acceptance,
    Ballot,
    Instance,
    Promise,
)

BALLOTS = 4
INSTANCE = Instance("ab" * 32, 0, 3, "1" * 64)
LIAR = Voter(node(3), incarnation(3), signer(3).public_key)


def ballot(counter: int) -> Ballot:
    return Ballot(counter, node(1), "cd" * 16, "2" * 64)


def promise(counter: int, shown: int = 0) -> Promise:
    return Promise(INSTANCE, ballot(counter), LIAR.node, LIAR.incarnation, ballot(shown) if shown else None)


def acceptance(counter: int) -> Acceptance:
    return Acceptance(INSTANCE, ballot(counter), LIAR.node, LIAR.incarnation)


def honest() -> Iterator[frozenset[Vote]]:
    """Everything that one voter may have signed for one version, whatever it is asked and whenever.

    The voter of a textbook: it promises what is above all it promised or accepted, and shows what it accepted; it
    accepts what isn't below what it promised. Repeats, restarts and several processes add nothing: what it has written
    down is all that it goes by, and it writes one thing after another.
    """
    seen: set[tuple[int, int, frozenset[Vote]]] = set()
    waiting = [(0, 0, frozenset[Vote]())]
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        promised, accepted, signed = state
        yield signed
        for counter in range(1, BALLOTS + 1):
            if counter > promised:
                waiting.append((counter, accepted, signed | {promise(counter, accepted)}))
            if counter >= promised:
                waiting.append((counter, counter, signed | {acceptance(counter)}))


def test_exactly_what_no_honest_voter_signs_is_a_proof() -> None:
    possible = {frozenset(pair) for signed in honest() for pair in itertools.combinations_with_replacement(signed, 2)}
    votes: list[Vote] = [acceptance(counter) for counter in range(1, BALLOTS + 1)]
    votes += [promise(counter, shown) for counter in range(1, BALLOTS + 1) for shown in range(BALLOTS + 1)]
    pairs = list(itertools.combinations_with_replacement(votes, 2))
    for one, other in pairs:
        assert (conflict(one, other) is None) == (frozenset((one, other)) in possible), (one, other)
        assert len({conflict(*both) for both in ((one, other), (other, one))}) == 1
    assert len(pairs) > len(possible) > 50


def test_nobody_votes_for_one_version_upon_two_parents() -> None:
    other = replace(INSTANCE, parent="3" * 64)
    for one, another in itertools.product((promise(1), acceptance(1)), repeat=2):
        assert conflict(one, replace(another, instance=other)) == "voted for one version upon two parents"
    # Of other versions, generations and networks there is nothing to compare.
    for instance in (replace(other, version=4), replace(other, generation=1), replace(other, network="9" * 64)):
        assert conflict(promise(9), replace(acceptance(1), instance=instance)) is None


def test_a_proof_is_the_voters_own_and_travels() -> None:
    made = Contradiction(promise(9).signed(signer(3)), acceptance(4).signed(signer(3)))
    assert made.by(LIAR, INSTANCE.network, 0)
    assert Contradiction.from_json(made.to_json(), "proof") == made
    assert "accepted a ballot" in made.why
    assert not made.by(LIAR, INSTANCE.network, 1)
    assert not made.by(LIAR, "0" * 64, 0)
    for other in (
        replace(LIAR, node=node(2)),
        replace(LIAR, incarnation="0" * 32),
        replace(LIAR, key=signer(2).public_key),
    ):
        assert not made.by(other, INSTANCE.network, 0)
    # Whoever doesn't have its key can neither make one nor change one.
    assert not Contradiction(promise(9).signed(signer(2)), made.second).by(LIAR, INSTANCE.network, 0)
    assert not Contradiction(replace(promise(9, 5), signature=made.first.signature), made.second).by(
        LIAR, INSTANCE.network, 0
    )
    assert not Contradiction(made.first, made.first).by(LIAR, INSTANCE.network, 0)


@pytest.mark.parametrize("document", [{}, {"promise": {}, "acceptance": {}}, {"vote": {}}, [], None])
def test_what_is_no_vote_is_refused(document: object) -> None:
    with pytest.raises(InvalidInput):
        vote_from_json(document, "vote")
    vote = acceptance(1).signed(signer(3))
    assert vote_from_json(vote_json(vote), "vote") == vote
