# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest as values: what the tenant signed, parsed (design section 5).

Order and spelling are the tenant's; meaning is ``_policy.evaluate``'s.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

Range = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class AnyMember:
    """Every member of the network; written ``any``."""


@dataclass(frozen=True)
class MemberPeer:
    """A member (``web``), or one of its leases (``db/2``: its deployment's group 2)."""

    member: str
    gseq: int | None = None


@dataclass(frozen=True)
class GroupPeer:
    """A named group of members."""

    group: str


@dataclass(frozen=True)
class RangePeer:
    """A CIDR inside or outside the network, apart from the CIDRs within it that are ``excepted``."""

    range: Range
    excepted: tuple[Range, ...] = ()


Peer = Union[AnyMember, MemberPeer, GroupPeer, RangePeer]


@dataclass(frozen=True)
class Port:
    """``tcp/443``, ``udp/5000-5100``, ``sctp/…``, ``icmp``, ``icmp/echo-request``, ``icmpv6``, ``icmpv6/…`` or ``any``.

    ``first`` and ``last`` are ports, both included. For icmp and icmpv6 both are the type, or None: of whatever type.
    For any they are None.
    """

    protocol: str  # tcp, udp, sctp, icmp, icmpv6, any
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class Rule:
    """Packets to or from any of ``peers`` on any of ``ports``."""

    peers: tuple[Peer, ...]
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class Rules:
    """Deny wins over allow; what neither names is denied."""

    deny: tuple[Rule, ...] = ()
    allow: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Policy:
    """The rules of a member, or of one of its leases."""

    ingress: Rules = field(default_factory=Rules)
    egress: Rules = field(default_factory=Rules)


@dataclass(frozen=True)
class Route:
    """A range outside the network that a member carries traffic to (R8).

    ``covers``: what the range may hold only if the tenant says so: ``default`` (it is everything), ``hosts`` (addresses
    of hosts of the network, as their records say), ``members`` (it overlaps the network's own ranges).
    """

    range: Range
    via: str
    covers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PolicyTest:
    """An expectation that must hold before the manifest is published or enforced (R22)."""

    source: MemberPeer
    target: MemberPeer
    port: Port
    expected: bool  # True: allow


@dataclass(frozen=True)
class Manifest:
    """A manifest's content. ``policies`` is keyed by ``web`` or ``db/2``; the lease's entry replaces the member's.

    ``staged``: what the tenant wants to try, complete like this and without ``staged`` of its own. It is never
    enforced: of what the rest permits, what it would drop is counted.
    """

    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    tests: tuple[PolicyTest, ...] = ()
    staged: Manifest | None = None


@dataclass(frozen=True)
class SignedManifest:
    """What travels: content in canonical JSON, its version, the signer's public key and signature (ADR-36)."""

    network: str  # network id
    version: int
    content: Mapping[str, object]  # canonical JSON document of the manifest
    public_key: str  # compressed secp256k1, base64
    signature: str  # r || s, base64
