# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A provider's team takes its host out of voting, and has it back, over real SSH (R12)."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from quorum_site import Site, module_result, opened

from ansible_collections.akash.avpn.plugins.module_utils._peer import config, drop, gather
from ansible_collections.akash.avpn.plugins.module_utils._peer.votes import votes
from ansible_collections.akash.avpn.plugins.module_utils._reconcile import status

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def town() -> Iterator[Site]:
    """1, 2 and 3 vote; 4 has come after them."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with opened(3, hosts=4) as site:
        for number in (1, 2, 3):
            site.chain.deploy(f"m{number}", 10 + number, number)
        site.publish()
        for number in (1, 2, 3):
            address(site, number)
        yield site


def address(site: Site, number: int) -> dict[str, Any]:
    """As a run of the playbook on one host."""
    result = module_result("address", {"root": str(site.hosts[number].paths.root), "deadline": 30})
    (network,) = result["networks"].values()  # type: ignore[attr-defined]
    assert "error" not in network, network
    return {**network, "voters": set(network["voters"])}


def drain(site: Site, number: int, wanted: bool) -> None:
    """As the role peer writes it; sshd and its sessions go on."""
    path = site.hosts[number].paths.host_config
    path.write_text(json.dumps({**json.loads(path.read_text()), "drain": wanted}))


def fast_path(site: Site, number: int) -> dict[str, str]:
    """What the first half of the fast path finds on a host, as avpn."""
    paths = site.hosts[number].paths
    found = drop.as_user(drop.USER, lambda: gather.gather(paths, config.load(paths.host_config)), seconds=60)
    return dict(found["problems"])


def nodes(site: Site, *numbers: int) -> set[str]:
    return {str(site.hosts[number].node) for number in numbers}


def gone(site: Site, number: int) -> tuple[bool, int]:
    """Of a voter's database: whether its network was left, and how many values it holds."""
    path = site.hosts[number].paths.voter_database
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        left, held = database.execute("SELECT sum(gone), count(snapshot) FROM networks").fetchone()
    return bool(left), held


def test_a_host_is_drained_and_comes_back(town: Site) -> None:
    drain(town, 3, True)
    told = address(town, 3)
    assert told["voters"] == nodes(town, 1, 2, 3)
    assert "is drained" in told["voters_waiting"][str(town.hosts[3].node)]
    shown = "\n".join(status.table(status.gather(town.hosts[3].paths)))
    assert "drained: votes in prod" in shown
    # Somebody comes who can take its place.
    lease = town.chain.deploy("m4", 14, 4)
    town.publish()
    address(town, 4)
    network = town.chain.record().id
    assert f"waiting {network}" not in fast_path(town, 1)
    assert "is drained" in fast_path(town, 3)[f"waiting {network}"]
    told = address(town, 3)
    assert told["voters"] == nodes(town, 1, 2, 4)
    assert told["voters_changed"] == [f"+{town.hosts[4].node} -{town.hosts[3].node}: is drained"]
    assert gone(town, 3) == (True, 0)
    assert "drained: votes nowhere any more" in status.table(status.gather(town.hosts[3].paths))
    # It goes on taking part, with its peer channel or without.
    town.chain.replicas[13] = 2
    town.publish()
    assert address(town, 3)["allocated"]
    # 4 leaves. The others would have 3 again, and it says no.
    town.chain.close(lease)
    town.publish(12)
    for _again in range(2):
        seen = [address(town, number) for number in (1, 2)]
        if "drained" in str(seen[0]["voters_waiting"]) + str(seen[1]["voters_waiting"]):
            break
    else:
        raise AssertionError(seen)
    drain(town, 3, False)
    for _again in range(3):
        for number in (1, 2, 3):
            told = address(town, number)
        if told["voters"] == nodes(town, 1, 2, 3):
            break
    assert told["voters"] == nodes(town, 1, 2, 3)
    assert not votes(town.hosts[3].paths)[network].gone
    # It counts: with it and one other there is a majority.
    town.hosts[1].stop()
    town.chain.replicas[12] = 2
    town.publish()
    assert address(town, 2)["allocated"]


def test_a_witness_is_drained(town: Site) -> None:
    """It holds no lease, so it has no reconciliation of this network but for this; and no tunnel is made for it."""
    town.chain.changes["witnesses"] = (town.hosts[3].node,)
    for lease in list(town.chain.leases):
        if lease.provider == town.hosts[3].node.provider:
            town.chain.close(lease)
    town.chain.deploy("m4", 14, 4)
    town.publish(12)
    for number in (3, 1, 4):
        address(town, number)
    files = list(town.hosts[3].paths.wireguard.glob("*"))
    registered = town.hosts[3].paths.registry.read_bytes()
    drain(town, 3, True)
    assert address(town, 3)["voters"] == nodes(town, 1, 2, 4)
    assert gone(town, 3) == (True, 0)
    assert list(town.hosts[3].paths.wireguard.glob("*")) == files
    assert town.hosts[3].paths.registry.read_bytes() == registered
