# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that is drained leaves the voters by itself, serves until others hold the value, and isn't let in again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_world import Direct, allocate, cache, node, reshape
from test_leaving import ask, kept
from test_voters import Town

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import Voter
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._peer import reshaping
from ansible_collections.akash.avpn.plugins.module_utils._peer.config import ChainConfig, HostConfig
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.plugins.module_utils._peer.pending import voters_pending
from ansible_collections.akash.avpn.plugins.module_utils._peer.votes import notes
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Learn, ReadyRequest
from ansible_collections.akash.avpn.plugins.module_utils._quorum.resigning import Resigning
from ansible_collections.akash.avpn.plugins.module_utils._quorum.store import Store


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """1, 2 and 3 vote; 3 is drained."""
    town = Town(tmp_path)
    town.voters.drained = {3}
    return town


def run(town: Town, number: int, transport: Direct | None = None) -> dict[str, Any]:
    """What the reconciliation of a host does about the voters."""
    chain, store = town.chain, town.voters.acceptors[number].store
    view, signer = chain.view(), chain.signer(number)
    resigning = Resigning(Voter(node(number), store.incarnation, signer.public_key), signer)
    transport = transport or Direct(town.voters, node(number))
    where = cache(town.directory / f"cache {number}")
    with Proposer(transport, node(number), chain.record(), view.height, cache=where, deadline=5) as proposer:
        value = proposer.fetch(5.0).value  # type: ignore[union-attr]
        own = resigning if number in town.voters.drained else None
        return reshaping.reshape(store, proposer, view, node(number), value, own)


def voting(town: Town, number: int = 1) -> set[int]:
    return town.names(town.known(number).value)


def left(town: Town, number: int) -> bool:
    return town.voters.acceptors[number].store.left(town.chain.record().id)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_it_goes_when_somebody_can_take_its_place(number: int, town: Town) -> None:
    """In its next run, whoever has the turn."""
    town.voters.drained = {number}
    town.come(4)
    allocate(town.voters, 4)
    told = run(town, number)
    assert told["voters_changed"] == [f"+{node(4)} -{node(number)}: is drained"]
    assert told["voters_waiting"] == {}
    assert voting(town, 4) == {1, 2, 3, 4} - {number}
    # The others hold the value, and it was shown that by them.
    assert left(town, number) and kept(town, number)["values"] == 0
    # It takes part as before, only not as a voter.
    town.chain.deploy("more", 99, number)
    assert allocate(town.voters, number).changed


def test_it_votes_on_where_nobody_can_take_its_place(town: Town) -> None:
    told = run(town, 3)
    assert told["voters_changed"] == []
    assert told["voters_waiting"] == {str(node(3)): "is drained, and votes until somebody can take its place"}
    # Not for show: with it there is a majority, and it says it is ready when others are replaced.
    town.voters.down = {1}
    town.chain.deploy("more", 99, 2)
    assert allocate(town.voters, 2).changed
    town.voters.down = set()
    town.chain.height += 1
    allocate(town.voters, 2)
    town.go(1)
    allocate(town.voters, 2)
    assert reshape(town.voters, 2).steps
    assert voting(town, 2) == {2, 3}


def test_it_serves_until_the_others_hold_the_value(town: Town) -> None:
    """Until a majority of them has said so, here to another host."""

    class Alone(Direct):
        """Once the change was agreed, nobody answers whether they are ready any more."""

        agreed = False

        def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
            if request["op"] == "ready" and self.agreed:
                raise Unavailable("is gone", where=str(node))
            answer = super().call(node, request)
            self.agreed = self.agreed or request["op"] == "accept"
            return answer

    town.come(4)
    allocate(town.voters, 4)
    assert run(town, 3, Alone(town.voters, node(3)))["voters_changed"]
    assert not left(town, 3)
    fact = town.known(1)
    assert town.known(3, by=1) == fact  # it hands out what it holds
    assert voting(town) == {1, 2, 4}
    assert run(town, 1)["voters_changed"] == []
    assert left(town, 3)


def test_it_is_not_let_in(town: Town) -> None:
    """Five could vote; 3 says no, and why, and four tolerate no more losses than three."""
    for number in (4, 5):
        town.come(number)
        allocate(town.voters, number)
    assert run(town, 3)["voters_changed"]
    run(town, 1)
    told = run(town, 1)
    assert told["voters_changed"] == []
    assert len(voting(town)) == 3 and voting(town) < {1, 2, 4, 5}
    assert "drained" in told["voters_waiting"][str(node(3))]
    fact = town.known(1)
    answer = ask(town, 3, ReadyRequest(fact.certificate))
    assert isinstance(answer, answers.RejectedBy) and answer.rule == "drained"
    assert isinstance(ask(town, 3, Learn.of(fact, None)), answers.Left)
    store, network = town.voters.acceptors[1].store, town.chain.record().id
    assert store.note("drained", network).startswith(f"{node(3)}/")
    # Its team has it back.
    town.voters.drained = set()
    for _again in range(2):
        run(town, 1)
    assert voting(town) == {1, 2, 3, 4, 5}
    assert town.known(3, by=1) == town.known(1)
    assert store.note("drained", network) == ""


def test_one_that_never_voted_is_not_let_in_either(town: Town) -> None:
    town.voters.drained = {4}
    town.come(4)
    allocate(town.voters, 4)
    town.go(2)
    allocate(town.voters, 1)
    done = reshape(town.voters, 1)
    assert voting(town) == {1, 3}
    assert "drained" in done.waiting[node(4)]
    assert [voter.node for voter in done.drained] == [node(4)]


def test_with_another_database_it_is_not_let_in(town: Town) -> None:
    """Its old vote is gone, so it doesn't vote; and it doesn't come back either."""
    for file in town.directory.glob("voter3.db*"):
        file.unlink()
    town.voters.start(3)
    town.chain.incarnations[3] = town.voters.acceptors[3].store.incarnation
    town.chain.height += 1
    done = reshape(town.voters, 1)
    assert "drained" in done.waiting[node(3)]
    assert voting(town) == {1, 2}


def test_what_it_left_half_done_is_finished(town: Town) -> None:
    """Whoever comes next finds its change with its word."""
    second = node(2)

    class Dies(Direct):
        def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
            if request["op"] == "accept" and node != second:
                raise Unavailable("is gone", where=str(node))
            return super().call(node, request)

    town.come(4)
    allocate(town.voters, 4)
    told = run(town, 3, Dies(town.voters, node(3)))
    assert told["voters_changed"] == []
    assert "majority" in told["voters_waiting"][str(node(3))]
    town.voters.down = {3}
    town.chain.deploy("more", 99, 2)
    allocate(town.voters, 2, deadline=5)
    assert voting(town, 2) == {1, 2, 4}


# --- who asks for a reconciliation


def configured(number: int, *, drain: bool = False) -> HostConfig:
    chain, at = ChainConfig("lab", ()), f"198.18.0.{number}"
    config = HostConfig(node(number).provider, node(number).node, chain, at, 7022, at, 51820, 1420, at, 7946)
    return replace(config, drain=drain)


def asks(town: Town, number: int, *, drain: bool = False, drained: str = "") -> str | None:
    value, view = town.known(1).value, town.chain.view()
    return voters_pending(view, view.networks[value.network], value, configured(number, drain=drain), drained=drained)


def test_its_fast_path_asks_when_it_can_go(town: Town) -> None:
    assert asks(town, 3, drain=True) is None  # nobody could take its place
    town.come(4)
    allocate(town.voters, 4)
    assert [asks(town, number) for number in (1, 2, 3, 4)] == [None] * 4
    assert "is drained" in str(asks(town, 3, drain=True))
    assert asks(town, 4, drain=True) is None  # it doesn't vote
    # Also one that holds no lease, such as a witness.
    town.chain.changes["witnesses"] = (node(3),)
    town.go(3)
    allocate(town.voters, 1)
    assert "is drained" in str(asks(town, 3, drain=True))
    assert asks(town, 3) is None


def test_nobody_asks_for_one_that_said_no(town: Town) -> None:
    """Otherwise whoever has the turn would run the whole every two minutes for as long as a host is drained."""
    town.come(4)
    town.come(5)
    allocate(town.voters, 4)
    allocate(town.voters, 5)
    turn = next(number for number in (1, 2, 3) if asks(town, number))
    four, five = (f"{node(number)}/{town.chain.incarnations[number]}" for number in (4, 5))
    assert asks(town, turn, drained=five) is None
    assert asks(town, turn, drained=f"{four} {five}") is None
    assert asks(town, turn, drained=f"{node(5)}/{'0' * 32}")  # with another database it is another


def test_what_hosts_said_is_found_in_the_database(tmp_path: Path, town: Town) -> None:
    paths = Paths(tmp_path)
    assert notes(paths, "drained") == {}
    paths.state.mkdir(parents=True)
    store = Store(paths.voter_database)
    for what, network, word in (("drained", "a" * 64, "x y"), ("wanted", "a" * 64, "z"), ("drained", "b" * 64, "")):
        store.write_note(what, network, word)
    assert notes(paths, "drained") == {"a" * 64: "x y", "b" * 64: ""}
