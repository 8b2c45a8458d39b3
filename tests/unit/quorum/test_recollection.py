# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a boot a voter asks what the others saw of it, and never votes again with a memory that isn't the newest."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import recovery_town
from ledger_world import Direct, Voters, allocate, node, reshape
from test_acceptor import Desk
from test_voters import Town

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import View
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._peer.identities import Identities
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.plugins.module_utils._peer.recollecting import recollect
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers, recollection
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.leaving import leave
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Accept, Fetch, Learn, Recall


def boot(voters: Voters, number: int, kept: Path | None = None) -> None:
    """Another boot of a voter's host; with ``kept``, with an earlier copy of its disk."""
    voters.acceptors[number].store.close()
    path = voters.directory / f"voter{number}.db"
    if kept is not None:
        for file in voters.directory.glob(f"voter{number}.db*"):
            file.unlink()
        shutil.copy(kept, path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE meta SET value = 'before' WHERE key IN ('boot', 'born')")
    database.close()
    voters.start(number)


def copy(voters: Voters, number: int, to: Path) -> Path:
    """A backup of the whole database."""
    with sqlite3.connect(voters.directory / f"voter{number}.db") as database, sqlite3.connect(to) as target:
        database.backup(target)
    return to


class Calls(Direct):
    """As the peer client: some hosts can't be reached."""

    def __init__(self, voters: Voters, caller: NodeId, away: tuple[int, ...] = ()) -> None:
        super().__init__(voters, caller)
        self.away = away

    def call(self, node: NodeId, request: Mapping[str, Any], *, seconds: float = 0) -> Any:
        if self.voters.number(node) in self.away:
            raise Unavailable("can't be reached")
        return super().call(node, request)


class Files(Paths):
    """The voter's database of a test where the host's would be."""

    at: Path

    @property
    def voter_database(self) -> Path:  # type: ignore[override]
        return self.at


def ask_others(voters: Voters, number: int, away: tuple[int, ...] = ()) -> dict[str, str]:
    """What the fast path does on a host."""
    paths = Files()
    object.__setattr__(paths, "at", voters.directory / f"voter{number}.db")
    view: View = voters.chain.view()
    return recollect(paths, Identities(view, node(number)), Calls(voters, node(number), away))  # type: ignore[arg-type]


def test_it_serves_and_does_not_vote_until_the_others_have_answered(desk: Desk) -> None:
    boot(desk.voters, 1)
    prepare, change = desk.lock()
    refusal = desk.ask(1, prepare)
    assert isinstance(refusal, answers.NotYet) and "asks first" in refusal.what
    fetched = desk.ask(1, Fetch(desk.parent.value.network))
    assert isinstance(fetched, answers.Fetched) and fetched.update is not None
    promises = desk.promises(prepare, (2, 3))
    accept = Accept(prepare.instance, prepare.ballot, promises, change, desk.parent.certificate)
    assert isinstance(desk.ask(1, accept), answers.NotYet)
    problem = next(iter(ask_others(desk.voters, 1, away=(3,)).values()))
    assert str(node(3)) in problem and str(node(2)) not in problem
    assert isinstance(desk.ask(1, prepare), answers.NotYet), "one of two others is no majority of them"
    assert ask_others(desk.voters, 1) == {}
    assert isinstance(desk.ask(1, accept), answers.Accepted)
    # It was asked once in this boot, and a restart of the software is none.
    desk.voters.acceptors[1].store.close()
    desk.voters.start(1)
    assert isinstance(desk.ask(1, accept), answers.Accepted)
    # The next boot is asked about anew.
    boot(desk.voters, 1)
    assert isinstance(desk.ask(1, accept), answers.NotYet)


def test_all_hosts_boot_at_once(town: Town) -> None:
    """After a power cut everybody asks, and everybody answers."""
    incarnations = dict(town.chain.incarnations)
    for number in (1, 2, 3):
        boot(town.voters, number)
    town.chain.deploy("more", 14, 1)
    with pytest.raises(NoMajority, match="asks first what it signed"):
        allocate(town.voters, 1, deadline=4)
    assert [ask_others(town.voters, number) for number in (1, 2, 3)] == [{}, {}, {}]
    assert allocate(town.voters, 1).changed
    now = {number: town.voters.acceptors[number].store.incarnation for number in (1, 2, 3)}
    assert now == {number: incarnations[number] for number in now}


def test_one_that_is_lost_for_good_stops_nobody_for_ever(town: Town) -> None:
    """3 is gone. 1 waits for it as long as a boot or a cut may take, then a majority with itself is enough."""
    town.voters.down = {3}
    boot(town.voters, 1)
    store = town.voters.acceptors[1].store
    network = town.chain.record().id
    assert ask_others(town.voters, 1, away=(3,))
    with store.transaction() as database:
        asked = int(store.milliseconds()) - recollection.PATIENCE
        database.execute("UPDATE meta SET value = ? WHERE key = ?", (str(asked + 60_000), f"asked {network}"))
    assert ask_others(town.voters, 1, away=(3,))
    with store.transaction() as database:
        database.execute("UPDATE meta SET value = ? WHERE key = ?", (str(asked - 1), f"asked {network}"))
    assert ask_others(town.voters, 1, away=(2, 3)) == {}, "2 has answered before"
    town.chain.deploy("more", 14, 1)
    assert allocate(town.voters, 1).changed


def test_one_that_nobody_answers_does_not_vote_however_long_it_waits(town: Town) -> None:
    boot(town.voters, 1)
    store, network = town.voters.acceptors[1].store, town.chain.record().id
    ask_others(town.voters, 1, away=(2, 3))
    with store.transaction() as database:
        database.execute("UPDATE meta SET value = '-9000000000' WHERE key = ?", (f"asked {network}",))
    assert ask_others(town.voters, 1, away=(2, 3))
    assert not store.certain(network)


@pytest.mark.parametrize("accepted", [False, True], ids=["a promise", "a promise and an acceptance"])
def test_one_that_forgot_retires(desk: Desk, tmp_path: Path, accepted: bool) -> None:
    """Its disk is as it was before it promised; 2 has been shown its promise."""
    kept = copy(desk.voters, 3, tmp_path / "kept")
    prepare, change = desk.lock()
    promises = desk.promises(prepare, (1, 3))
    accept = Accept(prepare.instance, prepare.ballot, promises, change, desk.parent.certificate)
    for number in (2, 3) if accepted else (2,):
        assert isinstance(desk.ask(number, accept), answers.Accepted)
    former = desk.chain.incarnations[3]
    boot(desk.voters, 3, kept)
    problem = next(iter(ask_others(desk.voters, 3).values()))
    assert "its voter retires" in problem
    store = desk.voters.acceptors[3].store
    later, _unused = desk.lock(counter=9)
    answer = desk.ask(3, later)
    assert isinstance(answer, answers.RejectedBy) and answer.rule == "incarnation"
    assert store.incarnation != former
    assert [one["incarnation"] for one in recollection.retired(store.reading())] == [former]
    fetched = desk.ask(3, Fetch(desk.parent.value.network))
    assert isinstance(fetched, answers.Fetched) and fetched.update is not None, "it hands out what it holds"
    assert ask_others(desk.voters, 3) == {}


def test_one_that_forgot_more_than_a_version_retires_and_is_replaced_by_itself(town: Town, tmp_path: Path) -> None:
    kept = copy(town.voters, 3, tmp_path / "kept")
    for number in (1, 2, 3):
        town.chain.deploy(f"more{number}", 20 + number, number)
        allocate(town.voters, number)
    boot(town.voters, 3, kept)
    assert "its voter retires" in str(ask_others(town.voters, 3))
    fresh = town.voters.acceptors[3].store.certain(town.chain.record().id)
    assert fresh, "as another incarnation it has signed nothing"
    town.chain.incarnations[3] = town.voters.acceptors[3].store.incarnation  # its team publishes it
    town.chain.height += 1
    done = reshape(town.voters, 1)
    assert [step.why for step in done.steps] == ["has another database or key now"]
    town.voters.down = {2}
    town.chain.deploy("last", 30, 1)
    assert allocate(town.voters, 1).changed, "and votes again"


def test_one_that_retired_keeps_what_it_holds_until_it_is_replaced(town: Town) -> None:
    town.come(4)
    town.go(2)
    allocate(town.voters, 1)
    reshape(town.voters, 1)
    town.chain.deploy("more", 21, 1)
    allocate(town.voters, 1)
    store, fact = town.voters.acceptors[3].store, town.known(1)
    with store.transaction() as database:
        recollection.retire(database, "a test")
    assert store.certain(fact.value.network) and store.incarnation != town.chain.incarnations[3]
    assert not leave(store, node(3), fact.value.network, fact)
    assert store.network(fact.value.network) is not None and not store.left(fact.value.network)


def test_a_certificate_reminds_as_well(desk: Desk, tmp_path: Path) -> None:
    """It needs no boot: whoever is shown its own acceptance that it doesn't remember never votes again as itself."""
    kept = copy(desk.voters, 2, tmp_path / "kept")
    prepare, change = desk.lock()
    promises = desk.promises(prepare)
    accept = Accept(prepare.instance, prepare.ballot, promises, change, desk.parent.certificate)
    said = [desk.ask(number, accept) for number in (1, 2)]
    certificate = answers_certificate(said)
    boot(desk.voters, 2, kept)
    value = apply(desk, change)
    assert isinstance(desk.ask(2, Learn(certificate, value)), answers.Learned)
    assert desk.voters.acceptors[2].store.incarnation != desk.chain.incarnations[2]
    fetched = desk.ask(2, Fetch(desk.parent.value.network, desk.parent.certificate.position))
    assert isinstance(fetched, answers.Fetched) and fetched.update is not None, "what it was taught it holds"


def answers_certificate(said: list[answers.Answer]) -> Any:
    from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Certificate

    return Certificate.of([one.acceptance for one in said if isinstance(one, answers.Accepted)])


def apply(desk: Desk, change: Any) -> Any:
    from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import apply_change

    return apply_change(desk.parent.value, desk.parent.certificate.hash, change)


def test_nobody_can_make_another_retire(desk: Desk) -> None:
    """Not with what it remembers, nor with what it didn't sign; nor does anybody else hear what was seen of it."""
    prepare, change = desk.lock()
    promises = desk.promises(prepare, (1, 3))
    accept = Accept(prepare.instance, prepare.ballot, promises, change, desk.parent.certificate)
    assert isinstance(desk.ask(2, accept), answers.Accepted)
    former = desk.chain.incarnations[3]
    recall = Recall(desk.parent.value.network, former)
    told = desk.ask(2, recall, caller=3)
    assert isinstance(told, answers.Recalled) and promises[1] in told.votes
    foreign = desk.ask(2, recall, caller=1)
    assert foreign == answers.Recalled(())
    boot(desk.voters, 3)
    assert ask_others(desk.voters, 3) == {}

    class Forges(Calls):
        def call(self, node: NodeId, request: Mapping[str, Any], *, seconds: float = 0) -> Any:
            higher = replace(promises[1], ballot=replace(promises[1].ballot, counter=99))
            return answers.Recalled((higher,)).to_json()

    boot(desk.voters, 3)
    paths = Files()
    object.__setattr__(paths, "at", desk.voters.directory / "voter3.db")
    assert recollect(paths, Identities(desk.chain.view(), node(3)), Forges(desk.voters, node(3))) == {}  # type: ignore[arg-type]
    assert desk.voters.acceptors[3].store.certain(desk.parent.value.network)
    assert desk.voters.acceptors[3].store.incarnation == former


def test_a_disk_of_before_a_raised_generation_is_found_out(tmp_path: Path) -> None:
    """What a founder says that it held would be too little, and the start would lose what was agreed."""
    ruins = recovery_town.Town(tmp_path)
    kept = copy(ruins.voters, 3, tmp_path / "kept.db")
    before = ruins.certified(2).value.version
    ruins.voters.down = {1}  # so the certificates have 3's acceptances
    allocate(ruins.voters, 4)
    assert ruins.certified(2).value.version > before
    ruins.raise_to(1, ruins.certified(2).certificate.hash, (2, 3))
    fetch = {**Fetch(ruins.chain.record().id).to_json(), "as": str(node(4))}
    for number in (2, 3):
        if number == 3:
            boot(ruins.voters, 3, kept)
        ruins.voters.acceptors[number].handle(fetch, [node(4)])
    told = "".join(ask_others(ruins.voters, 3).values())
    assert "a vote for version 0." in told and "isn't in this host's memory" in told
    with pytest.raises(AvpnError, match=r"the database of .* is another"):
        ruins.start(4, deadline=2)


def test_an_honest_founder_that_boots_before_the_start_goes_on(tmp_path: Path) -> None:
    ruins = recovery_town.Town(tmp_path)
    ruins.half_do(3, "late", (3,))
    ruins.voters.down = {1}
    ruins.raise_to(1, ruins.certified(2).certificate.hash, (2, 3))
    fetch = {**Fetch(ruins.chain.record().id).to_json(), "as": str(node(4))}
    for number in (2, 3):
        boot(ruins.voters, number)
        ruins.voters.acceptors[number].handle(fetch, [node(4)])
    for number in (2, 3):
        assert ask_others(ruins.voters, number) == {}
    assert ruins.start(4).generation == 1
