# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has which address: nothing twice, nothing that was acknowledged lost, nothing changed that nobody asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .events import Operation, Recording
from .replaying import Chain
from .versions import chained, twice

# What an operation may make of the slot it names.
_BINDS = {"allocate": True, "rebind": True, "release": False}


def forks(chain: Chain) -> Iterator[str]:
    """Versions that don't follow each other."""
    yield from chain.problems
    yield from chained(chain.versions)


def duplicates(chain: Chain) -> Iterator[str]:
    """Addresses that two hold in one version, or that move while they are bound."""
    yield from twice(chain.versions)
    for before, slots, version in zip(chain.slots, chain.slots[1:], chain.versions[1:], strict=False):
        for endpoint, slot in slots.items():
            old = before.get(endpoint)
            if old is not None and old["address"] not in (slot["address"], None) and slot["address"] is not None:
                yield f"version {version.number}: {endpoint} has {slot['address']} instead of {old['address']}"


def lost(recording: Recording, chain: Chain) -> Iterator[str]:
    """Acknowledged bindings that a later version doesn't hold any more, though nobody asked for a change."""
    changed, asked = _changes(chain), _Asked(recording, chain)
    for one in recording.operations.values():
        if one.outcome != "ok" or one.found is None or not one.found["bound"]:
            continue
        if not 0 <= one.version < len(chain.versions):
            yield f"operation {one.number} was acknowledged {one.endpoint} at version {one.version}, which isn't there"
            continue
        held = chain.slots[one.version].get(one.endpoint)
        if held is None or not held["bound"] or held["address"] != one.found["address"]:
            yield f"version {one.version} has lost {one.found['address']} of {one.endpoint} (operation {one.number})"
            continue
        after = next((number for number in changed.get(one.endpoint, ()) if number > one.version), None)
        if after is not None and not asked(after, one.endpoint):
            yield f"version {after} has lost {held['address']} of {one.endpoint} (operation {one.number})"


def unasked(recording: Recording, chain: Chain) -> Iterator[str]:
    """Changes of slots that no operation asked for."""
    asked = _Asked(recording, chain)
    for endpoint, numbers in _changes(chain).items():
        for number in numbers:
            if not asked(number, endpoint):
                yield f"version {number} changes {endpoint}, which nobody asked for"


def differing_ends(recording: Recording, chain: Chain) -> Iterator[str]:
    """Hosts that don't hold the last version in the end, with its certificate."""
    if not chain.versions:
        yield "no version was ever certified"
        return
    last = chain.versions[-1]
    missing = {voter["node"] for voter in chain.voters[-1]} - {final.host for final in recording.finals}
    if missing:
        yield f"voters that nobody told what they hold in the end: {', '.join(sorted(missing))}"
    for final in recording.finals:
        held = final.certificate["version"], final.certificate["ballot"]["hash"]
        if held != (last.number, last.hash):
            yield f"{final.host} ends with version {held[0]} ({held[1][:12]}), not {last.number} ({last.hash[:12]})"
        if final.value["slots"] != chain.slots[-1] or final.value["hosts"] != chain.hosts[-1]:
            yield f"{final.host} ends with other entries than the changes lead to"


def _changes(chain: Chain) -> dict[str, list[int]]:
    """Endpoint -> versions in which its slot became another; signing it anew is no change."""
    found: dict[str, list[int]] = {}
    before: Mapping[str, Any] = {}
    for slots, version in zip(chain.slots, chain.versions, strict=True):
        for endpoint in slots.keys() | before.keys():
            old, new = before.get(endpoint), slots.get(endpoint)
            if old is not new and _plain(old) != _plain(new):
                found.setdefault(endpoint, []).append(version.number)
        before = slots
    return found


def _plain(slot: Mapping[str, Any] | None) -> object:
    return None if slot is None else {key: value for key, value in slot.items() if key != "batch"}


class _Asked:
    """Tells whether some operation asked for what a version makes of an endpoint."""

    def __init__(self, recording: Recording, chain: Chain) -> None:
        self._chain = chain
        self._of: dict[str, list[Operation]] = {}
        for one in recording.operations.values():
            self._of.setdefault(one.endpoint, []).append(one)
        self._built = {hash_ for one in recording.operations.values() for hash_ in one.built}

    def __call__(self, number: int, endpoint: str) -> bool:
        slot, hash_ = self._chain.slots[number].get(endpoint), self._chain.versions[number].hash
        if slot is None:
            return False
        fitting = [one for one in self._of.get(endpoint, ()) if _BINDS.get(one.kind) == slot["bound"]]
        if hash_ in self._built:
            # Whoever proposed it, or left exactly this entry for somebody else to bring along.
            return any(
                one.built.get(hash_) == "own" or slot in (left.get(endpoint) for left in one.left) for one in fitting
            )
        # A client that was killed may have taken the note of its proposal with it.
        return any(one.outcome == "unknown" for one in fitting)
