# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import json
import os
import pathlib
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import ALICE, BOB, P1, P2, P3, P4, HostTree, host, host_json, network, raw_key, view

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._peer import config, ring, ring_command
from ansible_collections.akash.avpn.plugins.module_utils._peer.identities import Identities


def test_the_first_host_makes_a_key_for_itself_alone(tmp_path: pathlib.Path) -> None:
    paths = HostTree.make(tmp_path, P1).paths
    assert ring.current_key(paths) is None
    assert ring.agree(paths, [])
    made = ring.current_key(paths)
    assert not ring.agree(paths, [])
    assert ring.current_key(paths) == made
    assert stat.S_IMODE(paths.keyring.stat().st_mode) == 0o600


@settings(deadline=None)  # it writes files, as fast as the disk takes them
@given(order=st.permutations(range(4)), pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12))
def test_hosts_that_meet_in_any_order_end_with_one_key(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], pairs: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("ring")
    hosts = [HostTree.make(folder / str(number), P1).paths for number in range(4)]

    def meet(one: int, other: int) -> None:
        offer = ring.current_key(hosts[other])
        ring.agree(hosts[one], [] if offer is None else [offer])

    for one, other in pairs:
        meet(one, other)
    # A chain of acquaintances, each asking its neighbours, as often as it takes from one end to the other.
    for _unused in order:
        for left, right in itertools.pairwise(order):
            meet(left, right)
            meet(right, left)
    assert len({ring.current_key(paths) for paths in hosts}) == 1


def test_the_key_before_stays_for_those_who_havent_changed(tmp_path: pathlib.Path) -> None:
    paths = HostTree.make(tmp_path, P1).paths
    ring.agree(paths, [])
    old = ring.current_key(paths)
    for number in range(20):
        ring.agree(paths, [raw_key(str(number))])
    keys = ring.keys(paths)
    assert old != keys[0]
    assert len(keys) <= 4


@pytest.mark.parametrize("answer", [{}, {"key": "short"}, {"key": 1}, {"key": raw_key("k"), "more": 1}, [], None])
def test_what_a_peer_offers_must_be_a_key(answer: object) -> None:
    with pytest.raises(InvalidInput):
        ring.parse_offer(answer)


def test_the_agent_joins_only_hosts_it_shares_leases_with_at_addresses_peers_may_have(tmp_path: pathlib.Path) -> None:
    tree = HostTree.make(tmp_path, P1)
    entries = [network(ALICE, "prod", (P1, P2, P4), founders=(P3,)), network(BOB, "away", (P2, P3))]
    hosts = [
        host(P1, "198.18.0.1"),
        host(P2, "198.18.0.2"),
        host(P3, "198.18.0.3"),
        host(P4, "198.18.0.4", gossip_address="127.0.0.1"),
    ]
    parsed = config.parse(host_json(P1))
    assert ring_command.join_addresses(Identities(view(entries, hosts), P1), parsed) == ["198.18.0.2:7946"]
    tree.save(view(entries, hosts))
    assert not ring_command.prepare(tree.paths)  # no key yet, no ring
    ring.agree(tree.paths, [])
    assert ring_command.prepare(tree.paths)
    document = json.loads(tree.paths.serf_config.read_text())
    assert document["retry_join"] == ["198.18.0.2:7946"]
    assert document["rpc_addr"].startswith("127.0.0.1:")
    assert document["rpc_auth"] == tree.paths.rpc_token.read_text().strip()
    for path in (tree.paths.serf_config, tree.paths.rpc_token, tree.paths.keyring):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
