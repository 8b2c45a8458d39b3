# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from scene import ALICE, BOB, P1, P2, P3, P4, host, network, ssh_key, view

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import NotPermitted
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._peer.identities import Identities, Node, Tenant
from ansible_collections.akash.avpn.plugins.module_utils._peer.keys import fingerprint

A_KEY, A2_KEY, B_KEY = ssh_key("alice"), ssh_key("alice 2"), ssh_key("bob")
PROD = network(ALICE, "prod", (P1, P2), access=(A_KEY,), founders=(P1, P2, P3))
TEST = network(ALICE, "test", (P1,), access=(A2_KEY,))
BOBS = network(BOB, "prod", (P2, P4), access=(B_KEY,))
HOSTS = [host(node) for node in (P1, P2, P3, P4)]


def client(node: NodeId) -> str:
    return fingerprint(ssh_key(f"{node} client"))


def at(node: NodeId, *networks: object) -> Identities:
    return Identities(view(list(networks or (PROD, TEST, BOBS)), HOSTS), node)  # type: ignore[arg-type]


def refused(identities: Identities, print_: str, role: Node | Tenant, network_id: str | None) -> str:
    with pytest.raises(NotPermitted) as caught:
        identities.require(print_, role, network_id)
    return str(caught.value)


def test_a_tenants_key_opens_only_networks_whose_record_names_it() -> None:
    identities = at(P1)
    identities.require(fingerprint(A_KEY), Tenant(ALICE), PROD.record.id)
    refused(identities, fingerprint(A_KEY), Tenant(ALICE), TEST.record.id)
    refused(identities, fingerprint(B_KEY), Tenant(ALICE), PROD.record.id)
    refused(identities, fingerprint(A_KEY), Tenant(BOB), PROD.record.id)


def test_a_network_that_is_foreign_unknown_or_elsewhere_is_refused_alike() -> None:
    identities = at(P1)
    texts = {
        refused(identities, fingerprint(A_KEY), Tenant(ALICE), BOBS.record.id),
        refused(identities, fingerprint(A_KEY), Tenant(ALICE), "f" * 64),
        refused(identities, fingerprint(B_KEY), Tenant(BOB), BOBS.record.id),  # true, but not of this host
        refused(identities, client(P4), Node(P4), PROD.record.id),
        refused(identities, client(P2), Node(P1), PROD.record.id),
    }
    assert len(texts) == 1


def test_a_provider_acts_only_where_it_takes_part_or_votes() -> None:
    identities = at(P1)
    identities.require(client(P2), Node(P2), PROD.record.id)
    identities.require(client(P3), Node(P3), PROD.record.id)  # a founder without a lease
    refused(identities, client(P2), Node(P2), TEST.record.id)
    refused(identities, client(P4), Node(P4), None)


def test_a_founder_that_was_evicted_has_no_say_without_a_lease() -> None:
    evicted = network(ALICE, "prod", (P1, P2), founders=(P1, P2, P3), evicted=(P3.provider,))
    refused(at(P1, evicted), client(P3), Node(P3), evicted.record.id)


def test_a_closed_lease_gives_nothing() -> None:
    closed = network(ALICE, "prod", (P1,), closed=(P2,))
    refused(at(P1, closed), client(P2), Node(P2), closed.record.id)


def test_keys_without_a_role_on_this_host_are_strangers() -> None:
    assert at(P1).roles_of(B_KEY) == frozenset()
    assert at(P1).roles_of(ssh_key(f"{P4} client")) == frozenset()
    assert at(P1).roles_of(A_KEY) == {Tenant(ALICE)}


def test_one_key_in_several_records_has_each_role_and_no_mixture_of_them() -> None:
    shared = ssh_key("shared")
    prod = network(ALICE, "prod", (P1, P2), access=(shared,))
    bobs = network(BOB, "prod", (P1, P4), access=(shared,))
    hosts = [host(P1), host(P2, ssh_client_key=shared), host(P4)]
    identities = Identities(view([prod, bobs], hosts), P1)
    assert identities.roles_of(shared) == {Tenant(ALICE), Tenant(BOB), Node(P2)}
    identities.require(fingerprint(shared), Node(P2), prod.record.id)
    refused(identities, fingerprint(shared), Node(P2), bobs.record.id)
    refused(identities, fingerprint(shared), Tenant(BOB), prod.record.id)


def test_the_rings_key_is_for_lease_holders_of_a_common_network_only() -> None:
    identities = at(P1)
    assert identities.share_a_lease(P2)
    assert not identities.share_a_lease(P3)  # votes, holds no lease
    assert not identities.share_a_lease(P4)


def test_common_networks_are_those_of_both() -> None:
    assert at(P2).common_networks(P4) == [BOBS.record.id]
    assert at(P1).common_networks(P2) == [PROD.record.id]
    assert [entry.id for entry in at(P1).hosts_of(PROD.record.id)] == sorted([P2, P3])
