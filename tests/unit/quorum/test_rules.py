# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each rule has a dishonest proposer that breaks exactly it, and is refused with the rule's name (R21)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace

import pytest
from ledger_world import OWNER, Chain, account, builder, key32, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import View
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, LeaseId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import (
    Change,
    apply_change,
    difference,
    genesis,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.constants import COOLDOWN_BLOCKS, RELEASE_BLOCKS
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft, sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import RuleBroken, Unseen
from ansible_collections.akash.avpn.plugins.module_utils._quorum.rules import check
from ansible_collections.akash.avpn.plugins.module_utils._quorum.signing import sign_batch
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Lock, Slot, Value

WEB, API, DB = EndpointId("web", 1, 0), EndpointId("api", 1, 0), EndpointId("db", 1, 0)


class Scene:
    """Three hosts with addresses: ``web`` at 1, ``api`` (two replicas) at 2, ``db`` at 3. Then blocks pass."""

    def __init__(self) -> None:
        self.chain = Chain(hosts=4)
        self.web = self.chain.deploy("web", 11, 1)
        self.api = self.chain.deploy("api", 12, 2, replicas=2)
        self.db = self.chain.deploy("db", 13, 3)
        self.value = genesis(self.chain.record(), self.chain.height)
        check(None, "", self.value, self.chain.view())
        for number in (1, 2, 3):
            self.settle(number)
        self.chain.height += 100

    def settle(self, *numbers: int) -> None:
        """Everything these hosts want is agreed, by the rules."""
        for number in numbers:
            build = builder(self.chain, number)
            while (change := build(self.value)) is not None:
                self.agree(change)

    def agree(self, change: Change) -> None:
        self.value = self.child(change)

    def child(self, change: Change, *, view: View | None = None, vouched: bool = False) -> Value:
        parent_hash = value_hash(self.value)
        child = apply_change(self.value, parent_hash, change)
        check(self.value, parent_hash, child, view or self.chain.view(), vouched=vouched)
        return child

    def slot(self, endpoint: EndpointId, **fields: object) -> dict[EndpointId, Slot]:
        """A slot as it is, but for some fields; its height is the present one."""
        return {endpoint: replace(self.value.slots[endpoint], **{"height": self.chain.height, **fields})}  # type: ignore[arg-type]

    def claim(self, endpoint: EndpointId, lease: LeaseId, host: int, address: str, **fields: object) -> Draft:
        slot = Slot(
            ipaddress.IPv4Address(address),
            lease,
            self.chain.leases[lease].created_at if lease in self.chain.leases else 7,
            node(host),
            self.chain.height,
            True,
            "",
        )
        return Draft(slots={endpoint: replace(slot, **fields)})  # type: ignore[arg-type]

    def sign(self, number: int, draft: Draft) -> Change:
        return sign(draft, self.value, node(number), signer(number))

    def lock(self, number: int, **fields: object) -> Draft:
        height = self.chain.height
        lock = Lock(node(number), self.value.version + 1, height + 50, height, "")
        return Draft(locks={"deploy": replace(lock, **fields)})  # type: ignore[arg-type]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def refused(rule: str, scene: Scene, change: Change) -> RuleBroken:
    with pytest.raises(RuleBroken) as error:
        scene.child(change)
    assert error.value.rule == rule, str(error.value)
    assert f"rule:{rule}" in str(error.value)
    return error.value


def host(scene: Scene, number: int, **fields: object) -> Draft:
    before = scene.value.hosts[node(number)]
    return Draft(hosts={node(number): replace(before, **{"height": scene.chain.height, **fields})})  # type: ignore[arg-type]


# --- slots


def second_web(scene: Scene) -> LeaseId:
    """The tenant replaces the deployment of ``web`` at provider 2; the new record is agreed."""
    scene.chain.close(scene.web)
    lease = scene.chain.deploy("web", 21, 2)
    scene.agree(Change(record=(scene.chain.record(), scene.chain.height)))
    scene.chain.height += 50
    return lease


def test_rebinding_keeps_the_address(scene: Scene) -> None:
    before = scene.value.slots[WEB].address
    second_web(scene)
    scene.settle(2)
    assert scene.value.slots[WEB].host == node(2)
    assert scene.value.slots[WEB].address == before


SLOT_LIES: dict[str, Callable[[Scene], Change]] = {
    "slot-author": lambda s: s.sign(2, s.claim(EndpointId("web", 1, 0), s.web, 1, "100.64.0.2")),
    "lease-member": lambda s: s.sign(2, s.claim(WEB, s.api, 2, "100.64.0.2")),
    "address-in-range": lambda s: s.sign(1, s.claim(EndpointId("web", 1, 1), s.web, 1, "100.64.1.7")),
    "address-missing": lambda s: s.sign(1, Draft(slots=s.slot(WEB, address=None))),
    "address-unique": lambda s: s.sign(1, s.claim(EndpointId("web", 1, 1), s.web, 1, "100.64.0.3")),
    "address-kept": lambda s: s.sign(1, Draft(slots=s.slot(WEB, address=ipaddress.IPv4Address("100.64.0.99")))),
    "slot-height": lambda s: s.sign(1, Draft(slots=s.slot(WEB, height=s.value.slots[WEB].height - 1))),
    "lease-created": lambda s: s.sign(1, Draft(slots=s.slot(WEB, created=5))),
    "replica-index": lambda s: s.sign(2, s.claim(EndpointId("api", 1, 2), s.api, 2, "100.64.0.77")),
    "lease-unknown": lambda s: s.sign(
        1, s.claim(EndpointId("web", 1, 0), s.web._replace(oseq=9), 1, "100.64.0.2", created=s.chain.height)
    ),
    "release-closed": lambda s: s.sign(2, Draft(slots=s.slot(DB, bound=False))),
    "slot-change": lambda s: s.sign(2, Draft(slots=s.slot(DB, bound=False, address=None))),
    "slot-host": lambda s: s.sign(3, Draft(hosts={node(3): None})),
}


@pytest.mark.parametrize("rule", SLOT_LIES)
def test_slot_lies(rule: str, scene: Scene) -> None:
    refused(rule, scene, SLOT_LIES[rule](scene))


@pytest.mark.parametrize("address", ["100.64.0.0", "100.64.0.1", "100.64.0.255"])
def test_addresses_that_nobody_may_have(address: str, scene: Scene) -> None:
    refused("address-in-range", scene, scene.sign(1, scene.claim(EndpointId("web", 1, 1), scene.web, 1, address)))


def test_lease_must_run_at_the_named_height(scene: Scene) -> None:
    lease = second_web(scene)
    scene.chain.close(lease)
    scene.chain.height += 1
    refused("lease-running", scene, scene.sign(2, scene.claim(WEB, lease, 2, "100.64.0.2")))
    ran_then = scene.claim(WEB, lease, 2, "100.64.0.2", height=scene.chain.leases[lease].closed_at - 1)
    scene.child(scene.sign(2, ran_then))  # what was valid once stays valid


def test_binding_moves_to_a_later_lease_only(scene: Scene) -> None:
    lease = second_web(scene)
    scene.agree(scene.sign(2, scene.claim(WEB, lease, 2, "100.64.0.2")))
    scene.chain.members["web"] = 11
    scene.chain.leases[scene.web] = replace(scene.chain.leases[scene.web], closed_at=0)
    scene.chain.height += 1
    scene.agree(Change(record=(scene.chain.record(), scene.chain.height)))
    scene.chain.height += 1
    refused("slot-rebinding", scene, scene.sign(1, scene.claim(WEB, scene.web, 1, "100.64.0.2")))


def test_provider_counts_by_the_parents_record(scene: Scene) -> None:
    scene.chain.providers = (node(1).provider, node(2).provider)
    scene.chain.height += 1
    scene.agree(Change(record=(scene.chain.record(), scene.chain.height)))
    scene.chain.height += 1
    refused("lease-provider", scene, scene.sign(3, Draft(slots=scene.slot(DB))))
    # Whoever isn't permitted any more is released by anybody, though its lease runs.
    scene.child(scene.sign(1, Draft(slots=scene.slot(DB, bound=False))))


def test_claim_above_the_view_is_unseen_not_refused(scene: Scene) -> None:
    behind = scene.chain.view()
    scene.chain.height += 5
    change = scene.sign(1, Draft(slots=scene.slot(WEB)))
    with pytest.raises(Unseen) as error:
        scene.child(change, view=behind)
    assert error.value.height == scene.chain.height
    scene.child(change)


def test_release_after_k_blocks_by_anybody(scene: Scene) -> None:
    scene.chain.close(scene.db)
    scene.chain.height += RELEASE_BLOCKS - 1
    release = Draft(slots=scene.slot(DB, bound=False))
    refused("release-closed", scene, scene.sign(1, release))
    scene.chain.height += 1
    scene.agree(scene.sign(1, Draft(slots=scene.slot(DB, bound=False))))
    assert scene.value.slots[DB].address is not None


def test_slots_are_never_removed(scene: Scene) -> None:
    child = scene.child(scene.sign(1, Draft(slots=scene.slot(WEB))))
    child = replace(child, slots={key: slot for key, slot in child.slots.items() if key != DB})
    with pytest.raises(RuleBroken) as error:
        check(scene.value, value_hash(scene.value), child, scene.chain.view())
    assert error.value.rule == "slot-removed"


# --- reuse of released addresses


class Full(Scene):
    """A /29 (five usable addresses) that is full: two hosts, one endpoint bound, two released."""

    def __init__(self) -> None:
        self.chain = Chain(voters=3, hosts=3, cidr="100.64.0.0/29")
        self.one = self.chain.deploy("one", 1, 1)
        self.two = self.chain.deploy("two", 2, 1)
        self.web = self.chain.deploy("web", 3, 2)
        self.value = genesis(self.chain.record(), self.chain.height)
        self.settle(1, 2)
        self.chain.close(self.two)
        self.chain.height += RELEASE_BLOCKS
        self.settle(2)
        self.chain.close(self.one)
        self.chain.height += RELEASE_BLOCKS
        self.settle(2)
        self.chain.height += 1
        assert self.value.hosts.keys() == {node(2)}
        self.chain.replicas[3] = 4
        self.ones, self.twos = EndpointId("one", 1, 0), EndpointId("two", 1, 0)

    def fill(self) -> None:
        """Take what nobody had yet."""
        self.settle(2)
        self.chain.height += 1

    def reuse(self, taken: EndpointId, index: int) -> Change:
        address = self.value.slots[taken].address
        return self.sign(
            2,
            Draft(
                slots={
                    **self.claim(EndpointId("web", 1, index), self.web, 2, str(address)).slots,
                    **self.slot(taken, address=None),
                }
            ),
        )


def test_reuse_last_after_cooldown_and_oldest_first() -> None:
    full = Full()
    full.chain.height += COOLDOWN_BLOCKS
    refused("reuse-last", full, full.reuse(full.twos, 3))
    full.chain.replicas[3] = 3
    full.fill()
    free = [endpoint for endpoint in (full.ones, full.twos) if full.value.slots[endpoint].address is not None]
    bound = [slot for slot in full.value.slots.values() if slot.bound]
    assert len({slot.address for slot in bound}) == len(bound) == 3  # the third took the oldest, after its cooldown
    assert free == [full.ones]


def test_cooldown() -> None:
    full = Full()
    full.fill()
    released = {full.ones, full.twos}
    assert all(full.value.slots[endpoint].address is not None for endpoint in released)
    refused("cooldown", full, full.reuse(full.twos, 3))
    full.chain.height = full.value.slots[full.ones].height + COOLDOWN_BLOCKS
    refused("oldest-first", full, full.reuse(full.ones, 3))
    full.agree(full.reuse(full.twos, 3))
    full.chain.height += 1
    refused("slot-change", full, full.sign(2, Draft(slots=full.slot(full.twos, address=None))))


def test_nobody_gives_up_an_address_for_nothing() -> None:
    full = Full()
    full.chain.height += COOLDOWN_BLOCKS
    refused("yield", full, full.sign(2, Draft(slots=full.slot(full.twos, address=None))))


# --- hosts

HOST_LIES: dict[str, Callable[[Scene], Change]] = {
    "host-author": lambda s: s.sign(2, host(s, 1, port=9)),
    "wireguard-key-once": lambda s: s.sign(1, host(s, 1, wireguard=s.value.hosts[node(2)].wireguard)),
    "endpoint-allowed": lambda s: s.sign(1, host(s, 1, endpoint="127.0.0.1")),
    "endpoint-on-chain": lambda s: s.sign(1, host(s, 1, endpoint="198.18.0.99")),
    "address-kept": lambda s: s.sign(1, host(s, 1, address=ipaddress.IPv4Address("100.64.0.77"))),
    "address-in-range": lambda s: s.sign(1, host(s, 1, address=ipaddress.IPv4Address("10.0.0.77"))),
    "host-height": lambda s: s.sign(1, host(s, 1, port=9, height=3)),
    "author-is-host": lambda s: s.sign(4, host(s, 1, port=9)),
    "batch-key": lambda s: sign(host(s, 1, port=9), s.value, node(1), signer(2)),
}


@pytest.mark.parametrize("rule", HOST_LIES)
def test_host_lies(rule: str, scene: Scene) -> None:
    refused(rule, scene, HOST_LIES[rule](scene))


def newcomer(scene: Scene, number: int = 4, **fields: object) -> Draft:
    entry = replace(
        scene.value.hosts[node(1)],
        key=signer(number).public_key,
        wireguard=key32(f"wireguard {number}"),
        endpoint=f"198.18.0.{number}",
        address=ipaddress.IPv4Address("100.64.0.200"),
        height=scene.chain.height,
    )
    return Draft(hosts={node(number): replace(entry, **fields)})  # type: ignore[arg-type]


def test_newcomer_without_a_lease(scene: Scene) -> None:
    refused("host-lease", scene, scene.sign(4, newcomer(scene)))


def test_newcomer_with_a_key_the_chain_does_not_name(scene: Scene) -> None:
    scene.chain.deploy("more", 14, 4)
    scene.agree(Change(record=(scene.chain.record(), scene.chain.height)))
    change = sign(newcomer(scene, key=signer(9).public_key), scene.value, node(4), signer(9))
    refused("host-key", scene, change)
    scene.child(scene.sign(4, newcomer(scene)))


def test_newcomer_the_tenant_does_not_permit(scene: Scene) -> None:
    scene.chain.deploy("more", 14, 4)
    scene.chain.providers = tuple(node(number).provider for number in (1, 2, 3))
    scene.agree(Change(record=(scene.chain.record(), scene.chain.height)))
    refused("host-permitted", scene, scene.sign(4, newcomer(scene)))


def test_old_key_introduces_the_new_one(scene: Scene) -> None:
    new = signer(11)
    introduced = sign(host(scene, 1, key=new.public_key), scene.value, node(1), signer(1))
    refused("host-key", scene, sign(host(scene, 1, key=new.public_key), scene.value, node(1), new))
    scene.agree(introduced)
    scene.chain.height += 1
    refused("batch-key", scene, scene.sign(1, Draft(slots=scene.slot(WEB))))
    scene.child(sign(Draft(slots=scene.slot(WEB)), scene.value, node(1), new))


def test_removal_of_a_host_by_another(scene: Scene) -> None:
    scene.chain.close(scene.db)
    scene.chain.height += RELEASE_BLOCKS
    scene.agree(scene.sign(1, Draft(slots=scene.slot(DB, bound=False))))
    later = scene.chain.lease(13, 3, oseq=2)
    remove = scene.sign(1, Draft(hosts={node(3): None}))
    with pytest.raises(Unseen, match="rule:host-removal"):
        scene.child(remove)
    scene.chain.close(later)
    scene.chain.height += RELEASE_BLOCKS
    scene.child(remove)
    scene.child(scene.sign(3, Draft(hosts={node(3): None})))


# --- locks

LOCK_LIES: dict[str, Callable[[Scene], Change]] = {
    "lock-author": lambda s: s.sign(2, s.lock(1)),
    "lock-token": lambda s: s.sign(1, s.lock(1, token=99)),
    "lock-expiry": lambda s: s.sign(1, s.lock(1, expires=s.chain.height + 10**6)),
}


@pytest.mark.parametrize("rule", LOCK_LIES)
def test_lock_lies(rule: str, scene: Scene) -> None:
    refused(rule, scene, LOCK_LIES[rule](scene))


def test_lock_is_held_until_it_expires(scene: Scene) -> None:
    scene.agree(scene.sign(1, scene.lock(1)))
    token = scene.value.locks["deploy"].token
    refused("lock-held", scene, scene.sign(2, scene.lock(2)))
    refused("lock-removal", scene, scene.sign(2, Draft(locks={"deploy": None})))
    refused("lock-token", scene, scene.sign(1, scene.lock(1)))
    scene.chain.height += 10
    scene.agree(scene.sign(1, scene.lock(1, token=token)))
    refused("lock-height", scene, scene.sign(1, scene.lock(1, token=token, height=5, expires=9)))
    early = scene.lock(2)
    scene.chain.height += 51
    taken = scene.lock(2)
    assert taken.locks["deploy"] != early.locks["deploy"]
    scene.agree(scene.sign(2, taken))
    assert scene.value.locks["deploy"].token > token
    scene.agree(scene.sign(2, Draft(locks={"deploy": None})))
    assert not scene.value.locks


# --- the record


def test_record_lies(scene: Scene) -> None:
    record, height = scene.chain.record(), scene.chain.height
    refused("record-seen", scene, Change(record=(replace(record, providers=(account("x"),)), height)))
    refused("record-fixed", scene, Change(record=(replace(record, generation=3), height)))
    refused("record-owner", scene, Change(record=(replace(record, name="other"), height)))
    refused("record-rising", scene, Change(record=(replace(record, evicted=(OWNER,)), scene.value.record_height)))
    with pytest.raises(Unseen):
        scene.child(Change(record=(record, height + 1)))


# --- signatures and structure


def test_signature_lies(scene: Scene) -> None:
    honest = scene.sign(1, Draft(slots=scene.slot(WEB)))
    (batch,) = honest.batches.values()

    def with_batch(**fields: object) -> Change:
        changed = replace(batch, **fields)  # type: ignore[arg-type]
        slots = {key: replace(slot, batch=changed.name) for key, slot in honest.slots.items()}
        return replace(honest, slots=slots, batches={changed.name: changed})

    refused("batch-signature", scene, with_batch(serial=batch.serial + 1))
    refused("batch-generation", scene, with_batch(generation=5))
    refused("entry-unsigned", scene, replace(honest, batches={}))
    refused("entry-unsigned", scene, replace(honest, slots=scene.slot(WEB, batch=batch.name, created=2)))
    again = sign_batch(signer(1), scene.value.network, 0, node(1), scene.value.serials[node(1)], batch.digests)
    refused("batch-kept", scene, replace(honest, batches={again.name: again}))
    more = sign_batch(signer(1), scene.value.network, 0, node(1), batch.serial, [*batch.digests, "f" * 64])
    refused("batch-extra", scene, replace(honest, batches={more.name: more}))
    other = scene.sign(1, Draft(slots=scene.slot(WEB, height=scene.chain.height - 1)))
    assert other.batches.keys() == honest.batches.keys()
    two = {**honest.batches, f"{node(1)}/77": replace(batch, serial=77)}
    refused("one-batch", scene, replace(honest, batches=two))
    refused("batch-name", scene, replace(honest, batches={f"{node(1)}/88": batch}))
    unordered = replace(batch, digests=("b" * 64, "a" * 64))
    refused("batch-order", scene, replace(honest, batches={batch.name: unordered}))


def test_replay_of_an_old_batch(scene: Scene) -> None:
    first = scene.sign(1, Draft(slots=scene.slot(WEB)))
    scene.agree(first)
    scene.chain.height += 1
    scene.agree(scene.sign(1, Draft(slots=scene.slot(WEB))))
    refused("serial-rises", scene, first)


def test_batches_that_waste_are_refused_and_avoided(scene: Scene) -> None:
    scene.chain.replicas[12] = 600
    scene.chain.changes["cidr"] = ipaddress.IPv4Network("100.64.0.0/16")
    scene.value = genesis(scene.chain.record(), scene.chain.height)
    scene.settle(2)
    endpoints = [endpoint for endpoint in scene.value.slots if endpoint.member == "api"]
    assert len(endpoints) == 600
    for _unused in range(3):
        scene.chain.height += 1
        slots = {key: replace(scene.value.slots[key], height=scene.chain.height) for key in endpoints[1:]}
        endpoints = endpoints[100:]
        scene.agree(scene.sign(2, Draft(slots=slots)))
    digests = sum(len(batch.digests) for batch in scene.value.batches.values() if batch.author == node(2))
    assert digests < 4 * 601 + 257


def test_structure_lies(scene: Scene) -> None:
    honest = scene.child(scene.sign(1, Draft(slots=scene.slot(WEB))))
    dropped = scene.value.slots[DB].batch
    lies: dict[str, dict[str, object]] = {
        "network": {"network": "0" * 64},
        "generation": {"generation": 1},
        "version": {"version": honest.version + 1},
        "parent": {"parent": "0" * 64},
        "seated": {"decided_by": 2},
        "serials-exact": {"serials": {**honest.serials, node(3): 99}},
        "batch-kept": {"batches": {name: honest.batches[name] for name in honest.batches if name != dropped}},
    }
    for rule, fields in lies.items():
        child = replace(honest, **fields)  # type: ignore[arg-type]
        with pytest.raises(RuleBroken) as error:
            check(scene.value, value_hash(scene.value), child, scene.chain.view())
        assert error.value.rule == rule


def test_genesis_lies(scene: Scene) -> None:
    view = scene.chain.view()
    honest = genesis(scene.chain.record(), scene.chain.height)
    check(None, "", honest, view)
    lies = {
        "founders": replace(honest, voters=honest.voters[:2]),
        "seated": replace(honest, seated=0),
        "genesis-empty": replace(honest, hosts=scene.value.hosts),
        "version": replace(honest, version=1),
        "parent": replace(honest, parent="1" * 64),
        "generation": replace(honest, generation=4),
        "network": replace(honest, network="1" * 64),
        "record-seen": genesis(replace(scene.chain.record(), providers=()), scene.chain.height),
    }
    for rule, value in lies.items():
        with pytest.raises(RuleBroken) as error:
            check(None, "", value, view)
        assert error.value.rule == rule
    with pytest.raises(Unseen):
        check(None, "", replace(honest, record_height=scene.chain.height + 1), view)


# --- what the chain doesn't show any more


def test_vouched_for_only_where_the_view_has_lost_sight(scene: Scene) -> None:
    """A half-done claim of a member that the tenant has dropped meanwhile can still be finished."""
    change = scene.sign(2, Draft(slots=scene.slot(API)))
    del scene.chain.members["api"]
    scene.chain.leases.pop(scene.api)
    scene.chain.height += 1
    with pytest.raises(RuleBroken) as error:
        scene.child(change)
    assert error.value.rule == "lease-unknown"
    scene.child(change, vouched=True)
    wrong = scene.sign(3, Draft(slots=scene.slot(DB, created=5)))
    with pytest.raises(RuleBroken) as error:
        scene.child(wrong, vouched=True)
    assert error.value.rule == "lease-created"


def test_difference_and_apply_agree(scene: Scene) -> None:
    change = scene.sign(1, Draft(slots=scene.slot(WEB)))
    child = scene.child(change)
    again = apply_change(scene.value, value_hash(scene.value), difference(scene.value, child))
    assert value_hash(again) == value_hash(child)
