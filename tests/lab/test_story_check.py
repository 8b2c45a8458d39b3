# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each team's own live check: it agrees where all is well, and finds what somebody changed by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from scenario import checking, observing
from scenario.cast import A
from scenario.story import Story

pytestmark = pytest.mark.lab

_REPAIRERS = ("avpn-fastpath.timer", "avpn-fastpath.path", "avpn-reconcile.timer", "avpn-reconcile.path")


def test_every_team_finds_its_paths_as_predicted(story: Story) -> None:
    checks = checking.check(story.lab, story.providers)
    assert all(each.as_predicted for each in checks), checking.render(checks)
    # Each from its own endpoints to all others of their networks, over both families; a ping and a port at least.
    assert [each.paths >= 2 * 2 * pairs for each, pairs in zip(checks, (3 + 1, 2 * 3 + 1, 3), strict=True)] == [
        True
    ] * 3


@pytest.fixture
def unrepaired(story: Story) -> Iterator[str]:
    """provider1, where nothing repairs the firewall until the test is over."""
    host = story.providers[0]
    story.lab.execute(host, ["systemctl", "stop", *_REPAIRERS])

    def idle() -> bool:
        command = ["systemctl", "is-active", "avpn-fastpath.service", "avpn-reconcile.service"]
        return set(story.lab.execute(host, command, check=False).stdout.split()) <= {"inactive", "failed"}

    observing.eventually(idle, "the runs under way end")
    yield host
    story.lab.execute(host, ["systemctl", "start", *_REPAIRERS])
    story.lab.execute(host, ["systemctl", "start", "avpn-fastpath.service"])


def test_a_rule_deleted_by_hand_is_found_and_repaired(story: Story, unrepaired: str) -> None:
    short = observing.short(story.lab, unrepaired, story.network_id(A))
    nft = ["nft", "--handle", "list", "chain", "inet", "avpn", "e_web"]
    listed = story.lab.execute_in(unrepaired, f"avpn-{short}", nft).stdout
    # Without /etc/protocols, which a small host may lack, nft lists protocols by number.
    (line,) = [line for line in listed.splitlines() if re.search(r"l4proto (tcp|6) .*@e_web_allow", line)]
    handle = line.rsplit(" ", 1)[1]
    delete = ["nft", "delete", "rule", "inet", "avpn", "e_web", "handle", handle]
    story.lab.execute_in(unrepaired, f"avpn-{short}", delete)
    (found,) = checking.check(story.lab, [unrepaired])
    assert not found.passed
    assert found.different > 0
    text = "\n".join(found.lines)
    assert "NOT AS PREDICTED: web/1/0 -> api/1/0 tcp/8080 IPv4" in text
    assert "refused on this host, by the egress of web" in text
    assert "note: the firewall in the kernel isn't what was loaded last: it was changed by hand" in text
    assert "blog: " in text
    assert not any("NOT AS PREDICTED: db" in line for line in found.lines)
    # It is shown all the same where it isn't to fail.
    (shown,) = checking.check(story.lab, [unrepaired], "-e", "avpn_check_fail=false")
    assert shown.passed
    assert shown.different == found.different
    story.lab.execute(unrepaired, ["systemctl", "start", "avpn-fastpath.service"])
    (after,) = checking.check(story.lab, [unrepaired])
    assert after.as_predicted, checking.render([after])


def test_denied_packets_are_in_the_journal_with_the_side_that_refused(story: Story) -> None:
    host = story.providers[0]
    short = observing.short(story.lab, host, story.network_id(A))
    # Of web's, tcp/9090 to api is refused by its own egress; the check tries what its rules name and the next port.
    checking.check(story.lab, [host], "-e", '{"avpn_check_ports": ["tcp/9090"]}')

    def lines() -> list[str]:
        unit = ["journalctl", "--quiet", "--output=cat", "--unit", f"avpn-log@{short}.service"]
        return story.lab.execute(host, unit).stdout.splitlines()

    wanted = f"network=shop/{story.network_id(A)[:8]} member=web side=egress "
    observing.eventually(lambda: any(wanted in line and "DPT=9090" in line for line in lines()), "a denied packet")
    told = story.playbook(host, "akash.avpn.status", "-e", "avpn_hosts=lab_provider")
    assert "that it sent, by its own egress" in told
