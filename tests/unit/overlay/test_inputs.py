# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What planning is given was verified: a ledger that voters really agreed on, and what becomes of forged ones."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._chain.view import save_view
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import Unsupported
from ansible_collections.akash.avpn.plugins.module_utils._overlay.inputs import load_inputs, make_host, make_plan
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.tests.unit.quorum.ledger_world import Chain, Voters, allocate, cache, node


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Host 1 of three, whose voters have agreed on three endpoints."""
    chain = Chain()
    for number, member in ((1, "web"), (2, "api"), (3, "db")):
        chain.deploy(member, 10 + number, number)
    voters = Voters(tmp_path, chain)
    found = Paths(tmp_path / "host")
    for directory in (found.etc, found.state, found.host_state, found.ledgers):
        directory.mkdir(parents=True)
    for number in (1, 2, 3):
        allocate(voters, number, cache=cache(found.ledgers))
    config = {
        "provider": node(1).provider,
        "node": node(1).node,
        "chain": {"chain_id": "lab", "endpoints": ["http://198.18.0.1:1317"], "own": True},
        "peer": {"address": "198.18.0.1", "port": 2222},
        "wireguard": {"address": "198.18.0.1", "first_port": 51820, "mtu": 1420},
        "gossip": {"address": "198.18.0.1", "port": 7946},
        "peer_ranges": ["198.18.0.0/15"],
    }
    found.host_config.write_text(json.dumps(config))
    store(found, chain, int(time.time()))
    return found


def store(paths: Paths, chain: Chain, seconds: int) -> None:
    # Host records have no part in planning, and those of this world no keys.
    save_view(paths.view, replace(chain.view(), time=seconds, hosts={}))


def test_what_was_agreed_is_planned(paths: Paths) -> None:
    inputs = load_inputs(paths)
    assert inputs.fresh and not inputs.unreadable
    (network,) = inputs.ledgers
    inputs.registry.allocate(network)
    plan = make_plan(inputs)
    assert plan.problems == {}
    planned = plan.networks[network]
    assert [str(item.endpoint) for item in planned.attachments] == ["web/1/0"]
    assert [peer.node for peer in planned.tunnel.peers] == sorted((node(2), node(3)))
    assert planned.manifest is None
    assert make_host(inputs).id == node(1)


def test_an_old_view_is_not_fresh(paths: Paths) -> None:
    view = load_inputs(paths).view
    save_view(paths.view, replace(view, time=int(time.time()) - 901))
    inputs = load_inputs(paths)
    assert not inputs.fresh
    inputs.registry.allocate(next(iter(inputs.ledgers)))
    assert make_plan(inputs).networks == {}


def _flip(text: str) -> str:
    return ("A" if text[0] != "A" else "B") + text[1:]


def _acceptance(document: Any) -> None:
    for acceptance in document["certificate"]["acceptances"]:
        acceptance["signature"] = _flip(acceptance["signature"])


def _slot(document: Any) -> None:
    slot = next(iter(document["value"]["slots"].values()))
    slot["address"] = "100.64.0.200"


@pytest.mark.parametrize("forge", [_acceptance, _slot])
def test_a_forged_ledger_is_a_problem_of_its_network(paths: Paths, forge: Callable[[Any], None]) -> None:
    (path,) = paths.ledgers.glob("*.json")
    document = json.loads(path.read_bytes())
    forge(document)
    path.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")))
    inputs = load_inputs(paths)
    assert inputs.ledgers == {}
    assert list(inputs.unreadable) == [path.stem]
    inputs.registry.allocate(path.stem)
    plan = make_plan(inputs)
    assert list(plan.problems) == [path.stem]
    assert plan.pending == frozenset()


def test_a_ledger_file_that_is_nonsense_is_a_problem_of_its_network(paths: Paths) -> None:
    (path,) = paths.ledgers.glob("*.json")
    path.write_text("{")
    assert list(load_inputs(paths).unreadable) == [path.stem]


def test_an_unconfigured_host_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"akash\.avpn\.peer"):
        load_inputs(Paths(tmp_path))
