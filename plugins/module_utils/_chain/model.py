# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the chain says, as values: leases, deployments, network and host records, and the view.

Everything here was parsed strictly at the edge (``records``, ``lcd``) and is trusted by shape.
Heights are block heights; a ``closed_at`` of 0 means still open.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from .._common.ids import LeaseId, NodeId, network_id


class LeaseState(str, Enum):
    ACTIVE = "active"
    RECLAIMING = "reclaiming"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    CLOSED = "closed"


@dataclass(frozen=True)
class Lease:
    """A lease; it runs while active or reclaiming."""

    id: LeaseId
    state: LeaseState
    created_at: int
    closed_at: int

    @property
    def running(self) -> bool:
        return self.state in (LeaseState.ACTIVE, LeaseState.RECLAIMING)

    def ran_at(self, height: int) -> bool:
        """Whether it was created at or before ``height`` and not closed at or before it."""
        return self.created_at <= height and (self.closed_at == 0 or self.closed_at > height)


@dataclass(frozen=True)
class Deployment:
    """A deployment of a tenant: how many workload replicas each of its groups has."""

    owner: str
    dseq: int
    active: bool
    replicas: Mapping[int, int] = field(default_factory=dict)  # gseq -> count


@dataclass(frozen=True, order=True)
class Voter:
    """A voter: a node, the incarnation of its database, and its Ed25519 public key in base64."""

    node: NodeId
    incarnation: str
    key: str


@dataclass(frozen=True)
class ManifestFloor:
    """The oldest manifest a host may newly adopt: version and SHA-256 of its canonical content."""

    version: int
    sha256: str


@dataclass(frozen=True)
class NetworkRecord:
    """What the tenant wrote under ``avpn/network/<name>``. The owner and name come from where it was read."""

    owner: str
    name: str
    cidr: ipaddress.IPv4Network
    members: Mapping[str, int]  # member -> dseq
    providers: tuple[str, ...] | None  # None: whoever holds an active lease of a member
    evicted: tuple[str, ...] = ()
    founders: tuple[Voter, ...] = ()  # empty: no ledger yet
    generation: int = 0
    base: str | None = None
    witnesses: tuple[NodeId, ...] = ()
    manifest: ManifestFloor | None = None
    access: tuple[str, ...] = ()  # "ssh-ed25519 <base64>"

    @property
    def id(self) -> str:
        return network_id(self.owner, self.name)

    def permits(self, provider: str) -> bool:
        """Whether the tenant authorises this provider to take part (R10), given it holds a lease."""
        return self.providers is None or provider in self.providers

    def member_of(self, dseq: int) -> str | None:
        """The member whose deployment this is."""
        return next((name for name, number in self.members.items() if number == dseq), None)


@dataclass(frozen=True)
class HostRecord:
    """What a provider wrote about one of its hosts under ``avpn/peer/<node>``."""

    id: NodeId
    ssh_address: str
    ssh_port: int
    ssh_host_key: str  # "ssh-ed25519 <base64>"
    ssh_client_key: str
    signing_key: str  # Ed25519, base64
    incarnation: str
    wireguard_address: str
    gossip_address: str
    gossip_port: int


@dataclass(frozen=True)
class ProviderRecord:
    """A provider's own record on chain. ``attributes`` in the chain's order; values are free text of strangers."""

    owner: str
    host_uri: str
    attributes: tuple[tuple[str, str], ...]
    email: str = ""
    website: str = ""


@dataclass(frozen=True)
class Block:
    """A block's header as far as it is needed. ``time`` in Unix seconds, ``hash`` in base64."""

    chain_id: str
    height: int
    time: int
    hash: str


@dataclass(frozen=True)
class NetworkView:
    """One network with what its meaning depends on: its record, deployments and leases (closed ones too)."""

    record: NetworkRecord
    deployments: Mapping[int, Deployment]  # by dseq
    leases: tuple[Lease, ...]

    def running_leases(self) -> tuple[Lease, ...]:
        """Running leases of members at providers the record permits."""
        return self._running

    def participants(self) -> frozenset[str]:
        """Providers that take part now: permitted, with a running lease of a member."""
        return self._participants

    # Asked for with every request of a peer, and the same as long as the view is.

    @cached_property
    def _running(self) -> tuple[Lease, ...]:
        members = set(self.record.members.values())
        return tuple(
            lease
            for lease in self.leases
            if lease.running and lease.id.dseq in members and self.record.permits(lease.id.provider)
        )

    @cached_property
    def _participants(self) -> frozenset[str]:
        return frozenset(lease.id.provider for lease in self._running)


ABSENT = ""  # the digest under which the absence of a record is remembered


@dataclass(frozen=True)
class SeenRecord:
    """A record as it was seen on chain: its digest, and the first and last height at which a view found it.

    ``digest`` is ``records.record_digest``; ABSENT stands for "no such record", ``invalid:…`` for a
    text that was refused.
    """

    digest: str
    first_seen: int
    last_seen: int


@dataclass(frozen=True)
class View:
    """The chain as read at one height. ``time`` is that block's time in Unix seconds."""

    chain_id: str
    height: int
    time: int
    networks: Mapping[str, NetworkView]  # by network id
    hosts: Mapping[NodeId, HostRecord]
    # network id -> what this host has seen of its record, oldest first, at most 16
    seen_records: Mapping[str, tuple[SeenRecord, ...]] = field(default_factory=dict)
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # network id -> owner, name
    # network id or "provider/node" -> what was wrong; the last good state is kept
    problems: Mapping[str, str] = field(default_factory=dict)

    def hosts_of(self, provider: str) -> tuple[HostRecord, ...]:
        return tuple(host for node, host in sorted(self.hosts.items()) if node.provider == provider)
