# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What planning is given was verified: a ledger that voters really agreed on, and what becomes of forged ones."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._chain.view import save_view
from ansible_collections.akash.avpn.plugins.module_utils._common import canonical
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import Unavailable, Unsupported
from ansible_collections.akash.avpn.plugins.module_utils._overlay.inputs import load_inputs, make_host, make_plan
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.plugins.module_utils._quorum import budget
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import (
    batch_json,
    host_json,
    value_from_json,
    value_hash,
    value_json,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.digests import entry_digest
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Acceptance,
    Ballot,
    Certificate,
    Instance,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.signing import sign_batch
from ansible_collections.akash.avpn.tests.unit.quorum.ledger_world import (
    Chain,
    Voters,
    allocate,
    cache,
    key32,
    node,
    signer,
)


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


def _value(document: Any) -> Any:
    return document["value"]


def _take_an_address(document: Any) -> None:
    """An endpoint's address goes to another, which the endpoint's host never signed."""
    first, second = list(_value(document)["slots"].values())[:2]
    first["address"], second["address"] = second["address"], first["address"]


def _tunnel_key(document: Any) -> None:
    """Traffic for a host is to go to somebody else."""
    _value(document)["hosts"][str(node(2))]["wireguard"] = key32("mine")


def _host_of_a_slot(document: Any) -> None:
    """A slot, as its author signed it, under another name."""
    slots = _value(document)["slots"]
    slots["web/1/7"] = slots.pop("web/1/0")


def _foreign_author(document: Any) -> None:
    """Somebody else signs for a host, with a key of its own: a good signature of the wrong author."""
    parsed = value_from_json(_value(document), "value")
    entry = replace(parsed.hosts[node(2)], wireguard=key32("mine"))
    digest = entry_digest("host", node(2), entry)
    batch = sign_batch(signer(3), parsed.network, parsed.generation, node(3), parsed.serials[node(3)] + 1, [digest])
    entry = replace(entry, batch=batch.name)
    _value(document)["hosts"][str(node(2))] = host_json(entry)
    _value(document)["batches"][batch.name] = batch_json(batch)


def _batch_signature(document: Any) -> None:
    batch = next(iter(_value(document)["batches"].values()))
    batch["signature"] = _flip(batch["signature"])


def _other_generation(document: Any) -> None:
    _value(document)["generation"] = 1
    _value(document)["record"]["document"]["generation"] = 1


@pytest.mark.parametrize(
    "forge",
    [_take_an_address, _tunnel_key, _host_of_a_slot, _foreign_author, _batch_signature, _other_generation],
)
def test_voters_who_lie_together_change_nothing_that_others_wrote(paths: Paths, forge: Callable[[Any], None]) -> None:
    """All of them certify a value that breaks their rules; hosts look at the authors' signatures themselves."""
    (path,) = paths.ledgers.glob("*.json")
    document = json.loads(path.read_bytes())
    forge(document)
    value = value_from_json(document["value"], "value")
    ballot = Ballot(1, node(3), "a" * 32, value_hash(value))
    number = {node(one): one for one in (1, 2, 3)}
    acceptances = [
        Acceptance(Instance.of(value), ballot, voter.node, voter.incarnation).signed(signer(number[voter.node]))
        for voter in value.voters
    ]
    certificate = Certificate.of(acceptances)
    certificate.verify(value.voters)
    document = {"certificate": certificate.to_json(), "value": value_json(value)}
    path.write_bytes(canonical.dumps(document))
    inputs = load_inputs(paths)
    assert inputs.ledgers == {}
    assert list(inputs.unreadable) == [path.stem]


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


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [_pipe, _link, _endless, Path.mkdir])
@pytest.mark.parametrize("what", ["view", "ledger", "manifest"])
def test_root_does_not_follow_or_wait_for_what_avpn_puts_in_its_directories(
    paths: Paths, put: Callable[[Path], None], what: str
) -> None:
    (ledger,) = paths.ledgers.glob("*.json")
    paths.manifests.mkdir()
    path = {"view": paths.view, "ledger": ledger, "manifest": paths.manifests / ledger.name}[what]
    if path.exists():
        path.rename(path.with_name("elsewhere"))
    put(path)
    if what == "view":
        with pytest.raises(Unavailable):
            load_inputs(paths)
    else:
        assert list(load_inputs(paths).unreadable) == [ledger.stem]


def test_an_unconfigured_host_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"akash\.avpn\.peer"):
        load_inputs(Paths(tmp_path))


def test_ledgers_too_large_together_are_left_alone(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = paths.ledgers.glob("*.json")
    monkeypatch.setattr(budget, "MOST_OF_OWNER", path.stat().st_size - 1)
    inputs = load_inputs(paths)
    assert inputs.ledgers == {}
    assert "too large" in inputs.unreadable[path.stem]
