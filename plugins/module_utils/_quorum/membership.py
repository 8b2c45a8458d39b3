# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who should vote in a network, and the next step towards it. Pure, and the same for every host with the same view.

Up to five voters, one per provider, odd where possible: those who vote already and may, then further providers that
hold leases, then witnesses where those are too few. Whoever votes stays as long as it may: no change without need.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .._chain.model import HostRecord, Lease, NetworkRecord, NetworkView, View, Voter
from .._common.ids import NodeId
from .constants import RELEASE_BLOCKS
from .fence import rests_until
from .resigning import enough
from .value import MAX_VOTERS, Value

_RESIGNS = "is drained"


@dataclass(frozen=True)
class Step:
    """One change of voters: who votes then, who comes, who goes. ``why`` in a few words."""

    voters: tuple[Voter, ...]
    added: Voter | None
    removed: Voter | None
    why: str

    def __str__(self) -> str:
        parts = [f"{sign}{voter.node}" for sign, voter in (("+", self.added), ("-", self.removed)) if voter is not None]
        return f"{' '.join(parts)}: {self.why}"


def wanted(
    value: Value,
    view: View,
    without: Collection[Voter] = (),
    caught: Collection[Voter] = (),
    resigns: Voter | None = None,
) -> Step | None:
    """The next change of the voters of ``value``; None if they are as they should be.

    ``without``: hosts that couldn't be made ready, and are passed by. ``caught``: those known here to have contradicted
    themselves. ``resigns``: the one that asks to be taken out, which is granted after all others who have to go, if
    enough vote then. None as well while view and value are of different records: leases belong to members by the
    record, so by a newer one than the view's, or an older one than the chain's, hosts seem to have left whose members
    were just given another deployment.
    """
    if rests_until(value, view.height) is not None:
        return None
    network, without = view.networks[value.network], {*without, *caught, *(() if resigns is None else (resigns,))}
    if network.record != value.record or view.height < value.record_height:
        return None
    leaving = {
        voter: why for voter in value.voters if (why := _reason(value, network, view, voter, caught)) is not None
    }
    step = _step(value, network, view, leaving, without)
    if resigns is None or resigns not in value.voters or leaving:
        return step
    last = _step(value, network, view, {resigns: _RESIGNS}, without)
    return step if last is None or not enough(len(value.voters), len(last.voters)) else last


def _step(
    value: Value, network: NetworkView, view: View, leaving: Mapping[Voter, str], without: Collection[Voter]
) -> Step | None:
    """What comes first when these may leave."""
    staying = [voter for voter in value.voters if voter not in leaving]
    coming = _coming(value, network, view, staying, without)
    removed = next(iter(leaving), None)
    added = coming[0] if coming else None
    if added is not None:
        # One per provider: a node takes the place of its provider's other one.
        removed = next((voter for voter in leaving if voter.node.provider == added.node.provider), removed)
    voters = {voter for voter in value.voters if voter != removed} | ({added} if added is not None else set())
    if not voters or voters == set(value.voters):
        return None
    why = leaving[removed] if removed is not None else "a provider that holds a lease, or a witness, doesn't vote yet"
    return Step(tuple(sorted(voters)), added, removed, why)


def has_turn(value: Value, network: NetworkView, node: NodeId) -> bool:
    """Whether a host is the one to change voters first: of those that vote and hold a lease, one by a hash.

    So that not all try at once; whoever else finds in a later run that the change is wanted still, tries as well.
    """
    holding = network.participants()
    able = [voter.node for voter in value.voters if voter.node.provider in holding]
    if not able:
        return True
    return node == min(able, key=lambda one: _mixed(value.network, f"{value.seated}/{one}"))


def gone(record: NetworkRecord, leases: Iterable[Lease], node: NodeId, height: int) -> bool:
    """Whether a host had no business in the network at ``height`` any more, by this record: it is no witness, and its
    provider isn't permitted, or every lease of a member there was closed k blocks before."""
    if node in record.witnesses:
        return False
    if not record.permits(node.provider):
        return True
    members = set(record.members.values())
    return not any(
        lease.id.provider == node.provider
        and lease.id.dseq in members
        and lease.created_at <= height
        and (lease.closed_at == 0 or lease.closed_at + RELEASE_BLOCKS > height)
        for lease in leases
    )


def matches(voter: Voter, record: HostRecord) -> bool:
    """Whether the chain names this very voter for its host."""
    return (record.incarnation, record.signing_key) == (voter.incarnation, voter.key)


def _reason(value: Value, network: NetworkView, view: View, voter: Voter, caught: Collection[Voter]) -> str | None:
    """Why a voter may be taken out, if it may."""
    if voter.node.provider in value.record.evicted:
        return "evicted by the tenant"
    if voter in caught:
        return "has contradicted itself"
    if gone(value.record, network.leases, voter.node, view.height):
        return "holds no lease any more"
    record = view.hosts.get(voter.node)
    if record is not None and not matches(voter, record):
        return "has another database or key now"
    return None


def _coming(
    value: Value, network: NetworkView, view: View, staying: list[Voter], without: Collection[Voter]
) -> list[Voter]:
    """Who should be added, in order, so that there are as many voters as there should be."""
    voting = {voter.node.provider for voter in staying}
    holders = [voter for voter in _holders(value, network, view, without) if voter.node.provider not in voting]
    witnesses = [
        voter
        for voter in _voters(view, value.record.witnesses)
        if voter not in without and voter.node.provider not in {one.node.provider for one in (*staying, *holders)}
    ]
    size = min(MAX_VOTERS, len(staying) + len(holders))
    coming = holders[: max(0, size - len(staying))]
    for witness in witnesses:
        if witness.node.provider in {*value.record.evicted, *(voter.node.provider for voter in coming)}:
            continue
        if size < MAX_VOTERS and (size % 2 == 0 or size == 1):
            coming.append(witness)
            size += 1
    # Four tolerate no more losses than three; two tolerate none, but the ledger is in two places.
    return coming[: max(0, 3 - len(staying))] if size == 4 else coming


def _holders(value: Value, network: NetworkView, view: View, without: Collection[Voter]) -> Iterator[Voter]:
    """One host for each provider with a running lease, in an order that is the same for everybody."""
    record, members = value.record, set(value.record.members.values())
    providers = {
        lease.id.provider
        for lease in network.leases
        if lease.running
        and lease.ran_at(view.height)
        and lease.id.dseq in members
        and record.permits(lease.id.provider)
        and lease.id.provider not in record.evicted
    }
    voting = {voter.node for voter in value.voters}
    for provider in sorted(providers, key=lambda one: _mixed(record.id, one)):
        nodes = [host.id for host in view.hosts_of(provider)]
        # Where one votes, or voted with another database, or is part of the network, it is that one.
        nodes.sort(key=lambda node: (node not in voting, node not in value.hosts, _mixed(record.id, str(node))))
        able = [voter for voter in _voters(view, nodes) if voter not in without]
        yield from able[:1]


def _voters(view: View, nodes: Iterable[NodeId]) -> list[Voter]:
    hosts = [host for node in nodes if (host := view.hosts.get(node)) is not None]
    return [Voter(host.id, host.incarnation, host.signing_key) for host in hosts]


def _mixed(network: str, name: str) -> bytes:
    """Any fixed order will do; this one doesn't always burden the same providers."""
    return hashlib.sha256(f"{network}/{name}".encode()).digest()
