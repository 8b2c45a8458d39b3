# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module network_info against the development chain."""

from __future__ import annotations

from typing import Any

from ansible_collections.akash.avpn.tests.unit.chain import samples
from ansible_collections.akash.avpn.tests.unit.chain.conftest import World, devchain, tenant, world
from ansible_collections.akash.avpn.tests.unit.chain.module_run import run_module

__all__ = ["devchain", "tenant", "world"]


def info(world: World, **options: Any) -> dict[str, Any]:
    return run_module(
        "network_info",
        **{"endpoints": [world.chain.url], "own": True, "chain_id": world.chain.chain_id, **options},
    )


def test_networks_with_all_that_belongs_to_them(world: World) -> None:
    web, api = world.lease(0), world.lease(1, count=2)
    world.write("prod", members={"web": web, "api": api, "db": 77}, providers=world.providers[:1])
    world.write("test", members={})
    result = info(world, owners=[world.tenant.address])
    assert not result["changed"] and result["height"] == world.chain.height and result["problems"] == {}
    prod, test = result["networks"]
    assert (prod["name"], test["name"]) == ("prod", "test")
    assert prod["members"]["api"] == {"dseq": api, "state": "active", "replicas": {"1": 2}}
    assert prod["members"]["db"] == {"dseq": 77, "state": "unknown", "replicas": {}}
    assert [(lease["member"], lease["permitted"], lease["replicas"]) for lease in prod["leases"]] == [
        ("web", True, 1),
        ("api", False, 2),
    ]
    assert prod["providers"] == [world.providers[0]]
    assert prod["hosts"] == [{"node": f"{world.providers[0]}/node1", **samples.host_document(0)}]
    assert [entry["name"] for entry in info(world, owners=[world.tenant.address], name="test")["networks"]] == ["test"]


def test_a_providers_networks(world: World) -> None:
    world.write("prod", members={"web": world.lease(0)})
    world.write("test", members={"web": world.lease(1)}, witnesses=[f"{world.providers[2]}/node1"])
    assert [entry["name"] for entry in info(world, provider=world.providers[0])["networks"]] == ["prod"]
    assert info(world, provider=world.providers[2])["networks"] == []


def test_problems_are_shown(world: World) -> None:
    sent = world.write_text("prod", "x")
    assert sent.height
    result = info(world, owners=[world.tenant.address])
    assert result["networks"] == [] and list(result["problems"].values()) == ["record: is not JSON in UTF-8"]


def test_bad_options(world: World) -> None:
    assert "one of the following is required" in info(world)["msg"]
    assert info(world, owners=["x"])["msg"].startswith("owners.0: ")
    assert info(world, provider="x")["msg"].startswith("provider: ")
    assert "is of chain" in info(world, provider=world.providers[0], chain_id="akashnet-2")["msg"]
