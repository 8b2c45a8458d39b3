# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers for endpoints, so that every peer of a rule is a span of numbers. Pure.

An endpoint's class is 32 bits: which groups its member is in (10 bits), the member (14), its lease (8). So a
member, a lease, ``any``, and every set of groups is one span; a group is as many spans as there are different
sets of groups that it is in. Numbers come from hashes of names (with probing): a change of the manifest's rules
moves no number, and so touches no element of the maps from addresses to classes.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping

from .._common.errors import InvalidInput
from .._manifest.model import AnyMember, GroupPeer, Manifest, MemberPeer
from .boxes import Span
from .endpoints import Endpoint

_GROUP_BITS, _MEMBER_BITS, _LEASE_BITS = 10, 14, 8
EVERY: Span = (1, 2**32 - 1)  # 0 is nobody


class Classes:
    """The numbering for a manifest's groups and the members that have endpoints."""

    def __init__(self, manifest: Manifest, endpoints: Iterable[Endpoint]) -> None:
        leases: dict[str, set[int]] = {}
        addresses: dict[int, list[int]] = {4: [], 6: []}
        for endpoint in endpoints:
            leases.setdefault(endpoint.id.member, set()).add(endpoint.id.gseq)
            addresses[4].append(int(endpoint.ipv4))
            addresses[6].append(int(endpoint.ipv6))
        self._addresses = {version: sorted(numbers) for version, numbers in addresses.items()}
        belongs: dict[str, list[str]] = {member: [] for member in leases}
        for group in sorted(manifest.groups):
            for member in manifest.groups[group]:
                if member in belongs:
                    belongs[member].append(group)
        self._memberships = {member: ",".join(groups) for member, groups in belongs.items()}
        # 0 stays free for nobody, so that no class is 0.
        self._groups = _numbers(set(self._memberships.values()), _GROUP_BITS, least=1, what="combinations of groups")
        # Looked up for every peer of every rule, so made once: a manifest may name groups twenty thousand times.
        shift = _MEMBER_BITS + _LEASE_BITS
        self._spans: dict[str, list[Span]] = {}
        for membership, number in self._groups.items():
            for group in filter(None, membership.split(",")):
                self._spans.setdefault(group, []).append((number << shift, ((number + 1) << shift) - 1))
        self._members = _numbers(leases, _MEMBER_BITS, what="members")
        self._leases = {
            member: _numbers((str(gseq) for gseq in numbers), _LEASE_BITS, what=f"leases of {member}")
            for member, numbers in leases.items()
        }
        self._all = sorted(self.of(member, gseq) for member, numbers in leases.items() for gseq in numbers)

    def of(self, member: str, gseq: int) -> int:
        """The class of a lease's endpoints."""
        return self._member(member)[0] + self._leases[member][str(gseq)]

    def spans(self, peer: AnyMember | MemberPeer | GroupPeer) -> list[Span]:
        """The classes that a peer means; none if no endpoint of it exists."""
        if isinstance(peer, AnyMember):
            return [EVERY]
        if isinstance(peer, GroupPeer):
            return self._spans.get(peer.group, [])
        if peer.member not in self._members:
            return []
        if peer.gseq is None:
            return [self._member(peer.member)]
        if str(peer.gseq) not in self._leases[peer.member]:
            return []
        number = self.of(peer.member, peer.gseq)
        return [(number, number)]

    def within(self, span: Span) -> list[int]:
        """The classes of leases that a span of numbers covers."""
        return self._all[bisect_left(self._all, span[0]) : bisect_right(self._all, span[1])]

    def occupied(self, version: int, span: Span) -> bool:
        """Whether an endpoint has an address in the span: what has none is 0, nobody."""
        addresses = self._addresses[version]
        return bisect_left(addresses, span[0]) < bisect_right(addresses, span[1])

    def _member(self, member: str) -> Span:
        group = self._groups[self._memberships[member]]
        first = (group << _MEMBER_BITS | self._members[member]) << _LEASE_BITS
        return first, first + (1 << _LEASE_BITS) - 1


def written(number: int) -> str:
    """A class as nft writes a packet's priority: two halves in hexadecimal."""
    return f"{number >> 16:x}:{number & 0xFFFF:x}"


def _numbers(names: Iterable[str], bits: int, *, least: int = 0, what: str) -> Mapping[str, int]:
    room = (1 << bits) - least
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(names):
        if len(taken) == room:
            raise InvalidInput(f"the network has more than {room} {what}", where="manifest")
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % room
        while number in taken:
            number = (number + 1) % room
        taken.add(number)
        numbers[name] = number + least
    return numbers
