# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A TCP stream over a hundred changes of the manifest, beside an identical one whose rules never change.

The kernels at both ends send again only what a later packet shows to be missing: without time-outs that a slow machine
might let pass, a retransmission means a lost packet.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wire import TUNNEL, Site, Wire, Workload, new_wire, opened, run

from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoints
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters

pytestmark = pytest.mark.root

CHANGES = {4: 100, 6: 20}
PORT = 5432
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_TOTAL_RETRANSMISSIONS = 100  # offset of tcpi_total_retrans in struct tcp_info


def network(wire: Wire, name: str) -> list[Site]:
    one, two = wire.site(f"{name}1"), wire.site(f"{name}2")
    for site, member, gseq, number in ((one, "web", 1, 1), (one, "api", 1, 2), (two, "db", 1, 3), (two, "db", 2, 4)):
        wire.attach(site, member, gseq, 0, number)
    wire.join(one, two)
    for each in (*one.workloads, *two.workloads):
        run("ip", "netns", "exec", each.namespace, "sysctl", "-qw", "net.ipv4.tcp_early_retrans=0")
        for version, via in (("-4", "169.254.64.1"), ("-6", "fe80::1")):
            source = str(each.address(4 if version == "-4" else 6))
            run("ip", version, "-n", each.namespace, "route", "change", "default", "via", via, "dev", "eth0",
                "src", source, "rto_min", "60s")  # fmt: skip
    return [one, two]


@pytest.fixture
def networks(tmp_path: Path) -> Iterator[tuple[list[Site], list[Site]]]:
    with new_wire(tmp_path) as wire:
        yield network(wire, "changed"), network(wire, "still")


def manifest(number: int) -> Manifest:
    """web may reach db on the port, in ever other words: as a member, a lease, a group, ranges or any; beside rules of
    the same member, of others, a lease's own entry, and a staged part that would permit nothing."""
    peers: Any = ("db", "db/1", "stores", ["100.64.0.0/29", "fd00:1::/64"], "any")[number % 5]
    ports = (f"tcp/{PORT}", f"tcp/5000-{6000 + number}", "any", [f"tcp/{PORT}", f"udp/{number + 1}"])[number % 4]
    noise = {"peers": "any", "ports": f"udp/{20000 + number}"}
    web = {"egress": {"deny": [noise] if number % 2 else [], "allow": [{"peers": peers, "ports": ports}]}}
    document: dict[str, Any] = {
        "groups": {"stores": ["db", "api"][: 1 + number % 2], **({"others": ["web"]} if number % 7 == 3 else {})},
        "members": {
            "web": web,
            "db": {"ingress": {"allow": [{"peers": ["web", "100.64.0.9/32"], "ports": "any"}, noise]}},
            **({"api": {"ingress": {"allow": [noise]}}} if number % 3 == 1 else {}),
            **({"web/1": web} if number % 6 == 2 else {}),
        },
    }
    if number % 10 > 6:
        document["staged"] = {"members": {"web": {}, "db": {}}}
    return parse(document)


def enforce(sites: list[Site], number: int) -> None:
    """The manifest of this number; every second time db's other lease is gone."""
    present = [each for site in sites for each in site.workloads if number % 2 == 0 or each.endpoint.id.gseq == 1]
    endpoints = Endpoints(each.endpoint for each in present)
    for site in sites:
        local = [each.local for each in site.workloads if each in present]
        change = site.apply(compile_ruleset(manifest(number), endpoints, local, [TUNNEL]))
        assert change.scripts.whole is (number == 0)


class Stream:
    """A connection whose ends both send all the time."""

    def __init__(self, sites: list[Site], version: int) -> None:
        web, db = sites[0].workloads[0], sites[1].workloads[0]
        self.ends = _connected(web, db, version)
        self.got = [0, 0]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1) for work in (self._say, self._hear)]
        for thread in self._threads:
            thread.start()

    def retransmissions(self) -> int:
        """Of both ends together."""
        told = [end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104) for end in self.ends]
        return sum(struct.unpack_from("I", each, _TOTAL_RETRANSMISSIONS)[0] for each in told)

    def close(self) -> None:
        self._stop.set()
        for end in self.ends:
            end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self.ends:
            end.close()

    def _say(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                self.ends[number].send(b"x" * 100)
            except OSError:
                return
            time.sleep(0.002)

    def _hear(self, number: int) -> None:
        try:
            while data := self.ends[number].recv(65536):
                self.got[number] += len(data)
        except OSError:
            return


def _connected(web: Workload, db: Workload, version: int) -> tuple[socket.socket, socket.socket]:
    with opened(db.namespace, FAMILY[version], socket.SOCK_STREAM) as server:
        server.bind((str(db.address(version)), PORT))
        server.listen()
        client = opened(web.namespace, FAMILY[version], socket.SOCK_STREAM)
        client.connect((str(db.address(version)), PORT))
        accepted, _peer = server.accept()
    for end in (client, accepted):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, accepted


@pytest.mark.parametrize("version", [4, 6])
def test_a_stream_survives_a_hundred_changes(networks: tuple[list[Site], list[Site]], version: int) -> None:
    changed, _still = networks
    for sites in networks:
        enforce(sites, 0)
    streams = [Stream(sites, version) for sites in networks]
    try:
        for number in range(1, CHANGES[version] + 1):
            before = [list(stream.got) for stream in streams]
            enforce(changed, number)
            for stream, had in zip(streams, before, strict=True):
                _until_more(stream, had)
        again = [stream.retransmissions() for stream in streams]
    finally:
        for stream in streams:
            stream.close()
    assert again[0] <= again[1], "of the changed network, of the other one"
    for site in changed:
        refused = {name: count for name, count in counters(site.namespace).items() if name in ("e_web", "i_db")}
        assert not any(refused.values()), refused


def test_a_lost_packet_would_be_seen(networks: tuple[list[Site], list[Site]]) -> None:
    """Every 50th packet of one stream is lost on the way, and it is the one that sends again."""
    for sites in networks:
        enforce(sites, 0)
    hole = f"table inet hole {{ chain lost {{ type filter hook forward priority -10; tcp dport {PORT} "
    hole += "numgen inc mod 50 == 7 drop; }; }"
    streams = [Stream(sites, 4) for sites in networks]
    try:
        run("ip", "netns", "exec", networks[0][0].namespace, "nft", hole)
        for _unused in range(100):
            for stream in streams:
                _until_more(stream, list(stream.got))
        again = [stream.retransmissions() for stream in streams]
    finally:
        for stream in streams:
            stream.close()
    assert again[0] > again[1]


def _until_more(stream: Stream, had: list[int]) -> None:
    """Both ends have heard more than they had; pytest's own limit is the only one."""
    deadline = time.monotonic() + 30
    while any(got <= before for got, before in zip(stream.got, had, strict=True)):
        assert time.monotonic() < deadline, "the stream has ended"
        time.sleep(0.001)
