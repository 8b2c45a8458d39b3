# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pure differences: names, registry, peers, gateway, endpoints, resolver, state."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._overlay import endpoints, gateway, names, resolver, state
from ansible_collections.akash.avpn.plugins.module_utils._overlay.keys import ensure_key, key_path, prepare_tunnel
from ansible_collections.akash.avpn.plugins.module_utils._overlay.model import NetworkPlan, Tunnel, TunnelPeer
from ansible_collections.akash.avpn.plugins.module_utils._overlay.netns import Link, Route, Seen
from ansible_collections.akash.avpn.plugins.module_utils._overlay.registry import Registry
from ansible_collections.akash.avpn.plugins.module_utils._overlay.wireguard import DeviceSeen, PeerSeen, difference
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.tests.unit.overlay.builders import World, key, node
from ansible_collections.akash.avpn.tests.unit.overlay.test_plan import only, planned

_NETWORKS = st.binary(min_size=32, max_size=32).map(bytes.hex)
_ADDRESSES = st.integers(int(ipaddress.IPv4Address("100.64.0.0")), int(ipaddress.IPv4Address("100.127.255.255")))


def single(*texts: str) -> tuple[Any, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# names


@given(st.sets(_ADDRESSES, min_size=2, max_size=20))
def test_interfaces_are_as_different_as_addresses_and_short_enough(found: set[int]) -> None:
    made = {names.veth(ipaddress.IPv4Address(each)) for each in found}
    assert len(made) == len(found)
    assert all(re.fullmatch("[a-z0-9]{1,15}", name) for name in made)


@given(_NETWORKS, _ADDRESSES)
def test_an_ipv6_address_says_its_ipv4_address(network: str, number: int) -> None:
    four = ipaddress.IPv4Address(number)
    six = names.ipv6_of(names.ula(network), four)
    assert six in names.ula(network)
    assert str(six).startswith("fd")
    assert int(six) % 2**64 == number
    assert six != names.gateway_ipv6(names.ula(network))


@given(_NETWORKS, _ADDRESSES)
def test_macs_are_unicast_and_local(network: str, number: int) -> None:
    first = int(names.workload_mac(network, ipaddress.IPv4Address(number))[:2], 16)
    assert first & 0b11 == 0b10


# registry


def test_a_registration_is_given_once_and_kept(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.json", 52800)
    first, second = registry.allocate("aa" * 32), registry.allocate("bb" * 32)
    assert first.short != second.short
    assert first.port != second.port
    assert registry.allocate("aa" * 32) == first
    assert Registry(tmp_path / "registry.json", 1).read() == {"aa" * 32: first, "bb" * 32: second}
    registry.release("aa" * 32)
    assert registry.allocate("cc" * 32).port == first.port


def test_networks_whose_ids_begin_alike_get_different_names(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.json", 52800)
    shorts = {registry.allocate("00" * 31 + f"{number:02x}").short for number in range(5)}
    assert len(shorts) == 5
    assert all(re.fullmatch("[a-z2-7]{8}", short) for short in shorts)


def test_a_name_that_something_else_has_is_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(tmp_path / "registry.json", 52800)
    usual = registry.allocate("aa" * 32).short
    registry.release("aa" * 32)
    monkeypatch.setattr("socket.if_nameindex", lambda: [(7, names.tunnel(usual))])
    assert registry.allocate("aa" * 32).short != usual


@pytest.mark.parametrize(
    "document",
    [
        {"x": {"short": "abcdefgh", "port": 1}},
        {"aa" * 32: {"short": "../../x", "port": 1}},
        {"aa" * 32: {"short": "abcdefgh", "port": 0}},
        {"aa" * 32: {"short": "abcdefgh", "port": 1, "more": 1}},
        [],
    ],
)
def test_a_damaged_registry_is_refused(tmp_path: Path, document: Any) -> None:
    (tmp_path / "registry.json").write_text(json.dumps(document))
    with pytest.raises(InvalidInput):
        Registry(tmp_path / "registry.json", 52800).read()


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    registry = Registry(tmp_path / "registry.json", 52800)
    public, port = prepare_tunnel(paths, registry, "aa" * 32)
    assert prepare_tunnel(paths, registry, "aa" * 32) == (public, port)
    path = key_path(paths, "aa" * 32)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    text = path.read_text()
    ensure_key(path)
    assert path.read_text() == text


# peers


def peer(name: str, number: int, *allowed: str) -> TunnelPeer:
    return TunnelPeer(node(number), key(name), f"198.18.77.{number}", 51820, single(*allowed))


def tunnel_of(*peers: TunnelPeer) -> Tunnel:
    return Tunnel(
        key("own"), 51820, 1420, ipaddress.IPv4Address("100.64.63.1"), ipaddress.IPv6Address("fd00::1"), peers
    )


def device(**peers: PeerSeen) -> DeviceSeen:
    return DeviceSeen(key("own"), 51820, {key(name): seen for name, seen in peers.items()})


def there(number: int, *allowed: str, handshake: int = 1000, port: int = 51820) -> PeerSeen:
    return PeerSeen(f"198.18.77.{number}:{port}", frozenset(single(*allowed)), handshake)


def test_equal_peers_need_nothing() -> None:
    wanted = tunnel_of(peer("b", 2, "100.64.0.3/32"))
    assert not difference(device(b=there(2, "100.64.0.3/32")), wanted, {}, 1010)


def test_an_address_moves_by_being_added_and_nobody_elses_list_is_touched() -> None:
    wanted = tunnel_of(peer("b", 2, "100.64.0.3/32"), peer("c", 3, "100.64.0.5/32", "100.64.0.4/32"))
    seen = device(b=there(2, "100.64.0.3/32", "100.64.0.4/32"), c=there(3, "100.64.0.5/32"))
    found = difference(seen, wanted, {}, 1010)
    assert [(added.node, moved, missing) for added, moved, missing in found.add] == [
        (node(3), False, single("100.64.0.4/32"))
    ]
    assert (found.discard, found.remove) == ((), ())


def test_an_address_that_nobody_has_any_more_is_discarded_alone() -> None:
    wanted = tunnel_of(peer("b", 2, "100.64.0.3/32"))
    found = difference(device(b=there(2, "100.64.0.3/32", "100.64.0.4/32")), wanted, {}, 1010)
    assert (found.add, found.discard, found.remove) == ((), single("100.64.0.4/32"), ())


def test_a_peer_that_left_is_removed() -> None:
    found = difference(device(b=there(2, "100.64.0.3/32")), tunnel_of(), {}, 1010)
    assert (found.add, found.discard, found.remove) == ((), (), (key("b"),))


@pytest.mark.parametrize(
    ("told", "now", "corrected"),
    [
        ("198.18.77.2:51820", 1010, False),  # it moved by itself and talks from there
        ("198.18.77.2:51820", 1181, True),  # it has been silent since
        ("198.18.77.2:40000", 1010, True),  # the ledger's endpoint changed
        (None, 1010, True),
    ],
)
def test_a_peer_elsewhere_than_the_ledger_says(told: str | None, now: int, corrected: bool) -> None:
    wanted = tunnel_of(peer("b", 2, "100.64.0.3/32"))
    given_ = {} if told is None else {key("b"): told}
    found = difference(device(b=there(2, "100.64.0.3/32", port=9)), wanted, given_, now)
    assert bool(found) is corrected


# gateway and endpoints


def _plan() -> NetworkPlan:
    return only(planned(World()))


def test_a_gateway_as_planned_needs_nothing() -> None:
    plan = _plan()
    routes = gateway.routes(plan, "avt", plan.attachments)
    lo = Link(
        "lo", 1, "", 65536, True, None, frozenset({f"{plan.tunnel.ipv4}/32", f"{plan.tunnel.ipv6}/128", "127.0.0.1/8"})
    )
    seen = Seen({"lo": lo, "avt": Link("avt", 2, "", 1420, True, None, frozenset())}, routes, routes)
    assert gateway.lines(plan, "avt", seen, routes) == []
    stray = Route(single("100.64.0.99/32")[0], "ve1")
    more = replace(seen, ours=routes | {stray})
    assert gateway.lines(plan, "avt", more, routes) == [stray.removed()]


def test_every_route_of_a_workload_has_an_unreachable_one_behind_it() -> None:
    plan = _plan()
    item = replace(plan.attachments[0], reaches=single("10.9.0.0/16"))
    routes = endpoints.workload_routes(plan, item, "avpn0")
    over = {
        route.target for route in routes if route.via == "169.254.64.1" or (route.via and route.target.prefixlen == 64)
    }
    behind = {route.target for route in routes if route.dev is None}
    assert over == behind == {plan.ipv4, plan.ipv6, *item.reaches}
    assert all(route.metric > 2**31 for route in routes if route.dev is None)


def test_an_interface_that_is_not_the_other_end_is_replaced() -> None:
    plan = _plan()
    item = plan.attachments[0]
    mac = names.workload_mac(plan.network, item.ipv4)
    near = Link(names.veth(item.ipv4), 5, names.GATEWAY_MAC, 1420, True, 99, frozenset())
    far = Link("avpn0", 7, mac, 1420, True, 5, frozenset())
    todo = endpoints.work(plan, item, "/run/netns/x", Seen({near.name: near}), Seen({"avpn0": far}))
    assert (todo.detach, todo.stale, todo.creates) == (True, "avpn0", True)
    assert " name avpn0 " in todo.gateway[0]


def test_a_second_network_of_a_workload_takes_the_next_interface() -> None:
    plan = _plan()
    other = Link("avpn0", 7, "02:00:00:00:00:01", 1420, True, 5, frozenset())
    todo = endpoints.work(plan, plan.attachments[0], "/run/netns/x", Seen(), Seen({"avpn0": other}))
    assert todo.stale is None
    assert " name avpn1 " in todo.gateway[0]


# resolver and state


def test_what_reaches_dnsmasq_is_names_and_addresses() -> None:
    files = resolver.configuration(_plan(), "/run/avpn/abcdefgh")
    for name in ("hosts", "dhcp-hosts"):
        assert all(re.fullmatch(r"[0-9a-z.:,\[\] -]+", line) for line in files[name].splitlines())
    assert "100.64.0.3 0.api.prod.avpn.internal api.prod.avpn.internal g1.api.prod.avpn.internal\n" in files["hosts"]
    assert "no-resolv\n" in files["dnsmasq.conf"]


def test_applied_state_comes_back(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    plan = _plan()
    state.save(paths, plan, {plan.attachments[0].endpoint: True}, {key("b"): "198.18.77.2:51820"}, 1000)
    found = state.load_all(paths)[plan.network]
    assert tuple(found.live.values()) == plan.live
    assert found.told == {key("b"): "198.18.77.2:51820"}
    state.forget(paths, plan.network)
    assert list(paths.applied.iterdir()) == []


def test_what_was_refused_stays_on_record_until_it_is_counted_again(tmp_path: Path) -> None:
    paths, plan = Paths(tmp_path), _plan()
    once = {"members": {"web": {"egress": 1, "ingress": 0}}, "others": {}}

    def shown() -> object:
        return json.loads((paths.applied / f"{plan.network}.json").read_bytes())["refused"]

    state.counted(paths, plan.network, once)  # nothing applied yet: nothing to say it of
    assert not paths.applied.exists()
    state.save(paths, plan, {}, {}, 1000)
    assert shown() is None
    state.counted(paths, plan.network, once)
    state.save(paths, plan, {}, {}, 1001)
    assert shown() == once


def test_a_manifest_counts_as_enforced_once_its_rules_are_loaded(tmp_path: Path) -> None:
    paths, plan = Paths(tmp_path), _plan()

    def shown() -> object:
        return json.loads((paths.applied / f"{plan.network}.json").read_bytes())["manifest"]

    state.enforced(paths, plan.network, 3)  # nothing applied yet: nothing to say it of
    state.save(paths, plan, {}, {}, 1000)
    assert shown() is None
    state.enforced(paths, plan.network, 3)
    assert shown() == 3
    state.save(paths, plan, {}, {}, 1001)
    assert shown() == 3
    (paths.applied / f"{plan.network}.json").write_text("[")
    state.save(paths, plan, {}, {}, 1002)
    assert shown() is None
