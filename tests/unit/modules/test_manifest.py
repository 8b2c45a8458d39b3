# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module manifest: a real chain, and providers that keep a real store each; only SSH between them is left out."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible.plugins.callback import CallbackBase

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import NetworkRecord
from ansible_collections.akash.avpn.plugins.module_utils._chain.records import parse_network_record
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._manifest import envelope, manifest_module
from ansible_collections.akash.avpn.plugins.module_utils._manifest.store import ManifestStore
from ansible_collections.akash.avpn.tests.unit.chain.conftest import World, devchain, tenant, world
from ansible_collections.akash.avpn.tests.unit.chain.module_run import run_module

__all__ = ["devchain", "tenant", "world"]

KEY = "11" * 32
FIRST = {
    "members": {
        "web": {"egress": {"allow": [{"peers": "api", "ports": ["tcp/80", "tcp/22"]}]}},
        "api": {"ingress": {"allow": [{"peers": "web", "ports": ["tcp/80", "tcp/22"]}]}},
    }
}
SECOND = {
    "members": {
        "web": {"egress": {"allow": [{"peers": "api", "ports": ["tcp/80", "icmp"]}]}},
        "api": {"ingress": {"allow": [{"peers": "any", "ports": "any"}]}},
    }
}


class Channel:
    """What stands for ``PeerClient``: every node keeps what it is handed in one store."""

    store: ManifestStore
    record: NetworkRecord

    def __init__(self, *_arguments: object, **_options: object) -> None:
        pass

    def call(self, _node: NodeId, request: Mapping[str, Any], *, seconds: float = 60) -> Any:
        if request["op"] == "manifest-put":
            self.store.adopt(envelope.from_document(request["manifest"]), self.record)
            return {}
        current = self.store.current(self.record.id)
        if request["op"] == "status":
            return {"manifest": None if current is None else current.version, "within": seconds}
        return None if current is None else {"manifest": envelope.to_document(current)}

    def call_all(
        self, nodes: list[NodeId], request: Mapping[str, Any], *, seconds: float = 60
    ) -> Iterator[tuple[NodeId, Any]]:
        for node in nodes:
            yield node, self.call(node, request, seconds=seconds)

    def close(self) -> None:
        pass


@pytest.fixture
def network(world: World, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A network on chain with two members; the options with which the module speaks for its tenant."""
    members = {"web": world.lease(0), "api": world.lease(1)}
    common = {"endpoints": [world.chain.url], "own": True, "chain_id": world.chain.chain_id, "private_key": KEY}
    made = run_module("network", name="prod", members=members, **common)
    Channel.store = ManifestStore(tmp_path)
    Channel.record = parse_network_record(world.tenant.address, "prod", json.dumps(made["record"]))
    monkeypatch.setattr(manifest_module, "PeerClient", Channel)
    return {**common, "name": "prod", "key_file": "/nonexistent", "wait": 0}


def printed(result: dict[str, Any]) -> list[str]:
    """The lines of the diff that are about who may reach whom."""
    lines = CallbackBase()._get_diff(result["diff"]).splitlines()
    return [line for line in lines if " -> " in line or "who may reach whom" in line]


def test_what_changes_is_told_before_it_is_handed_in(network: dict[str, Any]) -> None:
    planned = run_module("manifest", check=True, content=FIRST, **network)
    assert (planned["changed"], planned["version"], Channel.store.networks()) == (True, 1, ())
    assert printed(planned) == [
        "--- before: who may reach whom: no manifest",
        "+++ after: who may reach whom: version 1",
        "+web -> api gains tcp/22, tcp/80",
    ]
    assert run_module("manifest", content=FIRST, **network)["reachability"] == planned["reachability"]

    planned = run_module("manifest", check=True, content=SECOND, **network)
    assert printed(planned) == [
        "--- before: who may reach whom: version 1",
        "+++ after: who may reach whom: version 2",
        "-web -> api loses tcp/22",
        "+web -> api gains icmp",
    ]
    assert [each["ports"] for each in planned["reachability"]["loses"]] == [["tcp/22"]]
    assert planned["staged_reachability"] is None
    done = run_module("manifest", content=SECOND, **network)
    assert (done["changed"], done["version"]) == (True, 2)
    again = run_module("manifest", content=SECOND, **network)
    assert (again["changed"], again["reachability"]) == (False, {"gains": [], "loses": [], "more": 0})


def test_what_is_staged_is_told_beside_what_is_enforced(network: dict[str, Any]) -> None:
    run_module("manifest", content=FIRST, **network)
    planned = run_module("manifest", check=True, content={**FIRST, "staged": SECOND}, **network)
    assert printed(planned) == [
        "who may reach whom: the same with version 1 and version 2",
        "--- before: who may reach whom: version 2",
        "+++ after: who may reach whom: what version 2 stages",
        "-web -> api loses tcp/22",
        "+web -> api gains icmp",
    ]


def test_findings_are_warnings(network: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    one_sided = {"members": {"web": FIRST["members"]["web"]}}
    planned = run_module("manifest", check=True, content=one_sided, **network)
    assert planned["findings"]
    warned = " ".join([*planned.get("warnings", []), capsys.readouterr().err]).split()
    for finding in planned["findings"]:
        assert f"{finding['where']}: {finding['what']}" in " ".join(warned)
