# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules address and lock between three hosts over real SSH: arguments, check mode, create, again, update."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quorum_site import Site, module_result

from ansible_collections.akash.avpn.plugins.module_utils._chain.view import save_view

pytestmark = [pytest.mark.root, pytest.mark.slow]


def address(site: Site, number: int, *, check: bool = False, deadline: float = 20) -> dict[str, Any]:
    root = str(site.hosts[number].paths.root)
    return module_result("address", {"root": root, "deadline": deadline}, check=check)


def one(result: dict[str, Any]) -> dict[str, Any]:
    (network,) = result["networks"].values()
    return dict(network)


def lock(site: Site, number: int, **options: Any) -> dict[str, Any]:
    root = str(site.hosts[number].paths.root)
    return module_result("lock", {"root": root, "network": "prod", "name": "deploy", "deadline": 10, **options})


def appears(path: Path, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return path.exists()


def test_a_host_that_is_not_set_up(tmp_path: Path) -> None:
    result = module_result("address", {"root": str(tmp_path)})
    assert result["failed"]
    assert "akash.avpn.peer" in str(result["msg"])


def test_life(site: Site) -> None:
    site.chain.deploy("web", 11, 1)
    api = site.chain.deploy("api", 12, 2, replicas=2)
    site.chain.deploy("db", 13, 3)
    site.publish()
    registry = site.hosts[1].paths.registry
    would = address(site, 1, check=True)
    assert would["changed"]
    assert one(would)["allocated"] == {"web/1/0": "100.64.0.2"}
    assert not registry.exists()
    first = address(site, 1)
    assert first["changed"], first
    assert one(first)["allocated"] == {"web/1/0": "100.64.0.2"}
    assert first["diff"]["after"] == "prod: web/1/0 100.64.0.2\n"
    # Every voter tells its own fast path, though behind the answer.
    hint = f"ledger-{site.chain.record().id}"
    assert all(appears(host.paths.hints / hint) for host in site.hosts.values())
    assert one(address(site, 2))["allocated"] == {"api/1/0": "100.64.0.3", "api/1/1": "100.64.0.4"}
    assert one(address(site, 3))["allocated"] == {"db/1/0": "100.64.0.5"}
    for number in (1, 2, 3):
        again = address(site, number)
        assert not again["changed"], again
        assert one(again)["version"] == 3

    site.hosts[3].stop()
    site.chain.deploy("more", 14, 1)
    site.publish()
    assert one(address(site, 1))["allocated"] == {"more/1/0": "100.64.0.6"}

    site.hosts[2].stop()
    site.chain.deploy("even-more", 15, 1)
    site.publish()
    stuck = address(site, 1, deadline=3)
    assert not stuck.get("failed")
    assert not stuck["changed"]
    assert "no majority: 1 of 3 voters answered" in one(stuck)["error"]
    assert "n2" in one(stuck)["error"] and "n3" in one(stuck)["error"]

    site.hosts[2].start()
    site.hosts[3].start()
    site.chain.close(api)
    site.publish(10)
    after = address(site, 1)
    assert one(after)["allocated"] == {"even-more/1/0": "100.64.0.7"}
    assert one(after)["released"] == ["api/1/0", "api/1/1"]
    assert (after["allocated"], after["released"]) == (1, 2)


def test_lock(site: Site) -> None:
    site.chain.deploy("web", 11, 1)
    site.chain.deploy("api", 12, 2)
    site.publish()
    assert not address(site, 1).get("failed")
    outsider = lock(site, 2)
    assert outsider["failed"]
    assert "not part of the network" in outsider["msg"]
    address(site, 2)
    assert lock(site, 1, ttl=10**6)["failed"]
    assert lock(site, 1, name="Not a name")["failed"]
    taken = lock(site, 1, ttl=20)
    assert taken["held"] and taken["changed"], taken
    assert taken["expires"] == site.chain.height + 20
    assert taken["left"] == 20
    same = lock(site, 1, ttl=20)
    assert not same["changed"]
    assert same["token"] == taken["token"]
    refused = lock(site, 2)
    assert refused["failed"]
    assert "is held by" in refused["msg"] and "21 more blocks" in refused["msg"]
    site.publish(5)
    renewed = lock(site, 1, ttl=20)
    assert renewed["changed"]
    assert (renewed["token"], renewed["expires"]) == (taken["token"], taken["expires"] + 5)
    site.publish(21)
    other = lock(site, 2)
    assert other["held"]
    assert other["token"] > taken["token"]
    mine = lock(site, 1, state="absent")
    assert not mine["changed"]
    assert mine["holder"] == str(site.hosts[2].node)
    assert "left" not in mine
    freed = lock(site, 2, state="absent")
    assert freed["changed"]
    assert freed["holder"] is None


def test_another_signing_key(site: Site) -> None:
    """It counts once the chain names it: then the ledger is told, and the host votes with it in its own place."""
    for number, member in enumerate(("web", "api", "db"), 1):
        site.chain.deploy(member, 10 + number, number)
    site.publish()
    for number in (1, 2, 3):
        assert one(address(site, number))["allocated"]
    host = site.hosts[2]
    before = site.view().hosts[host.node]
    host.change_key(b"2" * 32)
    refused = lock(site, 2, ttl=20)
    assert refused["failed"]
    assert "doesn't know this host's signing key yet" in refused["msg"]
    # Nobody has published it: the others go on, and the host gets nothing agreed.
    site.chain.height += 1
    for each in site.hosts.values():
        save_view(each.paths.view, replace(site.view(), hosts={**site.view().hosts, host.node: before}))
    site.chain.deploy("more", 21, 1)
    assert "names another key" in one(address(site, 2))["error"]
    assert "error" not in one(address(site, 1))
    site.publish()
    changed = address(site, 2)
    assert "error" not in one(changed) and changed["changed"], changed
    steps = [one(address(site, number))["voters_changed"] for number in (1, 2, 3, 1, 2, 3)]
    steps.append(one(changed)["voters_changed"])
    assert [step for some in steps for step in some] == [
        f"+{host.node} -{host.node}: has another database or key now",
    ]
    assert lock(site, 2, ttl=20)["held"]
    # Two of three decide, and this is one of them.
    site.hosts[3].stop()
    site.chain.deploy("even-more", 22, 1)
    site.publish()
    assert one(address(site, 1))["allocated"]
