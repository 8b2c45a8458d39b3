# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Types of ICMP on the wire: what a rule compares is the type of the packet that began the flow, whatever its code."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import struct
import time
from typing import Any

import pytest
from wire import Wire, opened

from ansible_collections.akash.avpn.plugins.module_utils._manifest.icmp import BEGINNING
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate

pytestmark = pytest.mark.root

_identifiers = itertools.count(1000)


def request(version: int, kind: int, code: int, identifier: int) -> bytes:
    """A request of this type, long enough for any; the kernel fills in ICMPv6's checksum."""
    rest = struct.pack("!HH", identifier, 1) + bytes(16)
    if version == 6:
        return struct.pack("!BBH", kind, code, 0) + rest
    total = sum(struct.unpack("!12H", struct.pack("!BBH", kind, code, 0) + rest))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBH", kind, code, ~(total + (total >> 16)) & 0xFFFF) + rest


def arriving(wire: Wire, version: int, wanted: list[tuple[int, int]], seconds: float = 0.4) -> set[tuple[int, int]]:
    """Which of these (type, code) arrive at db/1 when web/1 sends them, each as a flow of its own."""
    web, db = (next(each for each in wire.workloads if each.endpoint.id.member == name) for name in ("web", "db"))
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP) if version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )
    with contextlib.ExitStack() as stack:
        sending, receiving = (
            stack.enter_context(opened(each.namespace, family, socket.SOCK_RAW, protocol)) for each in (web, db)
        )
        sent = {next(_identifiers): each for each in wanted}
        for identifier, (kind, code) in sent.items():
            sending.sendto(request(version, kind, code, identifier), (str(db.address(version)), 0))
        seen: set[tuple[int, int]] = set()
        end = time.monotonic() + seconds
        while len(seen) < len(wanted) and (left := end - time.monotonic()) > 0:
            if select.select([receiving], [], [], left)[0]:
                data = receiving.recv(2048)
                kind, code, _sum, identifier = struct.unpack("!BBHH", (data[20:] if version == 4 else data)[:6])
                if sent.get(identifier) == (kind, code):
                    seen.add((kind, code))
        return seen


def policies(ports: Any) -> dict[str, Any]:
    rules = {"allow": [{"peers": "any", "ports": ports}]}
    return {"members": {"web": {"egress": rules}, "db": {"ingress": rules}}}


@pytest.mark.parametrize(("protocol", "version"), [("icmp", 4), ("icmpv6", 6)])
@pytest.mark.parametrize("code", [0, 7])
def test_each_type_is_matched_by_its_own_name_alone(shared_wire: Wire, protocol: str, version: int, code: int) -> None:
    types = list(BEGINNING[protocol].items())
    for names in [[name] for name, _kind in types] + [[types[0][0], types[-1][0]], []]:
        manifest = parse(policies([f"{protocol}/{name}" for name in names]) if names else policies(protocol))
        shared_wire.enforce(manifest)
        ends = [next(e for e in shared_wire.workloads if e.endpoint.id.member == n) for n in ("web", "db")]
        addresses = [each.address(version) for each in ends]
        predicted = {
            (kind, code)
            for _name, kind in types
            if evaluate(manifest, shared_wire.endpoints, Packet(addresses[0], addresses[1], protocol, kind)).permitted
        }
        assert len(predicted) == (len(names) or len(types))
        assert arriving(shared_wire, version, [(kind, code) for _name, kind in types]) == predicted


@pytest.mark.parametrize(("protocol", "version"), [("icmp", 4), ("icmpv6", 6)])
def test_other_types_begin_no_flow(shared_wire: Wire, protocol: str, version: int) -> None:
    """Not even ``any`` lets an answer, an error or an unknown type in that belongs to no flow."""
    shared_wire.enforce(parse(policies("any")))
    others = [(kind, 0) for kind in range(256) if kind not in BEGINNING[protocol].values()]
    assert arriving(shared_wire, version, others) == set()


def test_an_answer_passes_with_its_flow(shared_wire: Wire) -> None:
    """db's kernel answers a request for its time, though only the request is permitted, and only one way."""
    shared_wire.enforce(parse(policies("icmp/timestamp-request")))
    web, db = (next(e for e in shared_wire.workloads if e.endpoint.id.member == name) for name in ("web", "db"))
    with opened(web.namespace, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as client:
        client.settimeout(2)
        client.sendto(request(4, 13, 0, 77), (str(db.endpoint.ipv4), 0))
        answer = client.recv(2048)[20:]
    assert (answer[0], struct.unpack("!H", answer[4:6])[0]) == (14, 77)
