# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger's value: what the voters of a network agree on, version by version.

A value is immutable; ``change`` builds the next one from its parent. Its canonical JSON (``codec.value_json``)
is what travels and what is stored; its hash is over its ``header``, which has digests of its entries.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .._chain.model import NetworkRecord, Voter
from .._common.ids import EndpointId, LeaseId, NodeId

MAX_SLOTS = 16_384
MAX_HOSTS = 1_024
MAX_LOCKS = 256
MAX_PROVIDER_LOCKS = 64  # of all hosts of one provider, so that no provider takes them all
MAX_VOTERS = 5


class Known(NamedTuple):
    """What ``digests`` computed of an entry, no part of its meaning: under which kind and key, digest, leaf, length."""

    kind: str
    key: object
    digest: str
    leaf: bytes
    size: int


@dataclass(frozen=True)
class HostEntry:
    """A participating host. Author: the host itself."""

    key: str  # Ed25519 public key, base64; pinned when it first matched the chain
    wireguard: str  # X25519 public key of the host's tunnel in this network, base64
    endpoint: str  # IP address of the encrypted socket
    port: int  # UDP port of the encrypted socket
    mtu: int
    address: ipaddress.IPv4Address  # the host's own address in the network
    height: int  # chain height the entry was made at
    batch: str  # "provider/node/serial" of the signature that covers it
    known: Known | None = field(default=None, init=False, repr=False, compare=False)


@dataclass(frozen=True)
class Slot:
    """The address of one endpoint and who holds it. Slots are released, never deleted."""

    address: ipaddress.IPv4Address | None  # None once a released slot's address was reused
    lease: LeaseId
    created: int  # created_at of the lease: a binding moves only to a lease created later
    host: NodeId
    height: int
    bound: bool  # False: released
    batch: str
    known: Known | None = field(default=None, init=False, repr=False, compare=False)


@dataclass(frozen=True)
class Lock:
    """A lock for other plays. The fencing token is the version of the ledger that granted it."""

    holder: NodeId
    token: int
    expires: int  # chain height after which it is free
    height: int
    batch: str
    known: Known | None = field(default=None, init=False, repr=False, compare=False)


@dataclass(frozen=True)
class Batch:
    """One author's signature over a set of entries: the entries' digests, in ascending order.

    The batch names its generation and key, so that it stays verifiable after a recovery, after the
    author changed its key, and after it left.
    """

    author: NodeId
    generation: int
    serial: int  # rises with every batch of this author
    key: str  # Ed25519 public key the signature verifies with, base64
    digests: tuple[str, ...]
    signature: str  # Ed25519, base64
    known: Known | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """How entries refer to it: ``provider/node/serial``."""
        return f"{self.author}/{self.serial}"


@dataclass(frozen=True)
class Value:
    """The agreed state of a network at one version."""

    network: str  # network id
    generation: int
    version: int
    parent: str  # hash of the value before; of the genesis document for version 0
    record: NetworkRecord
    record_height: int
    voters: tuple[Voter, ...]
    hosts: Mapping[NodeId, HostEntry] = field(default_factory=dict)
    slots: Mapping[EndpointId, Slot] = field(default_factory=dict)
    locks: Mapping[str, Lock] = field(default_factory=dict)
    batches: Mapping[str, Batch] = field(default_factory=dict)  # by "provider/node/serial"
    serials: Mapping[NodeId, int] = field(default_factory=dict)  # highest serial of each author
    decided_by: int = -1  # the version that named the voters who decide this one; -1: the founders did from the start
    seated: int = -1  # the version that named ``voters``; -1: they are the founders

    def bound(self) -> dict[EndpointId, Slot]:
        """Slots that hold an address for a lease now."""
        return {endpoint: slot for endpoint, slot in self.slots.items() if slot.bound and slot.address is not None}
