# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log of denied packets: planned where the team wants it, and its daemon runs exactly then."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._overlay import denial_log
from ansible_collections.akash.avpn.plugins.module_utils._overlay.model import NetworkPlan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.plan import plan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.registry import Registration
from ansible_collections.akash.avpn.tests.unit.overlay.builders import World, node, open_manifest
from ansible_collections.akash.avpn.tests.unit.overlay.test_plan import Config, only

UNIT = "avpn-log@abcdefgh.service"


def planned(rate: int) -> NetworkPlan:
    world = World()
    config = dataclasses.replace(Config(node(1), "198.18.77.1"), firewall_log_rate=rate)
    return only(
        plan(
            world.view(),
            {world.network: world.value},
            {world.network: (open_manifest("web", "api", "db"), 4)},
            config,
            {world.network: Registration("abcdefgh", 51820)},
            fresh=True,
            ran={},
        )
    )


class Units:
    """A supervisor that only writes down."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def running(self) -> frozenset[str]:
        return frozenset()

    def start(self, unit: str) -> None:
        self.asked.append(f"start {unit}")

    def stop(self, unit: str) -> None:
        self.asked.append(f"stop {unit}")

    def restart(self, unit: str) -> None:
        self.asked.append(f"restart {unit}")

    def reload(self, unit: str) -> None:
        self.asked.append(f"reload {unit}")


def test_lines_name_the_network_as_the_tenant_does_and_by_its_id() -> None:
    network = planned(5)
    assert network.firewall.limits == {"log5": "rate 5/second burst 5 packets ;"}
    assert f'log prefix "network=prod/{network.network[:8]} member=web side=egress"' in str(network.firewall.chains)
    assert planned(0).firewall.limits == {}
    assert "log prefix" not in str(planned(0).firewall.chains)


@pytest.mark.parametrize(
    ("rate", "running", "asked"),
    [(5, False, f"start {UNIT}"), (0, True, f"stop {UNIT}"), (5, True, None), (0, False, None)],
)
@pytest.mark.parametrize("check", [False, True])
def test_the_daemon_runs_exactly_where_the_rules_log(rate: int, running: bool, asked: str | None, check: bool) -> None:
    units = Units()
    there = frozenset({UNIT} if running else ())
    changes = denial_log.ensure("prod", planned(rate), "abcdefgh", units, there, check=check)
    assert units.asked == ([asked] if asked and not check else [])
    assert len(changes) == (asked is not None)
    if rate and not running:
        assert str(changes[0]) == "prod: log of denied packets: not running -> running"
