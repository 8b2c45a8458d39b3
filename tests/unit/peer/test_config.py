# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import pathlib
from typing import Any

import pytest
import yaml
from scene import P1, host_json

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, Unsupported
from ansible_collections.akash.avpn.plugins.module_utils._peer import config

_ROOT = pathlib.Path(__file__).resolve().parents[3]


def changed(path: str, value: Any) -> dict[str, Any]:
    document: dict[str, Any] = copy.deepcopy(host_json(P1))
    *parents, last = path.split(".")
    inner = document
    for name in parents:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return document


def test_a_good_file_is_read() -> None:
    found = config.parse(host_json(P1))
    assert found.id == P1
    assert found.chain.own
    assert found.attach_path == "/run/netns/{namespace}-{index}"
    assert not found.drain
    assert config.parse(changed("drain", True)).drain
    assert found.firewall_log_rate == 0
    assert config.parse(changed("firewall", {"log_rate": 5})).firewall_log_rate == 5


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("provider", "akash1nobody", "provider"),
        ("node", "N1", "node"),
        ("node", "n1\nevil", "node"),
        ("shell", "/bin/sh", "shell"),
        ("chain.endpoints", ["ftp://x"], "chain.endpoints.0"),
        ("chain.endpoints", ['http://x" evil'], "chain.endpoints.0"),
        ("chain.own", "yes", "chain.own"),
        ("chain.own", False, "chain.endpoints"),
        ("chain.max_age", 1, "chain.max_age"),
        ("chain.carriers", ["paper"], "chain.carriers.0"),
        ("chain.carriers", [{"file": "relative"}], "chain.carriers.0.file"),
        ("peer.address", "host.example", "peer.address"),
        ("peer.port", 0, "peer.port"),
        ("peer.port", "7022", "peer.port"),
        ("wireguard.mtu", 100, "wireguard.mtu"),
        ("gossip.port", 70_000, "gossip.port"),
        ("peer_ranges", ["10.0.0.1/8"], "peer_ranges.0"),
        ("attach.driver", "shell", "attach.driver"),
        ("attach.path", "/run/../etc", "attach.path"),
        ("release_blocks", True, "release_blocks"),
        ("drain", "yes", "drain"),
        ("firewall", {"log_rate": 1001}, "firewall.log_rate"),
        ("firewall", {"log_rate": "5"}, "firewall.log_rate"),
        ("firewall", {"log": 5}, "firewall.log"),
        ("intervals.view", 0, "intervals.view"),
        ("intervals.other", 1, "intervals.other"),
    ],
)
def test_a_bad_field_is_refused_by_name(path: str, value: Any, where: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        config.parse(changed(path, value))
    assert caught.value.where == where


def test_a_host_without_the_file_says_what_to_do(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unsupported, match=r"role akash\.avpn\.peer"):
        config.load(tmp_path / "host.json")


@pytest.mark.parametrize("role", ["peer", "gossip"])
def test_defaults_and_argument_specs_of_the_roles_are_equal(role: str) -> None:
    folder = _ROOT / "roles" / role
    defaults = yaml.safe_load((folder / "defaults/main.yml").read_text())
    options = yaml.safe_load((folder / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items() if "default" in option} == defaults
    assert all(option.get("required") for option in options.values() if "default" not in option)
