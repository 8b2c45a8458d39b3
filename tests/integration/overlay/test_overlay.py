# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three hosts make a tenant's network, for real."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._overlay import netns, uapi
from ansible_collections.akash.avpn.plugins.module_utils._overlay.apply import apply_overlay
from ansible_collections.akash.avpn.plugins.module_utils._overlay.change import Outcome
from ansible_collections.akash.avpn.plugins.module_utils._overlay.keys import key_path
from ansible_collections.akash.avpn.plugins.module_utils._overlay.model import HostPlan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.names import ipv6_of, namespace, tunnel, ula, veth
from ansible_collections.akash.avpn.plugins.module_utils._overlay.supervisor import tunnel_unit
from ansible_collections.akash.avpn.tests.integration.overlay.conftest import start_workload
from ansible_collections.akash.avpn.tests.integration.overlay.machinery import Node, ip, wait_for, within
from ansible_collections.akash.avpn.tests.unit.overlay.builders import World, lease, node, open_manifest, slot

pytestmark = pytest.mark.root

WEB, API0, API1, DB = EndpointId("web", 1, 0), EndpointId("api", 1, 0), EndpointId("api", 1, 1), EndpointId("db", 1, 0)
OPEN = open_manifest("web", "api", "db")


def everywhere(hosts: list[Node], world: World) -> list[Outcome]:
    outcomes = [each.apply(each.plan(world, OPEN)) for each in hosts]
    assert [outcome.problems for outcome in outcomes] == [{}] * len(hosts)
    return outcomes


def home(hosts: list[Node], world: World, endpoint: EndpointId) -> tuple[Node, str]:
    """The host of an endpoint, and the name of its workload's namespace."""
    host = next(each for each in hosts if each.host.id == world.slots[endpoint].host)
    return host, host.workload(world, endpoint)


def addresses(world: World, endpoint: EndpointId) -> tuple[str, str]:
    four = world.slots[endpoint].address
    assert four is not None
    return str(four), str(ipv6_of(ula(world.network), four))


def reaches(hosts: list[Node], world: World, source: EndpointId, target: EndpointId, *, tries: int = 30) -> bool:
    """Whether a ping over both families comes back; the first handshake may take a moment."""
    _host, space = home(hosts, world, source)
    for address in addresses(world, target):
        for _try in range(tries):
            if within(space, "ping", "-c1", "-W1", address).returncode == 0:
                break
        else:
            return False
    return True


@contextmanager
def listening(space: str, address: str, port: int) -> Iterator[None]:
    """A TCP server in a workload that says who asked."""
    import socket

    with netns.entered(f"/run/netns/{space}"):
        server = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    server.settimeout(0.2)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, peer = server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.sendall(peer[0].encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        server.close()


def ask(space: str, address: str, port: int) -> str:
    import socket

    with netns.entered(f"/run/netns/{space}"):
        connection = socket.create_connection((address, port), timeout=5)
    with connection:
        return connection.recv(100).decode()


def traces(host: Node, world: World, short: str) -> list[str]:
    """Everything of the network that is still on a host."""
    found = [path for path in (f"/run/netns/{namespace(short)}", f"/run/avpn/{short}") if os.path.lexists(path)]
    if key_path(host.host.paths, world.network).exists():
        found.append("the key")
    found += [str(path) for path in host.host.paths.applied.glob(f"{world.network}*")]
    if os.path.lexists(f"/run/wireguard/{tunnel(short)}.sock"):
        found.append("the control socket")
    found += [unit for unit in host.daemons.running() if short in unit]
    if world.network in host.host.registry.read():
        found.append("the registration")
    if tunnel(short) in ip("-n", host.space, "link"):
        found.append("the interface")
    return found


def test_endpoints_reach_each_other_from_one_host_to_another_and_on_the_same(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world)
    for source, target in ((WEB, API0), (API1, WEB), (API0, DB), (DB, WEB), (API0, API1)):
        assert reaches(hosts, world, source, target), (source, target)
    for target, asker in ((DB, WEB), (API1, API0)):
        for address, own in zip(addresses(world, target), addresses(world, asker), strict=True):
            with listening(home(hosts, world, target)[1], address, 8080):
                assert ask(home(hosts, world, asker)[1], address, 8080) == own


def test_large_packets_fit(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world)
    assert reaches(hosts, world, WEB, DB)
    _host, space = home(hosts, world, WEB)
    four, six = addresses(world, DB)
    assert within(space, "ping", "-c1", "-W2", "-Mdo", "-s", str(1420 - 28), four).returncode == 0
    assert within(space, "ping", "-c1", "-W2", "-Mdo", "-s", str(1420 - 48), six).returncode == 0


def test_a_check_changes_nothing_and_a_second_apply_has_nothing_to_do(hosts: list[Node], world: World) -> None:
    first = hosts[0]
    before = sorted(os.listdir("/run/netns"))
    told = first.apply(first.plan(world, OPEN), check=True)
    assert sorted(os.listdir("/run/netns")) == before
    assert not first.daemons.running()
    done = everywhere(hosts, world)[0]
    assert told.changes == done.changes
    assert [outcome.changes for outcome in everywhere(hosts, world)] == [[], [], []]
    assert first.apply(first.plan(world, OPEN), check=True).changes == []


def test_nothing_is_reachable_before_the_firewall_opens_it(hosts: list[Node], world: World) -> None:
    for each in hosts:
        with each.inside():
            assert apply_overlay(each.plan(world, OPEN), each.host).problems == {}
    # The tunnel and the links are up, and the manifest would permit it; but no ruleset has been loaded.
    assert not reaches(hosts, world, WEB, API0, tries=2)
    assert not reaches(hosts, world, API0, API1, tries=2)
    _host, space = home(hosts, world, WEB)
    assert within(space, "ping", "-c1", "-W1", "169.254.64.1").returncode != 0
    for each in hosts:
        each.apply(each.plan(world, None), resolver=False)
    assert not reaches(hosts, world, WEB, API0, tries=2)
    assert not reaches(hosts, world, API0, API1, tries=2)
    everywhere(hosts, world)
    assert reaches(hosts, world, WEB, API0)


def test_an_address_moves_between_hosts_and_the_others_do_not_notice(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world)
    assert reaches(hosts, world, WEB, API0) and reaches(hosts, world, WEB, API1) and reaches(hosts, world, WEB, DB)
    _first, web = home(hosts, world, WEB)
    moved, stays = addresses(world, API1)[0], addresses(world, API0)[0]
    watch: list[str] = []
    pinger = threading.Thread(
        target=lambda: watch.append(within(web, "ping", "-i", "0.02", "-c", "150", "-W1", stays, timeout=30).stdout)
    )
    pinger.start()
    time.sleep(0.3)
    world.slots[API1] = slot(2, 3, moved)
    world.version += 1
    start_workload(hosts[2], world, API1)
    changes = everywhere(hosts, world)
    pinger.join()
    assert " 0% packet loss" in watch[0], watch[0][-300:]
    assert reaches(hosts, world, WEB, API1)
    told = [str(change) for change in changes[0].changes if change.what.startswith("peer")]
    assert len(told) == 2, told
    assert [outcome.changes for outcome in everywhere(hosts, world)] == [[], [], []]


def test_an_address_that_is_released_goes_from_its_peer_alone(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world)
    gone = addresses(world, API1)[0]
    world.slots[API1] = slot(2, 2, gone, bound=False)
    everywhere(hosts, world)
    with hosts[0].inside():
        listed = within(namespace(hosts[0].short(world.network)), "wg", "show", tunnel(hosts[0].short(world.network)))
    assert gone not in listed.stdout
    assert addresses(world, API0)[0] in listed.stdout
    assert listed.stdout.count("peer:") == 2
    assert reaches(hosts, world, WEB, API0)


def test_nothing_leaks_to_the_pods_own_way_out_when_the_interface_goes(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world)
    host, space = home(hosts, world, WEB)
    four, six = addresses(world, DB)
    inside = namespace(host.short(world.network))
    ip("-n", inside, "link", "delete", veth(world.slots[WEB].address))  # type: ignore[arg-type]
    for address in (four, six):
        found = within(space, "ip", "route", "get", address)
        assert "unreachable" in found.stdout or "No route to host" in found.stderr, found
        assert "eth0" not in found.stdout
    assert "eth0" in within(space, "ip", "route", "get", "192.0.2.1").stdout
    outcome = host.apply(host.plan(world, OPEN))
    assert [change.what for change in outcome.changes if change.what.startswith("endpoint")] == ["endpoint web/1/0"]
    assert reaches(hosts, world, WEB, DB)


def test_a_workload_that_comes_back_in_a_new_namespace_is_attached_again(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world)
    host, space = home(hosts, world, WEB)
    ip("netns", "delete", space)
    outcome = host.apply(host.plan(world, OPEN))
    assert len(outcome.waiting) == 1 and "web/1/0" in outcome.waiting[0]
    assert outcome.problems == {}
    start_workload(host, world, WEB)
    assert host.apply(host.plan(world, OPEN)).waiting == []
    assert reaches(hosts, world, WEB, DB)


def test_a_workload_whose_old_namespace_is_still_held_is_attached_again(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world)
    host, space = home(hosts, world, WEB)
    held = os.open(f"/run/netns/{space}", os.O_RDONLY)
    try:
        ip("netns", "delete", space)
        start_workload(host, world, WEB)
        host.apply(host.plan(world, OPEN))
        assert reaches(hosts, world, WEB, DB)
    finally:
        os.close(held)


def test_a_tunnel_whose_process_died_is_made_again(
    hosts: list[Node], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere(hosts, world)
    first = hosts[1]
    interface = tunnel(first.short(world.network))
    start, stale = first.daemons.start, []

    def watched(unit: str) -> None:
        stale.append(os.path.exists(uapi.socket_path(interface)))
        start(unit)

    monkeypatch.setattr(first.daemons, "start", watched)
    first.daemons.processes[tunnel_unit(interface)].kill()
    inside = f"/run/netns/{namespace(first.short(world.network))}"
    wait_for("the interface's end", lambda: interface not in netns.observe(inside).links)
    assert reaches(hosts, world, API0, API1), "what is local goes on"
    assert os.path.exists(uapi.socket_path(interface)), "a killed process leaves its socket"
    outcome = first.apply(first.plan(world, OPEN))
    assert outcome.problems == {}
    assert any(change.what == f"tunnel {interface}" for change in outcome.changes)
    assert stale == [False], "wg(8) could remove the new process's socket for the old one"
    assert reaches(hosts, world, WEB, API0)
    assert first.apply(first.plan(world, OPEN)).changes == []


def test_a_tunnel_that_is_made_again_is_heard_of_at_once(hosts: list[Node], world: World) -> None:
    """The others hold sessions with what it was before; what they send into those is lost until they hear of it."""
    everywhere(hosts, world)
    assert reaches(hosts, world, WEB, API0)
    host, space = home(hosts, world, WEB)
    interface = tunnel(hosts[1].short(world.network))
    inside = f"/run/netns/{namespace(hosts[1].short(world.network))}"
    hosts[1].daemons.processes[tunnel_unit(interface)].kill()
    wait_for("the interface's end", lambda: interface not in netns.observe(inside).links)
    assert hosts[1].apply(hosts[1].plan(world, OPEN)).problems == {}
    sent = within(space, "ping", "-c10", "-i0.2", "-W1", addresses(world, API0)[0]).stdout
    assert int(sent.split(" received")[0].split()[-1]) >= 5, sent
    # No more than that once is said unasked.
    listed = within(namespace(host.short(world.network)), "wg", "show", tunnel(host.short(world.network))).stdout
    with hosts[1].inside():
        listed += within(namespace(hosts[1].short(world.network)), "wg", "show", interface).stdout
    assert "peer:" in listed and "keepalive" not in listed


def test_a_changed_mtu_is_taken_everywhere(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world)
    world.hosts[node(3)] = type(world.hosts[node(3)])(**{**vars(world.hosts[node(3)]), "mtu": 1300})
    everywhere(hosts, world)
    host, space = home(hosts, world, WEB)
    assert netns.observe(f"/run/netns/{space}").links["avpn0"].mtu == 1300
    short = host.short(world.network)
    assert netns.observe(f"/run/netns/{namespace(short)}").links[tunnel(short)].mtu == 1300
    assert [outcome.changes for outcome in everywhere(hosts, world)] == [[], [], []]


def test_a_network_that_leaves_leaves_nothing(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world)
    first = hosts[0]
    _host, space = home(hosts, world, WEB)
    short = first.short(world.network)
    assert len(traces(first, world, short)) >= 8
    world.closed.add(lease(1, 1))
    told = first.apply(first.plan(world, OPEN), check=True)
    assert len(traces(first, world, short)) >= 8
    outcome = first.apply(first.plan(world, OPEN))
    assert told.changes == outcome.changes != []
    assert traces(first, world, short) == []
    left = netns.observe(f"/run/netns/{space}")
    assert "avpn0" not in left.links
    assert left.ours == frozenset()
    assert first.apply(first.plan(world, OPEN)).changes == []
    everywhere(hosts[1:], world)
    assert str(node(1)) not in json.dumps([str(c) for c in everywhere(hosts[1:], world)])
    assert reaches(hosts, world, API0, DB)


def test_two_networks_of_one_range_do_not_meet(hosts: list[Node], world: World) -> None:
    other = World(name="staging", members={"web": 11, "db": 13})
    other.slots = {
        EndpointId("web", 1, 0): slot(11, 1, "100.64.0.2"),
        EndpointId("db", 1, 0): slot(13, 3, "100.64.0.5"),
    }
    other.hosts = {}
    for each in (hosts[0], hosts[2]):
        each.prepare(other)
    for endpoint in other.slots:
        start_workload(home(hosts, other, endpoint)[0], other, endpoint)
    both = [(world, OPEN), (other, OPEN)]
    for each in hosts:
        assert each.apply(each.plan_all(both)).problems == {}
    assert reaches(hosts, world, WEB, DB) and reaches(hosts, other, WEB, DB)
    address = addresses(world, DB)[0]
    with (
        listening(home(hosts, world, DB)[1], address, 8080),
        listening(home(hosts, other, DB)[1], address, 8081),
    ):
        assert ask(home(hosts, world, WEB)[1], address, 8080)
        with pytest.raises(OSError, match="refused"):
            ask(home(hosts, world, WEB)[1], address, 8081)
        assert ask(home(hosts, other, WEB)[1], address, 8081)
    _host, space = home(hosts, other, WEB)
    assert within(space, "ping", "-c1", "-W1", addresses(world, DB)[1]).returncode != 0
    world.closed.add(lease(1, 1))
    assert hosts[0].apply(hosts[0].plan_all(both)).problems == {}
    assert reaches(hosts, other, WEB, DB)


def test_without_the_chain_what_runs_goes_on_and_is_repaired(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world)
    first = hosts[0]
    world.closed.add(lease(3, 3))
    world.slots[EndpointId("web", 1, 1)] = slot(1, 1, "100.64.0.9")
    assert first.apply(first.plan(world, OPEN, fresh=False)).changes == []
    short = first.short(world.network)
    first.daemons.stop(tunnel_unit(tunnel(short)))
    assert first.apply(first.plan(world, OPEN, fresh=False)).changes != []
    assert reaches(hosts, world, WEB, DB)


def test_what_is_applied_is_on_record_without_secrets(hosts: list[Node], world: World) -> None:
    outcomes = everywhere(hosts, world)
    first = hosts[0]
    path = first.host.paths.applied / f"{world.network}.json"
    assert path.stat().st_mode & 0o777 == 0o644
    shown = json.loads(path.read_bytes())
    assert shown["ledger"] == [1, world.version]
    assert shown["endpoints"]["web/1/0"]["state"] == "attached"
    secret = key_path(first.host.paths, world.network)
    assert secret.stat().st_mode & 0o777 == 0o600
    text = secret.read_text().strip()
    said = "".join(str(change) for outcome in outcomes for change in outcome.changes)
    readable = [file for file in [*first.host.paths.root.rglob("*"), *Path("/run/avpn").rglob("*")] if file.is_file()]
    assert len(readable) > 5
    assert [str(file) for file in readable if text.encode() in file.read_bytes() and file != secret] == []
    assert text not in said


def test_a_foreign_tunnel_key_stops_that_network_alone(hosts: list[Node], world: World) -> None:
    key_path(hosts[0].host.paths, world.network).unlink()
    hosts[0].prepare(World(name="prod"))  # a new key, which this world's ledger doesn't name
    outcome = hosts[0].apply(hosts[0].plan(world, OPEN), resolver=False)
    assert re.search("the ledger names the tunnel key", outcome.problems[world.network])
    assert hosts[0].apply(HostPlan(), resolver=False).problems == {}
