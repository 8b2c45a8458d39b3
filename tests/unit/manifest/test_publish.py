# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tenant's side, against providers that keep a real store each."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tenant import OTHER, RECORD, document, owner_of, signed

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import (
    HostRecord,
    Lease,
    LeaseState,
    NetworkRecord,
    NetworkView,
)
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import (
    AvpnError,
    InvalidInput,
    NotPermitted,
    Unavailable,
)
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import LeaseId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._manifest import content, envelope, publish
from ansible_collections.akash.avpn.plugins.module_utils._manifest.store import Contradicted, ManifestStore


class Providers:
    """What stands for ``PeerClient``: nodes with their stores; some don't answer, some don't permit."""

    def __init__(self, directory: Path, names: str) -> None:
        self.stores = {
            NodeId(owner_of(bytes([number]) * 32), "n1"): ManifestStore(directory / name)
            for number, name in enumerate(names, 1)
        }
        self.failing: dict[NodeId, AvpnError] = {}
        self.calls: list[tuple[NodeId, str]] = []

    @property
    def nodes(self) -> list[NodeId]:
        return list(self.stores)

    def call(self, node: NodeId, request: Mapping[str, Any], *, seconds: float = 60) -> Any:
        self.calls.append((node, request["op"]))
        if node in self.failing:
            raise self.failing[node]
        store = self.stores[node]
        if request["op"] == "status":
            current = store.current(request["network"])
            return {"manifest": None if current is None else current.version, "ledger": None}
        if request["op"] == "manifest-get":
            offered = store.offered(request["network"])
            return None if offered is None else {"manifest": envelope.to_document(offered)}
        assert request["op"] == "manifest-put"
        outcome = store.adopt(envelope.from_document(request["manifest"]), RECORD)
        if isinstance(outcome, Contradicted):
            raise InvalidInput(str(outcome), where="manifest.version")
        return {"version": outcome.version, "sha256": outcome.sha256, "stored": True}

    def call_all(
        self, nodes: list[NodeId], request: Mapping[str, Any], *, seconds: float = 60
    ) -> Iterator[tuple[NodeId, Any]]:
        for node in nodes:
            try:
                yield node, self.call(node, request)
            except AvpnError as error:
                yield node, error


@pytest.fixture
def providers(tmp_path: Path) -> Providers:
    return Providers(tmp_path, "abc")


def observe(providers: Providers) -> publish.Running:
    return publish.observe(providers, providers.nodes, RECORD.id, RECORD.owner)


def test_first_again_and_next(providers: Providers) -> None:
    running = observe(providers)
    assert running == publish.Running()
    first = publish.plan(document(1), None, running, 0)
    assert (first.version, first.change, first.sha256) == (1, True, content.sha256(document(1)))
    assert first.diff(running)["before"] == ""
    assert first.diff(running)["after"].startswith("version 1\n{")
    told: list[str] = []
    node = publish.hand_in(providers, providers.nodes, signed(first.version, 1), told.append)
    assert (node, told) == (providers.nodes[0], [])
    assert [op for _node, op in providers.calls].count("manifest-put") == 1, "one provider is enough"
    running = observe(providers)
    assert (running.version, running.document) == (1, document(1))
    assert publish.plan(document(1), None, running, 0).change is False
    assert publish.plan(document(1), 1, running, 0).change is False
    assert publish.plan(document(1), 5, running, 0).version == 5, "the same content with a higher version is asked for"
    assert publish.plan(document(2), None, running, 0).version == 2
    assert publish.plan(document(2), None, running, 9).version == 9, "the record on chain asks for as much"
    assert publish.plan(document(1), None, running, 9).change is True


def test_the_newest_counts_whoever_has_it(providers: Providers) -> None:
    for node, version in zip(providers.nodes, (1, 3, 2), strict=True):
        providers.stores[node].adopt(signed(version, version), RECORD)
    running = observe(providers)
    assert (running.version, running.document) == (3, document(3))
    assert publish.plan(document(3), None, running, 0).change is False


def test_versions_only_rise(providers: Providers) -> None:
    providers.stores[providers.nodes[0]].adopt(signed(3, 3), RECORD)
    for version in (1, 3):
        with pytest.raises(InvalidInput, match="must be 4 or higher"):
            publish.plan(document(9), version, observe(providers), 0)


def test_a_contradiction_is_ended_by_a_higher_version(providers: Providers) -> None:
    for node in providers.nodes:
        providers.stores[node].adopt(signed(3, 1), RECORD)
        providers.stores[node].adopt(signed(3, 2), RECORD)
    running = observe(providers)
    assert (running.version, running.signed) == (3, None)
    planned = publish.plan(document(1), None, running, 0)
    assert (planned.version, planned.change) == (4, True)
    publish.hand_in(providers, providers.nodes, signed(4, 1), lambda _text: None)
    assert providers.stores[providers.nodes[0]].contradiction(RECORD.id) is None


def test_the_next_is_tried_when_one_is_down(providers: Providers) -> None:
    one, two, three = providers.nodes
    providers.failing = {one: Unavailable("doesn't answer"), two: NotPermitted("not permitted")}
    running = observe(providers)
    assert set(running.silent) == {one, two}
    told: list[str] = []
    assert publish.hand_in(providers, providers.nodes, signed(1), told.append) == three
    assert len(told) == 2
    providers.failing[three] = Unavailable("doesn't answer")
    with pytest.raises(Unavailable, match="no provider took the manifest"):
        publish.hand_in(providers, providers.nodes, signed(1), told.append)
    with pytest.raises(Unavailable, match="no provider answers"):
        observe(providers)


def test_what_is_wrong_with_it_is_no_reason_to_ask_the_next(providers: Providers) -> None:
    providers.stores[providers.nodes[0]].adopt(signed(5), RECORD)
    with pytest.raises(InvalidInput, match="version 5 runs here already"):
        publish.hand_in(providers, providers.nodes, signed(2, 2), lambda _text: None)
    assert [op for _node, op in providers.calls] == ["manifest-put"]


def test_a_provider_that_lies_about_the_manifest_is_not_believed(providers: Providers) -> None:
    one, two, _three = providers.nodes
    providers.stores[two].adopt(signed(3, 3), RECORD)

    class Lying(ManifestStore):
        def current(self, network: str) -> Any:
            return signed(3, 9, secret=OTHER)

    providers.stores[one] = Lying(Path("/nonexistent"))
    running = observe(providers)
    assert running.document == document(3)
    assert "owner" in running.silent[one]


def _host(node: NodeId) -> HostRecord:
    return HostRecord(node, "192.0.2.1", 7022, "", "", "", "", "192.0.2.1", "192.0.2.1", 7946)


def test_who_takes_part(providers: Providers) -> None:
    one, two, three = providers.nodes
    record = NetworkRecord("o", "prod", ipaddress.IPv4Network("100.64.0.0/20"), {"web": 1}, None)
    leases = tuple(
        Lease(LeaseId("o", dseq, 1, 1, node.provider), LeaseState.ACTIVE, 1, 0)
        for node, dseq in ((one, 1), (two, 1), (three, 99))
    )
    network = NetworkView(record, {}, leases)
    hosts = {node: _host(node) for node in providers.nodes}
    assert publish.nodes_of(network, hosts, None) == sorted((one, two))
    assert publish.nodes_of(network, hosts, one.provider) == [one]
    assert publish.nodes_of(network, hosts, str(two)) == [two]
    with pytest.raises(InvalidInput, match="takes no part"):
        publish.nodes_of(network, hosts, three.provider)
    with pytest.raises(Unavailable, match="no provider takes part"):
        publish.nodes_of(NetworkView(record, {}, ()), hosts, None)
