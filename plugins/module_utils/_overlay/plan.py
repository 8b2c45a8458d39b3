# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what was read and agreed to everything that should exist on this host. Pure.

One network that can't be planned is a problem of that one: it is left as it is, and the others go on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .._chain.addresses import check_peer_address
from .._chain.model import HostRecord, View
from .._chain.view import record_gone
from .._common.errors import AvpnError, InvalidInput
from .._common.ids import EndpointId, NodeId
from .._manifest.model import Manifest
from .._policy.denial_log import DenialLog
from .._policy.entrances import Neighbours
from .._policy.staged import digest_in
from .._quorum.value import HostEntry, Value
from .carriers import carried_by, carried_ranges, reached, routing
from .dns_names import names
from .live import kept_slots, knows, live_slots
from .model import Attachment, CarriedRange, HostPlan, LiveSlot, NetworkPlan, Tunnel, TunnelPeer
from .names import AnyNetwork, ipv6_of, ula
from .registry import Registration
from .rules import Compiler, compile_rules
from .separation import separated

# The least an IPv6 link may have (RFC 8200 section 5); one host's small entry doesn't take IPv6 from all.
_LEAST_MTU = 1280


class PlanConfig(Protocol):
    """What planning needs of ``_peer.config.HostConfig``."""

    @property
    def id(self) -> NodeId: ...
    @property
    def wireguard_address(self) -> str: ...
    @property
    def peer_ranges(self) -> Sequence[AnyNetwork]: ...
    @property
    def firewall_log_rate(self) -> int: ...


@dataclass(frozen=True)
class Ran:
    """What this host last made of a network: its live endpoints then."""

    live: Mapping[EndpointId, LiveSlot] = field(default_factory=dict)


def plan(
    view: View,
    ledgers: Mapping[str, Value],
    manifests: Mapping[str, tuple[Manifest, int]],
    config: PlanConfig,
    registry: Mapping[str, Registration],
    *,
    fresh: bool,
    ran: Mapping[str, Ran],
    unreadable: Mapping[str, str] | None = None,
    compiler: Compiler = compile_rules,
) -> HostPlan:
    """What should exist on this host.

    ``ledgers``: certified values whose entries' signatures were verified; ``manifests``: verified ones with their
    version; ``fresh``: whether the view is young enough to take away and let in; ``ran``: what the last apply
    made, by network; ``unreadable``: networks whose ledger or manifest couldn't be read, and why.
    """
    networks: dict[str, NetworkPlan] = {}
    problems = dict(unreadable or {})
    for network, value in sorted(ledgers.items()):
        if network in problems:
            continue
        current = fresh and knows(view, value)
        live = live_slots(view, value) if current else kept_slots(ran.get(network, Ran()).live)
        if not any(slot.host == config.id for slot in live):
            continue
        try:
            networks[network] = _network(value, live, manifests.get(network), config, registry, view.hosts, compiler)
        except AvpnError as error:
            problems[network] = str(error)
    pending = set()
    for network in sorted(registry.keys() - networks.keys() - problems.keys()):
        if not _gone(view, ledgers.get(network), network, config, fresh):
            if ran.get(network, Ran()).live and network not in ledgers:
                problems[network] = "has no ledger here any more, though it isn't known to be over"
            else:
                pending.add(network)
    return HostPlan(separated(networks), problems, frozenset(pending))


def _gone(view: View, value: Value | None, network: str, config: PlanConfig, fresh: bool) -> bool:
    """Whether a network without a live endpoint here is known to be over for this host."""
    if not fresh or network in view.problems or (value is not None and value.record_height > view.height):
        return False
    if record_gone(view, network):
        return True
    seen = view.networks.get(network)
    return seen is not None and config.id.provider not in seen.participants()


def _network(
    value: Value,
    live: tuple[LiveSlot, ...],
    manifest: tuple[Manifest, int] | None,
    config: PlanConfig,
    registry: Mapping[str, Registration],
    records: Mapping[NodeId, HostRecord],
    compiler: Compiler,
) -> NetworkPlan:
    own = value.hosts.get(config.id)
    registered = registry.get(value.network)
    if own is None or registered is None:
        raise InvalidInput(
            "has endpoints here, but this host has no tunnel in it",
            where=f"network {value.record.name}",
            remedy="The module address makes the key and enters it in the ledger",
        )
    content, version = manifest if manifest is not None else (None, None)
    prefix = ula(value.network)
    notes: list[str] = []
    ranges: tuple[AnyNetwork, ...] = (value.record.cidr, prefix)
    routes = carried_ranges(content.routes if content is not None else (), value, ranges, live, records, notes)
    peers = _peers(value, own, live, routes, config, notes)
    attachments = _attachments([slot for slot in live if slot.host == config.id], routes, ranges)
    log = (
        DenialLog(f"{value.record.name}/{value.network[:8]}", config.firewall_log_rate)
        if config.firewall_log_rate
        else None
    )
    taking_part = {config.id} | {peer.node for peer in peers}
    mtu = max(_LEAST_MTU, min(value.hosts[node].mtu for node in taking_part))
    tunnel = Tunnel(own.wireguard, registered.port, mtu, own.address, ipv6_of(prefix, own.address), peers)
    firewall = compiler(content, live, attachments, registered.short, _neighbours(value, own, peers))
    if content is not None and content.staged is not None and digest_in(firewall) is None:
        notes.append("what the manifest stages is too large for the network's endpoints, and isn't counted")
    return NetworkPlan(
        network=value.network,
        name=value.record.name,
        owner=value.record.owner,
        ipv4=value.record.cidr,
        ipv6=prefix,
        tunnel=tunnel,
        attachments=attachments,
        names=names(value.record.name, value.slots, live),
        firewall=compiler(
            content,
            live,
            attachments,
            registered.short,
            _neighbours(value, own, peers),
            ranges=ranges,
            log=log,
            routing=routing(routes, config.id, value, prefix),
        ),
        ledger=(value.generation, value.version),
        manifest=version,
        live=live,
        routes=routes,
        notes=tuple(notes),
    )


def _peers(
    value: Value,
    own: HostEntry,
    live: Iterable[LiveSlot],
    routes: Iterable[CarriedRange],
    config: PlanConfig,
    notes: list[str],
) -> tuple[TunnelPeer, ...]:
    """The other hosts with live endpoints. What can't be a peer is left out, and noted."""
    behind: dict[NodeId, list[AnyNetwork]] = {}
    for slot in live:
        behind.setdefault(slot.host, []).extend((_single(slot.ipv4), _single(slot.ipv6)))
    for route in routes:
        if route.carrier is not None:
            behind[route.carrier.host].append(route.range)
    behind.pop(config.id, None)
    taken = {own.wireguard}
    peers = []
    # The older entry keeps a key that two name: the second can only be a mistake or a lie.
    for node in sorted(behind, key=lambda item: (value.hosts[item].height if item in value.hosts else 0, item)):
        entry = value.hosts.get(node)
        if entry is None:
            notes.append(f"{node} has endpoints but no host entry in the ledger")
        elif entry.wireguard in taken:
            notes.append(f"{node} names a tunnel key that another host has")
        else:
            try:
                check_peer_address(
                    entry.endpoint, own=(config.wireguard_address,), allowed_ranges=config.peer_ranges, where=str(node)
                )
            except InvalidInput as error:
                notes.append(str(error))
                continue
            taken.add(entry.wireguard)
            host = (_single(entry.address), _single(ipv6_of(ula(value.network), entry.address)))
            allowed = tuple(sorted({*host, *behind[node]}, key=_order))
            peers.append(TunnelPeer(node, entry.wireguard, entry.endpoint, entry.port, allowed))
    return tuple(sorted(peers, key=lambda peer: peer.node))


def _neighbours(value: Value, own: HostEntry, peers: Iterable[TunnelPeer]) -> Neighbours:
    """The hosts' own addresses: this one's, and those of its peers."""

    def both(entry: HostEntry) -> tuple[ipaddress.IPv4Address, ipaddress.IPv6Address]:
        return entry.address, ipv6_of(ula(value.network), entry.address)

    return Neighbours(both(own), tuple(address for peer in peers for address in both(value.hosts[peer.node])))


def _attachments(
    slots: Iterable[LiveSlot], routes: tuple[CarriedRange, ...], own: tuple[AnyNetwork, ...]
) -> tuple[Attachment, ...]:
    """The endpoints of this host. Most carry nothing, and reach the same."""
    reaching: dict[tuple[AnyNetwork, ...], tuple[AnyNetwork, ...]] = {}
    made = []
    for slot in slots:
        carries = carried_by(routes, slot.endpoint)
        if carries not in reaching:
            reaching[carries] = reached(routes, own, carries)
        made.append(Attachment(slot.endpoint, slot.lease, slot.ipv4, slot.ipv6, carries, reaching[carries]))
    return tuple(made)


def _single(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> AnyNetwork:
    return ipaddress.ip_network(address)


def _order(network: AnyNetwork) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen
