# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a view: from a provider's leases to everything their networks depend on, at one height.

What a stranger wrote badly costs only that stranger: it is reported under ``problems``, and the last
good state of that one network or host stays. What an endpoint fails to answer fails the whole reading,
for a view that is half old must not carry a new height.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from .._common import fields
from .._common.errors import InvalidInput
from .._common.ids import NodeId, network_id
from .carriers import AuditCarrier, Carrier, RecordText
from .lcd import MAX_DEPLOYMENT_LEASES
from .model import ABSENT, Deployment, HostRecord, Lease, NetworkRecord, NetworkView, SeenRecord, View
from .records import HOST_PREFIX, parse_host_record, parse_network_record, record_digest
from .sources import Snapshot, Sources
from .view import extend_history

T = TypeVar("T")
R = TypeVar("R")

_PARALLEL = 8
_MAX_NODES = 64  # of one provider; further ones, by name, are left out
_MAX_BAD = 16  # unreadable records of one owner that are reported
# What one tenant may make this host look up again and again, with records that cost next to nothing to write.
_MAX_NETWORKS = 64
_MAX_DEPLOYMENTS = 512
_MAX_VOTERS = 128  # providers named as founders or witnesses
_MAX_OLD_LEASES = 4096  # closed leases of former deployments that are remembered per network


def read_view(
    sources: Sources,
    *,
    provider: str | None,
    owners: Iterable[str] = (),
    keep: Collection[str] = (),
    names: Mapping[str, tuple[str, str]] | None = None,
    previous: View | None = None,
    deployments: Mapping[str, Iterable[int]] | None = None,
    providers: Iterable[str] = (),
    carrier: Carrier | None = None,
) -> View:
    """The chain as it concerns this host.

    ``provider``: whose leases lead to networks; None for a tenant's or an observer's view.
    ``owners``: accounts all of whose networks are wanted.
    ``keep``: ids of networks this host has a ledger or state of; they stay in the view until their
    record was found absent at two heights.
    ``names``: owner and name of kept networks, from their ledgers, for when there is no previous view.
    ``previous``: the view before this one; its good parts outlive bad records, and heights never go back.
    ``deployments``: per network id further dseqs, those the ledger's slots refer to.
    ``providers``: further accounts whose host records are wanted, those of the ledger's voters.

    Unavailable: the chain doesn't answer, or its endpoints differ; then nothing is known anew.
    """
    if previous is not None and previous.chain_id != sources.chain_id:
        previous = None
    snapshot = sources.snapshot(not_below=previous.height if previous else 0)
    with ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="avpn-view") as pool:
        reading = _Reading(
            snapshot=snapshot,
            previous=previous or View(sources.chain_id, 0, 0, networks={}, hosts={}),
            pool=pool,
            provider=provider,
            owners=frozenset(owners),
            keep=frozenset(keep),
            carrier=carrier or AuditCarrier(),
        )
        reading.find_records(names or {})
        reading.fill_networks(deployments or {})
        reading.read_hosts(providers)
        return reading.view()


def record_at(
    sources: Sources, owner: str, name: str, height: int, carrier: Carrier | None = None
) -> NetworkRecord | None:
    """The record as it was at a height of the past, while the nodes keep it; None: there was none.

    InvalidInput: what stood there is no record.
    """
    text = (carrier or AuditCarrier()).read(sources.at(height), owner).get(name)
    return None if text is None else _parsed(owner, name, text)


@dataclass
class _Reading:
    """One reading in the making."""

    snapshot: Snapshot
    previous: View
    pool: ThreadPoolExecutor
    provider: str | None
    owners: frozenset[str]
    keep: frozenset[str]
    carrier: Carrier
    records: dict[str, NetworkRecord] = field(default_factory=dict)
    networks: dict[str, NetworkView] = field(default_factory=dict)
    hosts: dict[NodeId, HostRecord] = field(default_factory=dict)
    seen: dict[str, tuple[SeenRecord, ...]] = field(default_factory=dict)
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def view(self) -> View:
        return View(
            chain_id=self.snapshot.chain_id,
            height=self.snapshot.height,
            time=self.snapshot.time,
            networks=self.networks,
            hosts=self.hosts,
            seen_records=self.seen,
            names=self.names,
            problems=self.problems,
        )

    def find_records(self, names: Mapping[str, tuple[str, str]]) -> None:
        """The records of every owner that concerns this host."""
        leases = self.snapshot.running_leases(self.provider) if self.provider else ()
        leased = {(lease.id.owner, lease.id.dseq) for lease in leases}
        known = {**{network_id(*name): name for name in names.values()}, **self.previous.names}
        kept = {network: name for network, name in known.items() if network in self.keep}
        owners = sorted({owner for owner, _dseq in leased} | {owner for owner, _name in kept.values()} | self.owners)
        found = dict(zip(owners, self._all(lambda owner: self.carrier.read(self.snapshot, owner), owners), strict=True))
        for owner, texts in found.items():
            bad, room = 0, _Room(unlimited=owner in self.owners)
            ids = {name: network_id(owner, name) for name in texts}
            # What is here already comes first: further records take nothing away from it.
            for name, text in sorted(texts.items(), key=lambda item: (ids[item[0]] not in self.keep, item[0])):
                network = ids[name]
                try:
                    record = _parsed(owner, name, text)
                    wanted = network in self.keep or owner in self.owners or self._concerns(record, leased)
                    if wanted:
                        room.take(record)
                except InvalidInput as error:
                    bad += 1
                    if bad <= _MAX_BAD or network in self.keep:
                        self._keep_previous(network, owner, name, error)
                    continue
                if wanted:
                    self._see(network, owner, name, record_digest(record))
                    self.records[network] = record
        for network, (owner, name) in kept.items():
            if name not in found[owner]:
                # One reading without it is not enough to tear a network down (design section 3).
                history = self._see(network, owner, name, ABSENT)
                if history[-1].first_seen == history[-1].last_seen:
                    self._hold(network)

    def _concerns(self, record: NetworkRecord, leased: set[tuple[str, int]]) -> bool:
        if any((record.owner, dseq) in leased for dseq in record.members.values()):
            return True
        voters = {voter.node.provider for voter in record.founders} | {node.provider for node in record.witnesses}
        return self.provider in voters

    def _keep_previous(self, network: str, owner: str, name: str, error: InvalidInput) -> None:
        self.problems[network] = _told(error)
        if network in self.keep or network in self.previous.networks:
            self._see(network, owner, name, _plain(f"invalid:{error.where}", 64))
            self._hold(network)

    def _hold(self, network: str) -> None:
        before = self.previous.networks.get(network)
        if before is not None:
            self.records[network] = before.record

    def _see(self, network: str, owner: str, name: str, digest: str) -> tuple[SeenRecord, ...]:
        self.names[network] = (owner, name)
        history = extend_history(self.previous.seen_records.get(network, ()), digest, self.snapshot.height)
        self.seen[network] = history
        return history

    def fill_networks(self, ledger: Mapping[str, Iterable[int]]) -> None:
        """Deployments and leases of every record found."""
        asked = {network: self._dseqs(network, ledger.get(network, ())) for network in self.records}
        jobs = sorted({(self.records[network].owner, dseq) for network, dseqs in asked.items() for dseq in dseqs})
        leases = dict(zip(jobs, self._all(lambda job: self.snapshot.deployment_leases(*job), jobs), strict=True))
        members = sorted({(record.owner, dseq) for record in self.records.values() for dseq in record.members.values()})
        described = dict(zip(members, self._all(lambda job: self.snapshot.deployment(*job), members), strict=True))
        for network, dseqs in asked.items():
            self.networks[network] = self._network(network, dseqs, leases, described)

    def _dseqs(self, network: str, ledger: Iterable[int]) -> set[int]:
        """The deployments whose leases are asked for: members, and former ones that may still change."""
        old = self.previous.networks.get(network)
        former = {lease.id.dseq for lease in old.leases if not lease.closed_at} if old else set()
        known = {lease.id.dseq for lease in old.leases} if old else set()
        # A former deployment that is known and has no open lease doesn't change any more.
        return set(self.records[network].members.values()) | former | (set(ledger) - known)

    def _network(
        self,
        network: str,
        dseqs: set[int],
        leases: Mapping[tuple[str, int], tuple[Lease, ...] | None],
        described: Mapping[tuple[str, int], Deployment | None],
    ) -> NetworkView:
        record = self.records[network]
        old = self.previous.networks.get(network)
        # Leases are never deleted on chain: one that is missing now is a node's slip and stays as it was.
        merged = {lease.id: lease for lease in old.leases} if old else {}
        for dseq in sorted(dseqs):
            rows = leases[record.owner, dseq]
            if rows is None:
                self.problems[network] = f"deployment {dseq} has more than {MAX_DEPLOYMENT_LEASES} leases"
            merged |= {lease.id: lease for lease in rows or ()}
        deployments: dict[int, Deployment] = {}
        for dseq in record.members.values():
            # Deployments are never deleted either.
            one = described[record.owner, dseq] or (old.deployments.get(dseq) if old else None)
            if one is not None:
                deployments[dseq] = one
        return NetworkView(record=record, deployments=deployments, leases=_bounded(merged.values(), record))

    def read_hosts(self, further: Iterable[str]) -> None:
        """The host records of every provider that takes part, votes, or may."""
        providers = set(further)
        if self.provider:
            providers.add(self.provider)
        for network in self.networks.values():
            providers |= network.participants()
            providers |= {lease.id.provider for lease in network.leases if lease.running}
            providers |= {voter.node.provider for voter in network.record.founders}
            providers |= {node.provider for node in network.record.witnesses}
        wanted = sorted(providers)
        for provider, record in zip(wanted, self._all(self.snapshot.provider, wanted), strict=True):
            if record is None:
                # Providers are never deleted on chain, so this is a node's slip.
                self.hosts |= {host.id: host for host in self.previous.hosts_of(provider)}
                continue
            entries = sorted((key, value) for key, value in record.attributes if key.startswith(HOST_PREFIX))
            for key, value in entries[:_MAX_NODES]:
                self._host(provider, key.removeprefix(HOST_PREFIX), value)

    def _host(self, provider: str, node: str, text: str) -> None:
        try:
            host = parse_host_record(provider, node, text)
        except InvalidInput as error:
            shown = fields.printable(node)
            self.problems[f"{provider}/{shown}"] = _told(error)
            before = self.previous.hosts.get(NodeId(provider, node))
            if before is not None:
                self.hosts[before.id] = before
        else:
            self.hosts[host.id] = host

    def _all(self, job: Callable[[T], R], items: Iterable[T]) -> list[R]:
        return list(self.pool.map(job, items))


@dataclass
class _Room:
    """What of one owner's networks is read; the asking is bounded, or one tenant could keep a host asking for ever."""

    unlimited: bool
    networks: int = 0
    deployments: set[int] = field(default_factory=set)
    voters: set[str] = field(default_factory=set)

    def take(self, record: NetworkRecord) -> None:
        """Count the network in. InvalidInput: it is one too many, and nothing is counted."""
        deployments = self.deployments | set(record.members.values())
        voters = self.voters | {voter.node.provider for voter in record.founders}
        voters |= {node.provider for node in record.witnesses}
        for count, most, what in (
            (self.networks + 1, _MAX_NETWORKS, "networks"),
            (len(deployments), _MAX_DEPLOYMENTS, "deployments"),
            (len(voters), _MAX_VOTERS, "voters"),
        ):
            if count > most and not self.unlimited:
                raise InvalidInput(f"is left out: its owner names more than {most} {what} here", where="record")
        self.networks, self.deployments, self.voters = self.networks + 1, deployments, voters


def _told(error: InvalidInput) -> str:
    return _plain(str(error), 1000)


def _plain(text: str, most: int) -> str:
    """What a stranger's mistake is called, fit for the view's file: a view that can't be loaded stops everything."""
    return (text if text.isprintable() else ascii(text)[1:-1])[:most]


def _parsed(owner: str, name: str, text: RecordText) -> NetworkRecord:
    if isinstance(text, InvalidInput):
        raise text
    return parse_network_record(owner, name, text)


def _bounded(leases: Iterable[Lease], record: NetworkRecord) -> tuple[Lease, ...]:
    """All leases of members and all that aren't closed; of the rest the newest."""
    members = set(record.members.values())
    needed = [lease for lease in leases if lease.id.dseq in members or not lease.closed_at]
    old = [lease for lease in leases if lease.id.dseq not in members and lease.closed_at]
    old.sort(key=lambda lease: lease.closed_at)
    return tuple(sorted(needed + old[-_MAX_OLD_LEASES:], key=lambda lease: lease.id))


def read_planned(snapshot: Snapshot, record: NetworkRecord, providers: Iterable[str] = ()) -> View:
    """A view of one network as it would be with this record, whatever stands on chain.

    ``providers``: further accounts whose host records are wanted.
    """
    with ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="avpn-view") as pool:
        reading = _Reading(
            snapshot=snapshot,
            previous=View(snapshot.chain_id, 0, 0, networks={}, hosts={}),
            pool=pool,
            provider=None,
            owners=frozenset(),
            keep=frozenset(),
            carrier=AuditCarrier(),
            records={record.id: record},
        )
        reading.fill_networks({})
        reading.read_hosts(providers)
        return reading.view()
