# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory: the pure function by itself, and the plugin through the real ansible-inventory."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import yaml

from ansible_collections.akash.avpn.plugins.module_utils._chain.inventory import inventory_hosts, plain_data
from ansible_collections.akash.avpn.plugins.module_utils._chain.reading import read_view
from ansible_collections.akash.avpn.plugins.module_utils._chain.view import save_view
from ansible_collections.akash.avpn.tests.unit.chain import samples
from ansible_collections.akash.avpn.tests.unit.chain.conftest import World, devchain, tenant, world

__all__ = ["devchain", "tenant", "world"]

ROOT = pathlib.Path(__file__).resolve().parents[3]


def a_network(name: str, owner: str, *members: str, provider: int = 0) -> dict[str, Any]:
    return {
        "id": f"{owner}/{name}",
        "owner": owner,
        "name": name,
        "cidr": "100.64.0.0/24",
        "members": {member: {} for member in members},
        "founders": [],
        "record": {"witnesses": []},
        "leases": [
            {
                "id": f"lease of {member}",
                "member": member,
                "gseq": 1,
                "provider": samples.PROVIDERS[provider],
                "permitted": True,
                "state": "active",
                "replicas": 1,
                "namespace": "x",
            }
            for member in members
        ],
    }


def hosts(*networks: dict[str, Any], provider: str | None = None) -> dict[str, list[str]]:
    data = {
        "networks": list(networks),
        "hosts": {
            f"{account}/node1": samples.host_document(number) for number, account in enumerate(samples.PROVIDERS)
        },
    }
    return {host.name: host.groups for host in inventory_hosts(data, provider=provider)}


def test_groups() -> None:
    owner = samples.OWNER
    name = f"node1.{samples.PROVIDERS[0]}"
    assert hosts(a_network("my-prod", owner, "web", "db")) == {
        name: [f"provider_{samples.PROVIDERS[0]}", "network_my_prod", "member_my_prod_db", "member_my_prod_web"]
    }


def test_two_tenants_with_one_name() -> None:
    one, two = samples.OWNER, samples.account("tenant b")
    found = hosts(a_network("prod", one, "web"), a_network("prod", two, "web", provider=1), a_network("test", two))
    assert found[f"node1.{samples.PROVIDERS[0]}"][1:] == [f"network_prod_{one}", f"member_prod_web_{one}"]
    assert found[f"node1.{samples.PROVIDERS[1]}"][1:] == [f"network_prod_{two}", f"member_prod_web_{two}"]


def test_names_that_meet_when_hyphens_go() -> None:
    found = hosts(a_network("a-b", samples.OWNER, "c"), a_network("a", samples.OWNER, "b-c"))
    groups = found[f"node1.{samples.PROVIDERS[0]}"]
    members = [group for group in groups if group.startswith("member_")]
    assert len(set(members)) == 2 and len(set(groups)) == len(groups)


def test_who_is_in() -> None:
    carried = a_network("prod", samples.OWNER, "web")
    not_permitted = a_network("prod", samples.OWNER, "web")
    not_permitted["leases"][0]["permitted"] = False
    voting = {**a_network("prod", samples.OWNER), "founders": [f"{samples.PROVIDERS[2]}/node1"]}
    watching = {**a_network("prod", samples.OWNER), "record": {"witnesses": [f"{samples.PROVIDERS[3]}/node1"]}}
    assert list(hosts(carried)) == [f"node1.{samples.PROVIDERS[0]}"]
    assert hosts(not_permitted) == {}
    assert list(hosts(voting)) == [f"node1.{samples.PROVIDERS[2]}"]
    assert list(hosts(watching)) == [f"node1.{samples.PROVIDERS[3]}"]
    assert hosts(carried, provider=samples.PROVIDERS[1]) == {}
    assert list(hosts(carried, voting, provider=samples.PROVIDERS[2])) == [f"node1.{samples.PROVIDERS[2]}"]


class Inventory:
    """Runs ansible-inventory on a configuration of its own."""

    def __init__(self, world: World, folder: pathlib.Path) -> None:
        self.world = world
        self.folder = folder
        (folder / "ansible.cfg").write_text("[defaults]\n")  # nobody's settings but these
        self.common = {
            "plugin": "akash.avpn.tenant_networks",
            "endpoints": [world.chain.url],
            "own": True,
            "chain_id": world.chain.chain_id,
        }

    def run(
        self, *arguments: str, name: str = "lab.tenant_networks.yml", program: str = "inventory", **options: Any
    ) -> subprocess.CompletedProcess[str]:
        file = self.folder / name
        file.write_text(yaml.safe_dump({**self.common, **options}))
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "import"),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder / "home"),
        }
        command = [sys.executable, "-m", "ansible", program, "-i", str(file), *(arguments or ("--list",))]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def list(self, **options: Any) -> dict[str, Any]:
        result = self.run(**options)
        assert result.returncode == 0 and "WARNING" not in result.stderr, result.stderr
        data: dict[str, Any] = json.loads(result.stdout, object_hook=_plain)
        return data


def _plain(value: dict[str, Any]) -> Any:
    """Strings that aren't trusted as templates may be marked in ansible-inventory's output."""
    return value.get("__ansible_unsafe", value)


@pytest.fixture
def inventory(world: World, tmp_path: pathlib.Path) -> Inventory:
    web, api = world.lease(0), world.lease(1, count=2)
    world.write("prod", members={"web": web, "api": api}, founders=[samples.founder(0), samples.founder(1)])
    return Inventory(world, tmp_path)


def test_from_the_chain(inventory: Inventory) -> None:
    world = inventory.world
    data = inventory.list(
        owners=[world.tenant.address],
        compose={"ansible_host": "avpn_ssh_address", "lookup_result": "lookup('env', 'HOME') is string"},
        groups={"voters": "avpn_networks | selectattr('founder') | length > 0"},
        keyed_groups=[{"key": "avpn_wireguard_address", "prefix": "wg"}],
    )
    first, second = (f"node1.{provider}" for provider in world.providers[:2])
    assert sorted(data["network_prod"]["hosts"]) == sorted([first, second])
    assert data["member_prod_api"]["hosts"] == [second]
    assert data[f"provider_{world.providers[0]}"]["hosts"] == [first]
    assert sorted(data["voters"]["hosts"]) == sorted([first, second])
    assert data["wg_198_18_0_12"]["hosts"] == [second]
    facts = data["_meta"]["hostvars"][second]
    assert facts["ansible_host"] == "198.18.0.12"
    assert (facts["avpn_ssh_address"], facts["avpn_ssh_port"]) == ("198.18.0.12", 7022)
    assert (facts["avpn_gossip_address"], facts["avpn_gossip_port"]) == ("198.18.0.12", 7946)
    assert facts["avpn_members"] == ["prod/api"]
    assert facts["avpn_networks"][0]["leases"][0]["replicas"] == 2
    assert facts["avpn_networks"][0]["id"] == facts["avpn_networks"][0]["id"]


def test_narrowed_to_a_provider(inventory: Inventory) -> None:
    world = inventory.world
    for owners in ([], [world.tenant.address]):
        data = inventory.list(provider=world.providers[0], owners=owners, hostvars_prefix="x_", group_prefix="g-")
        assert list(data["_meta"]["hostvars"]) == [f"node1.{world.providers[0]}"]
        assert "g_network_prod" in data
        assert "x_node" in data["_meta"]["hostvars"][f"node1.{world.providers[0]}"]


def test_cache(inventory: Inventory, tmp_path: pathlib.Path) -> None:
    options: dict[str, Any] = {
        "owners": [inventory.world.tenant.address],
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }
    before = inventory.list(**options)
    inventory.world.chain.faults.add("unavailable")
    assert inventory.list(**options) == before
    result = inventory.run("--list", "--flush-cache", **options)
    assert "503" in result.stderr


def test_from_a_view(inventory: Inventory, tmp_path: pathlib.Path) -> None:
    world = inventory.world
    with world.sources() as sources:
        view = read_view(sources, provider=world.providers[0])
    save_view(tmp_path / "view.json", view)
    data = inventory.list(view_file=str(tmp_path / "view.json"), endpoints=[])
    assert set(data["_meta"]["hostvars"]) == {host.name for host in inventory_hosts(plain_data(view))}


def test_what_is_wrong_is_said(inventory: Inventory) -> None:
    owner = inventory.world.tenant.address
    for options, what in (
        ({"owners": ["x"]}, "owners.0: must be an account address"),
        ({}, "one of owners, provider and view_file is needed"),
        ({"owners": [owner], "own": False}, "endpoints"),
        ({"owners": [owner], "chain_id": "akashnet-2"}, "is of chain avpn-lab-1, not akashnet-2"),
        ({"owners": [owner], "strict": True, "compose": {"x": "nothing"}}, "Could not set x"),
        ({"view_file": "/nonexistent"}, "no view of the chain"),
    ):
        result = inventory.run(**options)
        assert what in " ".join(result.stderr.split()), (what, result.stderr)
    other = inventory.run(name="other.yml", owners=[owner])
    assert "hostvars" not in other.stdout or json.loads(other.stdout)["_meta"]["hostvars"] == {}


def test_strings_are_never_templates(inventory: Inventory, tmp_path: pathlib.Path) -> None:
    """The records' grammar lets no template in; if one got in all the same, Ansible must not evaluate it."""
    options: dict[str, Any] = {
        "owners": [inventory.world.tenant.address],
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }
    inventory.list(**options)
    (file,) = (tmp_path / "cache").iterdir()
    changed = file.read_text().replace(r"\"wireguard\": \"198.18.0.11\"", r"\"wireguard\": \"{{ 6 * 7 }}\"")
    assert "6 * 7" in changed
    file.write_text(changed)
    arguments = ["all", "-m", "ansible.builtin.debug", "-a", "msg={{ avpn_wireguard_address }}"]
    result = inventory.run(*arguments, program="adhoc", **options)
    assert "{{ 6 * 7 }}" in result.stdout and "42" not in result.stdout, result.stdout + result.stderr
