# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module provider against the development chain: read, merge, write."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from ansible_collections.akash.avpn.tests.unit.chain import samples
from ansible_collections.akash.avpn.tests.unit.chain.conftest import World, devchain, tenant, world
from ansible_collections.akash.avpn.tests.unit.chain.module_run import run_module

__all__ = ["devchain", "tenant", "world"]

HOST = samples.host_document()


def provider(world: World, *, check: bool = False, **options: Any) -> dict[str, Any]:
    common = {
        "endpoints": [world.chain.url],
        "own": True,
        "chain_id": world.chain.chain_id,
        "private_key": "11" * 32,
    }
    return run_module("provider", check=check, **{**common, **options})


def on_chain(world: World) -> dict[str, Any]:
    url = f"{world.chain.url}/akash/provider/v1beta4/providers/{world.tenant.address}"
    with urllib.request.urlopen(url) as answer:
        record: dict[str, Any] = json.load(answer)["provider"]
    return record


def test_registers_a_provider(world: World) -> None:
    assert provider(world, nodes={"node1": HOST})["msg"].startswith("host_uri: ")
    options = {"nodes": {"node1": HOST}, "host_uri": "https://p.example:8443", "email": "a@example.com"}
    height = world.chain.height
    assert provider(world, check=True, **options)["changed"] and world.chain.height == height
    made = provider(world, **options)
    assert made["changed"] and made["nodes"] == ["node1"] and made["provider"] == world.tenant.address
    record = on_chain(world)
    assert json.loads(record["attributes"][0]["value"]) == HOST
    assert record["info"]["email"] == "a@example.com"
    assert not provider(world, **options)["changed"]
    assert not provider(world, nodes={"node1": HOST})["changed"]


def test_keeps_everything_that_is_not_ours(world: World) -> None:
    foreign = {
        "zone": "b",
        "capabilities/gpu": "a\nb",
        "avpn/other": "x",
        "avpn/peer/node2": json.dumps(HOST, indent=1),
    }
    world.chain.admin.provider_set(
        world.tenant.address, "https://p.example:8443", attributes=foreign, email="a@b.c", website="https://w"
    )
    changed = provider(world, nodes={"node1": HOST})
    assert changed["changed"] and changed["nodes"] == ["node1", "node2"]
    record = on_chain(world)
    rows = {row["key"]: row["value"] for row in record["attributes"]}
    assert {key: rows[key] for key in foreign} == foreign
    assert (record["host_uri"], record["info"]) == (
        "https://p.example:8443",
        {"email": "a@b.c", "website": "https://w"},
    )
    assert not provider(world, nodes={"node2": HOST})["changed"], "white space is no change"
    assert provider(world, nodes={"node1": {**HOST, "wireguard": "198.18.0.50"}})["changed"]
    assert provider(world, nodes={"node1": HOST}, purge_nodes=True)["nodes"] == ["node1"]
    assert provider(world, website="https://other")["changed"]
    assert on_chain(world)["info"]["email"] == "a@b.c"

    assert provider(world, state="absent", nodes={"node9": {}})["changed"] is False
    assert provider(world, state="absent", check=True)["changed"]
    assert provider(world, state="absent")["nodes"] == []
    rows = {row["key"]: row["value"] for row in on_chain(world)["attributes"]}
    assert rows == {key: value for key, value in foreign.items() if not key.startswith("avpn/peer/")}
    assert not provider(world, state="absent")["changed"]


def test_absent_without_a_provider(world: World) -> None:
    assert not provider(world, state="absent")["changed"]


def test_bad_options_are_named(world: World) -> None:
    world.chain.admin.provider_set(world.tenant.address)
    bad = {
        "nodes.node1.gossip": {"node1": {**HOST, "gossip": "x"}},
        "nodes.node1.ssh.host_key": {"node1": {**HOST, "ssh": {**HOST["ssh"], "host_key": "x\ny"}}},
        "nodes.node1.more": {"node1": {**HOST, "more": 1}},
        "nodes.node1": {"node1": "text"},
        "nodes.NODE": {"NODE": HOST},
    }
    for where, nodes in bad.items():
        result = provider(world, nodes=nodes)
        assert result["failed"] and result["msg"].startswith(f"{where}: "), result["msg"]
    assert "host_uri" in provider(world, host_uri="http://plain")["msg"]
