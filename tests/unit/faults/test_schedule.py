# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a campaign of faults plans, and how it counts the time without a majority."""

from __future__ import annotations

import itertools

import pytest
from campaign.outage import Away, Broken, lost_majority
from campaign.schedule import BEHIND, FAULTS, Act, plan


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert plan(7, 500, 40) == plan(7, 500, 40)
    assert plan(7, 500, 40) != plan(8, 500, 40)


def test_every_kind_of_operation_and_fault_is_there() -> None:
    schedule = plan(3, 5000, 300)
    assert len(schedule.operations) == 5000
    assert len(schedule.faults) == 300
    kinds = {one.kind for one in schedule.operations}
    assert kinds == {"allocate", "rebind", "release", "rekey", "confirm", "read", "voters"}
    assert {one.kind for one in schedule.faults} == set(FAULTS)
    assert {one.kind for one in plan(3, 150, len(FAULTS), hosts=3).faults} == set(FAULTS)
    assert [one.at for one in schedule.faults] == sorted(one.at for one in schedule.faults)
    assert schedule.faults[-1].at < 5000


def test_operations_fit_what_happens_on_chain() -> None:
    """Each endpoint is asked for once in a phase of its member, and an act waits for all that was meant before it."""
    schedule = plan(11, 2000, 0, hosts=3, replicas=5)
    fits = {"lease": "allocate", "replace": "rebind", "close": "release"}
    acts: dict[int, Act] = {act.number: act for act in schedule.acts}
    seen: set[tuple[int, str, int]] = set()
    for one in schedule.operations:
        if not one.member:
            assert one.after == -1 or one.kind == "voters"
            continue
        act = acts[one.after]
        assert (act.member, fits[act.kind]) == (one.member, one.kind)
        assert (one.after, one.member, one.index) not in seen
        seen.add((one.after, one.member, one.index))
        if one.kind != "release":
            assert one.client.host == schedule.members[one.member]
    last: dict[str, int] = {}
    for act in schedule.acts:
        meant = {one.number for one in schedule.operations if one.after == last.get(act.member, -2)}
        assert set(act.needs) == meant
        last[act.member] = act.number


def test_acts_can_happen_in_their_order() -> None:
    """Nothing that an act waits for waits for a later act, and no client waits for one behind what it has to do."""
    schedule = plan(5, 3000, 0)
    for act in schedule.acts:
        assert all(schedule.operations[number].after < act.number for number in act.needs)
    for one in schedule.operations:
        assert all(number < one.number for number in schedule.acts[one.after].needs) if one.after >= 0 else True


def test_nobody_waits_for_what_is_only_just_asked_for() -> None:
    """Between a member's operations and the act that ends their phase, and the next ones, there is a lot else."""
    schedule = plan(5, 3000, 0)
    first: dict[int, int] = {}
    for one in schedule.operations:
        first.setdefault(one.after, one.number)
    for act in schedule.acts[len(schedule.members) :]:
        assert first.get(act.number, 10_000) - max(act.needs) >= 40


@pytest.mark.parametrize("seed", range(8))
def test_hosts_come_and_go_one_at_a_time_and_nobody_waits_for_those_without_a_lease(seed: int) -> None:
    schedule = plan(seed, 5000, 0)
    holding = dict.fromkeys(schedule.members, True)
    away_by_act, went = {}, set()
    for act in schedule.acts:
        holding[act.member] = act.kind != "close"
        away = set(range(5)) - {schedule.members[member] for member, has in holding.items() if has}
        assert len(away) <= 1
        away_by_act[act.number] = away
        went |= away
    assert went
    # Who is away by the last act that an operation waits for does nothing itself, and voters follow each time.
    latest = 0
    for one in schedule.operations:
        latest = max(latest, one.after)
        if one.kind != "release" and one.after >= len(schedule.members):
            assert one.client.host not in away_by_act[one.after]
    followed = {one.after for one in schedule.operations if one.kind == "voters"}
    changes = [
        act.number
        for before, act in itertools.pairwise(schedule.acts[len(schedule.members) - 1 :])
        if away_by_act[before.number] != away_by_act[act.number]
    ]
    assert len(changes) >= 6
    assert set(changes[:-1]) <= followed
    three = plan(seed, 1000, 0, hosts=3, replicas=5)
    holding = dict.fromkeys(three.members, True)
    for act in three.acts:
        holding[act.member] = act.kind != "close"
        assert len({three.members[member] for member, has in holding.items() if has}) == 3


def test_operations_wait_for_faults_and_faults_for_operations() -> None:
    """Each waits for earlier ones only, so neither waits for ever; and faults are never far behind."""
    schedule = plan(9, 1000, 60)
    assert schedule.begun_before(0) == 0
    assert schedule.begun_before(schedule.faults[-1].at + BEHIND) == 60
    for operation in range(1000):
        begun = schedule.begun_before(operation)
        assert all(fault.at <= operation - BEHIND for fault in schedule.faults[:begun])
        assert all(fault.at > operation - BEHIND for fault in schedule.faults[begun:])


def test_time_without_a_majority() -> None:
    down = [Broken(0.0, 10.0, hosts=frozenset({0})), Broken(2.0, 6.0, hosts=frozenset({1}))]
    assert lost_majority(down, 3) == 4.0
    assert lost_majority(down, 5) == 0.0
    assert lost_majority([*down, Broken(5.0, 20.0, hosts=frozenset({2}))], 5) == 1.0


def test_a_host_without_a_lease_has_no_vote() -> None:
    away = Away(5)
    away.note([0, 1, 2, 3, 4], 1.0)
    away.note([0, 1, 2, 4], 2.0)
    away.note([0, 1, 2, 4], 3.0)
    away.note([0, 1, 2, 3], 7.0)
    three, four = frozenset({3}), frozenset({4})
    assert away.periods(9.0) == [Broken(2.0, 7.0, hosts=three), Broken(7.0, 9.0, hosts=four)]
    down = [Broken(4.0, 8.0, hosts=frozenset({0})), Broken(5.0, 6.0, hosts=frozenset({1}))]
    assert lost_majority([*down, *away.periods(9.0)], 5) == 1.0


def test_cut_links_take_the_majority_only_from_whoever_is_alone() -> None:
    isolated = frozenset({(0, 1), (1, 0), (0, 2), (2, 0)})
    assert lost_majority([Broken(0.0, 5.0, pairs=isolated)], 3) == 0.0
    # One direction is enough for silence; the other two have each other until one of them goes.
    one_way = frozenset({(0, 1), (0, 2)})
    assert lost_majority([Broken(0.0, 5.0, pairs=one_way), Broken(1.0, 3.0, hosts=frozenset({2}))], 3) == 2.0
