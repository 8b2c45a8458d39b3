# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A staged part on real packets: nothing is refused for it, flows are counted once, streams don't notice."""

from __future__ import annotations

import collections
import dataclasses
import random
import socket
from typing import Any

import pytest
from test_generated import TRIED, generated
from wire import Wire, Workload, opened, paths, probe

from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate, policy_of
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters
from ansible_collections.akash.avpn.plugins.module_utils._policy.staged import would_refuse

pytestmark = pytest.mark.root


def manifest(ports: str, staged: Manifest | None = None) -> Manifest:
    allow = {"allow": [{"peers": "any", "ports": ports}]}
    made = parse({"members": {name: {"ingress": allow, "egress": allow} for name in ("web", "api", "db")}})
    return dataclasses.replace(made, staged=staged)


def counted(wire: Wire, site: int = 0) -> dict[tuple[str, str], int]:
    return {(each.who, each.side): each.flows for each in would_refuse(counters(wire.sites[site].namespace))}


@pytest.mark.parametrize("number", range(4))
def test_generated_parts_on_the_wire(shared_wire: Wire, number: int) -> None:
    """Both parts generated: what passes is as the enforced one says, what is counted as the staged one does."""
    choose = random.Random(7_000_000 + number)
    everything = {"peers": ["any"], "ports": ["any"]}
    document: dict[str, Any] = generated(choose)
    for entry in document["members"].values():
        entry["egress"]["allow"].append(everything)
    enforced, staged = parse(document), parse(generated(choose))
    shared_wire.enforce(dataclasses.replace(enforced, staged=staged))
    wanted = paths(shared_wire, TRIED)
    seen = probe(wanted, 1.0)
    assert seen == {path: evaluate(enforced, shared_wire.endpoints, path.packet).permitted for path in wanted}
    for number_, site in enumerate(shared_wire.sites):
        here = {each.namespace for each in site.workloads}
        expected: collections.Counter[tuple[str, str]] = collections.Counter()
        for path in wanted:
            said = evaluate(staged, shared_wire.endpoints, path.packet)
            if not seen[path] or said.permitted or not {path.source, path.target} & here:
                continue
            side = "ingress" if said.egress.permitted else "egress"
            end = shared_wire.endpoints.at(path.packet.source if side == "egress" else path.packet.target)
            assert end is not None
            found = policy_of(staged, end)
            expected[found[0] if found else end.id.member, side] += 1
        assert counted(shared_wire, number_) == expected, document


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
