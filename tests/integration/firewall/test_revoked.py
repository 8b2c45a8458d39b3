# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Flows of all protocols that never pause, while what permits them changes: by order of events, not by the clock.

Both ends of each flow send numbered packets all the time. Of a flow that is revoked, nothing that was sent after the
change had returned may arrive; of one that stays permitted, everything must.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from frames import NUMBERS, Flow, answer, first, later
from mutations import instead
from passive import PassiveWire, passive_wire

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints, Packet

pytestmark = pytest.mark.root

_TRIED = (("tcp", 5432), ("udp", 5000), ("sctp", 80), ("icmp", None), ("other", None))
_AFTER = 20  # rounds that are sent after a change
_MOST = 60_000  # packets: their numbers have 16 bits


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[PassiveWire]:
    """web and api on one host, db on the other."""
    with passive_wire(tmp_path) as made:
        one, two = made.site("host1"), made.site("host2")
        for site, member, number in ((one, "web", 1), (one, "api", 2), (two, "db", 3)):
            ipv4 = ipaddress.IPv4Address(f"100.64.0.{number}")
            ipv6 = ipaddress.IPv6Address(f"fd00:1::6440:{number}")
            made.place(site, Endpoint(EndpointId(member, 1, 0), ipv4, ipv6, f"lease-of-{member}"))
        made.join(one, two)
        yield made


def manifest(*peers: str) -> Manifest:
    """Those may begin flows to db; db begins none."""
    allow = {"allow": [{"peers": ["db"], "ports": "any"}]}
    members: dict[str, Any] = {peer: {"egress": allow} for peer in peers}
    members["db"] = {"ingress": {"allow": [{"peers": ["web", "api"], "ports": "any"}]}}
    return parse({"members": members})


def received(*peers: str) -> Manifest:
    """The same, said on the receiver's side."""
    allow = {"allow": [{"peers": ["db"], "ports": "any"}]}
    members: dict[str, Any] = {peer: {"egress": allow} for peer in ("web", "api")}
    members["db"] = {"ingress": {"allow": [{"peers": list(peers), "ports": "any"}]}}
    return parse({"members": members})


def flows(wire: PassiveWire, member: str, tried: Sequence[tuple[str, int | None]] = _TRIED) -> list[Flow]:
    """From the member to db, over both families."""
    source, target = (
        next(each for each in wire.workloads if each.endpoint.id.member == name) for name in (member, "db")
    )
    made = []
    for version in (4, 6):
        for protocol, port in tried:
            spoken = "icmpv6" if (protocol, version) == ("icmp", 6) else protocol
            packet = Packet(source.address(version), target.address(version), spoken, port)
            made.append(Flow(packet, 2000 + len(made), NUMBERS.get(spoken, 47)))
    return made


class Chatter:
    """Both ends of some flows, talking without a pause from a thread of its own."""

    def __init__(self, wire: PassiveWire, wanted: list[Flow]) -> None:
        self._wire = wire
        self._flows = wanted
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self.sent: list[tuple[Flow, bool]] = [(wanted[0], False)]  # by number, from 1
        self.rounds = 0
        self._arrived: set[int] = set()

    def begin(self) -> None:
        """The first packets, the answers, and a third of each."""
        for make, back in ((first, False), (answer, True), (None, False)):
            with self._wire.sending():
                for flow in self._flows:
                    self._send(flow, back, make)
        assert self.arrived() == set(range(1, len(self.sent))), "all flows begin"

    @contextlib.contextmanager
    def talking(self) -> Iterator[None]:
        """Meanwhile packets are sent; at the end all have arrived or been dropped."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def after(self) -> int:
        """The number that every packet sent from now on is above; returned when some have been sent."""
        number, round_ = len(self.sent), self.rounds
        while self.rounds < round_ + _AFTER:
            assert len(self.sent) < _MOST, "the machine is too slow for the numbers there are"
            time.sleep(0.008)
        return number

    def arrived(self) -> set[int]:
        """Numbers of all packets that have arrived so far."""
        for line in self._wire.lines.values():
            self._arrived.update(arrival.number for arrival in line.arrived())
        return self._arrived

    def numbers(self, wanted: list[Flow], after: int = 0) -> set[int]:
        """Numbers of these flows' packets, above ``after``."""
        these = set(wanted)
        return {number for number in range(max(after, 1), len(self.sent)) if self.sent[number][0] in these}

    def _talk(self) -> None:
        with self._wire.sending():
            while not self._stop.is_set() and len(self.sent) < _MOST:
                for flow in self._flows:
                    self._send(flow, False, None)
                    self._send(flow, True, None)
                self.arrived()  # before sockets are full
                self.rounds += 1
                time.sleep(0.008)

    def _send(self, flow: Flow, back: bool, make: Any) -> None:
        number = len(self.sent)
        self.sent.append((flow, back))
        ends = (flow.packet.target, flow.packet.source) if back else (flow.packet.source, flow.packet.target)
        here = next(each for each in self._wire.workloads if each.address(ends[0].version) == ends[0])
        packets = make(flow, number) if make else later(flow, number, back=back)
        self._wire.lines[here.endpoint.ipv4].send(packets)


WAYS = {
    "the sender's rules, both hosts": ((0, 1), manifest),
    "the sender's rules, only its host knows": ((0,), manifest),
    "the sender's rules, only the receiver's host knows": ((1,), manifest),
    "the receiver's rules, only the sender's host knows": ((0,), received),
    "the receiver's rules, only its host knows": ((1,), received),
}


@pytest.mark.parametrize("way", WAYS)
def test_revoked_flows_end_and_permitted_ones_do_not_notice(wire: PassiveWire, way: str) -> None:
    """web's flows are revoked and given back; api's stay."""
    sites, say = WAYS[way]
    wire.enforce(say("web", "api"))
    revoked, kept = flows(wire, "web"), flows(wire, "api")
    chatter = Chatter(wire, revoked + kept)
    chatter.begin()
    with chatter.talking():
        for number in sites:
            site = wire.sites[number]
            site.apply(site.compiled(say("api"), wire.endpoints))
        ended = chatter.after()
    arrived = chatter.arrived()
    assert chatter.numbers(kept) <= arrived, "nothing of a permitted flow is lost"
    assert not chatter.numbers(revoked, ended) & arrived, "nothing sent after the change arrives"
    assert {chatter.sent[number][1] for number in chatter.numbers(revoked, ended)} == {True, False}
    with chatter.talking():
        wire.enforce(say("web", "api"))
        again = chatter.after()
    arrived = chatter.arrived()
    assert chatter.numbers(kept) <= arrived
    assert chatter.numbers(revoked, again) <= arrived, "given back, they go on"


def test_without_the_epoch_revoked_flows_would_go_on(wire: PassiveWire) -> None:
    """The test above can fail."""
    blind = instead("forward", " ct mark @current", "")

    def enforce(manifest: Manifest) -> None:
        for site in wire.sites:
            site.apply(blind(site.compiled(manifest, wire.endpoints)))

    enforce(manifest("web", "api"))
    revoked = flows(wire, "web")
    chatter = Chatter(wire, revoked)
    chatter.begin()
    with chatter.talking():
        enforce(manifest("api"))
        ended = chatter.after()
    assert chatter.numbers(revoked, ended) <= chatter.arrived()


def test_flows_of_an_address_that_gets_another_lease(wire: PassiveWire) -> None:
    """The rules permit the new lease as well; what the old one began ends all the same. Streams can't be taken up in
    the middle; what has no beginning to speak of must be begun anew, by who may."""
    wire.enforce(manifest("web", "api"))
    streams, others = flows(wire, "web", (("tcp", 5432),)), flows(wire, "web", (("udp", 5000), ("icmp", None)))
    kept = flows(wire, "api")
    chatter = Chatter(wire, streams + kept)
    silent = Chatter(wire, others)
    chatter.begin()
    silent.begin()
    web = wire.workloads[0].endpoint
    moved = Endpoints([dataclasses.replace(web, lease="another"), *(each for each in wire.endpoints if each != web)])
    with chatter.talking():
        for site in wire.sites:
            site.apply(site.compiled(manifest("web", "api"), moved))
        ended = chatter.after()
    arrived = chatter.arrived()
    assert chatter.numbers(kept) <= arrived
    assert not chatter.numbers(streams, ended) & arrived
    for line in wire.lines.values():
        list(line.arrived())
    with wire.sending():
        for flow in others:
            silent._send(flow, True, None)
    assert not any(list(line.arrived()) for line in wire.lines.values()), "db may not begin anything"


def test_no_flow_notices_changes_that_leave_it_permitted(wire: PassiveWire) -> None:
    """However the permission is worded, and whatever else changes, not one packet is lost."""
    kept = flows(wire, "web") + flows(wire, "api")
    wire.enforce(manifest("web", "api"))
    chatter = Chatter(wire, kept)
    chatter.begin()
    with chatter.talking():
        for number in range(12):
            wire.enforce(worded(number))
        chatter.after()
    assert chatter.numbers(kept) <= chatter.arrived()


def worded(number: int) -> Manifest:
    """The same permissions in other words, beside others."""
    peers: Any = ("db", ["db", "api"], "all", ["100.64.0.0/29", "fd00:1::/64"], "db/1", "any")[number % 6]
    noise = {"peers": "api", "ports": f"tcp/{20000 + number}"}
    document: dict[str, Any] = {
        "groups": {"all": ["web", "api", "db"], **({"few": ["web"]} if number % 4 == 1 else {})},
        "members": {
            **{name: {"egress": {"allow": [{"peers": peers, "ports": "any"}]}} for name in ("web", "api")},
            "db": {
                "ingress": {
                    "deny": [noise] if number % 3 == 1 else [],
                    "allow": [{"peers": ["web", "api"], "ports": "any"}, noise],
                }
            },
        },
    }
    if number % 4 == 2:
        document["members"]["web/1"] = document["members"]["web"]
    if number % 5 == 3:
        document["staged"] = {"members": {}}
    return parse(document)
