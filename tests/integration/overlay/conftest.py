# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three hosts on one wire, a tenant's network over them, and its workloads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._overlay import netns
from ansible_collections.akash.avpn.plugins.module_utils._overlay.model import HostPlan
from ansible_collections.akash.avpn.tests.integration.overlay.machinery import (
    PREFIX,
    Node,
    ip,
    make_node,
    sweep,
)
from ansible_collections.akash.avpn.tests.unit.overlay.builders import World

# A pod's own way out: whatever leaves by eth0 arrives at eth1.
_UPLINK = (
    "link set lo up",
    "link add eth0 type veth peer name eth1",
    "address add 10.200.0.2/24 dev eth0",
    "address add fd99::2/64 dev eth0 nodad",
    "link set eth0 up",
    "link set eth1 up",
    "neighbour add 10.200.0.1 lladdr 02:00:00:00:00:99 dev eth0 nud permanent",
    "neighbour add fd99::1 lladdr 02:00:00:00:00:99 dev eth0 nud permanent",
    "route add default via 10.200.0.1",
    "route add default via fd99::1",
)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Node]]:
    """Three hosts; index 0 is host 1."""
    sweep()
    made: list[Node] = []
    try:
        ip("netns", "add", f"{PREFIX}-net")
        ip("-n", f"{PREFIX}-net", "link", "add", "br0", "type", "bridge")
        ip("-n", f"{PREFIX}-net", "link", "set", "br0", "up")
        made = [make_node(number, tmp_path / f"host{number}") for number in (1, 2, 3)]
        yield made
    finally:
        for each in made:
            with contextlib.suppress(Exception):
                each.apply(HostPlan(), resolver=False)
            for name in list(each.daemons.timers):
                each.daemons.disarm(name)
            for unit in list(each.daemons.processes):
                each.daemons.stop(unit)
        sweep()


@pytest.fixture
def world(hosts: list[Node]) -> World:
    """The network of the unit tests, its hosts' keys made, its workloads' namespaces there."""
    made = World()
    for each in hosts:
        each.prepare(made)
    for endpoint, slot in made.slots.items():
        for each in hosts:
            if slot.host == each.host.id:
                start_workload(each, made, endpoint)
    return made


def start_workload(host: Node, world: World, endpoint: object) -> str:
    """A workload with an own uplink and default route, as a pod has."""
    name = host.workload(world, endpoint)  # type: ignore[arg-type]
    ip("netns", "add", name)
    netns.batch(f"/run/netns/{name}", _UPLINK)
    return name
