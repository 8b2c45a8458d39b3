# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one host wants of a network's ledger, given what is agreed and what is on chain. Pure.

The record first: members and providers count by the parent's copy of it, so a newer record goes in as a
version of its own. Then, in one batch: this host's entry, claims for all its endpoints without an address,
releases of leases that closed long enough ago (anybody's), removals of hosts that have gone.

Every entry names the lowest chain height at which it is valid, not the newest: so a voter whose view is a little
behind can judge it at once. Only what must be compared with the chain as it is now (host entries, the cooldown)
names the view's height; a release names one close to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from itertools import chain

from .._chain.model import Lease, NetworkView, View
from .._chain.records import record_digest
from .._common.ids import EndpointId, LeaseId, NodeId
from .change import Change
from .constants import COOLDOWN_BLOCKS, RELEASE_BLOCKS, usable
from .drafting import Draft, sign
from .fence import rests_until, why
from .signing import Signer
from .value import MAX_SLOTS, HostEntry, Slot, Value

_LAG_BLOCKS = 10  # how far behind a voter's view may be without delaying a release


@dataclass(frozen=True)
class HostFacts:
    """This host in this network. ``endpoints``: what runs here now, with its lease (None: can't be told)."""

    node: NodeId
    key: str  # Ed25519 public key, base64
    wireguard: str  # X25519 public key of its tunnel in this network, base64
    endpoint: str
    port: int
    mtu: int


@dataclass(frozen=True)
class Wish:
    """What to ask for next, and why some of it can't be asked for now.

    ``record``: a newer record, which goes in alone. ``waiting``: endpoint -> what it waits for.
    """

    record: bool = False
    draft: Draft = field(default_factory=Draft)
    claims: Mapping[EndpointId, IPv4Address] = field(default_factory=dict)
    releases: tuple[EndpointId, ...] = ()
    waiting: Mapping[EndpointId, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.record or bool(self.draft)


def wish(
    parent: Value,
    view: View,
    facts: HostFacts,
    endpoints: Mapping[EndpointId, LeaseId],
    *,
    release_blocks: int = RELEASE_BLOCKS,
    crowded: bool = False,
) -> Wish:
    """What the host ``facts`` wants now. ``endpoints`` are those that run on it.

    release_blocks: how many blocks after its closing a lease's slots are released; at least the protocol's k.
    crowded: others want something as well, so only what is this host's own, with addresses that others don't choose.
    """
    rests = rests_until(parent, view.height)
    if rests is not None:
        return Wish(waiting=dict.fromkeys(endpoints, why(rests)))
    network = view.networks[parent.network]
    if network.record != parent.record:
        # With a record that isn't agreed yet, nothing else can be told for sure.
        return Wish(record=view.height > parent.record_height and _may_follow(parent, network))
    return _Allocation(parent, view, network, facts, max(release_blocks, RELEASE_BLOCKS), crowded).wish(endpoints)


def to_change(wanted: Wish, parent: Value, view: View, facts: HostFacts, signer: Signer) -> Change | None:
    """The wish as a (signed) change of ``parent``; None if it is empty."""
    if wanted.record:
        record = view.networks[parent.network].record
        seen = view.seen_records.get(parent.network, ())
        first = seen[-1].first_seen if seen and seen[-1].digest == record_digest(record) else view.height
        return Change(record=(record, min(max(first, parent.record_height + 1), view.height)))
    return sign(wanted.draft, parent, facts.node, signer) if wanted.draft else None


def _may_follow(parent: Value, network: NetworkView) -> bool:
    old, new = parent.record, network.record
    return (old.cidr, old.founders, old.generation, old.base) == (new.cidr, new.founders, new.generation, new.base)


class _Allocation:
    """One pass over a parent value."""

    def __init__(
        self, parent: Value, view: View, network: NetworkView, facts: HostFacts, release_blocks: int, crowded: bool
    ) -> None:
        self.parent = parent
        self.view = view
        self.network = network
        self.facts = facts
        self.release_blocks = release_blocks
        self.crowded = crowded
        self.height = view.height
        self.leases: dict[LeaseId, Lease] = {lease.id: lease for lease in network.leases}
        self.hosts: dict[NodeId, HostEntry | None] = {}
        self.slots: dict[EndpointId, Slot] = {}
        self.waiting: dict[EndpointId, str] = {}
        taken = {int(entry.address) for entry in parent.hosts.values()}
        taken.update(int(slot.address) for slot in parent.slots.values() if slot.address is not None)
        self.taken = taken  # addresses as numbers: those are hashed faster
        self._ascending = self._free(descending=False)
        self._released = self._reusable()

    def wish(self, endpoints: Mapping[EndpointId, LeaseId]) -> Wish:
        mine = self._mine(endpoints)
        releases = self._releases()
        if mine and not self._own_entry():
            return Wish(waiting=dict.fromkeys(mine, "no free address is left for this host"))
        claims = self._claims(mine)
        self._removals(bool(mine))
        if not self._may_sign():
            return Wish(waiting=self.waiting)
        return Wish(
            draft=Draft(hosts=self.hosts, slots=self.slots),
            claims=claims,
            releases=tuple(endpoint for endpoint in releases if endpoint not in claims),
            waiting=self.waiting,
        )

    def _mine(self, endpoints: Mapping[EndpointId, LeaseId]) -> dict[EndpointId, Lease]:
        """Endpoints that run here and that the record and the chain give to a lease of this provider."""
        mine = {}
        for endpoint, lease_id in sorted(endpoints.items()):
            lease, record = self.leases.get(lease_id), self.parent.record
            if lease is None or lease_id.provider != self.facts.node.provider or not lease.ran_at(self.height):
                continue
            if record.members.get(endpoint.member) != lease_id.dseq or lease_id.gseq != endpoint.gseq:
                continue
            if not record.permits(lease_id.provider):
                continue
            deployment = self.network.deployments.get(lease_id.dseq)
            if deployment is not None and endpoint.index < deployment.replicas.get(endpoint.gseq, 0):
                mine[endpoint] = lease
        return mine

    def _own_entry(self) -> bool:
        """Make or change this host's entry; False if the range has no address left for it."""
        facts, before = self.facts, self.parent.hosts.get(self.facts.node)
        if before is None:
            # From the upper end, so that endpoints' addresses stay together.
            address = next(self._free(descending=True), None)
            if address is None:
                return False
            self.taken.add(int(address))
        else:
            address = before.address
        entry = HostEntry(
            facts.key, facts.wireguard, facts.endpoint, facts.port, facts.mtu, address, self.height, batch=""
        )
        if before is None or replace(before, height=self.height, batch="") != entry:
            self.hosts[facts.node] = entry
        return True

    def _claims(self, mine: Mapping[EndpointId, Lease]) -> dict[EndpointId, IPv4Address]:
        claims: dict[EndpointId, IPv4Address] = {}
        # Those that get their old address back come first, so that nobody else is given it.
        for endpoint in sorted(mine, key=lambda one: (self._address(one) is None, one)):
            lease, before = mine[endpoint], self.parent.slots.get(endpoint)
            if before is not None:
                if before.bound and before.lease == lease.id and before.host == self.facts.node:
                    continue
                if before.height >= self.height:
                    self.waiting[endpoint] = f"a block above {before.height}"
                    continue
                if before.lease != lease.id and before.created >= lease.created_at:
                    self.waiting[endpoint] = f"lease {before.lease}, which is newer, to be closed"
                    continue
            elif len(self.parent.slots) + len(claims) >= MAX_SLOTS:
                self.waiting[endpoint] = "a free slot: the network is full"
                continue
            height = max(lease.created_at, 0 if before is None else before.height + 1)
            address = self._address(endpoint)
            if address is None:
                address, reused = self._next_address()
                height = self.height if reused else height
            if address is None:
                self.waiting[endpoint] = "a free address: all are in use or cooling down"
                continue
            claims[endpoint] = address
            self.slots[endpoint] = Slot(
                address, lease.id, lease.created_at, self.facts.node, height, bound=True, batch=""
            )
        return claims

    def _address(self, endpoint: EndpointId) -> IPv4Address | None:
        before = self.parent.slots.get(endpoint)
        return None if before is None else before.address

    def _next_address(self) -> tuple[IPv4Address | None, bool]:
        """The lowest address nobody had; else (True) the one released longest ago, after its cooldown."""
        fresh = next(self._ascending, None)
        if fresh is not None:
            self.taken.add(int(fresh))
            return fresh, False
        while self._released:
            released, address, endpoint = self._released[0]
            if endpoint in self.slots:  # claimed again itself, or given up already
                heapq.heappop(self._released)
                continue
            if self.height - released < COOLDOWN_BLOCKS:
                break
            heapq.heappop(self._released)
            slot = self.parent.slots[endpoint]
            self.slots[endpoint] = replace(slot, address=None, height=self.height, batch="")
            return address, True
        return None, False

    def _releases(self) -> list[EndpointId]:
        releases = []
        for endpoint, slot in self.parent.slots.items():
            if self.crowded and slot.host != self.facts.node:
                continue
            height = self._closed(endpoint, slot) if slot.bound else None
            if height is not None and height <= self.height:
                releases.append(endpoint)
                self.slots[endpoint] = replace(slot, bound=False, height=height, batch="")
        return releases

    def _closed(self, endpoint: EndpointId, slot: Slot) -> int | None:
        """The lowest height at which a bound slot may be released; None while it may not."""
        record, lease = self.parent.record, self.leases.get(slot.lease)
        given = record.members.get(endpoint.member) == slot.lease.dseq and record.permits(slot.lease.provider)
        # The cooldown counts from here, so not from long ago, though voters a little behind should see it.
        lowest = max(slot.height + 1, self.height - _LAG_BLOCKS)
        if not given:
            return lowest
        if lease is None or not self._long_closed(lease):
            return None
        return max(lowest, lease.closed_at + self.release_blocks)

    def _long_closed(self, lease: Lease) -> bool:
        return lease.closed_at != 0 and lease.closed_at + self.release_blocks <= self.height

    def _removals(self, here: bool) -> None:
        """Hosts that nothing is bound to any more and whose provider has gone; this one as soon as nothing runs."""
        if any(slot.address is None for slot in self.slots.values()):
            return  # a released address is being reused, which is allowed only while no other address is free
        bound = {slot.host for endpoint, slot in self.parent.slots.items() if endpoint not in self.slots and slot.bound}
        bound.update(slot.host for slot in self.slots.values() if slot.bound)
        for node in self.parent.hosts:
            if node in bound or node in self.hosts or self.crowded:
                continue
            if (node == self.facts.node and not here) or self._provider_gone(node.provider):
                self.hosts[node] = None

    def _provider_gone(self, provider: str) -> bool:
        record = self.parent.record
        if not record.permits(provider):
            return True
        members = set(record.members.values())
        return all(
            self._long_closed(lease)
            for lease in self.leases.values()
            if lease.id.provider == provider and lease.id.dseq in members
        )

    def _may_sign(self) -> bool:
        """Only hosts of the network sign, with the key that the ledger knows or is given in the same change.

        One that has left leaves cleaning up to the others; so does one with another key that nothing runs on, for
        its entry, and so its key, can't be changed without a lease.
        """
        entries = self.parent.hosts.get(self.facts.node), self.hosts.get(self.facts.node)
        return any(entry is not None and entry.key == self.facts.key for entry in entries)

    def _free(self, *, descending: bool) -> Iterator[IPv4Address]:
        """Usable addresses that nobody has or had, in order: from one end on, or from this host's share of them."""
        numbers = usable(self.parent.record.cidr)
        first = self._share(len(numbers)) if self.crowded else 0
        parts = [numbers[first:], numbers[:first]]
        if descending:
            # A host's own address: downwards from its share, where the host before it ends.
            parts = [part[::-1] for part in reversed(parts)]
        for number in chain.from_iterable(parts):
            if number not in self.taken:
                yield IPv4Address(number)

    def _share(self, size: int) -> int:
        """Where this host's part of the range begins, if all hosts had one of the same size; the first is nobody's."""
        nodes = {node for node in self.view.hosts if node.provider in self.network.participants()}
        ordered = sorted(nodes | self.parent.hosts.keys() | {self.facts.node})
        return size * (ordered.index(self.facts.node) + 1) // (len(ordered) + 1)

    def _reusable(self) -> list[tuple[int, IPv4Address, EndpointId]]:
        released = [
            (slot.height, slot.address, endpoint)
            for endpoint, slot in self.parent.slots.items()
            if not slot.bound and slot.address is not None
        ]
        heapq.heapify(released)
        return released
