# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small worlds for tests of the overlay: a tenant's network, its providers, and what their ledger says."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import (
    Deployment,
    Lease,
    LeaseState,
    NetworkRecord,
    NetworkView,
    View,
)
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, LeaseId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import (
    AnyMember,
    Manifest,
    Policy,
    Port,
    Rule,
    Rules,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import HostEntry, Slot, Value

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def account(data: str) -> str:
    """The account address with these 32 characters of data, checksum and all (BIP 173)."""
    human = "akash"
    values = [ord(char) >> 5 for char in human] + [0] + [ord(char) & 31 for char in human]
    checksum = 1
    for value in values + [_CHARSET.index(char) for char in data] + [0] * 6:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if (top >> bit) & 1 else 0
    checksum ^= 1
    return f"{human}1{data}" + "".join(_CHARSET[(checksum >> 5 * (5 - place)) & 31] for place in range(6))


TENANT = account("q" * 32)
CIDR = ipaddress.IPv4Network("100.64.0.0/18")


def provider(number: int) -> str:
    """The account of a provider; they sort by number."""
    return account("023456"[number] + "p" * 31)


def node(number: int) -> NodeId:
    return NodeId(provider(number), f"host{number}")


def key(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def lease(member_dseq: int, number: int, *, gseq: int = 1) -> LeaseId:
    """The lease of a deployment's group at provider ``number``."""
    return LeaseId(TENANT, member_dseq, gseq, 1, provider(number))


def host_entry(number: int, **changed: object) -> HostEntry:
    given: dict[str, object] = {
        "key": key(f"signing {number}"),
        "wireguard": key(f"tunnel {number}"),
        "endpoint": f"198.18.77.{number}",
        "port": 51820,
        "mtu": 1420,
        "address": ipaddress.IPv4Address(f"100.64.63.{number}"),
        "height": 10,
        "batch": f"{node(number)}/1",
    }
    return HostEntry(**{**given, **changed})  # type: ignore[arg-type]


def slot(member_dseq: int, number: int, address: str, *, gseq: int = 1, bound: bool = True) -> Slot:
    where = lease(member_dseq, number, gseq=gseq)
    return Slot(ipaddress.IPv4Address(address), where, 5, node(number), 10, bound, f"{node(number)}/1")


@dataclass
class World:
    """``web`` (deployment 1) at provider 1, ``api`` (2, two replicas) at 2, ``db`` (3) at 3; change what a test
    is about before asking for ``view`` and ``value``."""

    name: str = "prod"
    members: dict[str, int] = field(default_factory=lambda: {"web": 1, "api": 2, "db": 3})
    slots: dict[EndpointId, Slot] = field(
        default_factory=lambda: {
            EndpointId("web", 1, 0): slot(1, 1, "100.64.0.2"),
            EndpointId("api", 1, 0): slot(2, 2, "100.64.0.3"),
            EndpointId("api", 1, 1): slot(2, 2, "100.64.0.4"),
            EndpointId("db", 1, 0): slot(3, 3, "100.64.0.5"),
        }
    )
    hosts: dict[NodeId, HostEntry] = field(default_factory=lambda: {node(n): host_entry(n) for n in (1, 2, 3)})
    closed: set[LeaseId] = field(default_factory=set)
    providers: tuple[str, ...] | None = None
    height: int = 100
    record_height: int = 50
    version: int = 7
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def record(self) -> NetworkRecord:
        return NetworkRecord(TENANT, self.name, CIDR, dict(self.members), self.providers, generation=1)

    @property
    def network(self) -> str:
        return self.record.id

    @property
    def value(self) -> Value:
        return Value(
            self.network,
            1,
            self.version,
            "0" * 64,
            self.record,
            self.record_height,
            (),
            dict(self.hosts),
            dict(self.slots),
        )

    def view(self, *others: World) -> View:
        worlds = (self, *others)
        return View(
            "testchain",
            self.height,
            1_700_000_000,
            {world.network: world.network_view() for world in worlds},
            {},
            problems=dict(self.problems),
        )

    def network_view(self) -> NetworkView:
        ids = {found.lease for found in self.slots.values()}
        leases = tuple(
            Lease(
                id_,
                LeaseState.CLOSED if id_ in self.closed else LeaseState.ACTIVE,
                5,
                90 if id_ in self.closed else 0,
            )
            for id_ in sorted(ids | self.closed)
        )
        deployments: Mapping[int, Deployment] = {
            dseq: Deployment(TENANT, dseq, True, {1: 2}) for dseq in self.members.values()
        }
        return NetworkView(self.record, deployments, leases)


def open_manifest(*members: str) -> Manifest:
    """Every member may speak with every member."""
    everything = Rules(allow=(Rule((AnyMember(),), (Port("any"),)),))
    return Manifest(policies={member: Policy(everything, everything) for member in members})
