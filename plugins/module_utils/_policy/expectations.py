# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tests inside a manifest (R22): decided from names alone, so that every host decides alike.

Which address an endpoint has is the ledger's business and differs from one moment to the next; a manifest's
tests must not. An expectation therefore has to hold wherever in the network's range the two endpoints may be:
a side's CIDRs cut the range into cells within which all addresses are treated alike, and one address of
each cell stands for it. ``allow`` must be permitted in all cells, ``deny`` refused in all of them. Likewise an
expectation about a member has to hold for every lease of it that the manifest tells apart, and one about ``icmp`` or
``icmpv6`` for every type that begins a flow.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from .._chain.model import NetworkRecord
from .._common.errors import InvalidInput
from .._common.ids import EndpointId
from .._manifest.icmp import BEGINNING, written
from .._manifest.model import Manifest, MemberPeer, PolicyTest, Range, RangePeer, Rules
from .._manifest.names import str_of
from .._manifest.schema import within
from .endpoints import Address, Endpoint, Packet
from .evaluate import SideDecision, decide, policy_of

# Comparisons of an address with a peer, over all tests: a hostile manifest must not keep a host busy.
MAX_WORK = 1_000_000


def check_tests(manifest: Manifest, record: NetworkRecord) -> None:
    """Raises InvalidInput naming the first test that doesn't hold, with the rule that decides otherwise.

    The tests of what is staged have to hold for what is staged.
    """
    work = _check_tests(manifest, record, 0)
    if manifest.staged is not None:
        with within("staged"):
            _check_tests(manifest.staged, record, work)


def _check_tests(manifest: Manifest, record: NetworkRecord, work: int) -> int:
    for number, test in enumerate(manifest.tests):
        where = f"tests.{number}"
        sources, targets = _ends(manifest, test.source), _ends(manifest, test.target)
        for source in sources:
            for target in targets:
                for own in _families(test, record):
                    egress = _Side(manifest, test, "egress", source, target, own)
                    ingress = _Side(manifest, test, "ingress", target, source, own)
                    work += egress.work + ingress.work
                    if work > MAX_WORK:
                        raise InvalidInput(
                            "take too much work to decide", where="tests", remedy="Use fewer tests, or fewer CIDRs"
                        )
                    for kind in _kinds(test):
                        _check(test, where, kind, egress, ingress)
    return work


def _kinds(test: PolicyTest) -> tuple[int | None, ...]:
    """The ports, or types of ICMP, that a test is about."""
    if test.port.first is None and test.port.protocol in BEGINNING:
        return tuple(BEGINNING[test.port.protocol].values())
    return (test.port.first,)


def _families(test: PolicyTest, record: NetworkRecord) -> tuple[Range, ...]:
    if test.port.protocol == "icmp":
        return (record.cidr,)
    if test.port.protocol == "icmpv6":
        return (ula(record.id),)
    return (record.cidr, ula(record.id))


def ula(network: str) -> ipaddress.IPv6Network:
    """The network's own ULA /64 (RFC 4193), from its id."""
    return ipaddress.IPv6Network(((0xFD << 120) | (int(network[:10], 16) << 80), 64))


def _ends(manifest: Manifest, peer: MemberPeer) -> list[Endpoint]:
    """An endpoint of every lease that a test's end means; their addresses don't matter."""
    mentioned: set[int]
    if peer.gseq is not None:
        mentioned = {peer.gseq}
    else:
        mentioned = {int(key.partition("/")[2]) for key in manifest.policies if key.startswith(f"{peer.member}/")}
        for listed in manifest.policies.values():
            for term in (*_peers(listed.ingress), *_peers(listed.egress)):
                if isinstance(term, MemberPeer) and term.member == peer.member and term.gseq is not None:
                    mentioned.add(term.gseq)
        mentioned.add(next(number for number in range(1, len(mentioned) + 2) if number not in mentioned))
    nowhere = (ipaddress.IPv4Address(0), ipaddress.IPv6Address(0))
    ends = [Endpoint(EndpointId(peer.member, gseq, 0), *nowhere) for gseq in sorted(mentioned)]
    # A lease without an entry, of a member that has entries for others, need not exist.
    return [end for end in ends if policy_of(manifest, end) is not None] or ends[:1]


def _peers(rules: Rules) -> Iterator[object]:
    for rule in (*rules.deny, *rules.allow):
        yield from rule.peers


class _Side:
    """One side's decisions about a test, over the other end's possible addresses."""

    def __init__(
        self, manifest: Manifest, test: PolicyTest, side: str, own: Endpoint, other: Endpoint, network: Range
    ) -> None:
        self._manifest, self._test, self.name = manifest, test, side
        self.other = test.target if side == "egress" else test.source
        self._source, self._target = (own, other) if side == "egress" else (other, own)
        entry = policy_of(manifest, own)
        terms = list(_peers(getattr(entry[1], side))) if entry is not None else []
        ranges = [each for term in terms if isinstance(term, RangePeer) for each in (term.range, *term.excepted)]
        self.cells = list(_cells(ranges, network))
        excepted = sum(len(term.excepted) for term in terms if isinstance(term, RangePeer))
        self.work = len(self.cells) * (len(terms) + excepted + 1) * len(_kinds(test))

    def decisions(self, port: int | None) -> list[SideDecision]:
        """What the side says of flows to ``port``, or of ICMP of that type."""
        said = []
        for address in self.cells:
            packet = Packet(address, address, self._test.port.protocol, port)
            said.append(getattr(decide(self._manifest, self._source, self._target, packet), self.name))
        return said


def _cells(ranges: Iterable[Range], network: Range) -> Iterator[Address]:
    """One address of each cell of ``network`` that ``ranges`` tell apart. CIDRs are nested or apart, so a cell
    begins where the network begins, at the first address of a range, or at the first one after it."""
    first, last = int(network.network_address), int(network.broadcast_address)
    starts = {first}
    for range_ in ranges:
        if range_.version == network.version:
            starts |= {int(range_.network_address), int(range_.broadcast_address) + 1}
    make = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
    return (make(start) for start in sorted(starts) if first <= start <= last)


def _check(test: PolicyTest, where: str, kind: int | None, egress: _Side, ingress: _Side) -> None:
    if test.expected:
        for side in (egress, ingress):
            _fail(test, where, kind, side, False)
    elif any(one.permitted for one in egress.decisions(kind)):
        _fail(test, where, kind, ingress, True)


def _fail(test: PolicyTest, where: str, kind: int | None, side: _Side, permitted: bool) -> None:
    """Raises InvalidInput if the side somewhere says ``permitted``, which isn't expected."""
    said = side.decisions(kind)
    found = next((number for number, one in enumerate(said) if one.permitted is permitted), None)
    if found is None:
        return
    expected = "allow" if test.expected else "deny"
    # Where the test is about every type of ICMP, the one that fails it; and where it depends, the address.
    of = f" to {written(test.port.protocol, kind)}" if kind is not None and test.port.first is None else ""
    if any(one.permitted is not permitted for one in said):
        of += f", where {str_of(side.other)} has an address like {side.cells[found]}"
    raise InvalidInput(
        f"expects {expected} from {str_of(test.source)} to {str_of(test.target)}, but {side.name} says "
        f"{'allow' if permitted else 'deny'}{of} ({said[found].place or said[found].why})",
        where=where,
    )
