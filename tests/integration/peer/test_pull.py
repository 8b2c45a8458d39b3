# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One host fetches from another over the real channel what is newer, and believes only what proves itself."""

from __future__ import annotations

import json
import os
import pathlib
import pwd
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest
import scene
from scene import P1, P2

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import (
    ABSENT,
    NetworkView,
    SeenRecord,
    View,
    Voter,
)
from ansible_collections.akash.avpn.plugins.module_utils._common import canonical
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._manifest import adr36, envelope
from ansible_collections.akash.avpn.plugins.module_utils._manifest.store import ManifestStore
from ansible_collections.akash.avpn.plugins.module_utils._peer import gather, ledgers, ring
from ansible_collections.akash.avpn.plugins.module_utils._peer.hints import take
from ansible_collections.akash.avpn.plugins.module_utils._peer.identities import Identities
from ansible_collections.akash.avpn.plugins.module_utils._peer.limits import Limits
from ansible_collections.akash.avpn.plugins.module_utils._peer.pull import Pull
from ansible_collections.akash.avpn.plugins.module_utils._peer.votes import votes
from ansible_collections.akash.avpn.plugins.module_utils._quorum import entry_codec
from ansible_collections.akash.avpn.plugins.module_utils._quorum.cache import LedgerCache
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import genesis
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import genesis_parent, value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Acceptance,
    Ballot,
    Certificate,
    Certified,
    Instance,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.signing import SeedSigner, sign_batch
from ansible_collections.akash.avpn.plugins.module_utils._quorum.store import NetworkState, Store
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import HostEntry, Value

if TYPE_CHECKING:
    from conftest import Channel

pytestmark = pytest.mark.root

SECRET = bytes(range(1, 33))
SIGNERS = {P1: SeedSigner(b"1" * 32), P2: SeedSigner(b"2" * 32)}


HOST = HostEntry("A" * 43 + "=", "A" * 43 + "=", "198.18.0.2", 51820, 1420, IPv4Address("100.64.0.9"), 90, f"{P2}/1")


def owner() -> str:
    import base64

    public_key, _signature = adr36.sign(SECRET, b"")
    return adr36.account_of(base64.b64decode(public_key))


def certified(entry: NetworkView, signers: dict[Any, SeedSigner], value: Value | None = None) -> Certified:
    value = value or genesis(entry.record, 50)
    ballot = Ballot(1, P1, "a" * 32, value_hash(value))
    signed = [
        Acceptance(Instance.of(value), ballot, node, scene.incarnation(node)).signed(signer)
        for node, signer in sorted(signers.items())
    ]
    return Certified(Certificate.of(signed), value)


@pytest.fixture
def world(populated: Channel) -> Channel:
    """Alice's network, owned by an account whose key is here, with founders whose keys are here."""
    network = scene.network(owner(), "prod", (P1, P2), access=(populated.public("alice"),), founders=(P1, P2))
    voters = tuple(Voter(node, scene.incarnation(node), signer.public_key) for node, signer in SIGNERS.items())
    populated.networks = [replace(network, record=replace(network.record, founders=tuple(sorted(voters))))]
    populated.save()
    signing = populated.tree.paths.signing_key
    signing.write_text("MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=\n")
    signing.chmod(0o600)
    own(signing.parent)
    return populated


def own(path: pathlib.Path) -> None:
    entry = pwd.getpwnam("avpn")
    for found in (path, *path.iterdir()):
        os.chown(found, entry.pw_uid, entry.pw_gid)


def other(world: Channel, tmp_path: pathlib.Path) -> tuple[scene.HostTree, Identities]:
    tree = scene.HostTree.make(tmp_path, P2)
    return tree, Identities(scene.view(world.networks, list(world.hosts.values())), P2)


def test_a_manifest_handed_in_here_is_fetched_there(world: Channel, tmp_path: pathlib.Path) -> None:
    network = world.networks[0].record.id
    signed = envelope.sign(network, 3, {}, SECRET)
    with world.client(owner(), "alice") as tenant:
        request = {"op": "manifest-put", "network": network, "manifest": envelope.to_document(signed)}
        assert tenant.call(P1, request)["stored"]
        assert not tenant.call(P1, request)["stored"]
        assert tenant.call(P1, {"op": "status", "network": network})["manifest"] == 3
        with pytest.raises(InvalidInput, match="signature"):
            forged = {**envelope.to_document(signed), "version": 4}
            tenant.call(P1, {"op": "manifest-put", "network": network, "manifest": forged})
    assert [str(hint) for hint in take(world.tree.paths.hints)] == [f"manifest {network} 3"]
    tree, identities = other(world, tmp_path)
    with world.client(P2, str(P2)) as client:
        pull = Pull(tree.paths, identities, client)
        pull.compare()
        assert pull.news == {("manifest", network)}
        assert ManifestStore(tree.paths.manifests).current(network) == signed
        again = Pull(tree.paths, identities, client)
        again.compare()
        assert again.news == set()
        assert again.problems == {}


def test_a_ledger_is_fetched_by_hint_and_by_comparison(world: Channel, tmp_path: pathlib.Path) -> None:
    entry = world.networks[0]
    network, fact = entry.record.id, certified(entry, SIGNERS)
    LedgerCache(world.tree.paths.ledgers).save(fact)
    own(world.tree.paths.ledgers)
    for number, learn in enumerate((lambda pull: pull.follow({network: [("ledger", 0)]}), Pull.compare)):
        tree, identities = other(world, tmp_path / str(number))
        with world.client(P2, str(P2)) as client:
            pull = Pull(tree.paths, identities, client)
            learn(pull)
        assert pull.problems == {}
        assert pull.news == {("ledger", network)}
        assert ledgers.position(tree.paths, network) == (entry.record.generation, 0)


def test_a_ledger_without_a_majority_of_the_founders_is_refused(world: Channel, tmp_path: pathlib.Path) -> None:
    entry = world.networks[0]
    network = entry.record.id
    impostor = SeedSigner(b"3" * 32)
    for number, signers in enumerate(({P1: SIGNERS[P1]}, {P1: SIGNERS[P1], P2: impostor})):
        path = world.tree.paths.ledgers / f"{network}.json"
        path.unlink(missing_ok=True)
        LedgerCache(world.tree.paths.ledgers).save(certified(entry, signers))
        own(world.tree.paths.ledgers)
        tree, identities = other(world, tmp_path / str(number))
        with world.client(P2, str(P2)) as client:
            pull = Pull(tree.paths, identities, client)
            pull.compare()
        assert pull.news == set()
        assert list(pull.problems) == [f"{network} from {P1}"]
        assert ledgers.position(tree.paths, network) is None


def test_a_ledger_with_a_forged_entry_is_refused_though_its_founders_certify_it(
    world: Channel, tmp_path: pathlib.Path
) -> None:
    entry = world.networks[0]
    network, value = entry.record.id, genesis(entry.record, 50)
    batch = replace(sign_batch(SIGNERS[P1], network, 0, P1, 1, ["a" * 64]), digests=("b" * 64,))
    LedgerCache(world.tree.paths.ledgers).save(certified(entry, SIGNERS, replace(value, batches={batch.name: batch})))
    own(world.tree.paths.ledgers)
    tree, identities = other(world, tmp_path)
    with world.client(P2, str(P2)) as client:
        pull = Pull(tree.paths, identities, client)
        pull.compare()
    assert "wrong signature" in pull.problems[f"{network} from {P1}"]
    assert ledgers.position(tree.paths, network) is None


def test_versions_of_a_network_that_is_not_known_here_are_left_alone(world: Channel, tmp_path: pathlib.Path) -> None:
    """Another host may have read the chain later, or say what it likes."""
    entry = world.networks[0]
    LedgerCache(world.tree.paths.ledgers).save(certified(entry, SIGNERS))
    own(world.tree.paths.ledgers)
    tree = scene.HostTree.make(tmp_path, P2)
    shared = scene.network(scene.ALICE, "shared", (P1, P2))
    world.networks.append(shared)
    world.save()
    identities = Identities(scene.view([shared], list(world.hosts.values())), P2)
    with world.client(P2, str(P2)) as client:
        pull = Pull(tree.paths, identities, client)
        pull.compare()
    assert pull.news == set()
    assert pull.problems == {}
    assert ledgers.position(tree.paths, entry.record.id) is None


def test_hints_that_lie_cost_a_bounded_number_of_looks(world: Channel, tmp_path: pathlib.Path) -> None:
    network = world.networks[0].record.id
    tree, identities = other(world, tmp_path)
    with world.client(P2, str(P2)) as client:
        for version in range(40):
            pull = Pull(tree.paths, identities, client, limits=Limits(tree.paths.limits, "this host"))
            pull.follow({network: [("manifest", version + 1)], "f" * 64: [("manifest", 1)]})
        assert client.counters.requests <= 13


def test_the_rings_key_travels_between_lease_holders(world: Channel, tmp_path: pathlib.Path) -> None:
    ring.agree(world.tree.paths, [])
    own(world.tree.paths.gossip)
    key = ring.current_key(world.tree.paths)
    tree, identities = other(world, tmp_path)
    with world.client(P2, str(P2)) as client:
        assert Pull(tree.paths, identities, client).agree_on_ring()
    assert ring.current_key(tree.paths) == key
    assert json.loads(tree.paths.keyring.read_text())[0] == key


def test_who_has_left_keeps_the_way_to_the_voters_until_the_record_is_gone(tmp_path: pathlib.Path) -> None:
    network = scene.network(owner(), "prod", (P1, P2), founders=(P1, P2))
    voters = tuple(sorted(Voter(node, scene.incarnation(node), signer.public_key) for node, signer in SIGNERS.items()))
    record = replace(network.record, founders=voters)
    entry = replace(network, record=record, leases=network.leases[:1])  # P2 holds none
    tree = scene.HostTree.make(tmp_path, P2)
    fact = certified(entry, SIGNERS)
    LedgerCache(tree.paths.ledgers).save(fact)
    parent, store = genesis_parent(record.id, 0, None), Store(tree.paths.voter_database)
    state = NetworkState(record.id, record.owner, record.name, 0, voters, voters, -1, parent, None)
    with store.transaction() as database:
        store.begin(database, state)
        state = store.certify(database, state, fact)
    view = scene.view([entry], [scene.host(P1), scene.host(P2)])

    def forget(seen: View) -> None:
        gather._forget(tree.paths, seen, Identities(seen, P2, votes(tree.paths)))

    forget(view)
    assert ledgers.networks(tree.paths) == [record.id], "it votes still"
    # What it has in the cache may be older than what it left with, and name it still.
    path = LedgerCache(tree.paths.ledgers).path(record.id)
    document = json.loads(path.read_text())
    document["value"]["hosts"][str(P2)] = entry_codec.host_json(HOST)
    path.write_bytes(canonical.dumps(document))
    assert gather._still_bound(tree.paths, record.id, Identities(view, P2, votes(tree.paths)))
    forget(view)
    assert ledgers.networks(tree.paths) == [record.id], "it votes still"
    with store.transaction() as database:
        store.leave(database, state, ())
    identities, problems = Identities(view, P2, votes(tree.paths)), dict[str, str]()
    forget(view)
    assert ledgers.networks(tree.paths) == []
    assert gather._from_own_voter(tree.paths, identities, problems) == []
    assert problems == {}, "there is no value to be handed on any more, which is nothing wrong"
    assert ledgers.networks(tree.paths) == []
    assert votes(tree.paths)[record.id].gone
    absent = SeenRecord(ABSENT, view.height, view.height + 5)
    forget(replace(view, networks={}, seen_records={record.id: (replace(absent, last_seen=view.height),)}))
    assert record.id in votes(tree.paths), "one reading without it is not enough"
    forget(replace(view, networks={}, seen_records={record.id: (absent,)}))
    assert votes(tree.paths) == {}
    store.close()


def test_a_founder_without_a_lease_has_no_manifest_any_more(world: Channel, tmp_path: pathlib.Path) -> None:
    entry, network = world.networks[0], world.networks[0].record.id
    signed = envelope.sign(network, 3, {}, SECRET)
    ManifestStore(world.tree.paths.manifests).adopt(signed, entry.record)
    own(world.tree.paths.manifests)
    # The last lease of P2 closes; its voter goes on.
    left = replace(entry, leases=tuple(lease for lease in entry.leases if lease.id.provider != P2.provider))
    tree, _unused = other(world, tmp_path)
    ManifestStore(tree.paths.manifests).adopt(signed, entry.record)
    LedgerCache(tree.paths.ledgers).save(certified(entry, SIGNERS))
    record, store = entry.record, Store(tree.paths.voter_database)
    founders, parent = record.founders, genesis_parent(network, record.generation, record.base)
    state = NetworkState(network, record.owner, record.name, record.generation, founders, founders, -1, parent, None)
    with store.transaction() as database:
        store.begin(database, state)
        store.certify(database, state, certified(entry, SIGNERS))
    store.close()
    view = scene.view([left], list(world.hosts.values()))
    identities = Identities(view, P2)
    gather._forget(tree.paths, view, identities)
    assert not ManifestStore(tree.paths.manifests).networks()
    assert list(ledgers.networks(tree.paths)) == [network]
    with world.client(P2, str(P2)) as client:
        pull = Pull(tree.paths, identities, client)
        pull.compare()
        pull.follow({network: [("manifest", 3)]})
    assert pull.news == set()
    assert not ManifestStore(tree.paths.manifests).networks()
    # And nobody can hand one in where it would be kept for nobody.
    world.networks = [replace(left, leases=tuple(lease for lease in entry.leases if lease.id.provider != P1.provider))]
    world.save()
    with world.client(owner(), "alice") as tenant, pytest.raises(Unavailable, match="no lease"):
        tenant.call(P1, {"op": "manifest-put", "network": network, "manifest": envelope.to_document(signed)})
