# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections that exist: kept while permitted, cut when not, whatever direction speaks."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from wire import Wire, Workload, inside, opened, run

from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoints
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters, talking

pytestmark = pytest.mark.root

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def rules(ports: list[str], more: int = 0) -> dict[str, Any]:
    """web -> db on ``ports``, and ``more`` rules that concern nobody here."""
    noise = [{"peers": "api", "ports": f"tcp/{20000 + number}"} for number in range(more)]
    return {
        "members": {
            "web": {"egress": {"allow": [{"peers": "db", "ports": ports}] if ports else []}},
            "db": {"ingress": {"allow": [{"peers": "web", "ports": "any"}, *noise]}},
        }
    }


def find(wire: Wire, member: str, gseq: int = 1) -> Workload:
    return next(each for each in wire.workloads if (each.endpoint.id.member, each.endpoint.id.gseq) == (member, gseq))


def connection(wire: Wire, version: int, port: int) -> tuple[socket.socket, socket.socket]:
    web, db = find(wire, "web"), find(wire, "db")
    with opened(db.namespace, FAMILY[version], socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((str(db.address(version)), port))
        server.listen()
        client = opened(web.namespace, FAMILY[version], socket.SOCK_STREAM)
        client.settimeout(3)
        client.connect((str(db.address(version)), port))
        accepted, _peer = server.accept()
    accepted.settimeout(3)
    return client, accepted


def arrives(sender: socket.socket, receiver: socket.socket, seconds: float = 0.6) -> bool:
    """Whether something sent now arrives (TCP sends again by itself within that time)."""
    receiver.settimeout(seconds)
    sender.send(b"x")
    try:
        return bool(receiver.recv(4096))
    except TimeoutError:
        return False


@pytest.mark.parametrize("version", [4, 6])
def test_a_permitted_stream_survives_changes_and_keeps_its_replies(wire: Wire, version: int) -> None:
    wire.enforce(parse(rules(["tcp/5432"])))
    client, server = connection(wire, version, 5432)
    with client, server:
        for number in range(10):
            wire.enforce(parse(rules(["tcp/5432"], more=number + 1)))
            # The reply comes first under every second policy: it is judged as part of its flow.
            first, second = (client, server) if number % 2 else (server, client)
            assert arrives(first, second), number
            assert arrives(second, first), number
        retransmitted = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        assert struct.unpack_from("I", retransmitted, 100)[0] == 0  # tcpi_total_retrans


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("speaker", ["client", "server"])
def test_a_revoked_stream_is_cut_in_both_directions(wire: Wire, version: int, speaker: str) -> None:
    wire.enforce(parse(rules(["tcp/5432", "tcp/80"])))
    client, server = connection(wire, version, 5432)
    kept_client, kept_server = connection(wire, version, 80)
    with client, server, kept_client, kept_server:
        assert arrives(client, server)
        assert arrives(server, client)
        wire.enforce(parse(rules(["tcp/80"])))
        first, second = (client, server) if speaker == "client" else (server, client)
        assert not arrives(first, second)
        assert not arrives(second, first)
        assert arrives(kept_client, kept_server)
        wire.enforce(parse(rules(["tcp/5432", "tcp/80"])))
        assert arrives(first, second, 5), "permitted again, the stream goes on"


def test_a_stream_that_goes_on_sending_is_cut(wire: Wire) -> None:
    wire.enforce(parse(rules(["udp/5000", "tcp/5432"])))
    web, db = find(wire, "web"), find(wire, "db")
    with (
        opened(db.namespace, socket.AF_INET, socket.SOCK_DGRAM) as server,
        opened(web.namespace, socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind((str(db.endpoint.ipv4), 5000))
        client.connect((str(db.endpoint.ipv4), 5000))
        server.settimeout(0.3)
        stopped = None
        for number in range(400):
            if number == 100:
                wire.enforce(parse(rules(["tcp/5432"])))
            client.send(struct.pack("!I", number))
            time.sleep(0.002)
        received = list(_drain(server))
        stopped = max(received)
        assert received[:100] == list(range(100))
        assert stopped < 110, "nothing arrives after the change"


def test_no_packet_slips_through_while_rules_change(wire: Wire) -> None:
    """A stream at full speed, revoked and permitted again many times: each time it ends, and stays ended.

    Were the epoch switched together with the rules, now and then a packet in between would mark the flow.
    """
    permitted, revoked = parse(rules(["udp/5000"])), parse(rules(["tcp/5432"]))
    web, db = find(wire, "web"), find(wire, "db")
    compiled = {
        wanted: [site.compiled(manifest, wire.endpoints) for site in wire.sites]
        for wanted, manifest in ((True, permitted), (False, revoked))
    }
    stop = threading.Event()
    with (
        opened(db.namespace, socket.AF_INET, socket.SOCK_DGRAM) as server,
        opened(web.namespace, socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind((str(db.endpoint.ipv4), 5000))
        server.setblocking(False)
        client.connect((str(db.endpoint.ipv4), 5000))

        def blast() -> None:
            while not stop.is_set():
                for _unused in range(50):
                    client.send(b"x" * 100)
                time.sleep(0.001)

        thread = threading.Thread(target=blast)
        thread.start()
        try:
            for turn in range(30):
                for wanted in (True, False):
                    for site, ruleset in zip(wire.sites, compiled[wanted], strict=True):
                        site.apply(ruleset)
                    time.sleep(0.02)
                    _discard(server)
                    time.sleep(0.03)
                    assert (_discard(server) > 0) is wanted, turn
        finally:
            stop.set()
            thread.join()


def _discard(server: socket.socket) -> int:
    count = 0
    with contextlib.suppress(BlockingIOError):
        while server.recv(200):
            count += 1
    return count


def _drain(server: socket.socket) -> Iterator[int]:
    try:
        while True:
            yield struct.unpack("!I", server.recv(64))[0]
    except TimeoutError:
        return


def test_forgotten_connections_can_not_be_taken_up_in_the_middle(wire: Wire) -> None:
    wire.enforce(parse(rules(["tcp/5432"])))
    client, server = connection(wire, 4, 5432)
    with client, server:
        assert arrives(client, server)
        for site in wire.sites:
            run("ip", "netns", "exec", site.namespace, "conntrack", "-F")
        assert not arrives(client, server)
        assert sum(counters(site.namespace)["midstream"] for site in wire.sites) > 0


def test_flows_go_with_the_lease_of_an_address(wire: Wire) -> None:
    """The same address, member and rules, but another lease: the old one's connections don't reach it."""
    manifest = parse(rules(["tcp/5432"]))
    wire.enforce(manifest)
    client, server = connection(wire, 4, 5432)
    with client, server:
        assert arrives(client, server)
        web = find(wire, "web").endpoint
        others = [each for each in wire.endpoints if each.id != web.id]
        again = Endpoints([*others, dataclasses.replace(web, lease="another")])
        changes = [site.apply(site.compiled(manifest, again)) for site in wire.sites]
        assert all(str(web.ipv4) in change.moved and str(web.ipv6) in change.moved for change in changes)
        assert not arrives(client, server)
    client, server = connection(wire, 4, 5432)
    with client, server:
        assert arrives(client, server), "a new connection is the new lease's own"


@pytest.mark.parametrize("version", [4, 6])
def test_who_talks_is_known_by_either_end(wire: Wire, version: int) -> None:
    """Only those addresses' connections have to be forgotten when they move, and none may be overlooked."""
    wire.enforce(parse(rules(["tcp/5432"])))
    ends = {str(find(wire, name).address(version)) for name in ("web", "db")}
    everybody = [str(each.address(number)) for each in wire.workloads for number in (4, 6)]
    assert all(talking(site.namespace, everybody) == () for site in wire.sites)
    client, server = connection(wire, version, 5432)
    with client, server:
        assert [set(talking(site.namespace, everybody)) for site in wire.sites] == [ends, ends]
        assert all(talking(site.namespace, [end]) == (end,) for site in wire.sites for end in ends)


@pytest.mark.parametrize("version", [4, 6])
def test_related_errors_come_back(wire: Wire, version: int) -> None:
    """db has nobody on the port and says so: the error belongs to web's flow, which db may not answer otherwise."""
    wire.enforce(parse(rules(["udp/5999"])))
    web, db = find(wire, "web"), find(wire, "db")
    with opened(web.namespace, FAMILY[version], socket.SOCK_DGRAM) as client:
        client.connect((str(db.address(version)), 5999))
        client.settimeout(2)
        client.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(10)


@pytest.mark.parametrize("version", [4, 6])
def test_spoofed_sources_are_dropped_at_the_veth(wire: Wire, version: int) -> None:
    """api sends with web's address to db, where web is welcome."""
    wire.enforce(parse(rules(["udp/5000"])))
    web, api, db = find(wire, "web"), find(wire, "api"), find(wire, "db")
    run("ip", "-n", api.namespace, "addr", "add", f"{web.address(version)}/{32 if version == 4 else 128}", "dev", "lo")

    def spoof() -> socket.socket:
        made = socket.socket(FAMILY[version], socket.SOCK_DGRAM)
        made.bind((str(web.address(version)), 0))
        return made

    with (
        opened(db.namespace, FAMILY[version], socket.SOCK_DGRAM) as server,
        inside(api.namespace, spoof) as client,
        opened(web.namespace, FAMILY[version], socket.SOCK_DGRAM) as honest,
    ):
        server.bind((str(db.address(version)), 5000))
        server.settimeout(0.5)
        client.sendto(b"spoofed", (str(db.address(version)), 5000))
        with pytest.raises(TimeoutError):
            server.recv(100)
        assert counters(wire.sites[0].namespace)["spoofed"] >= 1
        honest.sendto(b"honest", (str(db.address(version)), 5000))
        assert server.recv(100) == b"honest"


def test_connections_of_one_endpoint_are_limited(wire: Wire) -> None:
    wire.enforce(parse(rules(["tcp/5432"])), connections=3)
    pairs = [connection(wire, 4, 5432) for _unused in range(3)]
    try:
        with pytest.raises(TimeoutError):
            connection(wire, 4, 5432)
        assert counters(wire.sites[0].namespace)["crowded"] >= 1
        assert all(arrives(client, server) for client, server in pairs)
    finally:
        for client, server in pairs:
            client.close()
            server.close()


def test_many_connections_of_one_endpoint_are_limited_by_a_sixteenth_of_them(wire: Wire) -> None:
    """About as many as the limit says. How many exactly is chance: 160 is one standard deviation."""
    limit, tried = 1600, 4000
    wire.enforce(parse(rules(["udp/1-60000"])), connections=limit)
    site = wire.sites[0]
    web, db = find(wire, "web"), find(wire, "db")
    with opened(web.namespace, FAMILY[4], socket.SOCK_DGRAM) as client:
        for port in range(1, tried + 1):
            client.sendto(b"", (str(db.address(4)), port))
    assert counters(site.namespace)["crowded"] >= 1
    begun = run("ip", "netns", "exec", site.namespace, "conntrack", "-L", "-s", str(web.address(4))).count("udp ")
    assert limit - 900 < begun < limit + 900


def test_segments_fit_the_tunnel(wire: Wire) -> None:
    wire.enforce(parse(rules(["tcp/5432"])))
    for site in wire.sites:
        run("ip", "-n", site.namespace, "link", "set", "avtunnela", "mtu", "1280")
    for version, overhead in ((4, 40), (6, 60)):
        client, server = connection(wire, version, 5432)
        with client, server:
            # TCP's timestamps take 12 of each segment.
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1280 - overhead
            assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1280 - overhead


def test_equal_ranges_of_two_tenants_do_not_meet(empty: Wire) -> None:
    """Two networks with the same addresses on one host: each one's web reaches its own db only."""
    manifest = parse(rules(["udp/5000"]))
    tenants = []
    for name in ("tenant1", "tenant2"):
        site = empty.site(name)
        tenants.append((site, empty.attach(site, "web", 1, 0, 1), empty.attach(site, "db", 1, 0, 3)))
    for site, web, db in tenants:
        site.apply(site.compiled(manifest, Endpoints([web.endpoint, db.endpoint])))
    servers = []
    for _site, _web, db in tenants:
        server = opened(db.namespace, socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((str(db.endpoint.ipv4), 5000))
        server.settimeout(0.5)
        servers.append(server)
    for number, (_site, web, db) in enumerate(tenants):
        with opened(web.namespace, socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(f"tenant {number}".encode(), (str(db.endpoint.ipv4), 5000))
    for number, server in enumerate(servers):
        with server:
            assert server.recv(100) == f"tenant {number}".encode()
            with pytest.raises(TimeoutError):
                server.recv(100)
