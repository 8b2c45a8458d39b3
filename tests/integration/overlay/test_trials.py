# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three hosts with real tunnels: a frame that cuts a host off goes back by itself, and no single peer can do that."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import sys

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._overlay import echo, firewalls, frames
from ansible_collections.akash.avpn.plugins.module_utils._overlay.firewalls import NO_PEER, NOT_SERVED, Enforced
from ansible_collections.akash.avpn.plugins.module_utils._overlay.model import HostPlan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.names import namespace, namespace_path
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import pairs_of
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Chain
from ansible_collections.akash.avpn.tests.integration.overlay.machinery import Node, wait_for, within
from ansible_collections.akash.avpn.tests.unit.overlay.builders import World, open_manifest

pytestmark = pytest.mark.root

OPEN = open_manifest("web", "api", "db")
HARMLESS = "udp dport 9 drop"
CUTTING = "icmp type echo-reply drop"
CUTTING6 = "icmpv6 type echo-reply drop"


@pytest.fixture
def working(hosts: list[Node], world: World) -> list[Node]:
    for each in hosts:
        assert each.apply(each.plan(world, OPEN), resolver=False).problems == {}
        install_revert(each)
    one = hosts[0]
    with one.inside():
        pairs = pairs_of(one.plan(world, OPEN).networks[world.network].firewall.sets)
        path = namespace_path(one.short(world.network))
        wait_for("the other hosts' answers", lambda: len(echo.answers({path: pairs}, 2)[path]) == 4, 30)
    return hosts


def install_revert(node: Node) -> None:
    """The entry point as the role installs it, with the paths of the test."""
    command = node.host.paths.command("revert")
    command.parent.mkdir(parents=True, exist_ok=True)
    text = f"""#!{sys.executable}
import sys
sys.path[:0] = {[path for path in sys.path if path]!r}
from pathlib import Path
from ansible_collections.akash.avpn.plugins.module_utils._overlay.revert import main
from ansible_collections.akash.avpn.tests.integration.overlay.machinery import TestPaths
sys.exit(main(TestPaths(Path({str(node.host.paths.root)!r}))))
"""
    command.write_text(text, encoding="utf-8")
    command.chmod(0o755)


def newer(plan: HostPlan, network: str, *first: str) -> HostPlan:
    """The plan with another frame: rules before the gateway's others."""
    planned = plan.networks[network]
    chain = planned.firewall.chains["gateway"]
    chains = {**planned.firewall.chains, "gateway": Chain((*first, *chain.rules), chain.hook)}
    firewall = dataclasses.replace(planned.firewall, chains=chains)
    return dataclasses.replace(plan, networks={network: dataclasses.replace(planned, firewall=firewall)})


def gateway(node: Node, world: World) -> str:
    space = namespace(node.short(world.network))
    return within(space, "nft", "list", "chain", "inet", "avpn", "gateway").stdout


def attempt(node: Node, plan: HostPlan, *, serves: bool = True, judged: bool = True) -> Enforced:
    """What the module does."""
    answers = iter([True, serves])
    with node.inside():
        with node.host.exclusive():
            done = firewalls.enforce(plan, node.host)
        firewalls.begin(done, node.host, lambda: next(answers), caller=False)
        if judged:
            firewalls.judge(done, node.host, lambda: next(answers))
    return done


def test_a_frame_that_cuts_nobody_off_is_confirmed(working: list[Node], world: World) -> None:
    one = working[0]
    plan = newer(one.plan(world, OPEN), world.network, HARMLESS)
    done = attempt(one, plan)
    assert (done.refused, done.trials, done.waiting, done.problems) == ({}, {}, {}, {})
    assert HARMLESS in gateway(one, world)
    assert one.daemons.timers == {}, "nothing takes it back any more"
    assert frames.load(one.host.paths.frames / f"{world.network}.json").shown() is None


def test_a_frame_that_cuts_the_host_off_goes_back_at_once(working: list[Node], world: World) -> None:
    one = working[0]
    plan = newer(one.plan(world, OPEN), world.network, CUTTING, CUTTING6)
    done = attempt(one, plan)
    assert done.refused == {world.network: NO_PEER}
    assert "echo-reply" not in gateway(one, world)
    assert one.daemons.timers == {}
    again = attempt(one, plan)
    assert again.refused == done.refused
    assert not again.put[world.network].change, "it isn't applied and taken back by every run"
    shown = frames.load(one.host.paths.frames / f"{world.network}.json").shown()
    assert shown is not None
    assert (shown["state"], shown["why"]) == ("rolled-back", NO_PEER)


def test_one_silent_peer_rolls_nothing_back(working: list[Node], world: World) -> None:
    """The second host stops answering the moment the frame changes; the third doesn't."""
    one, two, _three = working
    plan = newer(one.plan(world, OPEN), world.network, HARMLESS)
    done = attempt(one, plan, judged=False)
    assert len({other for other, _own in done.trials[world.network].answered}) == 4
    within(namespace(two.short(world.network)), "nft", "flush", "chain", "inet", "avpn", "gateway")
    with one.inside():
        firewalls.judge(done, one.host, lambda: True)
    assert done.refused == {}
    assert HARMLESS in gateway(one, world)


def test_losing_the_peer_channel_goes_back_too(working: list[Node], world: World) -> None:
    one = working[0]
    done = attempt(one, newer(one.plan(world, OPEN), world.network, HARMLESS), serves=False)
    assert done.refused == {world.network: NOT_SERVED}
    assert HARMLESS not in gateway(one, world)


def test_the_timer_takes_back_what_nobody_judges(working: list[Node], world: World) -> None:
    """The process that began the trial is gone; the lock it held may still be held."""
    one = working[0]
    one.daemons.hurry = 1
    plan = newer(one.plan(world, OPEN), world.network, HARMLESS)
    attempt(one, plan, judged=False)
    assert HARMLESS in gateway(one, world)
    wait_for("the timer", lambda: HARMLESS not in gateway(one, world), 30)
    wait_for("its end", lambda: all(each.poll() is not None for each in one.daemons.timers.values()), 30)
    shown = frames.load(one.host.paths.frames / f"{world.network}.json").shown()
    assert shown is not None
    assert shown["state"] == "rolled-back"
    assert "wasn't confirmed" in shown["why"]


def test_the_timer_waits_for_no_lock(working: list[Node], world: World) -> None:
    one = working[0]
    one.daemons.hurry = 1
    plan = newer(one.plan(world, OPEN), world.network, HARMLESS)
    with one.inside():
        done = firewalls.enforce(plan, one.host)
        firewalls.begin(done, one.host, lambda: True, caller=False)
        with one.host.exclusive():
            wait_for("the timer", lambda: HARMLESS not in gateway(one, world), 60)
            wait_for("its end", lambda: all(each.poll() is not None for each in one.daemons.timers.values()), 30)


def test_a_caller_that_has_to_come_back_is_waited_for(working: list[Node], world: World) -> None:
    one = working[0]
    plan = newer(one.plan(world, OPEN), world.network, HARMLESS)

    def call(confirm: str) -> Enforced:
        with one.inside():
            with one.host.exclusive():
                done = firewalls.enforce(plan, one.host)
            firewalls.begin(done, one.host, lambda: True, caller=confirm == "later")
            firewalls.judge(done, one.host, lambda: True, leave=lambda trial: trial.caller and confirm != "now")
        return done

    assert set(call("later").trials) == {world.network}
    assert set(call("host").trials) == {world.network}, "a run of the host's own doesn't stand in for the caller"
    assert len(one.daemons.timers) == 1
    assert call("now").trials == {}
    assert one.daemons.timers == {}
    assert HARMLESS in gateway(one, world)


def test_nobody_waits_with_the_lock_in_hand(working: list[Node], world: World) -> None:
    """Whoever has a revocation to apply meanwhile applies it."""
    one = working[0]
    free = []

    def serves() -> bool:
        with open(one.host.paths.run / "apply.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free.append(True)
        return True

    plan = newer(one.plan(world, OPEN), world.network, HARMLESS)
    with one.inside():
        with one.host.exclusive():
            done = firewalls.enforce(plan, one.host)
        firewalls.begin(done, one.host, serves, caller=False)
        firewalls.judge(done, one.host, serves)
    assert free == [True, True]
    assert HARMLESS in gateway(one, world)


def test_a_network_that_leaves_leaves_no_frame(working: list[Node], world: World) -> None:
    one = working[0]
    path = one.host.paths.frames / f"{world.network}.json"
    assert path.exists()
    one.apply(HostPlan(), resolver=False)
    assert not path.exists()
    assert os.listdir(path.parent) == []


def test_who_is_asked_are_the_other_hosts(working: list[Node], world: World) -> None:
    one = working[0]
    sets = one.plan(world, OPEN).networks[world.network].firewall.sets
    ours = {str(world.value.hosts[node.host.id].address) for node in working[1:]}
    assert {other for other, _own in pairs_of(sets) if ":" not in other} == ours
