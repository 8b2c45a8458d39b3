# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host adopts, what it refuses, and what it keeps as evidence."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tenant import OTHER, RECORD, SECRET, document, signed

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import ManifestFloor
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._manifest import content, envelope
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._manifest.store import (
    Adopted,
    Contradicted,
    ManifestStore,
    Unchanged,
)
from ansible_collections.akash.avpn.plugins.module_utils._policy.expectations import check_tests


@pytest.fixture
def store(tmp_path: Path) -> ManifestStore:
    return ManifestStore(tmp_path / "manifests")


def test_adopting(store: ManifestStore, tmp_path: Path) -> None:
    assert store.current(RECORD.id) is None
    assert store.running(RECORD) is None
    assert store.offered(RECORD.id) is None
    one = signed(1)
    assert store.adopt(one, RECORD) == Adopted(1, content.sha256(document(1)))
    assert store.current(RECORD.id) == store.offered(RECORD.id) == one
    assert store.running(RECORD) == (parse(document(1)), 1)
    assert store.networks() == (RECORD.id,)
    path = tmp_path / "manifests" / f"{RECORD.id}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    before = path.stat().st_mtime_ns
    assert store.adopt(signed(1), RECORD) == Unchanged(1, content.sha256(document(1)))
    assert path.stat().st_mtime_ns == before
    assert store.adopt(signed(2, 2), RECORD) == Adopted(2, content.sha256(document(2)))
    assert store.adopt(signed(9, 2), RECORD) == Adopted(9, content.sha256(document(2)))
    assert not [name for name in os.listdir(tmp_path / "manifests") if name.startswith(".manifest-")]


def test_a_replay_is_refused(store: ManifestStore) -> None:
    old = signed(1)
    store.adopt(old, RECORD)
    store.adopt(signed(2, 2), RECORD)
    with pytest.raises(InvalidInput, match="version 2 runs here already") as refused:
        store.adopt(old, RECORD)
    assert refused.value.where == "manifest.version"
    current = store.current(RECORD.id)
    assert current is not None
    assert current.version == 2


def test_another_network_and_another_signer_are_refused(store: ManifestStore) -> None:
    with pytest.raises(InvalidInput, match="another network"):
        store.adopt(signed(1, record=replace(RECORD, name="test")), RECORD)
    with pytest.raises(InvalidInput, match="owner"):
        store.adopt(signed(1, secret=OTHER), RECORD)
    with pytest.raises(InvalidInput, match="signature"):
        store.adopt(replace(signed(1), version=2), RECORD)
    assert store.current(RECORD.id) is None


def test_the_floor_on_chain_holds_for_what_is_newly_adopted(store: ManifestStore) -> None:
    floor = replace(RECORD, manifest=ManifestFloor(5, content.sha256(document(5))))
    with pytest.raises(InvalidInput, match="asks for version 5 or newer"):
        store.adopt(signed(4, 5), floor)
    with pytest.raises(InvalidInput, match="is not what the network's record on chain names"):
        store.adopt(signed(5, 4), floor)
    assert isinstance(store.adopt(signed(5, 5), floor), Adopted)
    assert isinstance(store.adopt(signed(6, 4), floor), Adopted)


def test_what_runs_goes_on_below_a_risen_floor(store: ManifestStore) -> None:
    store.adopt(signed(1), RECORD)
    risen = replace(RECORD, manifest=ManifestFloor(5, content.sha256(document(5))))
    assert store.running(risen) == (parse(document(1)), 1)
    assert store.adopt(signed(1), risen) == Unchanged(1, content.sha256(document(1)))


@pytest.mark.parametrize(
    ("content_", "where"),
    [
        ({"members": {"web": {"egress": {"allow": [{"peers": "dbb", "ports": "any"}]}}}},
         "members.web.egress.allow.0.peers.0"),
        ({"members": {"wbe": {}}}, "members.wbe"),
        ({"member": {}}, "member"),
        ({"routes": [{"range": "100.64.1.0/24", "via": "gateway"}]}, "routes.0.range"),
        ({"tests": [{"from": "web", "to": "db", "port": "tcp/1", "expected": "allow"}]}, "tests.0"),
    ],
)  # fmt: skip
def test_content_is_checked_before_it_runs(store: ManifestStore, content_: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        store.adopt(envelope.sign(RECORD.id, 1, content_, SECRET), RECORD)
    assert refused.value.where == where
    assert store.current(RECORD.id) is None


def test_two_contents_of_one_version(store: ManifestStore) -> None:
    first, second = signed(3, 1), signed(3, 2)
    store.adopt(first, RECORD)
    found = store.adopt(second, RECORD)
    assert found == Contradicted(3, content.sha256(document(1)), content.sha256(document(2)))
    assert store.current(RECORD.id) == first, "the running one stays"
    assert store.running(RECORD) == (parse(document(1)), 3)
    assert store.offered(RECORD.id) is None, "neither is handed on"
    assert store.contradiction(RECORD.id) == found
    assert "signed two different manifests with version 3" in str(found)
    # A third doesn't replace the evidence, and the first is still no news.
    store.adopt(signed(3, 9), RECORD)
    assert store.contradiction(RECORD.id) == found
    assert isinstance(store.adopt(first, RECORD), Unchanged)
    assert store.offered(RECORD.id) is None
    assert store.networks() == (RECORD.id,)
    # A higher version ends it.
    assert isinstance(store.adopt(signed(4, 2), RECORD), Adopted)
    assert store.contradiction(RECORD.id) is None
    assert store.offered(RECORD.id) is not None


def test_nobody_else_can_raise_the_alarm(store: ManifestStore) -> None:
    store.adopt(signed(3, 1), RECORD)
    with pytest.raises(InvalidInput):
        store.adopt(signed(3, 2, secret=OTHER), RECORD)
    assert store.contradiction(RECORD.id) is None


def test_running_trusts_no_file(store: ManifestStore, tmp_path: Path) -> None:
    store.adopt(signed(1), RECORD)
    path = tmp_path / "manifests" / f"{RECORD.id}.json"
    path.write_bytes(envelope.dumps(replace(signed(1), version=7)))
    with pytest.raises(InvalidInput, match="signature"):
        store.running(RECORD)
    path.write_bytes(envelope.dumps(signed(1, secret=OTHER)))
    with pytest.raises(InvalidInput, match="owner"):
        store.running(RECORD)
    path.write_bytes(envelope.dumps(signed(1, record=replace(RECORD, name="test"))))
    with pytest.raises(InvalidInput, match="another network"):
        store.running(RECORD)
    path.write_bytes(b"{")
    with pytest.raises(InvalidInput, match="is not JSON"):
        store.running(RECORD)


def test_a_full_disk_leaves_the_old_one(store: ManifestStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store.adopt(signed(1), RECORD)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        store.adopt(signed(2, 2), RECORD)
    monkeypatch.undo()
    kept = store.current(RECORD.id)
    assert kept is not None
    assert kept.version == 1
    assert not [name for name in os.listdir(tmp_path / "manifests") if name.startswith(".manifest-")]


def test_removing(store: ManifestStore) -> None:
    store.adopt(signed(3, 1), RECORD)
    store.adopt(signed(3, 2), RECORD)
    store.remove(RECORD.id)
    assert store.current(RECORD.id) is None
    assert store.contradiction(RECORD.id) is None
    assert store.networks() == ()


@pytest.mark.parametrize("network", ["", "../x", "a" * 63, "A" * 64])
def test_only_ids_name_files(store: ManifestStore, network: str) -> None:
    with pytest.raises(InvalidInput):
        store.current(network)


RULES = {
    "web": {"egress": {"allow": [{"peers": "db", "ports": ["tcp/5432", "icmp"]}]}},
    "db": {
        "ingress": {
            "deny": [{"peers": "100.64.3.0/24", "ports": "tcp/5432"}],
            "allow": [{"peers": "web", "ports": "any"}],
        }
    },
    "db/2": {"ingress": {"allow": [{"peers": ["web"], "ports": "any"}]}},
}


@pytest.mark.parametrize(
    ("test", "says"),
    [
        ({"from": "web", "to": "db/2", "port": "tcp/5432", "expected": "allow"}, None),
        ({"from": "web", "to": "db", "port": "icmp", "expected": "allow"}, None),
        ({"from": "web", "to": "db", "port": "icmpv6", "expected": "deny"}, None),
        ({"from": "db", "to": "web", "port": "tcp/5432", "expected": "deny"}, None),
        ({"from": "web", "to": "db", "port": "udp/1", "expected": "deny"}, None),
        # web may be given an address in the denied range, so neither can be promised.
        (
            {"from": "web", "to": "db", "port": "tcp/5432", "expected": "allow"},
            "ingress says deny, where web has an address like 100.64.3.0 (members.db.ingress.deny.0)",
        ),
        (
            {"from": "web", "to": "db/1", "port": "tcp/5432", "expected": "deny"},
            "ingress says allow, where web has an address like 100.64.0.0 (members.db.ingress.allow.0)",
        ),
        (
            {"from": "web", "to": "db/2", "port": "tcp/5432", "expected": "deny"},
            "ingress says allow (members.db/2.ingress.allow.0)",
        ),
        ({"from": "web", "to": "db", "port": "udp/1", "expected": "allow"}, "egress says deny (no rule matches)"),
        (
            {"from": "gateway", "to": "db", "port": "udp/1", "expected": "allow"},
            "egress says deny (gateway has no rules)",
        ),
    ],
)
def test_expectations_hold_wherever_the_endpoints_are(test: dict[str, str], says: str | None) -> None:
    manifest = parse({"members": RULES, "tests": [test]})
    if says is None:
        check_tests(manifest, RECORD)
    else:
        with pytest.raises(InvalidInput) as refused:
            check_tests(manifest, RECORD)
        assert refused.value.where == "tests.0"
        assert says in str(refused.value)


def test_expectations_that_would_keep_a_host_busy_are_refused() -> None:
    ranges = [f"100.64.{n // 128}.{n % 128 * 2}/32" for n in range(1000)]
    rules = [{"peers": ranges[n : n + 250], "ports": "tcp/1"} for n in range(0, 1000, 250)]
    tests = [{"from": "web", "to": "db", "port": "udp/1", "expected": "deny"}] * 100
    manifest = parse({"members": {"web": {"egress": {"deny": rules}}}, "tests": tests})
    with pytest.raises(InvalidInput, match="too much work"):
        check_tests(manifest, RECORD)
