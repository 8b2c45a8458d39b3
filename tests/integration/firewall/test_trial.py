# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commit and confirm on real tables, with runs that are really killed at every step they take."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dying import NOW, Timers, late, trial, upgrade
from wire import Path_, Site, Wire, paths, probe, run

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._overlay import frames, trying
from ansible_collections.akash.avpn.plugins.module_utils._overlay.frames import SECONDS
from ansible_collections.akash.avpn.plugins.module_utils._overlay.trying import Place
from ansible_collections.akash.avpn.plugins.module_utils._policy import nft
from ansible_collections.akash.avpn.plugins.module_utils._policy.frame import frame_of
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Chain, Ruleset

pytestmark = pytest.mark.root

TRIED = (("tcp", 80), ("tcp", 81), ("tcp", 99))


@pytest.fixture
def place(wire: Wire, tmp_path: Path) -> Place:
    site = wire.sites[0]
    return Place(site.namespace, site.state, tmp_path / "frames" / "net.json")


@pytest.fixture
def timers(tmp_path: Path) -> Timers:
    return Timers(tmp_path)


def rules(site: Site, wire: Wire, port: int, *, newer: bool = False, cut: bool = False) -> Ruleset:
    """Rules for one port, in this frame, in a newer one, or in one that cuts the host off."""
    allow = {"allow": [{"peers": "any", "ports": f"tcp/{port}"}]}
    manifest = parse({"members": {name: {"ingress": allow, "egress": allow} for name in ("web", "api", "db")}})
    ruleset = site.compiled(manifest, wire.endpoints)
    if not newer:
        return ruleset
    first = ('counter name "spoofed" drop',) if cut else ("udp dport 9 drop",)
    chain = ruleset.chains["gateway"]
    return dataclasses.replace(ruleset, chains={**ruleset.chains, "gateway": Chain((*first, *chain.rules), chain.hook)})


def listed(site: Site, chain: str = "") -> str:
    words = ["chain", "inet", "avpn", chain] if chain else ["table", "inet", "avpn"]
    return run("ip", "netns", "exec", site.namespace, "nft", "-s", "list", *words)


def is_newer(site: Site) -> bool:
    return "udp dport 9 drop" in listed(site, "gateway")


def permits(wire: Wire) -> Iterator[Path_]:
    """What passes between the workloads of the first site."""
    here = {each.namespace for each in wire.sites[0].workloads}
    tried = [path for path in paths(wire, TRIED) if {path.source, path.target} <= here]
    return (path for path, passed in probe(tried, 0.4).items() if passed)


def open_ports(wire: Wire) -> set[int | None]:
    return {path.packet.port for path in permits(wire)}


def killed(work: str, step: int, place: Place, ruleset: Ruleset, directory: Path) -> str | None:
    """A run in a process of its own that dies at this step, and which step that was; None: it came to its end."""
    given = {
        "directory": str(directory),
        "namespace": place.namespace,
        "state": str(place.state),
        "record": str(place.record),
        "ruleset": ruleset.to_json(),
    }
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("dying.py")), work, str(step)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if done.returncode == 0:
        return None
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.strip()


def test_rules_come_at_once_and_a_new_frame_goes_on_trial(wire: Wire, place: Place, timers: Timers) -> None:
    site = wire.sites[0]
    assert trying.put(place, rules(site, wire, 80), NOW).wanted is None, "the first has nothing to go back to"
    newer = rules(site, wire, 81, newer=True)
    put = trying.put(place, newer, NOW)
    assert put.wanted == frame_of(newer)
    assert not is_newer(site), "the frame waits"
    assert open_ports(wire) == {81}, "the rules don't"
    begun = trying.begin(place, newer, trial(), timers, ["avpn-revert", "net"])
    assert begun is not None
    assert is_newer(site)
    assert timers.armed() == [trying.timer(place.namespace, begun)]
    assert trying.put(place, newer, NOW).wanted is None, "one trial at a time"
    assert trying.confirm(place, begun, timers)
    assert timers.armed() == []
    assert not trying.put(place, newer, NOW + 10 * SECONDS).change, "what is confirmed stays"
    assert is_newer(site)


def test_a_trial_that_nobody_confirms_is_rolled_back_without_the_rules(
    wire: Wire, place: Place, timers: Timers
) -> None:
    """The frame alone goes back: what was revoked before, and during, the trial stays revoked."""
    site = wire.sites[0]
    trying.put(place, rules(site, wire, 80), NOW)
    newer = rules(site, wire, 80, newer=True)
    trying.put(place, newer, NOW)
    trying.begin(place, newer, trial(), timers, ["avpn-revert", "net"])
    during = trying.put(place, rules(site, wire, 81, newer=True), NOW + 1)
    assert during.change
    assert open_ports(wire) == {81}, "a revocation isn't delayed by a trial"
    assert is_newer(site)
    after = trying.put(place, rules(site, wire, 81, newer=True), NOW + SECONDS)
    assert not is_newer(site)
    assert open_ports(wire) == {81}, "nor is it undone"
    assert after.wanted is None
    assert f"within {SECONDS} s" in after.refused
    again = trying.put(place, rules(site, wire, 80, newer=True), NOW + 2 * SECONDS)
    assert again.refused, "it isn't tried again"
    assert again.change, "while rules go on changing"
    assert not is_newer(site)
    other = rules(site, wire, 80, newer=True, cut=True)
    assert trying.put(place, other, NOW + 3 * SECONDS).wanted == frame_of(other), "another one is"
    assert trying.put(place, newer, NOW + 3 * SECONDS, again=True).wanted == frame_of(newer), "and the same, if asked"


def test_the_frame_of_before_is_what_a_boot_begins_with(wire: Wire, place: Place, timers: Timers) -> None:
    site = wire.sites[0]
    trying.put(place, rules(site, wire, 80), NOW)
    newer = rules(site, wire, 80, newer=True)
    trying.put(place, newer, NOW)
    trying.begin(place, newer, trial(), timers, ["avpn-revert", "net"])
    # The namespace and what remembered it are gone.
    run("ip", "netns", "exec", site.namespace, "nft", "flush", "ruleset")
    place.state.unlink()
    put = trying.put(place, newer, NOW + 1)
    assert not is_newer(site), "what hasn't proved itself isn't believed"
    assert put.wanted == frame_of(newer)
    assert not put.refused, "but nothing was found wrong with it"


def test_what_nft_refuses_is_never_on_trial(wire: Wire, place: Place, timers: Timers) -> None:
    site = wire.sites[0]
    trying.put(place, rules(site, wire, 80), NOW)
    good = listed(site)
    newer = rules(site, wire, 80, newer=True)
    broken = dataclasses.replace(newer, chains={**newer.chains, "guard": Chain(("no such words",), "")})
    assert trying.put(place, broken, NOW).wanted is not None
    with pytest.raises(AvpnError, match="nft refuses"):
        trying.begin(place, broken, trial(), timers, ["avpn-revert", "net"])
    assert listed(site) == good
    assert timers.armed() == []
    assert frames.load(place.record).trial is None


def test_what_can_not_be_armed_is_not_loaded(wire: Wire, place: Place, tmp_path: Path) -> None:
    class Broken(Timers):
        def arm(self, *_all: Any) -> None:
            raise AvpnError("no timers here")

    site = wire.sites[0]
    trying.put(place, rules(site, wire, 80), NOW)
    newer = rules(site, wire, 80, newer=True)
    trying.put(place, newer, NOW)
    with pytest.raises(AvpnError, match="no timers"):
        trying.begin(place, newer, trial(), Broken(tmp_path), ["avpn-revert", "net"])
    assert not is_newer(site)
    assert frames.load(place.record).trial is None


def test_rules_that_do_not_fit_into_the_old_frame_bring_theirs(wire: Wire, place: Place) -> None:
    """The old frame sends packets on to a chain that the new rules don't have: then both come at once."""
    site = wire.sites[0]
    trying.put(place, rules(site, wire, 80), NOW)
    newer = rules(site, wire, 81, newer=True)
    chains = {name: chain for name, chain in newer.chains.items() if name != "decide"}
    renamed = tuple(rule.replace("goto decide", "goto decisions") for rule in chains["forward"].rules)
    chains |= {"decisions": newer.chains["decide"], "forward": Chain(renamed, chains["forward"].hook)}
    put = trying.put(place, dataclasses.replace(newer, chains=chains), NOW)
    assert put.wanted is None
    assert open_ports(wire) == {81}
    assert is_newer(site)


def test_rolling_back_waits_for_nobody(wire: Wire, place: Place, timers: Timers) -> None:
    """Whoever applies may hang, with the lock of the state file in its hands."""
    site = wire.sites[0]
    trying.put(place, rules(site, wire, 80), NOW)
    newer = rules(site, wire, 80, newer=True)
    trying.put(place, newer, NOW)
    trying.begin(place, newer, trial(), timers, ["avpn-revert", "net"])
    with nft._lock(place.state):
        trying.roll_back(place, frames.load(place.record), "a test", NOW + SECONDS, alone=False)
    assert not is_newer(site)
    assert open_ports(wire) == {80}
    put = trying.put(place, newer, NOW + SECONDS + 1)
    assert put.refused == "a test"
    assert not trying.put(place, newer, NOW + SECONDS + 1).change


def test_killed_at_every_step_the_old_or_the_new_is_in_force_and_the_next_run_finishes(
    wire: Wire, place: Place, timers: Timers, tmp_path: Path
) -> None:
    """New rules and a new frame; never is anything open that neither the old nor the new rules permit."""
    site = wire.sites[0]
    old, new = rules(site, wire, 80), rules(site, wire, 81, newer=True)
    seen: list[str] = []
    while True:
        trying.put(place, old, NOW - 10 * SECONDS, again=True)
        nft.remove(place.namespace, place.state)
        frames.forget(place.record)
        for name in timers.armed():
            timers.disarm(name)
        trying.put(place, old, NOW)
        step = killed("upgrade", len(seen), place, new, tmp_path)
        if step is None:
            break
        seen.append(step)
        where = (len(seen) - 1, step)
        assert open_ports(wire) in ({80}, {81}), where
        if is_newer(site):
            assert timers.armed() or frames.load(place.record).trial is None, f"{where}: somebody takes it back"
            assert open_ports(wire) == {81}, f"{where}: rules come first"
        # The next run, soon after: it finishes what it finds, and may still have to begin and confirm a trial.
        put = trying.put(place, new, NOW + 1)
        assert not put.refused, where
        assert open_ports(wire) == {81}, where
        found = frames.load(place.record).trial
        if found is not None:
            assert trying.confirm(place, found, timers)
        upgrade(place, new, timers)
        assert is_newer(site), where
        assert not trying.put(place, new, NOW + 10 * SECONDS).change, where
    assert seen.count("before arm") == seen.count("after arm") == 1
    assert seen.count("before _nft") >= 3, "rules, their switch, and the frame"
    assert seen.count("before _remember") == 2
    assert len(seen) >= 16


def test_killed_while_it_rolls_back_the_next_run_finishes(
    wire: Wire, place: Place, timers: Timers, tmp_path: Path
) -> None:
    site = wire.sites[0]
    old, new = rules(site, wire, 80), rules(site, wire, 81, newer=True)
    seen: list[str] = []
    while True:
        nft.remove(place.namespace, place.state)
        frames.forget(place.record)
        trying.put(place, old, NOW)
        trying.put(place, new, NOW)
        trying.begin(place, new, trial(), timers, ["avpn-revert", "net"])
        assert is_newer(site)
        step = killed("late", len(seen), place, new, tmp_path)
        assert open_ports(wire) == {81}, (len(seen), step)
        if step is None:
            break
        seen.append(step)
        late(place, new, timers)
        assert not is_newer(site), (len(seen), step)
        assert open_ports(wire) == {81}, "the rules never go back"
        put = trying.put(place, new, NOW + 2 * SECONDS)
        assert put.refused, (len(seen), step)
        assert not put.change
    assert len(seen) >= 6
    assert not is_newer(site)
