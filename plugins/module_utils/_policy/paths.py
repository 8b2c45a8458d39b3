# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One path: may A reach B on this port, which rule of which side says so, and what would permit it. Pure.

Every answer is one of ``evaluate.decide``. Where an end's address isn't known and CIDRs tell addresses apart, the
question is decided for an address of each part that is treated alike, and the answer says for which addresses it holds.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .._manifest.model import Manifest, MemberPeer, Peer, Port, RangePeer
from .boxes import Span, union
from .cells import Budget, Cells
from .endpoints import Address, Packet
from .ends import End, end_of
from .evaluate import Decision, SideDecision, decide, policy_of
from .prefixes import NEVER, span_of
from .remainders import spans_of
from .remedies import Refused, Remedies, remedies
from .subjects import VERSIONS, Network, Subject

ALLOW, DENY, DEPENDS = "allow", "deny", "depends"


@dataclass(frozen=True)
class Reason:
    """What one side says, with the deciding entry's place in the manifest as ``evaluate`` gives it. ``addresses``: of
    the other end (of the one outside, if there is one), for which it says so; empty: whatever they are."""

    permitted: bool
    place: str | None
    why: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Way:
    """The answer for one subject to another over some IP versions. ``verdict``: ``allow``, ``deny``, or ``depends``
    (on the addresses). ``remedies``: what to change for it to be permitted, whatever the addresses."""

    source: str
    target: str
    versions: tuple[int, ...]
    verdict: str
    egress: tuple[Reason, ...]
    ingress: tuple[Reason, ...]
    remedies: Remedies


@dataclass(frozen=True)
class _Case:
    decision: Decision
    packet: Packet
    spans: tuple[Span, ...]  # the addresses that are decided alike


def explain(manifest: Manifest, network: Network, source: str, target: str, port: Port) -> tuple[Way, ...]:
    """The ways from ``source`` to ``target`` on one port (of icmp, one type; None means echo request): one, if the
    manifest tells nothing of what they name apart, none, if the IP version doesn't go with the ends or an endpoint is
    asked about itself.

    An end is a member, a lease (``web/2``), an endpoint (``web/2/0``), an address, or a range. Raises InvalidInput
    for an end that isn't known, and when it takes too much work.
    """
    start, end = end_of(manifest, network, source, "from"), end_of(manifest, network, target, "to")
    budget = Budget()
    ways: list[Way] = []
    for one in start.subjects:
        for other in end.subjects:
            if one == other and one.alone:
                continue  # an endpoint reaches itself without a network
            asking = _Question(manifest, network, start, end, one, other, port, budget)
            ways += _united([asking.answer(version) for version in _versions(port, one, other)])
    alike = len({replace(way, source="", target="") for way in ways}) == 1
    return (replace(ways[0], source=source, target=target),) if alike else tuple(ways)


def _versions(port: Port, one: Subject, other: Subject) -> list[int]:
    carried = {"icmp": (4,), "icmpv6": (6,)}.get(port.protocol, VERSIONS)
    return [version for version in carried if version in one.addresses and version in other.addresses]


def _united(ways: Sequence[Way]) -> Iterable[Way]:
    """Over both IP versions at once, where they don't differ."""
    if len(ways) == 2 and ways[0] == replace(ways[1], versions=ways[0].versions):
        return [replace(ways[0], versions=VERSIONS)]
    return ways


class _Question:
    """One subject to another."""

    def __init__(
        self,
        manifest: Manifest,
        network: Network,
        start: End,
        end: End,
        source: Subject,
        target: Subject,
        port: Port,
        budget: Budget,
    ) -> None:
        self._own = network.own
        self._manifest, self._start, self._end, self._port = manifest, start, end, port
        self._source, self._target, self._budget = source, target, budget

    def answer(self, version: int) -> Way:
        """Over one IP version."""
        if self._source.member is not None and self._target.member is not None:
            # Each side asks for the other's address alone.
            sent, received = self._cases(self._target, version), self._cases(self._source, version)
            says = [[each.decision.egress.permitted for each in sent]]
            says.append([each.decision.ingress.permitted for each in received])
            everywhere, somewhere = all(map(all, says)), all(map(any, says))
        else:
            # Both ask for the address outside.
            sent = received = self._cases(self._source if self._source.member is None else self._target, version)
            passed = [each.decision.permitted for each in sent]
            everywhere, somewhere = all(passed), any(passed)
        return Way(
            self._source.name,
            self._target.name,
            (version,),
            ALLOW if everywhere else DEPENDS if somewhere else DENY,
            _reasons([(each.decision.egress, each.spans) for each in sent], version),
            _reasons([(each.decision.ingress, each.spans) for each in received], version),
            remedies(self._manifest, self._own, [*self._refused("egress", sent), *self._refused("ingress", received)]),
        )

    def _cases(self, other: Subject, version: int) -> list[_Case]:
        """A decision for each part of an end's addresses that is treated alike."""
        own = self._source if other is self._target else self._target
        numbered: list[tuple[int, Span]] = []
        endpoint = own.endpoint()
        entry = policy_of(self._manifest, endpoint) if endpoint is not None else None
        if entry is not None:
            rules = entry[1].egress if other is self._target else entry[1].ingress
            listed = [*rules.deny, *rules.allow]
            for number, rule in enumerate(listed):
                for peer in rule.peers:
                    if isinstance(peer, RangePeer) and peer.range.version == version:
                        numbered.extend((number, span) for span in spans_of(peer))
                self._budget.spend(len(rule.peers))
        if other.member is None:
            ranges = [*(route.range for route in self._manifest.routes), *self._own, *NEVER[version]]
            cutting = (range_ for range_ in ranges if range_.version == version)
            numbered.extend((-1 - number, span_of(range_)) for number, range_ in enumerate(cutting))
        cases = []
        for spans in Cells(numbered, self._budget).parts(other.addresses[version]).values():
            ends = [_address(spans, version), _address(own.addresses[version], version)]
            source, target = ends[::-1] if other is self._target else ends
            packet = Packet(source, target, self._port.protocol, self._port.first)
            self._budget.spend(100 * (1 + len(numbered)))
            decision = decide(self._manifest, self._source.endpoint(), self._target.endpoint(), packet, self._own)
            cases.append(_Case(decision, packet, spans))
        return cases

    def _refused(self, side: str, cases: Iterable[_Case]) -> Iterable[Refused]:
        own, other = (self._start, self._end) if side == "egress" else (self._end, self._start)
        for case in cases:
            if not getattr(case.decision, side).permitted:
                yield Refused(
                    side,
                    self._source.endpoint(),
                    self._target.endpoint(),
                    case.packet,
                    own.peer,
                    _peer(other.peer),
                    self._port,
                )


def _peer(text: str) -> Peer:
    if "." in text or ":" in text:
        return RangePeer(ipaddress.ip_network(text))
    member, slash, gseq = text.partition("/")
    return MemberPeer(member, int(gseq) if slash else None)


def _address(spans: Sequence[Span], version: int) -> Address:
    return ipaddress.IPv4Address(spans[0][0]) if version == 4 else ipaddress.IPv6Address(spans[0][0])


def _reasons(said: Sequence[tuple[SideDecision, tuple[Span, ...]]], version: int) -> tuple[Reason, ...]:
    by_decision: dict[SideDecision, list[Span]] = {}
    for decision, spans in said:
        by_decision.setdefault(decision, []).extend(spans)
    only = len(by_decision) == 1
    return tuple(
        Reason(one.permitted, one.place, one.why, () if only else tuple(_range(span, version) for span in union(spans)))
        for one, spans in by_decision.items()
    )


def _range(span: Span, version: int) -> str:
    """As a CIDR if it is one, else as the first and last address."""
    first, last = ((ipaddress.IPv4Address(each) if version == 4 else ipaddress.IPv6Address(each)) for each in span)
    ranges = list(ipaddress.summarize_address_range(first, last))
    return str(ranges[0]) if len(ranges) == 1 else f"{first}-{last}"
