# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What should exist on this host, as values: the output of ``plan``, the input of ``apply``."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from .._common.ids import EndpointId, LeaseId, NodeId
from .._policy.ruleset import Ruleset


@dataclass(frozen=True)
class Attachment:
    """An endpoint that runs on this host: where its workload's namespace is and what it gets."""

    endpoint: EndpointId
    lease: LeaseId
    ipv4: ipaddress.IPv4Address
    ipv6: ipaddress.IPv6Address
    carries: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()  # ranges it routes for (R8)
    reaches: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()  # what others carry, apart from those


@dataclass(frozen=True)
class LiveSlot:
    """An endpoint that takes part now, on whichever host: what peers, names and the firewall are made from."""

    endpoint: EndpointId
    lease: LeaseId
    host: NodeId
    ipv4: ipaddress.IPv4Address
    ipv6: ipaddress.IPv6Address


@dataclass(frozen=True)
class CarriedRange:
    """A range outside the network, and the endpoint that carries traffic to it; None: it is unreachable now."""

    range: ipaddress.IPv4Network | ipaddress.IPv6Network
    carrier: LiveSlot | None


@dataclass(frozen=True)
class TunnelPeer:
    """Another host of the network, as WireGuard sees it."""

    node: NodeId
    public_key: str
    endpoint: str
    port: int
    allowed_ips: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


@dataclass(frozen=True)
class Tunnel:
    """This host's WireGuard interface in a network. The private key is never here: apply finds it on disk.

    ``public_key`` is what the ledger says of this host; the key on disk must belong to it.
    """

    public_key: str
    port: int
    mtu: int
    ipv4: ipaddress.IPv4Address
    ipv6: ipaddress.IPv6Address
    peers: tuple[TunnelPeer, ...]


@dataclass(frozen=True)
class Name:
    """A DNS name below ``avpn.internal`` and the endpoints it stands for."""

    name: str  # "web.prod.avpn.internal"
    ipv4: tuple[ipaddress.IPv4Address, ...]
    ipv6: tuple[ipaddress.IPv6Address, ...]


@dataclass(frozen=True)
class NetworkPlan:
    """All of one network on this host. ``firewall`` is compiled by ``_policy`` (nft's own words, by object).

    ``routes`` are the ranges outside the network that its members carry traffic to (R8).
    """

    network: str  # network id
    name: str  # the tenant's name for it: names end in <name>.avpn.internal
    owner: str
    ipv4: ipaddress.IPv4Network
    ipv6: ipaddress.IPv6Network
    tunnel: Tunnel
    attachments: tuple[Attachment, ...]
    names: tuple[Name, ...]
    firewall: Ruleset
    ledger: tuple[int, int]  # generation, version it was planned from
    manifest: int | None  # version of the manifest, None: none yet (nothing passes)
    live: tuple[LiveSlot, ...] = ()  # every endpoint of the network, on all hosts
    routes: tuple[CarriedRange, ...] = ()
    notes: tuple[str, ...] = ()  # what was left out of an otherwise good plan, and why


@dataclass(frozen=True)
class HostPlan:
    """Everything of ours on this host; what is not here is removed."""

    networks: Mapping[str, NetworkPlan] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)  # network id -> what could not be planned; left as is
    pending: frozenset[str] = frozenset()  # nothing runs here now, but may again: names, port and key are kept
