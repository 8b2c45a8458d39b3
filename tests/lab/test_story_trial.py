# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commit and confirm on lab hosts: a version of the software whose firewall cuts the host off (R23).

Such a version is put beside the one that runs, as an upgrade does, and its firewall is applied as the module does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scenario import observing
from scenario.cast import TENANTS, A
from scenario.story import Story

pytestmark = pytest.mark.lab

HOST = "provider2"
CURRENT = "/usr/lib/avpn/current"
CUTTING = "icmp type echo-reply drop", "icmpv6 type echo-reply drop"
HARMLESS = "udp dport 9 drop", "udp dport 10 drop"

# Another frame: rules of its own at the head of the chain "gateway". Compiled code that is never checked goes, too.
UPGRADE = r"""
set -eu
before=$(readlink /usr/lib/avpn/current)
echo "$before"
rm -rf /usr/lib/avpn/tried
cp -r "/usr/lib/avpn/$before" /usr/lib/avpn/tried
find /usr/lib/avpn/tried -name __pycache__ -prune -exec rm -r {} +
python3 - "$@" <<'END'
import json, pathlib, sys
path = pathlib.Path("/usr/lib/avpn/tried/avpn/_policy/entrances.py")
text = path.read_text()
marked = '''        "gateway": Chain(\n            (\n'''
assert text.count(marked) == 1
rules = "".join(f"                {json.dumps(rule)},\n" for rule in sys.argv[1:])
path.write_text(text.replace(marked, marked + rules))
END
ln -sfn tried /usr/lib/avpn/current
"""

# What the module akash.avpn.firewall does, with the software that is installed; or half of it, killed.
APPLY = r"""
import json, os, signal, sys
sys.path.insert(0, os.path.realpath("/usr/lib/avpn/current"))
sys.dont_write_bytecode = True
from avpn._overlay import firewalls
from avpn._overlay.host import exclusive
from avpn._overlay.inputs import load_inputs, make_host, make_plan
from avpn._peer.paths import Paths
os.umask(0o022)
with exclusive(Paths()):
    inputs = load_inputs(Paths())
    plan, host = make_plan(inputs), make_host(inputs)
    done = firewalls.enforce(plan, host)
def serves():
    return firewalls.peer_channel(inputs.config.peer_address, inputs.config.peer_port)
firewalls.begin(done, host, serves, caller=False)
begun = {network: sorted({other for other, _own in trial.answered}) for network, trial in done.trials.items()}
print(json.dumps({"begun": begun, "problems": done.problems}), flush=True)
if "killed" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
firewalls.judge(done, host, serves)
print(json.dumps({"refused": done.refused, "problems": done.problems, "trials": sorted(done.trials)}))
"""


PLAY = """
- name: Enforce
  hosts: lab_provider
  gather_facts: false
  roles:
    - role: akash.avpn.firewall
"""


@pytest.fixture
def upgraded(stage: Story) -> Iterator[Any]:
    """Gives the host another version; afterwards it has its own again, and what was tried is forgotten."""
    lab = stage.lab
    before: list[str] = []
    # A reconciliation would judge a trial that it finds, which is right, and not what is looked at here.
    units = "avpn-reconcile.path avpn-reconcile.timer"
    lab.execute(HOST, ["sh", "-c", f"systemctl stop {units}"])
    running = ["systemctl", "is-active", "--quiet", "avpn-reconcile.service"]
    observing.eventually(lambda: lab.execute(HOST, running, check=False).returncode != 0, "no reconciliation runs")

    def upgrade(*rules: str) -> None:
        done = lab.execute(HOST, ["bash", "-c", UPGRADE, "upgrade", *rules])
        before.extend(done.stdout.split()[:1])

    yield upgrade
    if before:
        back = (
            f"ln -sfn {before[0]} {CURRENT}; rm -rf /usr/lib/avpn/tried; systemctl start avpn-fastpath.service || true"
        )
        lab.execute(HOST, ["sh", "-c", back])
    lab.execute(HOST, ["sh", "-c", f"systemctl start {units}"])


def apply(stage: Story, *arguments: str) -> list[dict[str, Any]]:
    done = stage.lab.execute(HOST, ["/usr/bin/python3", "-I", "-c", APPLY, *arguments], check=False, timeout=200)
    assert done.returncode in ((137, -9) if arguments else (0,)), done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def gateways(stage: Story) -> str:
    """The chain that decides what comes to the host itself, in every network."""
    each = "nsenter --net=/run/netns/$each nft list chain inet avpn gateway || true"
    script = f"for each in $(ls /run/netns | grep ^avpn-); do {each}; done"
    return stage.lab.execute(HOST, ["sh", "-c", script]).stdout


def test_a_firewall_that_cuts_the_host_off_is_taken_back_at_once_and_not_tried_again(
    stage: Story, upgraded: Any
) -> None:
    upgraded(*CUTTING)
    begun, judged = apply(stage)
    network = stage.network_id(A)
    assert begun["problems"] == {}
    assert begun["begun"][network], "hosts answered through the tunnel before"
    assert "none of the hosts" in judged["refused"][network]
    assert judged["trials"] == []
    assert "echo-reply drop" not in gateways(stage)
    again = apply(stage)
    assert again[0]["begun"] == {}, "it isn't tried again"
    assert again[1]["refused"] == judged["refused"]
    # The fast path of that version keeps to the frame that has proved itself; the team is told what happened.
    stage.lab.execute(HOST, ["systemctl", "start", "avpn-fastpath.service"])
    assert "echo-reply drop" not in gateways(stage)
    shown = stage.playbook(HOST, "akash.avpn.status", "-e", "avpn_hosts=lab_provider")
    assert "the new frame of the firewall was rolled back, because none of the hosts" in shown
    stage_is_as_predicted(stage)


def test_a_run_that_is_killed_in_the_middle_is_ended_by_the_timer(stage: Story, upgraded: Any) -> None:
    """And by nothing else: the fast path goes on meanwhile, and leaves the trial alone."""
    upgraded(*HARMLESS)
    (begun,) = apply(stage, "killed")
    assert begun["begun"]
    assert HARMLESS[0] in gateways(stage)
    stage.lab.execute(HOST, ["systemctl", "start", "avpn-fastpath.service"])
    assert HARMLESS[0] in gateways(stage)
    timers = stage.lab.execute(HOST, ["systemctl", "list-timers", "--all", "--no-legend", "avpn-revert-*"]).stdout
    assert timers.count("avpn-revert-") >= len(begun["begun"])
    waited = observing.eventually(lambda: HARMLESS[0] not in gateways(stage), "the timers take the frame back", 150)
    print(f"taken back {waited:.0f} s after the fast path's run")
    units = ["systemctl", "list-units", "--all", "--no-legend", "avpn-revert-*"]
    observing.eventually(lambda: stage.lab.execute(HOST, units).stdout.strip() == "", "nothing of the timers is left")
    assert "confirmed within" in apply(stage)[1]["refused"][stage.network_id(A)]
    stage_is_as_predicted(stage)


def test_a_firewall_that_cuts_nobody_off_is_confirmed(stage: Story, upgraded: Any) -> None:
    upgraded(*HARMLESS[:1], "udp dport 11 drop")
    begun, judged = apply(stage)
    assert begun["begun"].keys() >= {stage.network_id(A)}
    assert (judged["refused"], judged["problems"], judged["trials"]) == ({}, {}, [])
    assert "udp dport 11 drop" in gateways(stage)
    timers = stage.lab.execute(HOST, ["systemctl", "list-timers", "--all", "--no-legend", "avpn-revert-*"]).stdout
    assert timers.strip() == "", "nothing takes it back any more"
    stage_is_as_predicted(stage)


def test_a_play_confirms_over_a_new_connection(stage: Story, upgraded: Any, tmp_path: Path) -> None:
    """The team's own machine changes the frame over SSH: this version's, on a host that has had another one."""
    upgraded("udp dport 12 drop")
    apply(stage)
    assert "udp dport 12 drop" in gateways(stage)
    play = tmp_path / "play.yml"
    play.write_text(PLAY, encoding="utf-8")
    told = stage.playbook(HOST, str(play))
    assert "Confirm what has cut nobody off" in told
    assert "udp dport 12 drop" not in gateways(stage)
    timers = stage.lab.execute(HOST, ["systemctl", "list-timers", "--all", "--no-legend", "avpn-revert-*"]).stdout
    assert timers.strip() == ""
    stage_is_as_predicted(stage)


def test_what_a_caller_leaves_that_never_comes_back_goes_back(stage: Story, upgraded: Any) -> None:
    upgraded("udp dport 14 drop")
    apply(stage)
    called = ["ansible", "lab_provider", "-m", "akash.avpn.firewall", "-a"]
    told = stage.lab.ansible(HOST, *called, "confirm=later").stdout
    assert '"frame": "trial"' in told
    assert "udp dport 14 drop" not in gateways(stage)
    observing.eventually(lambda: "udp dport 14 drop" in gateways(stage), "the frame of before is back", 150)
    told = stage.lab.ansible(HOST, *called, "again=true").stdout
    assert '"frame": "confirmed"' in told, "tried again, because the team says so"
    assert "udp dport 14 drop" not in gateways(stage)


def test_a_boot_in_the_middle_of_a_trial_begins_with_the_frame_of_before(stage: Story, upgraded: Any) -> None:
    upgraded("udp dport 13 drop")
    apply(stage, "killed")
    assert "udp dport 13 drop" in gateways(stage)
    stage.lab.kill(HOST)
    stage.lab.start(HOST)
    looks: list[str] = []

    def enforced() -> bool:
        looks.append(gateways(stage))
        assert "udp dport 13 drop" not in looks[-1], "what hasn't proved itself isn't believed"
        return "echo-request" in looks[-1]

    observing.eventually(enforced, f"{HOST} enforces after its boot", told=lambda: looks[-1])
    stage_is_as_predicted(stage)


def stage_is_as_predicted(stage: Story) -> None:
    """Every path of every tenant, whatever was tried."""
    observing.eventually(
        lambda: all(path.as_predicted for path in stage.probe(*TENANTS)), "every path as predicted", 90
    )
