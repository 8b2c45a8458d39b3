# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reconciliation in the lab: a second run changes nothing, check mode says what a run would change (R19)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from scenario import observing
from scenario.cast import A
from scenario.matrix import render
from scenario.story import Story

pytestmark = pytest.mark.lab

FAST_PATH = ("avpn-fastpath.timer", "avpn-fastpath.path")


@pytest.fixture
def alone(stage: Story) -> Iterator[str]:
    """A host whose fast path doesn't run by itself, so that what is broken there stays so until a run."""
    host = "provider1"
    stage.lab.execute(host, ["systemctl", "stop", *FAST_PATH])
    stage.lab.execute(host, ["systemctl", "stop", "avpn-fastpath.service"])
    yield host
    stage.lab.execute(host, ["systemctl", "start", *FAST_PATH])


def test_a_second_reconciliation_changes_nothing(story: Story) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda host: observing.reconcile(story.lab, host), story.providers))
        before = {host: observing.fingerprint(story.lab, host) for host in story.providers}
        runs = dict(
            zip(story.providers, pool.map(lambda host: observing.start(story.lab, host), story.providers), strict=True)
        )
    told = {host: (run["outcome"], run["changed"], run["problems"], run["failures"]) for host, run in runs.items()}
    assert told == dict.fromkeys(story.providers, ("ok", 0, [], []))
    for host in story.providers:
        assert observing.differences(before[host], observing.fingerprint(story.lab, host)) == []


def test_check_mode_says_what_would_change_and_changes_nothing(stage: Story, alone: str) -> None:
    lab, network = stage.lab, stage.network_id(A)
    short = observing.short(lab, alone, network)
    whole = observing.fingerprint(lab, alone)
    # Three things that somebody breaks by hand: a peer, a set's elements, the names.
    peer = observing.peers(lab, alone, short).split()[0]
    lab.execute_in(alone, f"avpn-{short}", ["wg", "set", f"av{short}a", "peer", peer, "remove"])
    lab.execute_in(alone, f"avpn-{short}", ["nft", "flush", "set", "inet", "avpn", "i_web_allow"])
    lab.execute(alone, ["sh", "-c", f"sed -i /db/d /run/avpn/{short}/hosts"])
    broken = observing.fingerprint(lab, alone)
    assert broken != whole

    done = lab.execute(alone, ["/usr/local/sbin/avpn-reconcile", "--check", "--diff"], timeout=observing.PATIENCE)
    run = observing.runs(lab, alone)[0]
    assert (run["outcome"], run["check"]) == ("ok", True)
    assert run["changed"] >= 3
    said = done.stdout + done.stderr
    added = [line for line in said.splitlines() if line.startswith("+")]
    assert any(peer in line for line in added), said
    assert any("i_web" in line for line in added), said
    assert any("db.shop.avpn.internal" in line for line in added), said
    assert observing.differences(broken, observing.fingerprint(lab, alone)) == []

    run = observing.reconcile(lab, alone)
    assert run["outcome"] == "ok"
    assert run["changed"] >= 3
    # The firewall's memory of what it loaded names the kernel's handles, which a load makes anew.
    left = observing.differences(whole, observing.fingerprint(lab, alone))
    assert [line for line in left if "/firewall.json " not in line] == []
    paths = stage.probe(A)
    assert all(path.as_predicted for path in paths), render(paths)
