# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session of the peer channel may outlast the host's signing key: what it signs then is signed with the new one."""

from __future__ import annotations

import base64
import pathlib
from dataclasses import replace
from typing import Any

from scene import ALICE, P1, HostTree, host, network, view

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import Voter as Named
from ansible_collections.akash.avpn.plugins.module_utils._peer import config as host_config
from ansible_collections.akash.avpn.plugins.module_utils._peer.voter import Voter
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import genesis
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Ballot, Instance
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Prepare
from ansible_collections.akash.avpn.plugins.module_utils._quorum.signing import SeedSigner
from ansible_collections.akash.avpn.plugins.module_utils._quorum.store import incarnation


def _put(path: pathlib.Path, seed: bytes) -> None:
    """As a team does it: another file in its place."""
    beside = path.with_name("new")
    beside.write_text(base64.b64encode(seed).decode() + "\n", encoding="ascii")
    beside.chmod(0o600)
    beside.replace(path)


def test_a_session_signs_with_the_key_that_the_host_has_now(tmp_path: pathlib.Path) -> None:
    tree = HostTree.make(tmp_path, P1)
    _put(tree.paths.signing_key, b"1" * 32)
    founder = Named(P1, incarnation(tree.paths.voter_database), SeedSigner(b"1" * 32).public_key)
    entry = network(ALICE, "prod", (P1,), founders=(P1,))
    entry = replace(entry, record=replace(entry.record, founders=(founder,)))
    seen = view([entry], [host(P1)])
    voter = Voter(tree.paths, host_config.load(tree.paths.host_config), lambda: seen, lambda: False, lambda _hint: None)
    value = genesis(entry.record, seen.height)

    def prepare(counter: int) -> dict[str, Any]:
        ballot = Ballot(counter, P1, "ab" * 16, value_hash(value))
        document = dict(Prepare(Instance.of(value), ballot, 0, None, None).to_json())
        return voter.answer({**document, "as": str(P1)}, P1)

    assert "promise" in prepare(1)
    _put(tree.paths.signing_key, b"2" * 32)
    # The voter that the network names has the old key: with another one it doesn't vote until it is named anew.
    assert prepare(2)["rejected"]["rule"] == "voter-key"
    _put(tree.paths.signing_key, b"1" * 32)
    assert "promise" in prepare(3)
