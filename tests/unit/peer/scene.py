# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small world for tests of the peer channel: accounts, keys, records, a view and a host's directories."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import pathlib
import time
from dataclasses import dataclass

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import (
    Deployment,
    HostRecord,
    Lease,
    LeaseState,
    NetworkRecord,
    NetworkView,
    View,
    Voter,
)
from ansible_collections.akash.avpn.plugins.module_utils._chain.view import save_view
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import LeaseId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if (top >> bit) & 1 else 0
    return checksum


def account(label: str) -> str:
    """A valid account address made from a label (BIP 173)."""
    bits = "".join(f"{byte:08b}" for byte in hashlib.sha256(label.encode()).digest()[:20])
    data = [int(bits[start : start + 5], 2) for start in range(0, 160, 5)]
    human = [ord(char) >> 5 for char in "akash"] + [0] + [ord(char) & 31 for char in "akash"]
    checksum = _polymod([*human, *data, 0, 0, 0, 0, 0, 0]) ^ 1
    return "akash1" + "".join(_CHARSET[value] for value in data + [(checksum >> 5 * (5 - at)) & 31 for at in range(6)])


def ssh_key(label: str) -> str:
    """A well-formed SSH public key made from a label."""
    blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + hashlib.sha256(label.encode()).digest()
    return "ssh-ed25519 " + base64.b64encode(blob).decode()


def incarnation(node: NodeId) -> str:
    """The incarnation of a node's voter."""
    return hashlib.sha256(f"{node} incarnation".encode()).hexdigest()[:32]


def raw_key(label: str) -> str:
    return base64.b64encode(hashlib.sha256(label.encode()).digest()).decode()


ALICE, BOB = account("alice"), account("bob")
P1, P2, P3, P4 = (NodeId(account(f"provider {number}"), "n1") for number in (1, 2, 3, 4))


def host(node: NodeId, address: str = "198.18.0.1", port: int = 7022, **changes: object) -> HostRecord:
    fields: dict[str, object] = {
        "id": node,
        "ssh_address": address,
        "ssh_port": port,
        "ssh_host_key": ssh_key(f"{node} host"),
        "ssh_client_key": ssh_key(f"{node} client"),
        "signing_key": raw_key(f"{node} signing"),
        "incarnation": incarnation(node),
        "wireguard_address": address,
        "gossip_address": address,
        "gossip_port": 7946,
    }
    return HostRecord(**{**fields, **changes})  # type: ignore[arg-type]


def network(
    owner: str,
    name: str,
    providers: tuple[NodeId, ...],
    *,
    access: tuple[str, ...] = (),
    founders: tuple[NodeId, ...] = (),
    evicted: tuple[str, ...] = (),
    closed: tuple[NodeId, ...] = (),
) -> NetworkView:
    """A network with one deployment, leased to ``providers`` (running) and ``closed`` ones."""
    record = NetworkRecord(
        owner=owner,
        name=name,
        cidr=ipaddress.IPv4Network("100.64.0.0/24"),
        members={"web": 7},
        providers=None,
        evicted=evicted,
        founders=tuple(Voter(node, incarnation(node), raw_key(f"{node} signing")) for node in founders),
        access=access,
    )
    leases = [
        Lease(LeaseId(owner, 7, 1, number, node.provider), LeaseState.ACTIVE, 10, 0)
        for number, node in enumerate(providers, 1)
    ] + [
        Lease(LeaseId(owner, 7, 2, number, node.provider), LeaseState.CLOSED, 10, 20)
        for number, node in enumerate(closed, 1)
    ]
    return NetworkView(record, {7: Deployment(owner, 7, True, {1: 1})}, tuple(leases))


def view(networks: list[NetworkView], hosts: list[HostRecord]) -> View:
    return View(
        chain_id="akashnet-2",
        height=100,
        time=int(time.time()),
        networks={entry.record.id: entry for entry in networks},
        hosts={entry.id: entry for entry in hosts},
    )


def host_json(node: NodeId, **changes: object) -> dict[str, object]:
    """The content of host.json."""
    document: dict[str, object] = {
        "provider": node.provider,
        "node": node.node,
        "chain": {"chain_id": "akashnet-2", "endpoints": ["http://127.0.0.1:9"], "own": True},
        "peer": {"address": "198.18.0.1", "port": 7022},
        "wireguard": {"address": "198.18.0.1", "first_port": 51820, "mtu": 1420},
        "gossip": {"address": "198.18.0.1", "port": 7946},
        "peer_ranges": ["198.18.0.0/15"],
    }
    return {**document, **changes}


@dataclass
class HostTree:
    """A host's directories below a root of their own."""

    paths: Paths
    node: NodeId

    @classmethod
    def make(cls, root: pathlib.Path, node: NodeId, **changes: object) -> HostTree:
        paths = Paths(root)
        for directory in (
            paths.etc,
            paths.keys,
            paths.ledgers,
            paths.manifests,
            paths.hints,
            paths.requests,
            paths.limits,
            paths.gossip,
            paths.applied,
        ):
            directory.mkdir(parents=True, exist_ok=True)
        paths.host_config.write_text(json.dumps(host_json(node, **changes)))
        return cls(paths, node)

    def save(self, current: View) -> None:
        save_view(self.paths.view, current)
