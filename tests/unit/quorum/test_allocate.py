# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Laws of allocation: what every host wants is always valid, never repeats an address, and comes to rest."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import Chain, builder, facts, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import to_change, wish
from ansible_collections.akash.avpn.plugins.module_utils._quorum.authorship import verify_authorship
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import apply_change, genesis
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import (
    value_bytes,
    value_from_bytes,
    value_hash,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.constants import COOLDOWN_BLOCKS, RELEASE_BLOCKS
from ansible_collections.akash.avpn.plugins.module_utils._quorum.rules import check
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value


def settle(chain: Chain, value: Value, number: int) -> Value:
    """All that one host wants is agreed; every step is valid.

    The most steps: the record; claims that reuse addresses; removals, which wait for those; claims of what the
    removals freed; nothing.
    """
    for _unused in range(5):
        change = builder(chain, number)(value)
        if change is None:
            return value
        parent_hash = value_hash(value)
        child = apply_change(value, parent_hash, change)
        check(value, parent_hash, child, chain.view(), change=change)
        value = child
    raise AssertionError("a host never comes to rest")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), prefix=st.sampled_from([24, 28, 29]))
def test_life_of_a_network(seed: int, prefix: int) -> None:
    dice = random.Random(seed)
    chain = Chain(cidr=f"100.64.0.0/{prefix}")
    dseq, oseqs = 100, dict[int, int]()
    for number in (1, 2, 3):
        chain.deploy(f"m{number}", number, number, replicas=dice.randint(1, 3))
    value = genesis(chain.record(), chain.height)
    check(None, "", value, chain.view())
    addresses: dict[EndpointId, object] = {}
    for _unused in range(25):
        what = dice.random()
        running = [lease for lease in chain.leases.values() if lease.running]
        if what < 0.2:
            dseq += 1
            member = f"m{dice.randint(1, 5)}"
            for lease in running:
                if chain.members.get(member) == lease.id.dseq:
                    chain.close(lease.id)
            chain.deploy(member, dseq, dice.randint(1, 3), replicas=dice.randint(1, 3))
        elif what < 0.4 and running:
            lease = dice.choice(running)
            chain.close(lease.id)
            if dice.random() < 0.5:
                oseqs[lease.id.dseq] = oseqs.get(lease.id.dseq, 1) + 1
                chain.lease(lease.id.dseq, dice.randint(1, 3), oseqs[lease.id.dseq])
        elif what < 0.5 and len(chain.members) > 1:
            del chain.members[dice.choice(sorted(chain.members))]
        chain.height += dice.choice([1, 2, RELEASE_BLOCKS, COOLDOWN_BLOCKS])
        for number in dice.sample([1, 2, 3], dice.randint(1, 3)):
            before = value
            value = settle(chain, value, number)
            held = [slot.address for slot in value.slots.values() if slot.address is not None]
            held += [entry.address for entry in value.hosts.values()]
            assert len(held) == len(set(held))
            for endpoint, slot in value.slots.items():
                # An endpoint keeps its address until it was taken away after a release and the cooldown.
                old = before.slots.get(endpoint)
                if old is not None and old.address is not None and slot.address != old.address:
                    assert not old.bound
                    assert slot.height - old.height >= COOLDOWN_BLOCKS
                if slot.bound:
                    addresses[endpoint] = slot.address
        assert value_from_bytes(value_bytes(value), "value") == value


def test_replacing_a_deployment_keeps_the_addresses() -> None:
    chain = Chain()
    first = chain.deploy("web", 1, 1, replicas=3)
    chain.deploy("db", 2, 2)
    value = genesis(chain.record(), chain.height)
    for number in (1, 2):
        value = settle(chain, value, number)
    before = {endpoint: slot.address for endpoint, slot in value.slots.items()}
    chain.close(first)
    chain.height += RELEASE_BLOCKS
    value = settle(chain, value, 2)
    assert [endpoint.member for endpoint in value.bound()] == ["db"]
    assert node(1) not in value.hosts  # its last lease has closed: the others clean up
    chain.height += 5
    chain.deploy("web", 3, 3, replicas=3)
    value = settle(chain, value, 3)
    assert {endpoint: slot.address for endpoint, slot in value.slots.items()} == before
    assert all(slot.bound for slot in value.slots.values())


def test_leaving_removes_the_own_entry() -> None:
    chain = Chain()
    first = chain.deploy("web", 1, 1)
    value = settle(chain, genesis(chain.record(), chain.height), 1)
    chain.close(first)
    chain.height += RELEASE_BLOCKS
    value = settle(chain, value, 1)
    assert not value.hosts
    assert not value.bound()
    assert value.slots[EndpointId("web", 1, 0)].address is not None


def test_full_range_says_what_it_waits_for() -> None:
    chain = Chain(cidr="100.64.0.0/29")
    chain.deploy("web", 1, 1, replicas=6)
    value = settle(chain, genesis(chain.record(), chain.height), 1)
    assert len(value.bound()) == 4
    chain.height += 1
    wanted = wish(value, chain.view(), facts(1), chain.endpoints(1))
    assert to_change(wanted, value, chain.view(), facts(1), signer(1)) is None
    assert [str(endpoint) for endpoint in wanted.waiting] == ["web/1/4", "web/1/5"]
    assert "cooling down" in wanted.waiting[EndpointId("web", 1, 4)]


def test_another_signing_key_is_introduced_with_the_hosts_entry() -> None:
    chain = Chain()
    first = chain.deploy("web", 1, 1)
    chain.deploy("db", 2, 2)
    value = settle(chain, settle(chain, genesis(chain.record(), chain.height), 1), 2)
    chain.signers[1] = signer(101)
    chain.height += 1
    change = builder(chain, 1)(value)
    assert change is not None and change.hosts[node(1)] is not None
    value = settle(chain, value, 1)
    assert value.hosts[node(1)].key == signer(101).public_key
    # Its slots are covered by the old key's batches still, which stay verifiable.
    assert {batch.key for batch in value.batches.values() if batch.author == node(1)} == {
        signer(1).public_key,
        signer(101).public_key,
    }
    verify_authorship(value)
    chain.close(first)
    chain.height += RELEASE_BLOCKS
    value = settle(chain, value, 1)
    assert [endpoint.member for endpoint in value.bound()] == ["db"]


def test_nothing_is_signed_with_a_key_that_the_ledger_cannot_be_told() -> None:
    """A host that nothing runs on may not change its entry, so with another key it leaves cleaning up to others."""
    chain = Chain()
    first = chain.deploy("web", 1, 1)
    chain.deploy("db", 2, 2)
    value = settle(chain, settle(chain, genesis(chain.record(), chain.height), 1), 2)
    chain.close(first)
    chain.height += RELEASE_BLOCKS
    assert builder(chain, 1)(value) is not None
    chain.signers[1] = signer(101)
    assert builder(chain, 1)(value) is None
    value = settle(chain, value, 2)
    assert node(1) not in value.hosts
