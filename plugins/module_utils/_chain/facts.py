# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks as plain dictionaries, for ``network_info`` and the inventory."""

from __future__ import annotations

from typing import Any

from .model import NetworkView, View
from .records import host_record_json, network_record_json


def network_facts(view: View) -> list[dict[str, Any]]:
    """Every network of the view with its members, leases, providers and hosts, sorted by owner and name."""
    networks = sorted(view.networks.values(), key=lambda entry: (entry.record.owner, entry.record.name))
    return [_network(view, network) for network in networks]


def concerns(network: dict[str, Any], provider: str | None) -> bool:
    """Whether a provider holds a running lease of the network's members, founds its ledger or may witness it."""
    if provider is None:
        return False
    voters = [*network["founders"], *network["record"]["witnesses"]]
    return any(lease["provider"] == provider for lease in network["leases"]) or any(
        node.startswith(f"{provider}/") for node in voters
    )


def _network(view: View, network: NetworkView) -> dict[str, Any]:
    record = network.record
    providers = sorted(network.participants())
    return {
        "id": record.id,
        "owner": record.owner,
        "name": record.name,
        "cidr": str(record.cidr),
        "generation": record.generation,
        "record": network_record_json(record),
        "members": {name: _member(network, dseq) for name, dseq in record.members.items()},
        "leases": [_lease(network, lease) for lease in network.leases if lease.running],
        "providers": providers,
        "founders": [str(voter.node) for voter in record.founders],
        "hosts": [
            {"node": str(host.id), **host_record_json(host)}
            for provider in providers
            for host in view.hosts_of(provider)
        ],
    }


def _member(network: NetworkView, dseq: int) -> dict[str, Any]:
    deployment = network.deployments.get(dseq)
    return {
        "dseq": dseq,
        "state": "unknown" if deployment is None else ("active" if deployment.active else "closed"),
        # JSON has no numbers as keys
        "replicas": {str(gseq): count for gseq, count in sorted(deployment.replicas.items())} if deployment else {},
    }


def _lease(network: NetworkView, lease: Any) -> dict[str, Any]:
    deployment = network.deployments.get(lease.id.dseq)
    return {
        "id": str(lease.id),
        "member": network.record.member_of(lease.id.dseq) or "",
        "dseq": lease.id.dseq,
        "gseq": lease.id.gseq,
        "oseq": lease.id.oseq,
        "provider": lease.id.provider,
        "permitted": network.record.permits(lease.id.provider),
        "state": lease.state.value,
        "created_at": lease.created_at,
        "replicas": deployment.replicas.get(lease.id.gseq, 0) if deployment else 0,
        "namespace": lease.id.namespace,
    }
