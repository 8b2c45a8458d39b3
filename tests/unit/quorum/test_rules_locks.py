# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many locks a provider's hosts may have, and a dishonest one that takes more (R21)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ledger_world import account, node
from test_rules import Scene, refused

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import MAX_LOCKS, MAX_PROVIDER_LOCKS, Lock


@pytest.fixture
def scene() -> Scene:
    return Scene()


def crowd(scene: Scene, *holders: NodeId, count: int, ttl: int = 50) -> None:
    """So many locks are had by these hosts, in turns."""
    value, height = scene.value, scene.chain.height
    entry = value.hosts[node(1)]
    hosts = {**dict.fromkeys(holders, entry), **value.hosts}
    locks = {
        f"l{number}": Lock(holders[number % len(holders)], 1, height + ttl, height, entry.batch)
        for number in range(count)
    }
    scene.value = replace(value, hosts=hosts, locks={**value.locks, **locks})


def test_a_provider_has_a_share_of_the_locks(scene: Scene) -> None:
    """All hosts of a provider together; what another one has doesn't count."""
    other = NodeId(node(1).provider, "n9")
    crowd(scene, other, node(1), count=MAX_PROVIDER_LOCKS - 1)
    many = Draft(locks={**scene.lock(1).locks, "one-more": scene.lock(1).locks["deploy"]})
    refused("lock-many", scene, scene.sign(1, many))
    scene.agree(scene.sign(1, scene.lock(1)))
    assert len(scene.value.locks) == MAX_PROVIDER_LOCKS
    refused("lock-many", scene, scene.sign(1, Draft(locks={"one-more": scene.lock(1).locks["deploy"]})))
    scene.child(scene.sign(2, Draft(locks={"one-more": scene.lock(2).locks["deploy"]})))
    # Renewing, giving back, and one for another.
    lock = scene.value.locks["deploy"]
    scene.child(scene.sign(1, scene.lock(1, token=lock.token, expires=lock.expires + 1)))
    scene.child(scene.sign(1, Draft(locks={"deploy": None, "one-more": scene.lock(1).locks["deploy"]})))


def test_what_a_provider_had_before_the_limit_it_may_renew(scene: Scene) -> None:
    crowd(scene, node(1), count=MAX_PROVIDER_LOCKS + 3)
    later = scene.lock(1, token=1, expires=scene.chain.height + 60).locks["deploy"]
    scene.child(scene.sign(1, Draft(locks={"l0": later})))
    scene.child(scene.sign(1, Draft(locks={"l0": None})))
    refused("lock-many", scene, scene.sign(1, Draft(locks={"l0": None, "more": scene.lock(1).locks["deploy"]})))


def test_an_expired_lock_of_another_counts_once_it_is_taken(scene: Scene) -> None:
    crowd(scene, node(1), count=MAX_PROVIDER_LOCKS)
    scene.agree(scene.sign(2, scene.lock(2)))
    scene.chain.height += 200
    refused("lock-many", scene, scene.sign(1, scene.lock(1)))
    # One's own, expired or not, is one's own.
    again = scene.lock(1).locks["deploy"]
    scene.child(scene.sign(1, Draft(locks={"l0": again})))
    refused("lock-many", scene, scene.sign(1, Draft(locks={"l0": again, "deploy": again})))


def test_a_host_that_needs_room_drops_what_has_expired(scene: Scene) -> None:
    crowd(scene, node(1), count=MAX_PROVIDER_LOCKS)
    wanted = Acquire("more", 50, scene.chain.height)
    with pytest.raises(Unavailable, match=f"this provider has {MAX_PROVIDER_LOCKS} locks already"):
        wanted.draft(scene.value, node(1))
    assert wanted.draft(scene.value, node(2)).locks.keys() == {"more"}
    scene.chain.height += 51
    draft = replace(wanted, height=scene.chain.height).draft(scene.value, node(1))
    scene.agree(scene.sign(1, draft))
    assert scene.value.locks.keys() == {"more"}
    # The network's own limit likewise.
    others = [NodeId(account(name), "n9") for name in ("x", "y")]
    crowd(scene, node(1), node(2), node(3), *others, count=MAX_LOCKS - 1)
    for number in (1, 2):
        with pytest.raises(Unavailable, match=f"the network has {MAX_LOCKS} locks already"):
            wanted = Acquire("even-more", 50, scene.chain.height)
            wanted.draft(scene.value, node(number))
    scene.chain.height += 51
    scene.agree(scene.sign(2, replace(wanted, height=scene.chain.height).draft(scene.value, node(2))))
    assert scene.value.locks["even-more"].holder == node(2)
