# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host should look like, from what is on chain and agreed."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import ABSENT, SeenRecord, View
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._overlay.model import HostPlan, NetworkPlan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.names import ipv6_of, ula
from ansible_collections.akash.avpn.plugins.module_utils._overlay.plan import Ran, plan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.registry import Registration
from ansible_collections.akash.avpn.tests.unit.overlay.builders import (
    CIDR,
    World,
    host_entry,
    key,
    lease,
    node,
    open_manifest,
    provider,
    slot,
)


@dataclass(frozen=True)
class Config:
    id: NodeId
    wireguard_address: str
    peer_ranges: tuple[ipaddress.IPv4Network, ...] = (ipaddress.IPv4Network("198.18.0.0/15"),)
    firewall_log_rate: int = 0


def planned(world: World, number: int = 1, *, view: View | None = None, fresh: bool = True, **given_: Any) -> HostPlan:
    given_.setdefault("manifests", {world.network: (open_manifest("web", "api", "db"), 4)})
    given_.setdefault("ledgers", {world.network: world.value})
    given_.setdefault("registry", {network: Registration("abcdefgh", 51820) for network in given_["ledgers"]})
    given_.setdefault("ran", {})
    config = Config(node(number), f"198.18.77.{number}")
    ledgers, manifests, registry = (given_.pop(name) for name in ("ledgers", "manifests", "registry"))
    return plan(view or world.view(), ledgers, manifests, config, registry, fresh=fresh, **given_)


def only(found: HostPlan) -> NetworkPlan:
    assert found.problems == {}
    (network,) = found.networks.values()
    return network


def networks(*texts: str) -> tuple[Any, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def test_peers_are_the_other_hosts_with_their_endpoints_and_themselves() -> None:
    world = World()
    network = only(planned(world))
    prefix = ula(world.network)
    second, third = network.tunnel.peers
    assert (second.node, second.public_key, second.endpoint, second.port) == (
        node(2),
        key("tunnel 2"),
        "198.18.77.2",
        51820,
    )
    addresses = [ipaddress.IPv4Address(text) for text in ("100.64.0.3", "100.64.0.4", "100.64.63.2")]
    assert second.allowed_ips == tuple(
        ipaddress.ip_network(each) for each in (*addresses, *(ipv6_of(prefix, four) for four in addresses))
    )
    assert third.node == node(3)
    assert network.tunnel.public_key == key("tunnel 1")
    assert [item.endpoint for item in network.attachments] == [EndpointId("web", 1, 0)]


def test_ipv6_is_the_networks_own_and_ends_like_ipv4() -> None:
    world = World()
    network = only(planned(world))
    assert network.ipv6 == ipaddress.IPv6Network(
        f"fd{world.network[:2]}:{world.network[2:6]}:{world.network[6:10]}::/64"
    )
    (web,) = network.attachments
    assert int(web.ipv6) & 0xFFFFFFFF == int(web.ipv4)
    assert web.ipv6 in network.ipv6


def test_names_are_by_member_by_replica_and_by_group() -> None:
    world = World()
    world.slots[EndpointId("api", 2, 0)] = slot(2, 3, "100.64.0.6", gseq=2)
    found = {name.name: [str(address) for address in name.ipv4] for name in only(planned(world)).names}
    assert found["api.prod.avpn.internal"] == ["100.64.0.3", "100.64.0.4", "100.64.0.6"]
    assert found["1.api.prod.avpn.internal"] == ["100.64.0.4"]
    assert found["2.api.prod.avpn.internal"] == ["100.64.0.6"]
    assert found["g2.api.prod.avpn.internal"] == ["100.64.0.6"]
    assert found["0.web.prod.avpn.internal"] == ["100.64.0.2"]


def test_a_replica_keeps_its_number_when_another_goes() -> None:
    world = World()
    world.slots[EndpointId("api", 1, 0)] = slot(2, 2, "100.64.0.3", bound=False)
    found = {name.name: [str(address) for address in name.ipv4] for name in only(planned(world)).names}
    assert found["1.api.prod.avpn.internal"] == ["100.64.0.4"]
    assert "0.api.prod.avpn.internal" not in found


def test_mtu_is_the_smallest_of_those_taking_part_but_never_below_ipv6s_least() -> None:
    world = World()
    world.hosts[node(2)] = host_entry(2, mtu=1380)
    assert only(planned(world)).tunnel.mtu == 1380
    world.hosts[node(2)] = host_entry(2, mtu=600)
    assert only(planned(world)).tunnel.mtu == 1280


def test_a_host_without_live_endpoints_is_no_peer_and_does_not_count_for_the_mtu() -> None:
    world = World(closed={lease(2, 2)})
    world.hosts[node(2)] = host_entry(2, mtu=1300)
    network = only(planned(world))
    assert [peer.node for peer in network.tunnel.peers] == [node(3)]
    assert network.tunnel.mtu == 1420
    assert "api.prod.avpn.internal" not in {name.name for name in network.names}


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("its lease is closed", lambda world: world.closed.add(lease(2, 2))),
        (
            "its slot is released",
            lambda world: world.slots.update(
                {
                    EndpointId("api", 1, 0): slot(2, 2, "100.64.0.3", bound=False),
                    EndpointId("api", 1, 1): slot(2, 2, "100.64.0.4", bound=False),
                }
            ),
        ),
        ("its member left", lambda world: world.members.pop("api")),
        ("its member has another deployment", lambda world: world.members.update(api=99)),
        ("its provider isn't permitted", lambda world: setattr(world, "providers", (provider(1), provider(3)))),
    ],
)
def test_an_endpoint_is_not_live_when(what: str, change: Any) -> None:
    world = World()
    change(world)
    assert {each.endpoint.member for each in only(planned(world)).live} == {"web", "db"}, what


def test_the_newer_record_counts() -> None:
    world = World(record_height=200)
    older = World(members={"web": 1})
    assert len(only(planned(world, view=older.view())).live) == 4


def test_a_host_whose_last_lease_closed_has_nothing_left() -> None:
    found = planned(World(closed={lease(1, 1)}))
    assert (dict(found.networks), dict(found.problems), found.pending) == ({}, {}, frozenset())


def test_a_network_without_an_endpoint_here_yet_keeps_its_key() -> None:
    world = World()
    ledger = replace(world.value, slots={})
    found = planned(world, ledgers={world.network: ledger})
    assert dict(found.networks) == {}
    assert found.pending == {world.network}


def test_an_old_view_takes_nothing_away_and_lets_nothing_in() -> None:
    world = World()
    before = only(planned(world))
    ran = {world.network: Ran({each.endpoint: each for each in before.live})}
    world.closed.add(lease(2, 2))
    world.slots[EndpointId("web", 1, 1)] = slot(1, 1, "100.64.0.9")
    assert only(planned(world, fresh=False, ran=ran)).live == before.live
    assert len(only(planned(world, ran=ran)).live) == 3
    world.problems[world.network] = "the record is nonsense"
    assert only(planned(world, ran=ran)).live == before.live


def test_an_old_view_after_nothing_ran_opens_nothing_and_forgets_nothing() -> None:
    world = World()
    found = planned(world, fresh=False)
    assert not found.networks
    assert found.pending == {world.network}


def test_not_found_once_is_not_gone_but_twice_is() -> None:
    world = World()
    once = replace(world.view(), networks={}, seen_records={world.network: (SeenRecord(ABSENT, 90, 90),)})
    before = only(planned(world))
    ran = {world.network: Ran({each.endpoint: each for each in before.live})}
    assert only(planned(world, view=once, ran=ran)).live == before.live
    twice = replace(once, seen_records={world.network: (SeenRecord(ABSENT, 90, 95),)})
    found = planned(world, view=twice, ran=ran)
    assert (dict(found.networks), dict(found.problems), found.pending) == ({}, {}, frozenset())


def test_a_lost_ledger_file_tears_nothing_down() -> None:
    world = World()
    live = only(planned(world)).live
    ran = {world.network: Ran({each.endpoint: each for each in live})}
    registry = {world.network: Registration("abcdefgh", 51820)}
    found = planned(world, ledgers={}, registry=registry, ran=ran)
    assert world.network in found.problems


def test_without_manifest_nothing_passes() -> None:
    world = World()
    network = only(planned(world, manifests={}))
    assert network.manifest is None
    allowed = [name for name in network.firewall.sets if name.endswith("_allow")]
    assert allowed == []
    assert any(name.endswith("_allow") for name in only(planned(world)).firewall.sets)


@pytest.mark.parametrize("endpoint", ["127.0.0.1", "169.254.1.1", "10.0.0.1", "198.18.77.1", "224.0.0.1"])
def test_a_peer_at_a_forbidden_address_is_left_out(endpoint: str) -> None:
    world = World()
    world.hosts[node(2)] = host_entry(2, endpoint=endpoint)
    network = only(planned(world))
    assert [peer.node for peer in network.tunnel.peers] == [node(3)]
    assert any(str(node(2)) in note for note in network.notes)


@pytest.mark.parametrize("stolen", [1, 3])
def test_a_tunnel_key_of_another_host_is_left_out(stolen: int) -> None:
    world = World()
    world.hosts[node(2)] = host_entry(2, wireguard=key(f"tunnel {stolen}"), height=99)
    assert [peer.node for peer in only(planned(world)).tunnel.peers] == [node(3)]


def test_a_network_that_cannot_be_planned_does_not_stop_the_others() -> None:
    good, bad = World(), World(name="bad")
    del bad.hosts[node(1)]
    found = planned(good, view=good.view(bad), ledgers={good.network: good.value, bad.network: bad.value})
    assert list(found.networks) == [good.network]
    assert "address" in found.problems[bad.network]


def test_a_workload_in_two_networks_with_one_range_is_in_one_of_them() -> None:
    first, second = sorted((World(), World(name="staging")), key=lambda world: world.network)
    found = planned(first, view=first.view(second), ledgers={w.network: w.value for w in (first, second)})
    assert len(found.networks[first.network].attachments) == 1
    assert found.networks[second.network].attachments == ()
    assert found.networks[second.network].notes


_endpoints = st.dictionaries(
    st.builds(EndpointId, st.sampled_from(["web", "api", "db"]), st.integers(1, 2), st.integers(0, 5)),
    st.tuples(st.integers(1, 3), st.booleans()),
    max_size=20,
)


@given(_endpoints, st.sets(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=4))
def test_every_live_address_is_in_exactly_one_place_on_every_host(
    placed: dict[EndpointId, tuple[int, bool]], shut: set[tuple[int, int]]
) -> None:
    world = World(closed={lease(dseq, number) for dseq, number in shut})
    world.slots = {
        endpoint: slot(world.members[endpoint.member], number, str(CIDR[index + 2]), gseq=endpoint.gseq, bound=bound)
        for index, (endpoint, (number, bound)) in enumerate(sorted(placed.items()))
    }
    for number in (1, 2, 3):
        found = planned(world, number)
        for network in found.networks.values():
            local = [item.ipv4 for item in network.attachments]
            remote = [ip.network_address for peer in network.tunnel.peers for ip in peer.allowed_ips if ip.version == 4]
            everywhere = [*local, *remote]
            assert len(everywhere) == len(set(everywhere))
            assert {each.ipv4 for each in network.live} <= set(everywhere)
