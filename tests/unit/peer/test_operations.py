# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host does for a caller, without a connection: its answers to lines."""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib
import time
from dataclasses import replace
from typing import Any

import pytest
import scene

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import NetworkView
from ansible_collections.akash.avpn.plugins.module_utils._chain.view import save_view
from ansible_collections.akash.avpn.plugins.module_utils._manifest import adr36, envelope
from ansible_collections.akash.avpn.plugins.module_utils._manifest.store import ManifestStore
from ansible_collections.akash.avpn.plugins.module_utils._peer import config, keys, operations
from ansible_collections.akash.avpn.plugins.module_utils._peer.limits import Limits

SECRET = hashlib.sha256(b"a tenant").digest()
OWNER = adr36.account_of(base64.b64decode(adr36.sign(SECRET, b"")[0]))
KEY = scene.ssh_key("alice")


class Chain:
    """A host whose view is a while old, and the file that it reads the chain from."""

    def __init__(self, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = root / "chain.json"
        carriers = {"chain_id": "akashnet-2", "endpoints": [], "own": True, "carriers": [{"file": str(self.file)}]}
        self.tree = scene.HostTree.make(root / "host", scene.P1, chain=carriers)
        self.entry = scene.network(OWNER, "shop", (scene.P1,), access=(KEY,))
        self.tree.save(self._view(self.entry, 100))
        self.publish(self.entry)
        self.read = 0
        monkeypatch.setattr(operations, "announce", lambda *_arguments: None)
        paths = self.tree.paths
        (paths.state / "view.lock").touch()
        caller = keys.fingerprint(KEY)
        self.host = operations.Host(paths, config.load(paths.host_config), caller, Limits(paths.limits, caller))

    def publish(self, entry: NetworkView) -> None:
        """Put a network's record onto the chain."""
        save_view(self.file, self._view(entry, 110))

    def with_member(self, name: str) -> NetworkView:
        return replace(self.entry, record=replace(self.entry.record, members={"web": 7, name: 8}))

    def put(self, version: int, member: str) -> dict[str, Any]:
        """Hand in a manifest that speaks of a member; the answer."""
        signed = envelope.sign(self.entry.record.id, version, {"members": {member: {}}}, SECRET)
        request = {
            "op": "manifest-put",
            "network": self.entry.record.id,
            "as": OWNER,
            "manifest": envelope.to_document(signed),
        }
        answer: dict[str, Any] = json.loads(self.host.handle(json.dumps(request).encode() + b"\n"))
        return answer

    @staticmethod
    def _view(entry: NetworkView, height: int) -> Any:
        return replace(scene.view([entry], [scene.host(scene.P1)]), height=height)


@pytest.fixture
def chain(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Chain:
    return Chain(tmp_path, monkeypatch)


def test_a_manifest_for_a_record_that_is_new_on_chain_is_taken(chain: Chain) -> None:
    chain.publish(chain.with_member("cache"))
    assert chain.put(1, "cache")["ok"]["stored"]


def test_a_manifest_for_members_that_the_chain_does_not_have_is_refused(chain: Chain) -> None:
    assert "'cache' is not a member" in json.dumps(chain.put(1, "cache"))


def test_refused_manifests_cause_few_readings_of_the_chain(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.akash.avpn.plugins.module_utils._peer import refresh

    readings: list[float] = []
    real = refresh.read

    def counted(*arguments: Any) -> Any:
        readings.append(time.time())
        return real(*arguments)

    monkeypatch.setattr(refresh, "read", counted)
    monkeypatch.setattr(operations, "_LOOK_AGAIN_PAUSE", 0.0)
    for version in range(1, 9):
        chain.put(version, "cache")
    assert 1 <= len(readings) <= 3


def test_whoever_lost_its_permission_meanwhile_hands_in_nothing(chain: Chain) -> None:
    gone = replace(chain.with_member("cache"), leases=())
    chain.publish(replace(gone, record=replace(gone.record, access=())))
    answer = chain.put(1, "cache")
    assert "is not permitted" in json.dumps(answer)
    assert not ManifestStore(chain.tree.paths.manifests).networks()
