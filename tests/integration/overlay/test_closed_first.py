# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""As after a boot: a network's namespace is closed before anything is in it, and stays so until the rules stand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._overlay import frames, netns
from ansible_collections.akash.avpn.plugins.module_utils._overlay.apply import apply_overlay
from ansible_collections.akash.avpn.plugins.module_utils._overlay.firewalls import enforce
from ansible_collections.akash.avpn.plugins.module_utils._overlay.names import namespace, namespace_path
from ansible_collections.akash.avpn.plugins.module_utils._policy import nft
from ansible_collections.akash.avpn.tests.integration.overlay.machinery import Node, ip
from ansible_collections.akash.avpn.tests.unit.overlay.builders import World, open_manifest

pytestmark = pytest.mark.root

OPEN = open_manifest("web", "api", "db")


class Watch:
    """Looks into a namespace before and after every program that is started."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.looks: list[tuple[bool, list[str], list[str]]] = []

    def __call__(self) -> None:
        if not os.path.exists(f"/run/netns/{self._name}"):
            return
        within = ["nsenter", f"--net=/run/netns/{self._name}", "--"]
        listed = _REAL([*within, "nft", "-j", "list", "ruleset"], capture_output=True, text=True, check=False)
        links = _REAL([*within, "ip", "-json", "link"], capture_output=True, text=True, check=False)
        if listed.returncode or links.returncode:
            return  # it isn't a namespace yet
        objects = json.loads(listed.stdout)["nftables"]
        chains = {each["chain"]["name"]: each["chain"] for each in objects if "chain" in each}
        closed = all(chains.get(name, {}).get("policy") == "drop" for name in ("forward", "gateway"))
        rules = [each["rule"]["chain"] for each in objects if "rule" in each]
        names = [each["ifname"] for each in json.loads(links.stdout)]
        self.looks.append((closed, rules, [name for name in names if name.startswith(("ve", "av"))]))


_REAL = subprocess.run


@pytest.fixture
def watch(hosts: list[Node], world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    watch = Watch(namespace(hosts[1].short(world.network)))

    def watched(*arguments: Any, check: bool = False, **named: Any) -> Any:
        watch()
        try:
            return _REAL(*arguments, check=check, **named)
        finally:
            watch()

    monkeypatch.setattr(subprocess, "run", watched)
    yield watch


def test_it_is_closed_before_there_is_anything_in_it(hosts: list[Node], world: World, watch: Watch) -> None:
    two = hosts[1]
    plan = two.plan(world, OPEN)
    with two.inside():
        assert apply_overlay(plan, two.host).problems == {}
    assert any(links for _closed, _rules, links in watch.looks), "something was put into it"
    for closed, rules, links in watch.looks:
        assert closed or not links, f"{links} are there, and nothing forbids anything"
        assert rules == [], "nothing is permitted before the manifest is enforced"
    before = len(watch.looks)
    with two.inside():
        assert enforce(plan, two.host).problems == {}
    assert all(closed for closed, _rules, _links in watch.looks[before:]), "closed, then what is permitted"
    assert watch.looks[-1][1], "and in the end there are rules"


def test_what_was_loaded_before_the_boot_is_not_believed(hosts: list[Node], world: World, tmp_path: Path) -> None:
    """Even if the file survives: another namespace, and a frame that had not proved itself."""
    two = hosts[1]
    assert two.apply(two.plan(world, OPEN), resolver=False).problems == {}
    kept = tmp_path / "firewall.json"
    shutil.copy(two.run(world.network) / "firewall.json", kept)
    # The namespace goes as with a boot.
    for unit in list(two.daemons.processes):
        two.daemons.stop(unit)
    ip("netns", "del", namespace(two.short(world.network)))
    with two.inside():
        assert apply_overlay(two.plan(world, OPEN), two.host).problems == {}
        two.run(world.network).mkdir(parents=True, exist_ok=True)
        shutil.copy(kept, two.run(world.network) / "firewall.json")
        done = enforce(two.plan(world, OPEN), two.host)
    assert done.problems == {}
    assert done.put[world.network].change.scripts.whole
    with netns.entered(namespace_path(two.short(world.network))):
        listed = _REAL(["nft", "list", "chain", "inet", "avpn", "forward"], capture_output=True, text=True, check=True)
    assert "goto decide" in listed.stdout
    assert nft.loaded(two.run(world.network) / "firewall.json") is not None
    assert frames.load(two.host.paths.frames / f"{world.network}.json").trial is None
