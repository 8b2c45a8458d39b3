# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a reader may rely on, and when a proposer may say that nothing was changed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ledger_world import Chain, Direct, Voters, allocate, cache, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority, OutcomeUnknown
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Certified
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value


@pytest.fixture
def voters(tmp_path: Path) -> Voters:
    chain = Chain()
    chain.deploy("web", 11, 1)
    chain.deploy("api", 12, 2)
    chain.deploy("db", 13, 3)
    return Voters(tmp_path, chain)


Passes = Callable[[int, str, list[str]], bool]


class Some(Direct):
    """Lets through what ``passes(voter, op, ops asked for since the first accept)`` permits."""

    def __init__(self, voters: Voters, number: int, passes: Passes) -> None:
        super().__init__(voters, node(number))
        self._passes = passes
        self._asked: list[str] = []

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        if self._asked or request["op"] == "accept":
            self._asked.append(request["op"])
        if not self._passes(self.voters.number(node), request["op"], list(self._asked)):
            raise Unavailable("is cut off", where=str(node))
        return super().call(node, request)


def reader(voters: Voters, passes: Passes = lambda *_: True, deadline: float = 5.0) -> Proposer:
    chain = voters.chain
    transport = Some(voters, 3, passes)
    return Proposer(transport, node(3), chain.record(), chain.height, deadline=deadline, pauses=0.1)


def test_a_read_that_is_confirmed_has_what_was_acknowledged_though_no_voter_has_learnt_of_it(voters: Voters) -> None:
    allocate(voters, 1)
    told = allocate(voters, 2, Some(voters, 2, lambda _voter, op, _since: op != "learn"))
    with reader(voters) as proposer:
        fetched = proposer.fetch()
        assert fetched is not None
        assert fetched.value.version == told.value.version - 1  # one behind, as its documentation says
        confirmed = proposer.confirm()
    assert confirmed.certificate.hash == told.certificate.hash
    assert confirmed.value == told.value


def test_a_read_is_confirmed_by_a_majority_only(voters: Voters) -> None:
    told = allocate(voters, 1)
    with reader(voters, lambda voter, _op, _since: voter != 2) as proposer:
        assert proposer.confirm().value == told.value
    some = reader(voters, lambda voter, op, _since: voter == 1 or op == "fetch", 0.5)
    with some as proposer, pytest.raises(NoMajority):
        proposer.confirm()


def test_an_outcome_is_told_though_the_cache_has_no_room(voters: Voters, tmp_path: Path) -> None:
    """Found by a campaign of faults: with a full disk, what had been agreed was reported as an error of the disk."""
    kept = cache(tmp_path / "cache")
    allocate(voters, 1, cache=kept)
    shutil.rmtree(tmp_path / "cache")
    told = allocate(voters, 2, cache=kept)
    assert told.changed
    certified = Certified(told.certificate, told.value)
    with pytest.raises(Unavailable, match="can't be written"):
        kept.save(certified)


def test_confirming_does_not_hold_others_up(voters: Voters) -> None:
    allocate(voters, 1)
    with reader(voters) as proposer:
        proposer.confirm()
    assert allocate(voters, 2).changed


def test_whoever_was_accepted_once_never_says_that_nothing_was_changed(voters: Voters) -> None:
    """Ours is accepted by voter 1 alone; then another's turns up at voter 2, and nobody answers any more.

    Whoever asks 1 and 3 next finds ours, and finishes it.
    """
    before = allocate(voters, 3).value.version
    other = Some(voters, 2, lambda voter, op, _since: voter == 2 or (voter == 3 and op != "accept"))
    with pytest.raises(OutcomeUnknown):
        allocate(voters, 2, other, deadline=1.5, hold=0)

    def passes(voter: int, op: str, since: list[str]) -> bool:
        if not since:
            return voter != 2
        if op == "accept":
            return voter == 1
        return op == "prepare" and voter != 1 and since.count("prepare") <= 3  # one more round, which shows the other's

    with pytest.raises(OutcomeUnknown):
        allocate(voters, 1, Some(voters, 1, passes), deadline=2, hold=0)
    with reader(voters, lambda voter, _op, _since: voter != 2) as proposer:
        confirmed = proposer.confirm()
    assert confirmed.value.version == before + 1
    assert node(1) in confirmed.value.hosts


class _FinishedByOthers(Direct):
    """Voter 1 accepts; host 2 finds that, finishes it and goes on; then nobody answers the caller any more but to a
    look for what is newest."""

    def __init__(self, voters: Voters) -> None:
        super().__init__(voters, node(1))
        self._accepted, self._lock = threading.Event(), threading.Lock()
        self.done = False

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        if request["op"] == "accept" and self.voters.number(node) != 1:
            self._accepted.wait(5)
            with self._lock:
                if not self.done:
                    allocate(self.voters, 2, Some(self.voters, 2, lambda voter, _op, _since: voter != 3))
                    self.done = True
            raise Unavailable("is cut off", where=str(node))
        if self.done and request["op"] != "fetch":
            raise Unavailable("is cut off", where=str(node))
        answer = super().call(node, request)
        if request["op"] == "accept":
            self._accepted.set()
        return answer


def test_whoever_was_finished_by_others_and_wants_more_never_says_that_nothing_was_changed(voters: Voters) -> None:
    """Found by a campaign of faults: the host's own entry was agreed, and changed again before it was looked at."""
    chain = voters.chain
    before = allocate(voters, 1).value.version
    asked = 0

    def build(value: Value) -> Change | None:
        nonlocal asked
        asked += 1
        return sign(Acquire("deploy", 9 + asked, chain.height).draft(value, node(1)), value, node(1), signer(1))

    transport = _FinishedByOthers(voters)
    with (
        Proposer(transport, node(1), chain.record(), chain.height, deadline=1.5, pauses=0.1, hold=0) as proposer,
        pytest.raises(OutcomeUnknown),
    ):
        proposer.propose(build)
    assert transport.done
    assert asked > 1
    with reader(voters) as proposer:
        value = proposer.confirm().value
    assert value.version >= before + 2
    assert "deploy" in value.locks
