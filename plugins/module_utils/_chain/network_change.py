# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a tenant's wish makes of a network record. Pure: what it needs of the chain is handed in.

Rules that keep a running ledger safe (design sections 3 and 4): the range, the founders and the base
change only together with the generation; generations and manifest versions only rise.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .._common import fields
from .._common.errors import InvalidInput
from .._common.ids import NodeId, network_id
from .model import HostRecord, NetworkRecord, NetworkView, Voter
from .records import MAX_FOUNDERS, network_record_from_json, network_record_json

AUTO = "auto"
_DEFAULT_PREFIX = 20  # 4,094 addresses
_DEFAULT_SPACE = ipaddress.IPv4Network("100.64.0.0/10")


@dataclass(frozen=True)
class Wish:
    """What the tenant wants; None stands for "as it is". Values are not checked yet."""

    cidr: str | None = None
    members: Mapping[str, int] | None = None
    purge_members: bool = True
    absent_members: Sequence[str] = ()
    providers: Sequence[str] | None = None  # ["leases"]: whoever holds a lease
    evicted: Sequence[str] | None = None
    witnesses: Sequence[str] | None = None
    access: Sequence[str] | None = None
    manifest: Mapping[str, Any] | None = None
    generation: int | None = None
    base: str | None = None


@dataclass(frozen=True)
class FounderWish:
    """Which voters start the ledger: named nodes, or a choice among those that hold leases."""

    nodes: tuple[NodeId, ...] | None = None  # None: choose
    least: int | None = None  # providers that must hold leases before a choice; None: every member must have one


@dataclass(frozen=True)
class FounderChoice:
    """The founders, or what is still missing for them."""

    founders: tuple[Voter, ...] = ()
    waiting: str = ""
    notes: tuple[str, ...] = field(default=())


def default_range(owner: str, name: str) -> ipaddress.IPv4Network:
    """The range of a network that names none: one of 1,024 in 100.64.0.0/10, drawn by the network's id."""
    count = 2 ** (_DEFAULT_PREFIX - _DEFAULT_SPACE.prefixlen)
    index = int(network_id(owner, name)[:8], 16) % count
    start = int(_DEFAULT_SPACE.network_address) + index * 2 ** (32 - _DEFAULT_PREFIX)
    return ipaddress.IPv4Network((start, _DEFAULT_PREFIX))


def planned_record(before: NetworkRecord | None, owner: str, name: str, wish: Wish) -> NetworkRecord:
    """The record that the wish makes of the one before, founders of a new generation left empty.

    InvalidInput names the option that is wrong or breaks one of the rules above.
    """
    if before is None:
        start = NetworkRecord(
            owner=fields.account(owner, "owner"),
            name=fields.name(name, "name"),
            cidr=default_range(owner, name),
            members={},
            providers=None,
        )
    else:
        start = before
    document = network_record_json(start)
    if wish.members is not None or wish.absent_members:
        kept = {} if wish.members is not None and wish.purge_members else dict(start.members)
        kept.update(wish.members or {})
        document["members"] = {key: dseq for key, dseq in kept.items() if key not in set(wish.absent_members)}
    if wish.providers is not None:
        document["providers"] = "leases" if list(wish.providers) == ["leases"] else list(wish.providers)
    for option in ("cidr", "evicted", "witnesses", "access", "generation", "base"):
        value = getattr(wish, option)
        if value is not None:
            document[option] = list(value) if isinstance(value, tuple) else value
    if wish.manifest is not None:
        document["manifest"] = dict(wish.manifest)
    if before is not None and document["generation"] != before.generation:
        document["founders"] = []
        document["base"] = wish.base
    after = network_record_from_json(document)
    if before is not None:
        _check_rules(before, after)
    return after


def choose_founders(
    record: NetworkRecord, network: NetworkView, hosts: Mapping[NodeId, HostRecord], wish: FounderWish
) -> FounderChoice:
    """The voters that start this generation: up to five, one per provider, odd where possible.

    ``network`` is the planned record with its leases. Witnesses fill up to an odd number.
    """
    if wish.nodes is not None:
        return FounderChoice(tuple(_voter(node, hosts) for node in wish.nodes))
    taking_part = sorted(
        {provider for provider in network.participants() if provider not in record.evicted},
        # Any fixed order will do; this one doesn't always burden the same providers.
        key=lambda provider: hashlib.sha256(f"{record.id}/{provider}".encode()).digest(),
    )
    able = [node for provider in taking_part if (node := _node_of(provider, hosts)) is not None]
    silent = [provider for provider in taking_part if _node_of(provider, hosts) is None]
    notes = tuple(f"{provider} holds a lease and has published no host" for provider in silent)
    waiting = _waiting(record, network, len(able), wish.least)
    if waiting:
        return FounderChoice(waiting=waiting, notes=notes)
    nodes = able[:MAX_FOUNDERS]
    for witness in record.witnesses:
        wanted = (len(nodes) % 2 == 0 or len(nodes) == 1) and len(nodes) < MAX_FOUNDERS
        if wanted and witness in hosts and witness.provider not in {node.provider for node in nodes}:
            nodes.append(witness)
    # Four tolerate no more losses than three; two tolerate none, but the ledger is in two places.
    if len(nodes) == 4:
        nodes = nodes[:3]
    return FounderChoice(tuple(_voter(node, hosts) for node in nodes), notes=notes)


def with_founders(record: NetworkRecord, founders: Sequence[Voter]) -> NetworkRecord:
    """The record with these founders, checked like any other record."""
    return network_record_from_json(network_record_json(replace(record, founders=tuple(founders))))


def record_lines(record: NetworkRecord | None) -> str:
    """The record for a diff: nothing of it is secret."""
    return "" if record is None else json.dumps(network_record_json(record), indent=2, sort_keys=True) + "\n"


def _check_rules(before: NetworkRecord, after: NetworkRecord) -> None:
    if after.generation < before.generation:
        raise InvalidInput(f"is {after.generation}, the network is at {before.generation} already", where="generation")
    if after.generation == before.generation:
        for option in ("cidr", "base"):
            if getattr(after, option) != getattr(before, option):
                raise InvalidInput(
                    f"can't become {getattr(after, option)}: it is {getattr(before, option)} for this generation",
                    where=option,
                    remedy="Raise the generation; its ledger then starts anew",
                )
    old, new = before.manifest, after.manifest
    if old is not None and new is not None and new != old:
        if new.version < old.version:
            raise InvalidInput(f"is {new.version}, on chain is {old.version}", where="manifest.version")
        if new.version == old.version:
            raise InvalidInput(f"differs from the one on chain for version {old.version}", where="manifest.sha256")


def _waiting(record: NetworkRecord, network: NetworkView, able: int, least: int | None) -> str:
    if least is not None:
        if able < least:
            return f"{able} of {least} providers hold a lease and have published a host"
        return ""
    leased = {record.member_of(lease.id.dseq) for lease in network.running_leases()}
    missing = sorted(set(record.members) - leased)
    if not record.members:
        return "the network has no members yet"
    if missing:
        return f"no lease yet for {', '.join(missing)}"
    return "" if able else "no provider with a lease has published a host"


def _node_of(provider: str, hosts: Mapping[NodeId, HostRecord]) -> NodeId | None:
    return min((node for node in hosts if node.provider == provider), default=None)


def _voter(node: NodeId, hosts: Mapping[NodeId, HostRecord]) -> Voter:
    host = hosts.get(node)
    if host is None:
        raise InvalidInput(f"{node} has no valid host record on chain", where="founders")
    return Voter(node=node, incarnation=host.incarnation, key=host.signing_key)
