# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A staged part on real packets: flows are counted once, and streams don't notice. Generated ones: test_generated."""

from __future__ import annotations

import dataclasses
import socket

import pytest
from wire import Wire, Workload, opened

from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters
from ansible_collections.akash.avpn.plugins.module_utils._policy.staged import would_refuse

pytestmark = pytest.mark.root


def manifest(ports: str, staged: Manifest | None = None) -> Manifest:
    allow = {"allow": [{"peers": "any", "ports": ports}]}
    made = parse({"members": {name: {"ingress": allow, "egress": allow} for name in ("web", "api", "db")}})
    return dataclasses.replace(made, staged=staged)


def counted(wire: Wire, site: int = 0) -> dict[tuple[str, str], int]:
    return {(each.who, each.side): each.flows for each in would_refuse(counters(wire.sites[site].namespace))}


def datagrams(source: Workload, target: Workload) -> tuple[socket.socket, socket.socket]:
    server = opened(target.namespace, socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((str(target.endpoint.ipv4), 5000))
    server.settimeout(3)
    client = opened(source.namespace, socket.AF_INET, socket.SOCK_DGRAM)
    client.connect((str(target.endpoint.ipv4), 5000))
    return client, server


def test_flows_are_counted_not_packets(wire: Wire) -> None:
    """Also of a flow that nobody answers, each of whose packets is new to connection tracking."""
    wire.enforce(manifest("udp/5000", manifest("udp/5001")))
    web, db = wire.workloads[0], wire.workloads[2]
    client, server = datagrams(web, db)
    with client, server:
        for number in range(20):
            client.send(b"%d" % number)
            assert server.recv(9) == b"%d" % number
        assert counted(wire, 0) == counted(wire, 1) == {("web", "egress"): 1}
        # The same staged part beside another enforced one: the flow is judged anew, and the count goes on.
        wire.enforce(manifest("udp/4000-5000", manifest("udp/5001")))
        client.send(b"more")
        assert server.recv(9) == b"more"
        assert counted(wire, 0) == {("web", "egress"): 2}
        # Another staged part begins at zero, and sees the flow that is there already.
        wire.enforce(manifest("udp/4000-5000", manifest("udp/5002")))
        assert counted(wire, 0) == {}
        client.send(b"again")
        assert server.recv(9) == b"again"
        assert counted(wire, 0) == {("web", "egress"): 1}


def test_a_stream_does_not_notice_what_is_staged(wire: Wire) -> None:
    web, db = wire.workloads[0], wire.workloads[2]
    wire.enforce(manifest("tcp/80"))
    with opened(db.namespace, socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind((str(db.endpoint.ipv4), 80))
        server.listen(1)
        with opened(web.namespace, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(3)
            client.connect((str(db.endpoint.ipv4), 80))
            connection, _peer = server.accept()
            with connection:
                connection.settimeout(3)
                for number in range(10):
                    wire.enforce(manifest("tcp/80", manifest(f"tcp/{81 + number}") if number % 3 else None))
                    for one, other in ((client, connection), (connection, client)):
                        one.sendall(b"x")
                        assert other.recv(1) == b"x"
                    assert counted(wire) == ({("web", "egress"): 1} if number % 3 else {})
                retransmitted = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[100:104]
                assert int.from_bytes(retransmitted, "little") == 0, "no segment was sent twice"
