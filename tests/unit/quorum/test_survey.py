# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host says it holds of a ledger, to whom, and that it can be proven (R25)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ledger_world import OWNER, Chain, Direct, Voters, account, allocate, node

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, NotPermitted
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import apply_change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import header_of, value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Survey
from ansible_collections.akash.avpn.plugins.module_utils._quorum.survey import (
    Position,
    Shown,
    Surveyed,
    show_cached,
    surveyed_from_json,
    with_cached,
)


class Deaf(Direct):
    """Accepts go to one voter only."""

    def __init__(self, voters: Voters, caller: Any, heard: int) -> None:
        super().__init__(voters, caller)
        self.heard = heard

    def call(self, node: Any, request: Any) -> Any:
        if request["op"] in ("accept", "learn") and self.voters.number(node) != self.heard:
            self.voters.down.add(self.voters.number(node))
        return super().call(node, request)


@pytest.fixture
def voters(tmp_path: Path) -> Voters:
    chain = Chain(hosts=4)
    for number, member in ((1, "web"), (2, "api"), (3, "db")):
        chain.deploy(member, 10 + number, number)
    voters = Voters(tmp_path, chain)
    for number in (1, 2):
        allocate(voters, number)
    return voters


def survey(voters: Voters, voter: int, generation: int | None = None, caller: Any = OWNER) -> Any:
    request = {**Survey(voters.chain.record().id, generation).to_json(), "as": str(caller)}
    return answers.parse_answer(voters.acceptors[voter].handle(request, [caller]), "voter")


def test_positions_and_contents_prove_themselves(voters: Voters) -> None:
    told = survey(voters, 1)
    assert isinstance(told, Surveyed)
    assert (told.node, told.incarnation) == (node(1), voters.chain.incarnations[1])
    (position,) = told.positions
    assert told.of(0) == position and told.of(1) is None
    shown = survey(voters, 1, 0, node(2))
    assert isinstance(shown, Shown) and shown.content is not None
    certified = shown.content.certified
    assert certified is not None
    record = voters.chain.record()
    certified.verify(record.founders, record.id)
    assert (position.version, position.hash) == (certified.value.version, certified.certificate.hash)
    assert survey(voters, 1, 7) == Shown(node(1), told.incarnation, None)


def test_what_was_accepted_and_not_certified_is_shown(voters: Voters) -> None:
    with pytest.raises(NoMajority):
        allocate(voters, 3, Deaf(voters, node(3), 3), deadline=1.5)
    position = survey(voters, 3).positions[0]
    assert position.accepted is not None and position.promised is not None
    content = survey(voters, 3, 0).content
    value = content.certified.value
    child = apply_change(value, content.certified.certificate.hash, content.accepted.parsed(OWNER))
    assert value_hash(child) == position.accepted.hash == content.accepted.ballot.hash
    # Who promised without accepting shows what was tried.
    other = survey(voters, 1).positions[0]
    assert other.accepted is None and other.promised is not None and other.promised.hash == position.promised.hash


def test_a_host_that_holds_nothing_says_so(voters: Voters) -> None:
    voters.add(4)
    assert survey(voters, 4).positions == ()
    assert survey(voters, 4, 0).content is None


def test_the_header_of_what_was_shown_stays(voters: Voters) -> None:
    before = survey(voters, 1, 0).content.certified.value
    survey(voters, 1)
    voters.chain.changes = {"generation": 1, "base": value_hash(before)}
    raised = survey(voters, 1, 0).content
    assert raised.base == header_of(before)
    voters.chain.changes = {}
    allocate(voters, 3)
    voters.chain.changes = {"generation": 1, "base": value_hash(before)}
    after = survey(voters, 1, 0).content
    assert after.certified.value.version > before.version
    assert after.base == header_of(before)


def test_who_may_ask(voters: Voters) -> None:
    for caller in (account("stranger"), node(4)):
        with pytest.raises(NotPermitted):
            survey(voters, 1, None, caller)
    request = {**Survey(voters.chain.record().id).to_json(), "as": OWNER}
    with pytest.raises(NotPermitted):
        voters.acceptors[1].handle(request, [account("stranger")])
    for field in ({"generation": "0"}, {"as": "x"}, {"more": 1}):
        with pytest.raises(InvalidInput):
            voters.acceptors[1].handle({**request, **field}, [OWNER])


def test_the_cache_counts_where_it_is_newer(voters: Voters) -> None:
    old = survey(voters, 1, 0).content
    allocate(voters, 3)
    new = survey(voters, 1, 0).content
    cached = Position(*new.certified.certificate.position, new.certified.certificate.hash)
    held = Position(*old.certified.certificate.position, old.certified.certificate.hash)
    lower = Position(0, 0, "0" * 64)
    assert with_cached((held,), cached) == (cached,)
    assert with_cached((cached,), held) == (cached,)
    assert with_cached((Position(1, -1, None), lower), cached) == (Position(1, -1, None), cached)
    assert show_cached(None, new.certified).certified == new.certified
    assert show_cached(old, new.certified).certified == new.certified
    assert show_cached(new, old.certified) == new


def test_answers_of_wrong_form(voters: Voters) -> None:
    good = survey(voters, 1).to_json()["surveyed"]
    assert surveyed_from_json(good, "here").positions
    position = good["holdings"][0]
    for wrong in (
        {**good, "holding": None},
        {key: value for key, value in good.items() if key != "holdings"},
        {**good, "holdings": [position, position]},
        {**good, "holdings": [{**position, "version": -1}]},
        {**good, "holdings": [{**position, "hash": None}]},
    ):
        with pytest.raises(InvalidInput):
            surveyed_from_json(wrong, "here")
