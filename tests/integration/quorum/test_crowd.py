# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Twenty proposers at once over real SSH and real SQLite, one voter killed in the middle of each round (R5)."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from crowd import Crowd, Identity, Report, people
from history.versions import History, Seen, Step, Told, Version, faults, replay
from quorum_site import Host, Site

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import View
from ansible_collections.akash.avpn.plugins.module_utils._peer.client import PeerClient
from ansible_collections.akash.avpn.plugins.module_utils._quorum.answers import Fetched, parse_answer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Certificate
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import verified_update
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Fetch

# A round takes seconds; the whole campaign of 50 is AVPN_CROWD_ROUNDS=50.
ROUNDS = int(os.environ.get("AVPN_CROWD_ROUNDS", "3"))
PROPOSERS = 20
VOTERS = (1, 2, 3)


def good_history() -> History:
    """Two proposers, three versions; the second was told before the first asked again."""
    hosts = {"p1": "10.0.0.14", "p2": "10.0.0.13"}
    versions = [
        Version(0, "h0", "genesis", {}, {}),
        Version(1, "h1", "h0", {"a/1/0": ("p1", "10.0.0.2")}, {"p1": hosts["p1"]}),
        Version(2, "h2", "h1", {"a/1/0": ("p1", "10.0.0.2"), "b/1/0": ("p2", "10.0.0.3")}, hosts),
    ]
    told = [
        Told("p1", "a/1/0", "10.0.0.2", 1, "h1", 1.0, 2.0),
        Told("p2", "b/1/0", "10.0.0.3", 2, "h2", 1.0, 3.0),
        Told("p1", "a/1/0", "10.0.0.2", 2, "h2", 3.5, 4.0),
    ]
    return History(versions, told, [Seen("p1", 1, "h1"), Seen("p2", 2, "h2"), Seen("p1", 2, "h2")])


def test_the_checker_takes_a_good_history() -> None:
    assert faults(good_history()) == []


def _with_version(number: int, **changes: object) -> History:
    good = good_history()
    versions = [replace(one, **changes) if one.number == number else one for one in good.versions]  # type: ignore[arg-type]
    return replace(good, versions=versions)


_B2 = {"a/1/0": ("p1", "10.0.0.2"), "b/1/0": ("p2", "10.0.0.2")}
_MOVED = {"a/1/0": ("p1", "10.0.0.9"), "b/1/0": ("p2", "10.0.0.3")}
_TAKEN = {"a/1/0": ("p2", "10.0.0.2"), "b/1/0": ("p2", "10.0.0.3")}


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        pytest.param(_with_version(2, bound=_B2), "10.0.0.2 is a/1/0's and b/1/0's", id="one address twice"),
        pytest.param(
            _with_version(2, hosts={"p1": "10.0.0.14", "p2": "10.0.0.3"}), "10.0.0.3 is b/1/0's and p2's", id="a host's"
        ),
        pytest.param(
            _with_version(2, hosts={"p1": "10.0.0.14", "p2": "10.0.0.14"}), "10.0.0.14 is p1's and p2's", id="two hosts"
        ),
        pytest.param(
            _with_version(2, bound={"b/1/0": ("p2", "10.0.0.3")}), "version 2 has lost 10.0.0.2 of p1", id="lost"
        ),
        pytest.param(_with_version(2, bound=_MOVED), "version 2: a/1/0 moved", id="moved"),
        pytest.param(_with_version(2, bound=_TAKEN), "version 2 has lost 10.0.0.2 of p1", id="taken by another host"),
        pytest.param(_with_version(1, bound={}), "version 1 has lost 10.0.0.2 of p1", id="not yet there when told"),
        pytest.param(_with_version(2, parent="h0"), "version 2 is not the child of version 1", id="fork"),
        pytest.param(
            replace(good_history(), versions=[good_history().versions[0], good_history().versions[2]]),
            "version 2 comes after version 0",
            id="gap",
        ),
        pytest.param(
            replace(good_history(), versions=good_history().versions[:2]), "version 2, which nobody", id="back to 1"
        ),
        pytest.param(
            replace(good_history(), seen=[Seen("p1", 2, "h2"), Seen("p1", 1, "h1")]),
            "p1 saw version 1 after 2",
            id="versions go back",
        ),
        pytest.param(
            replace(good_history(), seen=[Seen("p1", 2, "other")]), "p1 saw another version 2", id="two versions 2"
        ),
        pytest.param(
            replace(good_history(), told=[Told("p1", "a/1/0", "10.0.0.2", 1, "other", 1.0, 2.0)]),
            "p1 was told another version 1",
            id="told of a fork",
        ),
        pytest.param(
            replace(
                good_history(),
                told=[*good_history().told, Told("p1", "a/1/0", "10.0.0.2", 1, "h1", 3.5, 4.0)],
            ),
            "p1 was told version 1 after somebody was told 2",
            id="stale",
        ),
    ],
)
def test_the_checker_refuses(wrong: History, what: str) -> None:
    assert any(what in fault for fault in faults(wrong)), faults(wrong)


def _step(version: Version, change: dict[str, object]) -> Step:
    return Step.of({"version": version.number, "parent": version.parent, "ballot": {"hash": version.hash}}, change)


def test_steps_on_the_wire_make_the_versions() -> None:
    first, second, third = good_history().versions
    slot = {"host": "p1", "address": "10.0.0.2", "bound": True}
    other = {"host": "p2", "address": "10.0.0.3", "bound": True}
    steps = [
        _step(third, {"slots": {"b/1/0": other}, "hosts": {"p2": {"address": "10.0.0.13"}}, "batches": {}}),
        _step(first, {"record": {}}),
        _step(second, {"slots": {"a/1/0": slot}, "hosts": {"p1": {"address": "10.0.0.14"}}}),
    ]
    assert replay([*steps, steps[1]]) == ([first, second, third], [])
    gone = Version(3, "h3", "h2", {"b/1/0": ("p2", "10.0.0.3")}, {"p1": "10.0.0.14"})
    last = _step(gone, {"slots": {"a/1/0": {**slot, "bound": False}}, "hosts": {"p2": None}})
    assert replay([*steps, last]) == ([first, second, third, gone], [])
    assert replay([*steps, replace(steps[1], hash="other")])[1] == ["there are two versions 0"]


def _fetched(host: Host, view: View, caller: Identity) -> Version:
    """What a host says is the newest certified value, proven, through the peer channel."""
    (entry,) = view.networks.values()
    with PeerClient(caller.node, view.hosts, caller.ssh_key, check_address=lambda _record: None) as client:
        answer = parse_answer(client.call(host.node, Fetch(entry.record.id, None).to_json()), str(host.node))
    assert isinstance(answer, Fetched) and answer.update is not None
    certified = verified_update(answer.update, None, entry.record)
    return Version.of(certified.value, certified.certificate.hash)


def _left(host: Host, scratch: Path) -> tuple[list[Seen], bool]:
    """What a killed voter left on disk: the version that is certified there, and whether the next is half done.

    In a copy, for whoever opens the file first repairs it, and that should be the voter.
    """
    scratch.mkdir(exist_ok=True)
    for path in host.paths.state.glob("voter.db*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, scratch)
    database = sqlite3.connect(scratch / host.paths.voter_database.name)
    try:
        rows = database.execute("SELECT version, hash, certificate FROM networks WHERE version >= 0").fetchall()
        (pending,) = database.execute("SELECT count(*) FROM pending WHERE promised IS NOT NULL").fetchone()
    finally:
        database.close()
        shutil.rmtree(scratch)
    assert all(Certificate.from_json(json.loads(row[2]), "db").hash == row[1] for row in rows)
    return [Seen(f"voter {host.number}", version, hash_) for version, hash_, _certificate in rows], bool(pending)


def _is_busy(host: Host) -> bool:
    """Whether a running voter has promised or accepted something for a version that isn't certified there."""
    database = sqlite3.connect(f"file:{host.paths.voter_database}?mode=ro", uri=True)
    try:
        return bool(database.execute("SELECT count(*) FROM pending WHERE promised IS NOT NULL").fetchone()[0])
    except sqlite3.Error:
        return False
    finally:
        database.close()


@pytest.mark.root
@pytest.mark.slow
def test_twenty_proposers_with_a_voter_killed_in_the_middle_of_each_round(site: Site, tmp_path: Path) -> None:
    dice = random.Random(int(os.environ.get("AVPN_CROWD_SEED", "20")))
    site.chain.hosts, site.chain.cidr = PROPOSERS, "100.64.0.0/20"
    crowd_of = people(site, tmp_path, PROPOSERS, ROUNDS)
    site.publish()
    view = site.view()
    crowd = Crowd(crowd_of, view)
    reports: list[Report] = []
    seen: list[Seen] = []
    killed, half_done, early = [], 0, []
    try:
        for turn in range(ROUNDS):
            victim = site.hosts[VOTERS[turn % len(VOTERS)]]
            crowd.start(turn)
            killed.append(_kill_in_the_middle(victim, crowd, dice))
            early.append(crowd.done())
            certified, pending = _left(victim, tmp_path / "left")
            seen += certified
            half_done += pending
            round_ = crowd.finish()
            reports += round_
            crashes = [f"proposer {one.number}: {one.crash}" for one in round_ if one.crash]
            assert not crashes, crashes[0]
            victim.start()
        fetched = [_fetched(host, view, crowd_of[0]) for host in site.hosts.values()]
    finally:
        crowd.stop()
    told = [one.told for one in reports if one.told is not None]
    versions, contradictions = replay(step for one in reports for step in one.steps)
    history = History(versions, told, [*seen, *(saw for one in reports for saw in one.seen)])
    _tell(reports, killed, half_done, early, history)
    assert [*contradictions, *faults(history)] == []
    assert all(one == versions[one.number] for one in fetched)
    assert max(one.number for one in fetched) == versions[-1].number
    assert len(told) == PROPOSERS * ROUNDS
    final = versions[-1]
    assert {one.endpoint: (one.proposer, one.address) for one in told} == dict(final.bound)
    # The kills were what they should be: with sessions open, with proposers still at work.
    assert all(count > 1 for count in killed)
    assert all(count < PROPOSERS for count in early)
    assert half_done or ROUNDS < 5


def _kill_in_the_middle(victim: Host, crowd: Crowd, dice: random.Random) -> int:
    """Once some of the proposers are through, when the voter is in the middle of a version (or rests for long)."""
    some = dice.randint(0, PROPOSERS - 5)
    while crowd.done() < some:
        time.sleep(0.005)
    processes = victim.processes()
    give_up = time.monotonic() + 1
    while not _is_busy(victim) and time.monotonic() < give_up:
        time.sleep(0.001)
    time.sleep(dice.uniform(0.0, 0.02))
    return victim.stop(processes)


def _tell(reports: list[Report], killed: list[int], half_done: int, early: list[int], history: History) -> None:
    """Numbers for whoever runs it with ``-s``; nothing is asserted about them."""
    seconds = sorted(one.told.ended - one.told.began for one in reports if one.told is not None)
    asked = Counter[str]()
    for one in reports:
        asked.update(one.ops)
    count = len(reports)
    print(
        f"\n{count} allocations in {len(history.versions)} versions; processes killed {sum(killed)},"
        f" in {half_done} of {len(killed)} rounds with a half-done version; through before the kill {early}"
        f"\nround trips each {sum(one.round_trips for one in reports) / count:.1f},"
        f" most {max(one.round_trips for one in reports)};"
        f" messages each {sum(asked.values()) / count:.1f} {dict(asked)};"
        f" connections {sum(one.connections for one in reports)};"
        f" asked again {sum(len(one.errors) for one in reports)}"
        f"\nseconds: median {seconds[count // 2]:.2f}, 95 % {seconds[count * 95 // 100]:.2f}, most {seconds[-1]:.2f};"
        f" CPU of proposers {sum(one.cpu for one in reports):.1f}"
    )
    for error in Counter(error.partition(":")[2][:120] for one in reports for error in one.errors).most_common(5):
        print(error)
