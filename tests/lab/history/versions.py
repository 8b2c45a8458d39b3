# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a ledger's history must look like, whoever recorded it. Pure; shown wrong histories before it is believed.

A history is what the outside saw: the certified versions, what proposers were told (an acknowledgement), and
what they saw on the way (an observation). It doesn't know how rounds work.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Version:
    """One certified version: who has which address. ``bound``: endpoint -> (host, address)."""

    number: int
    hash: str
    parent: str
    bound: Mapping[str, tuple[str, str]]
    hosts: Mapping[str, str]  # host -> its own address

    @classmethod
    def of(cls, value: Any, hash_: str) -> Version:
        """From a value of the ledger."""
        return cls(
            value.version,
            hash_,
            value.parent,
            {str(endpoint): (str(slot.host), str(slot.address)) for endpoint, slot in value.bound().items()},
            {str(node): str(entry.address) for node, entry in value.hosts.items()},
        )


@dataclass(frozen=True)
class Step:
    """What one version changed; None: not there any more."""

    number: int
    hash: str
    parent: str
    bound: Mapping[str, tuple[str, str] | None]
    hosts: Mapping[str, str | None]

    @classmethod
    def of(cls, certificate: Mapping[str, Any], change: Mapping[str, Any]) -> Step:
        """From the documents on the wire: the certificate of a ``learn``, the change of its ``accept``."""
        bound = {
            endpoint: (slot["host"], slot["address"]) if slot["bound"] else None
            for endpoint, slot in change.get("slots", {}).items()
        }
        hosts = {node: None if entry is None else entry["address"] for node, entry in change.get("hosts", {}).items()}
        hash_ = certificate["ballot"]["hash"]
        return cls(certificate["version"], hash_, certificate["parent"], bound, hosts)


@dataclass(frozen=True)
class Told:
    """A proposer asked between ``began`` and ``ended`` (one clock for all) and was told an address at a version."""

    proposer: str
    endpoint: str
    address: str
    version: int
    hash: str
    began: float
    ended: float


@dataclass(frozen=True)
class Seen:
    """Somebody held this version to be certified; by the order of its entries, versions of one observer only rise."""

    observer: str
    version: int
    hash: str


@dataclass(frozen=True)
class History:
    versions: Sequence[Version]
    told: Sequence[Told] = ()
    seen: Sequence[Seen] = field(default_factory=tuple)


def replay(steps: Iterable[Step]) -> tuple[list[Version], list[str]]:
    """All versions from what many saw of them, and where they contradict each other."""
    by_number: dict[int, Step] = {}
    found = []
    for step in steps:
        if by_number.setdefault(step.number, step) != step:
            found.append(f"there are two versions {step.number}")
    versions: list[Version] = []
    bound: dict[str, tuple[str, str]] = {}
    hosts: dict[str, str] = {}
    for number, step in sorted(by_number.items()):
        bound = {key: one for key, one in {**bound, **step.bound}.items() if one is not None}
        hosts = {key: one for key, one in {**hosts, **step.hosts}.items() if one is not None}
        versions.append(Version(number, step.hash, step.parent, bound, hosts))
    return versions, found


def faults(history: History) -> list[str]:
    """Everything that is wrong, in words; empty for a good history."""
    return [*chained(history.versions), *twice(history.versions), *_acknowledged(history), *_observed(history)]


def chained(versions: Sequence[Version]) -> list[str]:
    """One version after the other, each the child of the one before."""
    found = []
    for before, after in itertools.pairwise(versions):
        if after.number != before.number + 1:
            found.append(f"version {after.number} comes after version {before.number}")
        if after.parent != before.hash:
            found.append(f"version {after.number} is not the child of version {before.number}")
    return found


def twice(versions: Sequence[Version]) -> list[str]:
    """No address is anybody else's at the same time, and none moves while its endpoint is bound."""
    found = []
    before: Mapping[str, tuple[str, str]] = {}
    for version in versions:
        holders: dict[str, str] = {}
        owned = [(address, endpoint) for endpoint, (_host, address) in version.bound.items()]
        for address, holder in [*owned, *((address, host) for host, address in version.hosts.items())]:
            other = holders.setdefault(address, holder)
            if other != holder:
                found.append(f"version {version.number}: {address} is {other}'s and {holder}'s")
        for endpoint, had in before.items():
            has = version.bound.get(endpoint)
            if has is not None and has != had:
                found.append(f"version {version.number}: {endpoint} moved from {had} to {has}")
        before = version.bound
    return found


def _acknowledged(history: History) -> list[str]:
    """What somebody was told is so in that version and in all later ones, and was known to whoever asked later."""
    found = []
    by_number = {version.number: version for version in history.versions}
    newest = history.versions[-1].number if history.versions else -1
    for told in history.told:
        if told.version not in by_number:
            found.append(f"{told.proposer} was told version {told.version}, which nobody certified")
            continue
        if by_number[told.version].hash != told.hash:
            found.append(f"{told.proposer} was told another version {told.version}")
        for number in range(told.version, newest + 1):
            if number in by_number and by_number[number].bound.get(told.endpoint) != (told.proposer, told.address):
                found.append(f"version {number} has lost {told.address} of {told.proposer} ({told.endpoint})")
                break
    highest, finished = -1, sorted(history.told, key=lambda one: one.ended)
    ended = 0
    for told in sorted(history.told, key=lambda one: one.began):
        while ended < len(finished) and finished[ended].ended < told.began:
            highest = max(highest, finished[ended].version)
            ended += 1
        if told.version < highest:
            found.append(f"{told.proposer} was told version {told.version} after somebody was told {highest}")
    return found


def _observed(history: History) -> list[str]:
    """Nobody saw a version that isn't the certified one, and for nobody versions went back."""
    found = []
    hashes = {version.number: version.hash for version in history.versions}
    last: dict[str, int] = {}
    for seen in history.seen:
        if hashes.get(seen.version) != seen.hash:
            found.append(f"{seen.observer} saw another version {seen.version}")
        if seen.version < last.get(seen.observer, -1):
            found.append(f"{seen.observer} saw version {seen.version} after {last[seen.observer]}")
        last[seen.observer] = seen.version
    return found
