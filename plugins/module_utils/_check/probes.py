# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which packets to try, and what the policy says of each. Pure.

From each endpoint of this host to every other of the network, over both families: a ping, and of TCP and UDP one port
that the policy permits and one that it doesn't, chosen among those that the two sides' rules name and their next
neighbours. So a check finds what is shut though it should be open, as well as the other way round.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .._common.errors import InvalidInput
from .._manifest.model import Manifest, Policy
from .._policy.endpoints import Address, Endpoint, Endpoints, Packet
from .._policy.evaluate import Decision, evaluate, policy_of
from .._policy.refusals import EGRESS, INGRESS, counter

FAMILIES = (4, 6)
ECHO = {4: "icmp", 6: "icmpv6"}
_CANDIDATES = 48  # ports of a pair and protocol that are looked at: hostile manifests name many
_DECISIONS = 5000  # beyond, the first candidate has to do
_UNNAMED = 9  # discard (RFC 863): what is tried where no rule names a port
_PORT = re.compile(r"(tcp|udp)/([1-9][0-9]{0,4})", re.ASCII)

Port = tuple[str, int]  # ("tcp", 443)


@dataclass(frozen=True)
class Probe:
    """One packet to try. The decision is ``evaluate``'s."""

    source: Endpoint
    target: Endpoint
    family: int
    packet: Packet
    decision: Decision
    counter: str | None  # the counter that it should move; None: it should pass

    @property
    def permitted(self) -> bool:
        return self.decision.permitted

    @property
    def what(self) -> str:
        """``tcp/5432``, ``icmp``."""
        return self.packet.protocol if self.packet.port is None else f"{self.packet.protocol}/{self.packet.port}"


def parse_port(text: str) -> Port | None:
    """A port to try, ``tcp/443`` or ``udp/53``; None for ``ping``."""
    if text == "ping":
        return None
    found = _PORT.fullmatch(text)
    if found is None or int(found[2]) > 65_535:
        raise InvalidInput("must be tcp/443, udp/53 or ping", where="ports")
    return found[1], int(found[2])


def choose(
    manifest: Manifest,
    endpoints: Endpoints,
    here: Iterable[Endpoint],
    *,
    ports: Iterable[Port | None] | None = None,
    most: int,
) -> tuple[list[Probe], int]:
    """At most ``most`` probes from endpoints ``here``, and how many pairs of endpoints were left out for that.

    ``ports``: those to try instead of chosen ones. Of too many pairs a sample is taken, the same each time.
    """
    asked = None if ports is None else tuple(dict.fromkeys(ports))
    pairs = [(source, target) for source in here for target in endpoints if source.id != target.id]
    each = len(FAMILIES) * (5 if asked is None else max(1, len(asked)))
    room = max(1, most // each)
    if len(pairs) > room:
        kept = sorted(pairs, key=lambda pair: hashlib.sha256(f"{pair[0].id} {pair[1].id}".encode()).digest())[:room]
        taken = sorted(kept, key=lambda pair: (pair[0].id, pair[1].id))
    else:
        taken = pairs
    work = _Work(manifest, endpoints)
    probes = [probe for source, target in taken for probe in _of_pair(work, source, target, asked)]
    return probes[:most], len(pairs) - len(taken)


class _Work:
    """Decides, and knows when it has been enough: each decision goes through all rules of two entries, and a hostile
    manifest has many."""

    def __init__(self, manifest: Manifest, endpoints: Endpoints) -> None:
        self._manifest = manifest
        self._endpoints = endpoints
        self._left = _DECISIONS

    @property
    def enough(self) -> bool:
        return self._left <= 0

    def make(self, source: Endpoint, target: Endpoint, family: int, port: Port | None) -> Probe:
        self._left -= 1
        return make(self._manifest, self._endpoints, source, target, family, port)

    def candidates(self, source: Endpoint, target: Endpoint, protocol: str) -> list[int]:
        return _candidates(self._manifest, source, target, protocol)


def _of_pair(work: _Work, source: Endpoint, target: Endpoint, asked: tuple[Port | None, ...] | None) -> Iterator[Probe]:
    for family in FAMILIES:
        if asked is None:
            yield work.make(source, target, family, None)
            for protocol in ("tcp", "udp"):
                yield from _chosen(work, source, target, family, protocol)
        else:
            for port in asked:
                yield work.make(source, target, family, port)


def _chosen(work: _Work, source: Endpoint, target: Endpoint, family: int, protocol: str) -> Iterator[Probe]:
    """One that is permitted, one that isn't; either may be missing. TCP is tried at least once."""
    numbers = work.candidates(source, target, protocol)
    if not numbers and protocol == "tcp":
        numbers = [_UNNAMED]
    found: dict[bool, Probe] = {}
    for number in numbers:
        probe = work.make(source, target, family, (protocol, number))
        found.setdefault(probe.permitted, probe)
        if len(found) == 2 or work.enough:
            break
    yield from (found[permitted] for permitted in (True, False) if permitted in found)


def make(
    manifest: Manifest, endpoints: Endpoints, source: Endpoint, target: Endpoint, family: int, port: Port | None
) -> Probe:
    """One probe with what the policy says of it; ``port`` None: a ping."""
    protocol, number = port if port is not None else (ECHO[family], None)
    packet = Packet(_address(source, family), _address(target, family), protocol, number)
    decision = evaluate(manifest, endpoints, packet)
    moved = None
    if not decision.egress.permitted:
        moved = counter(_key(manifest, source), EGRESS)
    elif not decision.ingress.permitted:
        moved = counter(_key(manifest, target), INGRESS)
    return Probe(source, target, family, packet, decision, moved)


def counters_of(manifest: Manifest, probe: Probe) -> tuple[str, str]:
    """The counters of the two sides that might refuse a probe: the sender's, the receiver's."""
    return counter(_key(manifest, probe.source), EGRESS), counter(_key(manifest, probe.target), INGRESS)


def _address(endpoint: Endpoint, family: int) -> Address:
    return endpoint.ipv4 if family == 4 else endpoint.ipv6


def _key(manifest: Manifest, endpoint: Endpoint) -> str:
    found = policy_of(manifest, endpoint)
    return found[0] if found is not None else endpoint.id.member


def _candidates(manifest: Manifest, source: Endpoint, target: Endpoint, protocol: str) -> list[int]:
    """Ports that the sender's egress or the receiver's ingress names, the first of each range before its neighbours."""
    named: dict[int, None] = {}
    beyond: dict[int, None] = {}
    for endpoint, side in ((target, INGRESS), (source, EGRESS)):
        _entry, policy = policy_of(manifest, endpoint) or ("", Policy())
        rules = policy.ingress if side == INGRESS else policy.egress
        for rule in (*rules.allow, *rules.deny):
            for port in rule.ports:
                if len(named) >= _CANDIDATES:
                    break
                if port.protocol == protocol and port.first is not None and port.last is not None:
                    named[port.first] = None
                    beyond[port.last + 1] = None
                    beyond[port.first - 1] = None
                elif port.protocol == "any":
                    beyond[_UNNAMED] = None
    return [number for number in {**named, **beyond} if 1 <= number <= 65_535]
