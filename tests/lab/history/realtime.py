# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the ledger is one register: whatever clients did can be put into one order that real time agrees with.

The chain of versions is that order (each names its parent's hash), so nothing has to be searched for, and every
operation is compared with it. What must hold, with ``began`` and ``ended`` of one clock for all clients:

- An answer whose strength is *decided* or *confirmed* is at least as new as every such answer that had come before
  the operation began.
- One that is *fetched* (a majority was asked for its newest certified value) may be one version older: whoever
  accepts a version holds the one before it as certified, but learns of its certificate only afterwards.
- A version is seen by nobody before the operation that proposed it began.
- What an operation proposed that began later is a later version.
- An operation that failed for sure never takes effect.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from .events import FOREVER, Recording
from .replaying import Chain

STRICT = ("decided", "confirmed")


def stale(recording: Recording) -> Iterator[str]:
    """Answers that are older than what had been answered before they were asked for."""
    answered = sorted(
        (one for one in recording.operations.values() if one.outcome == "ok" and one.strength in STRICT),
        key=lambda one: one.ended,
    )
    highest, source, position = -1, -1, 0
    for operation in sorted(recording.operations.values(), key=lambda one: one.began):
        while position < len(answered) and answered[position].ended < operation.began:
            if answered[position].version > highest:
                highest, source = answered[position].version, answered[position].number
            position += 1
        if operation.outcome != "ok" or operation.strength == "seen":
            continue
        allowed = highest - (operation.strength == "fetched")
        if operation.version < allowed:
            yield (
                f"operation {operation.number} ({operation.kind}) was answered version {operation.version}"
                f" after operation {source} had been answered {highest}"
            )


def untrue(recording: Recording, chain: Chain) -> Iterator[str]:
    """Answers that aren't what the version they name holds."""
    for operation in recording.operations.values():
        if operation.outcome != "ok":
            continue
        if not 0 <= operation.version < len(chain.versions):
            yield f"operation {operation.number} was answered version {operation.version}, which nobody certified"
            continue
        if chain.versions[operation.version].hash != operation.hash:
            yield f"operation {operation.number} was answered another version {operation.version}"
        if operation.endpoint and operation.found != chain.slots[operation.version].get(operation.endpoint):
            yield f"operation {operation.number} was told what version {operation.version} doesn't hold"


def misplaced(recording: Recording, chain: Chain) -> Iterator[str]:
    """Versions that were seen before anybody proposed them, or decided in another order than they were asked for."""
    proposed: dict[str, float] = {}
    for operation in recording.operations.values():
        for hash_ in operation.built:
            proposed[hash_] = min(proposed.get(hash_, FOREVER), operation.began)
    seen: dict[int, tuple[float, int]] = {}
    for operation in recording.operations.values():
        if operation.outcome == "ok":
            seen[operation.version] = min(
                seen.get(operation.version, (FOREVER, -1)), (operation.ended, operation.number)
            )
    answered = sorted(
        (one.ended, one.version)
        for one in recording.operations.values()
        if one.outcome == "ok" and one.strength in STRICT
    )
    highest = list(accumulate((version for _ended, version in answered), max))
    # Whoever sees a version has seen all before it.
    earliest, by = FOREVER, -1
    for version in reversed(chain.versions):
        if seen.get(version.number, (FOREVER, -1))[0] < earliest:
            earliest, by = seen[version.number]
        began = proposed.get(version.hash)
        if began is None:
            continue
        if began > earliest:
            yield (
                f"operation {by} was answered version {version.number} or a later one"
                " before whoever proposed that had begun"
            )
        before = bisect_left(answered, (began, -1))
        if before and highest[before - 1] >= version.number:
            yield f"version {version.number} was proposed only after version {highest[before - 1]} had been answered"


def undead(recording: Recording, chain: Chain) -> Iterator[str]:
    """Operations that failed for sure and took effect all the same."""
    certified = {version.hash: version.number for version in chain.versions}
    others: dict[str, int] = {}
    for operation in recording.operations.values():
        for hash_ in operation.built:
            others[hash_] = others.get(hash_, 0) + 1
    for operation in recording.operations.values():
        if operation.outcome != "failed":
            continue
        for hash_, what in operation.built.items():
            if what == "own" and hash_ in certified and others[hash_] == 1:
                yield f"operation {operation.number} failed for sure, but is version {certified[hash_]}"
        for endpoint, slot in ((key, slot) for left in operation.left for key, slot in left.items()):
            taken = next((number for number, slots in enumerate(chain.slots) if slots.get(endpoint) == slot), None)
            if taken is not None:
                yield f"operation {operation.number} failed for sure, but what it left for others is in version {taken}"
