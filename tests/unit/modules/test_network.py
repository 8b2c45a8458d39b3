# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module network against the development chain."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import network_id
from ansible_collections.akash.avpn.tests.unit.chain import samples
from ansible_collections.akash.avpn.tests.unit.chain.conftest import World, devchain, tenant, world
from ansible_collections.akash.avpn.tests.unit.chain.module_run import run_module

__all__ = ["devchain", "tenant", "world"]

KEY = "11" * 32


def network(world: World, *, check: bool = False, **options: Any) -> dict[str, Any]:
    common = {
        "endpoints": [world.chain.url],
        "own": True,
        "chain_id": world.chain.chain_id,
        "private_key": KEY,
        "name": "prod",
    }
    return run_module("network", check=check, **{**common, **options})


def test_life_of_a_network(world: World) -> None:
    web, api = world.lease(0), world.lease(1)
    members = {"web": web, "api": api}

    height = world.chain.height
    planned = network(world, check=True, members=members)
    assert planned["changed"] and "transaction" not in planned and world.chain.height == height
    assert planned["diff"]["before"] == "" and '"web"' in planned["diff"]["after"]

    made = network(world, members=members)
    assert made["changed"] and made["transaction"]["height"] == world.chain.height
    assert made["record"] == planned["record"]
    assert made["network"] == network_id(world.tenant.address, "prod")
    assert made["record"]["cidr"].startswith("100.") and made["record"]["cidr"].endswith("/20")
    assert made["record"]["providers"] == "leases"
    assert {entry["provider"] for entry in made["record"]["founders"]} == set(world.providers[:2])
    assert made["waiting"] == ""

    height = world.chain.height
    for check in (True, False):
        again = network(world, members=members, check=check)
        assert not again["changed"] and again["diff"]["before"] == again["diff"]["after"]
    assert not network(world)["changed"], "what isn't named stays"
    assert world.chain.height == height

    changed = network(world, access=[samples.ssh_key("tenant")], providers=world.providers[:2], evicted=[])
    assert changed["changed"]
    assert changed["record"]["founders"] == made["record"]["founders"]
    assert changed["record"]["members"] == members
    assert changed["record"]["providers"] == world.providers[:2]
    assert network(world, providers=["leases"])["record"]["providers"] == "leases"

    planned = network(world, state="absent", check=True)
    assert planned["changed"] and planned["record"] == {}
    gone = network(world, state="absent")
    assert gone["changed"] and gone["diff"]["after"] == ""
    assert not network(world, state="absent")["changed"]


def test_members_join_and_leave_by_themselves(world: World) -> None:
    network(world, members={"web": 5, "api": 6})
    assert network(world, members={"db": 7}, purge_members=False)["record"]["members"] == {"web": 5, "api": 6, "db": 7}
    assert not network(world, members={"db": 7}, purge_members=False)["changed"]
    assert network(world, absent_members=["api"])["record"]["members"] == {"web": 5, "db": 7}
    assert not network(world, absent_members=["api"])["changed"]
    assert network(world, members={"db": "8"})["record"]["members"] == {"db": 8}


def test_founders_wait_for_leases(world: World) -> None:
    web = world.lease(0)
    later = int(world.chain.admin.deployment_create(world.tenant.address)["deployment"]["id"]["dseq"])
    made = network(world, members={"web": web, "api": later})
    assert made["waiting"] == "no lease yet for api" and made["record"]["founders"] == []
    assert network(world, founders_min=2)["waiting"] == "1 of 2 providers hold a lease and have published a host"
    world.chain.admin.lease_create(world.tenant.address, later, world.providers[1])
    founded = network(world)
    assert founded["changed"] and founded["waiting"] == "" and len(founded["record"]["founders"]) == 2
    first = founded["record"]["founders"][0]
    number = world.providers.index(first["provider"])
    assert first == {
        "provider": world.providers[number],
        "node": "node1",
        "incarnation": samples.hex32(f"incarnation {number}"),
        "key": samples.key32(f"signing {number}"),
    }


def test_founders_change_only_with_the_generation(world: World) -> None:
    web, api, db = world.lease(0), world.lease(1), world.lease(2)
    nodes = [f"{provider}/node1" for provider in world.providers]
    made = network(world, members={"web": web, "api": api, "db": db}, founders=nodes[:2])
    assert [entry["provider"] for entry in made["record"]["founders"]] == world.providers[:2]
    assert not network(world, founders=nodes[:2])["changed"]
    refused = network(world, founders=nodes[1:])
    assert refused["failed"] and "founders" in refused["msg"] and "Raise the generation" in refused["msg"]
    for option, value in (("cidr", "10.0.0.0/24"), ("base", "0" * 64)):
        refused = network(world, **{option: value})
        assert refused["failed"] and refused["msg"].startswith(f"{option}: ")
    raised = network(world, generation=1, base="0" * 64, cidr="10.0.0.0/24")
    assert raised["record"]["generation"] == 1 and len(raised["record"]["founders"]) == 3
    assert raised["record"]["base"] == "0" * 64
    assert not network(world, generation=1)["changed"]
    assert "already" in network(world, generation=0)["msg"]
    assert network(world, generation=2)["record"]["base"] is None


def test_manifest_floor_only_rises(world: World) -> None:
    network(world, manifest={"version": 2, "sha256": "a" * 64})
    assert not network(world, manifest={"version": 2, "sha256": "a" * 64})["changed"]
    assert "manifest.sha256" in network(world, manifest={"version": 2, "sha256": "b" * 64})["msg"]
    assert "manifest.version" in network(world, manifest={"version": 1, "sha256": "a" * 64})["msg"]
    assert network(world, manifest={"version": 3, "sha256": "b" * 64})["changed"]


def test_witness_makes_the_number_odd(world: World) -> None:
    members = {"web": world.lease(0), "api": world.lease(1)}
    witness = f"{world.providers[2]}/node1"
    assert network(world, members=members, witnesses=[witness])["changed"]
    founders = network(world)["record"]["founders"]
    assert {entry["provider"] for entry in founders} == set(world.providers)


def test_what_the_host_of_a_founder_must_have(world: World) -> None:
    members = {"web": world.lease(0), "api": world.lease(1)}
    world.set_host(1, world.providers[1], incarnation="x")
    made = network(world, members=members)
    assert [entry["provider"] for entry in made["record"]["founders"]] == [world.providers[0]]
    assert made["notes"] == [f"{world.providers[1]} holds a lease and has published no host"]
    refused = network(world, name="two", members=members, founders=[f"{world.providers[1]}/node1"])
    assert "has no valid host record" in refused["msg"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"name": "Prod\n"}, "name"),
        ({"cidr": "8.8.8.0/24"}, "cidr"),
        ({"members": {"web": 0}}, "members.web"),
        ({"members": {"web": "1; rm"}}, "members.web"),
        ({"members": {"we b": 1}}, "members.we b"),
        ({"members": {"a": 1, "b": 1}}, "members.b"),
        ({"providers": ["somebody"]}, "providers.0"),
        ({"evicted": ["akash1x"]}, "evicted.0"),
        ({"witnesses": ["akash1x/node"]}, "witnesses.0"),
        ({"access": ['command="sh" ssh-ed25519 AAAA']}, "access.0"),
        ({"founders": ["node1"]}, "founders.0"),
        ({"generation": -1}, "generation"),
        ({"generation": 1, "base": "x"}, "base"),
        ({"manifest": {"version": 0, "sha256": "a" * 64}}, "manifest.version"),
        ({"extra_messages": [{"type_url": "x", "value": ""}]}, "extra_messages.0.type_url"),
        ({"owner": samples.OWNER}, "owner"),
        ({"private_key": "x"}, "private_key"),
        ({"private_key": None}, "owner"),
        ({"private_key": None, "owner": samples.OWNER}, "account"),
        ({"endpoints": []}, "endpoints"),
        ({"endpoints": ["http://127.0.0.1:9"], "own": False}, "endpoints"),
        ({"endpoints": ["ftp://x"]}, "endpoint ftp://x"),
        ({"ca_file": "/nonexistent", "endpoints": ["https://127.0.0.1:1"]}, "ca_file"),
    ],
)
def test_bad_options_are_named(world: World, options: dict[str, Any], named: str) -> None:
    height = world.chain.height
    result = network(world, **options)
    assert result["failed"] and result["msg"].startswith(f"{named}"), result["msg"]
    assert world.chain.height == height


def test_what_stood_there_before_may_be_nonsense(world: World) -> None:
    world.write_text("prod", "{")
    made = network(world, members={"web": 5})
    assert made["changed"] and "no valid record" in made["notes"][0]
    world.write_text("prod", "{")
    assert network(world, state="absent")["changed"]
    assert not network(world, state="absent")["changed"]


def test_extra_messages_share_the_fate(world: World) -> None:
    """R2: a deployment's closing and the leaving of its member are one transaction."""
    from devchain.messages import message_class

    web = world.lease(0)
    network(world, members={"web": web})
    close = message_class("akash.deployment.v1beta4.MsgCloseDeployment")()
    close.id.owner, close.id.dseq = world.tenant.address, web
    import base64

    extra = {
        "type_url": "/akash.deployment.v1beta4.MsgCloseDeployment",
        "value": base64.b64encode(close.SerializeToString()).decode(),
    }
    both = network(world, members={}, extra_messages=[extra])
    assert both["changed"] and both["record"]["members"] == {}
    half = network(world, members={"db": 9}, extra_messages=[extra])
    assert half["failed"] and "Nothing of it was written" in half["msg"]
    assert network(world, check=True)["record"]["members"] == {}


def test_the_key_is_never_shown(world: World, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o600)
    results = [
        network(world, members={"web": 1}, private_key=None, private_key_file=str(file)),
        network(world, members={"web": 2}),
        network(world, cidr="8.8.8.8/8"),
    ]
    for result in results:
        del result["invocation"]
        assert KEY not in json.dumps(result)


def test_file_carrier(world: World, tmp_path: pathlib.Path) -> None:
    options: dict[str, Any] = {
        "carrier": "file",
        "path": str(tmp_path / "view.json"),
        "owner": world.tenant.address,
        "name": "prod",
    }
    assert run_module("network", check=True, members={"web": 1}, **options)["changed"]
    assert not (tmp_path / "view.json").exists()
    made = run_module("network", members={"web": 1}, **options)
    assert made["changed"] and made["waiting"] == "no lease yet for web"
    assert not run_module("network", members={"web": 1}, **options)["changed"]
    seen = run_module("network_info", owners=[world.tenant.address], carrier="file", path=options["path"])
    assert [entry["name"] for entry in seen["networks"]] == ["prod"]
    assert run_module("network", state="absent", **options)["changed"]
    assert not run_module("network", state="absent", **options)["changed"]
    assert "path" in run_module("network", carrier="file", owner=world.tenant.address, name="prod")["msg"]
