# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a view to an inventory: hosts per provider node, groups per network, provider and member.

Two steps, so that what lies between can be cached: ``plain_data`` of a view, and the pure
``inventory_hosts`` of that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .._common.ids import NodeId
from .facts import network_facts
from .model import View
from .records import host_record_json

K = TypeVar("K")

_NOT_IN_GROUP = re.compile(r"[^a-z0-9_]")


@dataclass
class InventoryHost:
    """A provider's host. ``variables`` without prefix, ``groups`` ready to be used."""

    name: str
    variables: dict[str, Any]
    groups: list[str] = field(default_factory=list)


def plain_data(view: View) -> dict[str, Any]:
    """Networks and host records as JSON: what is cached."""
    return {
        "height": view.height,
        "networks": network_facts(view),
        "hosts": {str(node): host_record_json(host) for node, host in sorted(view.hosts.items())},
    }


def inventory_hosts(data: Mapping[str, Any], *, provider: str | None = None) -> list[InventoryHost]:
    """Every host that carries, founds or witnesses one of the networks; those of one provider if it is given."""
    networks = data["networks"]
    network_groups = _network_groups(networks)
    member_groups = _member_groups(networks)
    found = []
    for text, record in data["hosts"].items():
        node = NodeId.parse(text, "hosts")
        if provider not in (None, node.provider):
            continue
        entries = []
        groups = [f"provider_{node.provider}"]
        for network in networks:
            entry = _part_in(network, node)
            if entry is None:
                continue
            entries.append(entry)
            groups.append(network_groups[network["id"]])
            groups += [member_groups[network["id"], member] for member in entry["members"]]
        if entries:
            variables = _host_variables(node, record, entries)
            found.append(InventoryHost(f"{node.node}.{node.provider}", variables, groups))
    return found


def _part_in(network: Mapping[str, Any], node: NodeId) -> dict[str, Any] | None:
    """What a node is to a network; None: nothing."""
    leases = [
        {key: lease[key] for key in ("id", "member", "gseq", "state", "replicas", "namespace")}
        for lease in network["leases"]
        if lease["provider"] == node.provider and lease["permitted"]
    ]
    founder = str(node) in network["founders"]
    witness = str(node) in network["record"]["witnesses"]
    if not (leases or founder or witness):
        return None
    return {
        "id": network["id"],
        "owner": network["owner"],
        "name": network["name"],
        "cidr": network["cidr"],
        "members": sorted({lease["member"] for lease in leases}),
        "leases": leases,
        "founder": founder,
        "witness": witness,
    }


def _host_variables(node: NodeId, record: Mapping[str, Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
    ssh_address, ssh_port = _split(record["ssh"]["address"])
    gossip_address, gossip_port = _split(record["gossip"])
    return {
        "provider": node.provider,
        "node": node.node,
        "ssh_address": ssh_address,
        "ssh_port": ssh_port,
        "ssh_host_key": record["ssh"]["host_key"],
        "wireguard_address": record["wireguard"],
        "gossip_address": gossip_address,
        "gossip_port": gossip_port,
        "networks": entries,
        "members": sorted(f"{entry['name']}/{member}" for entry in entries for member in entry["members"]),
        "leases": sorted(lease["id"] for entry in entries for lease in entry["leases"]),
    }


def _network_groups(networks: list[dict[str, Any]]) -> dict[str, str]:
    """``network_<name>``, with the owner behind it where two tenants use the name."""
    wanted = {network["id"]: (f"network_{network['name']}", network["owner"]) for network in networks}
    return _unambiguous(wanted)


def _member_groups(networks: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """``member_<network>_<member>``, likewise."""
    wanted = {
        (network["id"], member): (f"member_{network['name']}_{member}", network["owner"])
        for network in networks
        for member in network["members"]
    }
    return _unambiguous(wanted)


def _unambiguous(wanted: Mapping[K, tuple[str, str]]) -> dict[K, str]:
    names = {key: _NOT_IN_GROUP.sub("_", name) for key, (name, _owner) in wanted.items()}
    names = {key: f"{name}_{wanted[key][1]}" if _often(name, names) else name for key, name in names.items()}
    # Hyphens become underscores, so two of one owner may still meet (a-b/c and a/b-c): number them.
    for name in sorted({name for name in names.values() if _often(name, names)}):
        same = sorted((wanted[key][0], key) for key, other in names.items() if other == name)
        for number, (_text, key) in enumerate(same, start=1):
            names[key] = f"{name}_{number}"
    return names


def _often(name: str, names: Mapping[Any, str]) -> bool:
    return sum(other == name for other in names.values()) > 1


def _split(address: str) -> tuple[str, int]:
    host, _colon, port = address.rpartition(":")
    return host.strip("[]"), int(port)
