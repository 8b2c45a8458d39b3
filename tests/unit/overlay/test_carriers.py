# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes of the manifest on a host: who carries them, and where packets for them go (R8)."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import HostRecord, View
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest, Route
from ansible_collections.akash.avpn.plugins.module_utils._overlay import endpoints, gateway, names, resolver, state
from ansible_collections.akash.avpn.plugins.module_utils._overlay.model import HostPlan, NetworkPlan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.netns import Link, Seen
from ansible_collections.akash.avpn.plugins.module_utils._overlay.netns import Route as KernelRoute
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.tests.unit.overlay.builders import World, node, open_manifest, slot
from ansible_collections.akash.avpn.tests.unit.overlay.test_plan import only, planned

API0, API1, DB = EndpointId("api", 1, 0), EndpointId("api", 1, 1), EndpointId("db", 1, 0)


def net(text: str) -> Any:
    return ipaddress.ip_network(text)


def manifest(*routes: tuple[str, ...]) -> Manifest:
    """Routes as (range, via, covers …)."""
    listed = tuple(Route(net(range_), via, frozenset(covers)) for range_, via, *covers in routes)
    return replace(open_manifest("web", "api", "db"), routes=listed)


def on(world: World, number: int, content: Manifest, view: View | None = None) -> NetworkPlan:
    return only(planned(world, number, manifests={world.network: (content, 1)}, view=view))


def carriers(plan: NetworkPlan) -> Mapping[str, EndpointId | None]:
    return {str(each.range): each.carrier.endpoint if each.carrier else None for each in plan.routes}


def route_to(plan: NetworkPlan, address: str) -> KernelRoute:
    """What the namespace's routing decides: longest prefix, then least metric."""
    routes = gateway.routes(plan, "avt", plan.attachments)
    assert len({(each.target, each.metric) for each in routes}) == len(routes), "the kernel keeps one of each"
    found = [each for each in routes if ipaddress.ip_address(address) in each.target]
    return max(found, key=lambda each: (each.target.prefixlen, -each.metric))


def peer_of(plan: NetworkPlan, address: str) -> NodeId | None:
    """Whom WireGuard would send it to."""
    found = [
        (range_.prefixlen, peer.node)
        for peer in plan.tunnel.peers
        for range_ in peer.allowed_ips
        if ipaddress.ip_address(address) in range_
    ]
    return max(found)[1] if found else None


def records(**changed: str) -> dict[NodeId, HostRecord]:
    given = {"ssh_address": "203.0.113.2", "wireguard_address": "203.0.113.2", "gossip_address": "203.0.113.2"}
    record = HostRecord(
        id=node(2),
        ssh_port=7022,
        ssh_host_key="",
        ssh_client_key="",
        signing_key="",
        incarnation="",
        gossip_port=7946,
        **{**given, **changed},
    )
    return {node(2): record}


def test_the_first_live_replica_carries_on_every_host_alike() -> None:
    world, content = World(), manifest(("10.9.0.0/16", "api"))
    for number in (1, 2, 3):
        assert carriers(on(world, number, content)) == {"10.9.0.0/16": API0}
    assert peer_of(on(world, 1, content), "10.9.1.1") == node(2)
    there = on(world, 2, content)
    assert [item.carries for item in there.attachments] == [(net("10.9.0.0/16"),), ()]
    assert [item.reaches for item in there.attachments] == [(), (net("10.9.0.0/16"),)]


def test_when_it_goes_the_next_takes_over_and_then_the_range_is_unreachable() -> None:
    world, content = World(), manifest(("10.9.0.0/16", "api"))
    world.slots[API1] = slot(2, 3, "100.64.0.4", gseq=1)
    world.slots[API0] = slot(2, 2, "100.64.0.3", bound=False)
    for number in (1, 3):
        assert carriers(on(world, number, content)) == {"10.9.0.0/16": API1}
    assert peer_of(on(world, 1, content), "10.9.1.1") == node(3)
    world.slots[API1] = slot(2, 3, "100.64.0.4", bound=False)
    plan = on(world, 1, content)
    assert carriers(plan) == {"10.9.0.0/16": None}
    assert plan.notes == ("route 10.9.0.0/16: api has no live endpoint to carry it",)
    assert route_to(plan, "10.9.1.1").dev is None
    # Workloads go on asking the gateway, and nothing of it leaves by their own way out.
    assert plan.attachments[0].reaches == (net("10.9.0.0/16"),)


def test_a_replica_whose_host_is_not_in_the_ledger_carries_nothing() -> None:
    world, content = World(), manifest(("10.9.0.0/16", "api"))
    world.slots[API1] = slot(2, 3, "100.64.0.4", gseq=1)
    del world.hosts[node(2)]
    assert carriers(on(world, 1, content)) == carriers(on(world, 3, content)) == {"10.9.0.0/16": API1}


def test_of_nested_routes_the_longest_prefix_wins_in_the_kernel_and_in_wireguard() -> None:
    world = World()
    content = manifest(("0.0.0.0/0", "db", "default"), ("10.0.0.0/8", "api"), ("10.9.0.0/16", "web"))
    for address, where in (("192.0.2.1", 3), ("10.1.1.1", 2), ("10.9.1.1", 1)):
        for number in (1, 2, 3):
            plan = on(world, number, content)
            if number == where:
                assert route_to(plan, address).via is not None
            else:
                assert route_to(plan, address).dev == "avt"
                assert peer_of(plan, address) == node(where)
    # What is the network's stays its own.
    assert route_to(on(world, 3, content), "100.64.0.2").via is None
    assert route_to(on(world, 3, content), "100.64.9.9") == route_to(on(world, 3, manifest()), "100.64.9.9")


def test_a_range_without_a_carrier_is_not_left_to_a_wider_route() -> None:
    world, content = World(), manifest(("0.0.0.0/0", "db", "default"), ("10.9.0.0/16", "nobody"))
    for number in (1, 2, 3):
        assert route_to(on(world, number, content), "10.9.1.1").dev is None
        assert route_to(on(world, number, content), "10.8.1.1").dev is not None


def test_a_range_whose_carriers_workload_is_not_there_is_unreachable() -> None:
    plan = on(World(), 3, manifest(("10.9.0.0/16", "db")))
    routes = gateway.routes(plan, "avt", [])
    assert [each.dev for each in routes if each.target == net("10.9.0.0/16")] == [None]


def test_a_default_route_is_two_halves_and_leaves_a_second_look_nothing_to_do() -> None:
    for number in (1, 2):
        plan = on(World(), number, manifest(("0.0.0.0/0", "api", "default"), ("::/0", "api", "default")))
        routes = gateway.routes(plan, "avt", plan.attachments)
        assert not any(each.target.prefixlen == 0 for each in routes)
        link = Link("avt", 2, "", 1420, True, None, frozenset())
        lo = Link("lo", 1, "", 0, True, None, frozenset({f"{plan.tunnel.ipv4}/32", f"{plan.tunnel.ipv6}/128"}))
        assert gateway.lines(plan, "avt", Seen({"avt": link, "lo": lo}, routes, routes), routes) == []


def test_a_route_inside_the_network_carries_what_no_endpoint_has() -> None:
    world, content = World(), manifest(("100.64.0.0/24", "api", "members"))
    there = on(world, 2, content)
    assert route_to(there, "100.64.0.99").via == "100.64.0.3"
    for address in ("100.64.0.2", "100.64.0.5"):  # web and db, on other hosts
        assert route_to(there, address).dev == "avt"
    assert route_to(there, "100.64.0.4").dev == names.veth(ipaddress.IPv4Address("100.64.0.4"))
    here = on(world, 1, content)
    assert peer_of(here, "100.64.0.99") == peer_of(here, "100.64.0.3") == node(2)
    assert peer_of(here, "100.64.0.5") == node(3)


def test_a_route_that_is_the_networks_whole_range_leaves_endpoints_and_hosts_their_addresses() -> None:
    world, content = World(), manifest(("100.64.0.0/18", "api", "members"))
    there = on(world, 2, content)
    assert route_to(there, "100.64.9.9").via == "100.64.0.3"
    for address in ("100.64.0.2", "100.64.0.5", "100.64.63.1", "100.64.63.3"):
        assert route_to(there, address).dev == "avt"
    assert peer_of(on(world, 1, content), "100.64.9.9") == node(2)


@pytest.mark.parametrize("range_", ["100.64.0.0/24", "0.0.0.0/1"])
def test_what_covers_the_network_or_everything_unasked_is_not_there(range_: str) -> None:
    plan = on(World(), 1, manifest((range_, "api")))
    assert plan.routes == ()
    assert "isn't carried. If it is meant to, write 'covers: " in plan.notes[0]


@pytest.mark.parametrize("field", ["ssh_address", "wireguard_address", "gossip_address"])
def test_what_covers_a_host_unasked_is_carried_by_nobody_and_leaves_by_no_other_way(field: str) -> None:
    world = World()
    view = replace(world.view(), hosts=records(**{field: "192.0.2.7"}))
    plan = on(world, 1, manifest(("192.0.2.0/24", "api")), view)
    assert carriers(plan) == {"192.0.2.0/24": None}
    (note,) = plan.notes
    assert note.startswith(f"route 192.0.2.0/24 holds 192.0.2.7, an address of the host {node(2)}, and isn't carried.")
    assert note.endswith("write 'covers: hosts'")
    assert route_to(plan, "192.0.2.9").dev is None
    assert net("192.0.2.0/24") in plan.attachments[0].reaches
    asked = on(world, 1, manifest(("192.0.2.0/24", "api", "hosts")), view)
    assert carriers(asked) == {"192.0.2.0/24": API0} and asked.notes == ()


def test_the_ledgers_endpoint_of_a_host_counts_too() -> None:
    plan = on(World(), 1, manifest(("198.18.77.0/24", "api")))
    assert carriers(plan) == {"198.18.77.0/24": None}


def test_hosts_announce_nothing_that_is_not_in_the_manifest() -> None:
    plan = on(World(), 1, manifest(("10.9.0.0/16", "api")))
    allowed = {range_ for peer in plan.tunnel.peers for range_ in peer.allowed_ips}
    assert {each for each in allowed if each.prefixlen < each.max_prefixlen} == {net("10.9.0.0/16")}


# workloads


def test_a_carrier_keeps_its_own_way_to_what_it_carries_and_no_more() -> None:
    content = manifest(("10.0.0.0/8", "db"), ("10.9.0.0/16", "api"))
    web, api, db = (on(World(), number, content).attachments[0].reaches for number in (1, 2, 3))
    assert web == (net("10.0.0.0/8"),)
    assert db == (net("10.9.0.0/16"),)
    assert not any(net("10.9.0.0/16").overlaps(each) for each in api)
    assert sum(each.num_addresses for each in api) == 2**24 - 2**16


def test_a_default_route_takes_nothing_that_is_the_workloads_own_business() -> None:
    reaches = (
        on(World(), 1, manifest(("0.0.0.0/0", "api", "default"), ("::/0", "api", "default"))).attachments[0].reaches
    )
    for text, there in (
        ("8.8.8.8", True), ("203.0.113.9", True), ("127.0.0.1", False), ("169.254.169.254", False),
        ("224.0.0.251", False), ("2001:db8::1", True), ("fe80::1", False), ("ff02::1", False),
    ):  # fmt: skip
        assert any(ipaddress.ip_address(text) in range_ for range_ in reaches) is there, text
    # All are longer than the pod's own default route, which stays.
    assert all(range_.prefixlen > 0 for range_ in reaches)


def test_who_takes_over_has_its_own_way_back() -> None:
    world, content = World(), manifest(("10.9.0.0/16", "api"))
    before = on(world, 2, content)
    waiting = before.attachments[1]
    had = frozenset(endpoints.workload_routes(before, waiting, "avpn0"))
    world.slots[API0] = slot(2, 2, "100.64.0.3", bound=False)
    after = on(world, 2, content)
    device, mac = names.veth(waiting.ipv4), names.workload_mac(after.network, waiting.ipv4)
    near = Link(device, 5, names.GATEWAY_MAC, 1420, True, 7, frozenset())
    far = Link("avpn0", 7, mac, 1420, True, 5, frozenset())
    todo = endpoints.work(after, after.attachments[0], "/x", Seen({device: near}), Seen({"avpn0": far}, had, had))
    gone = [line for line in todo.workload if line.startswith("route del")]
    assert len(gone) == 2 and all("10.9.0.0/16" in line for line in gone)
    assert any("unreachable" in line for line in gone)


def two(first: Manifest, second: Manifest) -> tuple[HostPlan, World, World]:
    """Two networks with a workload in common, at provider 1; the first is the earlier one."""
    worlds = [World(), World(name="staging")]
    worlds.sort(key=lambda world: world.network)
    one, other = worlds
    other.slots = {EndpointId("web", 1, 0): slot(1, 1, "100.80.0.2"), DB: slot(3, 3, "100.80.0.5")}
    value = replace(other.value, record=replace(other.record, cidr=net("100.80.0.0/18")))
    found = planned(
        one,
        1,
        view=one.view(other),
        ledgers={one.network: one.value, other.network: value},
        manifests={one.network: (first, 1), other.network: (second, 1)},
    )
    assert found.problems == {}
    return found, one, other


def test_a_workload_of_two_networks_reaches_each_range_by_one_of_them() -> None:
    found, one, other = two(manifest(("10.9.0.0/16", "api")), manifest(("10.9.0.0/16", "db"), ("10.8.0.0/16", "db")))
    assert found.networks[one.network].attachments[0].reaches == (net("10.9.0.0/16"),)
    assert found.networks[other.network].attachments[0].reaches == (net("10.8.0.0/16"),)
    assert any("reaches by" in note for note in found.networks[other.network].notes)


def test_no_route_of_one_network_takes_a_workloads_way_into_another() -> None:
    found, one, other = two(manifest(("100.80.0.0/24", "api")), manifest(("100.64.0.0/18", "db", "members")))
    assert found.networks[one.network].attachments[0].reaches == ()
    assert found.networks[other.network].attachments[0].reaches == ()


def test_unreachable_routes_of_two_networks_are_each_its_own() -> None:
    found, one, other = two(manifest(("10.9.0.0/16", "api")), manifest())
    first, second = found.networks[one.network], found.networks[other.network]
    both = frozenset(
        [
            *endpoints.workload_routes(first, first.attachments[0], "avpn0"),
            *endpoints.workload_routes(second, second.attachments[0], "avpn1"),
        ]
    )
    left = endpoints.leave(Seen({}, both, both), second.network)
    assert sorted(line.split()[3] for line in left) == sorted(map(str, (second.ipv4, second.ipv6)))


# what DHCP tells


def dhcp(number: int, *routes: tuple[str, ...]) -> tuple[list[str], str]:
    files = resolver.configuration(on(World(), number, manifest(*routes)), "/run/avpn/abcdefgh")
    listed = [line for line in files["dnsmasq.conf"].splitlines() if "classless-static-route" in line]
    return listed, files["dhcp-hosts"]


def test_dhcp_tells_the_routes_and_a_carrier_only_those_of_others() -> None:
    start = "dhcp-option=option:classless-static-route,169.254.64.1/32,0.0.0.0,100.64.0.0/18,169.254.64.1"
    (line,), _hosts = dhcp(1, ("10.9.0.0/16", "api"))
    assert line == f"{start},10.9.0.0/16,169.254.64.1"
    lines, hosts = dhcp(2, ("10.9.0.0/16", "api"))
    assert lines == [start, f"{start},10.9.0.0/16,169.254.64.1".replace("=option", "=tag:r1,option")]
    carrier, other = hosts.splitlines()
    assert "set:" not in carrier and ",set:r1,100.64.0.4," in other
    assert dhcp(1)[0] == [start]


def test_dhcp_tells_no_more_than_fits_into_the_option() -> None:
    (line,), _hosts = dhcp(1, *((f"10.{number}.0.0/17", "api") for number in range(200)), ("172.16.0.0/12", "db"))
    told = line.partition("classless-static-route,")[2].split(",")[::2]
    encoded = sum(5 + (int(each.partition("/")[2]) + 7) // 8 for each in told)
    assert 240 < encoded <= 255
    assert "172.16.0.0/12" in told, "the widest first"


def test_a_default_route_fits_into_the_option() -> None:
    (line,), _hosts = dhcp(1, ("0.0.0.0/0", "api", "default"))
    told = set(line.partition("classless-static-route,")[2].split(",")[::2])
    plan = on(World(), 1, manifest(("0.0.0.0/0", "api", "default")))
    missing = [each for each in plan.attachments[0].reaches if str(each) not in told]
    assert missing == []


def test_who_carries_is_on_record(tmp_path: Path) -> None:
    plan = on(World(), 1, manifest(("10.9.0.0/16", "api"), ("10.8.0.0/16", "nobody")))
    paths = Paths(tmp_path)
    state.save(paths, plan, {}, {}, 1000)
    told = json.loads((paths.applied / f"{plan.network}.json").read_bytes())
    assert told["routes"] == {"10.9.0.0/16": "api/1/0", "10.8.0.0/16": None}
    assert told["notes"] == ["route 10.8.0.0/16: nobody has no live endpoint to carry it"]
