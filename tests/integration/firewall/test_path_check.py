# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module path_check on a host's own files, with a real workload: what it returns, and when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from wire import ip_batch, run

from ansible_collections.akash.avpn.plugins.module_utils._overlay.inputs import load_inputs, make_plan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.names import namespace, tunnel, veth, workload_path
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import apply_ruleset
from ansible_collections.akash.avpn.tests.unit.chain.module_run import run_module
from ansible_collections.akash.avpn.tests.unit.overlay.test_inputs import paths

__all__ = ["paths"]

pytestmark = pytest.mark.root


@dataclass
class Here:
    """Host 1 with web/1/0, in a network without a manifest; api and db are elsewhere."""

    paths: Paths
    network: str
    name: str
    space: str
    api: str

    def check(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        return run_module("path_check", check=check, root=str(self.paths.root), timeout=1, **options)


@pytest.fixture
def here(paths: Paths) -> Iterator[Here]:
    inputs = load_inputs(paths)
    (network,) = inputs.ledgers
    short = inputs.registry.allocate(network).short
    planned = make_plan(load_inputs(paths)).networks[network]
    (own,) = planned.attachments
    space, device = namespace(short), veth(own.ipv4)
    workload = Path(workload_path(inputs.config.attach_path, own.lease, own.endpoint)).name
    try:
        for name in (space, workload):
            run("ip", "netns", "add", name)
            run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        run("ip", "netns", "exec", space, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        ip_batch(
            space,
            f"link add {device} type veth peer name avpn0 netns {workload}",
            # A tunnel into the void: what gets there is lost.
            f"link add {tunnel(short)} type veth peer name void",
            *(f"link set {each} up" for each in ("lo", device, tunnel(short), "void")),
            f"addr add 169.254.64.1/32 dev {device}",
            f"addr add fe80::1/64 dev {device} nodad",
            f"route add {own.ipv4}/32 dev {device}",
            f"route add {own.ipv6}/128 dev {device}",
            f"route add {planned.ipv4} dev {tunnel(short)}",
            f"route add {planned.ipv6} dev {tunnel(short)}",
        )
        ip_batch(
            workload,
            "link set avpn0 up",
            f"addr add {own.ipv4}/32 dev avpn0",
            f"addr add {own.ipv6}/128 dev avpn0 nodad",
            "route add 169.254.64.1 dev avpn0",
            f"route add {planned.ipv4} via 169.254.64.1 dev avpn0 src {own.ipv4}",
            f"route add {planned.ipv6} via fe80::1 dev avpn0 src {own.ipv6}",
        )
        state = paths.run / short / "firewall.json"
        apply_ruleset(space, planned.firewall, state)
        (api,) = (str(slot.ipv4) for slot in planned.live if slot.endpoint.member == "api")
        yield Here(paths, network, planned.name, space, api)
    finally:
        for name in (space, workload):
            run("ip", "netns", "del", name)


def test_check_mode_says_what_would_be_tried_and_sends_nothing(here: Here) -> None:
    before = run("ip", "netns", "exec", here.space, "nft", "list", "counters")
    result = here.check(check=True)
    assert not result["changed"]
    paths_ = result["networks"][here.network]["paths"]
    assert {(path["source"], path["target"]) for path in paths_} == {("web/1/0", "api/1/0"), ("web/1/0", "db/1/0")}
    assert {path["predicted"] for path in paths_} == {"dropped"}
    assert {path["decided_by"] for path in paths_} == {"web has no rules"}
    assert not any("seen" in path for path in paths_)
    assert result["table"] == [f"{here.name}: {len(paths_)} paths would be tried"]
    assert run("ip", "netns", "exec", here.space, "nft", "list", "counters") == before


def test_nothing_passes_without_a_manifest_and_that_is_as_predicted(here: Here) -> None:
    for options in ({}, {"networks": [here.name]}, {"networks": [here.network]}):
        result = here.check(**options)
        assert not result["changed"]
        (network,) = result["networks"].values()
        assert network["counts"]["as_predicted"] == network["counts"]["checked"] > 0
        assert network["manifest"] is None
        assert network["notes"] == []
        assert result["problems"] == {}


def test_a_difference_fails_with_its_explanation_unless_told_not_to(here: Here) -> None:
    # Somebody gives api's address to the gateway, which answers pings.
    ip_batch(here.space, f"addr add {here.api}/32 dev lo")
    result = here.check()
    assert result["failed"]
    assert result["msg"].startswith("1 of ")
    assert (
        "NOT AS PREDICTED: web/1/0 -> api/1/0 icmp IPv4: predicted dropped (web has no rules), passed: echo"
        in (result["table"])
    )
    shown = here.check(fail_on_difference=False)
    assert not shown.get("failed")
    assert shown["networks"][here.network]["counts"]["different"] == 1


def test_rules_changed_by_hand_are_noted(here: Here) -> None:
    run("ip", "netns", "exec", here.space, "nft", "add", "rule", "inet", "avpn", "e_web", "accept")
    notes = here.check()["networks"][here.network]["notes"]
    assert any("it was changed by hand" in note for note in notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"networks": ["nowhere"]}, "networks: none of these has an endpoint here"),
        ({"ports": ["tcp/99999"]}, "ports: must be tcp/443, udp/53 or ping"),
        ({"most": 0}, "most: must be 1 to 100000"),
    ],
)
def test_mistaken_options_are_refused(here: Here, options: dict[str, Any], message: str) -> None:
    result = here.check(**options)
    assert result["failed"]
    assert result["msg"].startswith(message)


def test_a_workload_that_is_gone_is_left_out_and_said(here: Here) -> None:
    (own,) = make_plan(load_inputs(here.paths)).networks[here.network].attachments
    path = workload_path(load_inputs(here.paths).config.attach_path, own.lease, own.endpoint)
    name = Path(path).name
    run("ip", "netns", "del", name)
    try:
        network = here.check()["networks"][here.network]
        assert network["paths"] == []
        assert network["notes"] == ["web/1/0 was left out: its workload isn't there"]
    finally:
        run("ip", "netns", "add", name)
