# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing others' signed entries along in one's own proposal.

Whoever has the turn is given what the others left at the voter (``waiting``). It believes none of it: what doesn't
follow the certified parent by the rules that the voters check, together with its own, is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._chain.model import View
from .._common.errors import InvalidInput
from . import codec
from .change import Change, apply_change, change_from_json
from .errors import RuleBroken, Unseen
from .messages import Certified
from .rules import check
from .value import Value

_MOST_CHECKS = 16  # of a proposal with others' entries: who leaves bad ones can't make it take long


@dataclass(frozen=True)
class Sharing:
    """How a proposer goes together with others.

    build: what this host wants for itself only, with addresses that others hardly choose at the same time.
    view: the chain as this host knows it, by which others' entries are judged.
    """

    build: Callable[[Value], Change | None]
    view: View

    def draft(self, parent: Value) -> Change | None:
        """What may be left with a voter; None if there is nothing that could be brought by somebody else."""
        change = self.build(parent)
        return change if change and can_be_brought(change) else None

    def joined(self, parent: Certified, own: Change, drafts: Sequence[Mapping[str, Any]]) -> Change:
        """``own`` with those of the drafts that may follow the parent along with it."""
        if own.record is not None or own.voters is not None:
            return own
        found = []
        taken = _Taken(parent.value, own)
        for document in drafts:
            try:
                draft = change_from_json(document, "draft", parent.value.record.owner)
            except InvalidInput:
                continue
            if can_be_brought(draft) and taken.add(draft):
                found.append(draft)
        checks = _Checks(parent, self.view)
        return together(own, checks.sound(own, found))


def can_be_brought(change: Change) -> bool:
    """Whether a change is one author's claims and entries, which hold upon any version; what frees or reuses isn't."""
    if change.record is not None or change.voters is not None or change.evidence is not None or change.locks:
        return False
    if None in change.hosts.values() or any(slot.address is None for slot in change.slots.values()):
        return False
    return len(change.batches) == 1


def together(own: Change, others: Sequence[Change]) -> Change:
    """One change of several that have no entry in common."""
    hosts, slots, batches = dict(own.hosts), dict(own.slots), dict(own.batches)
    for other in others:
        hosts.update(other.hosts)
        slots.update(other.slots)
        batches.update(other.batches)
    return replace(own, hosts=hosts, slots=slots, batches=batches)


class _Taken:
    """What is spoken for: a look that costs next to nothing finds most drafts that don't go together."""

    def __init__(self, parent: Value, own: Change) -> None:
        self._parent = parent
        self._addresses = {slot.address for slot in parent.slots.values()}
        self._addresses |= {host.address for host in parent.hosts.values()}
        self._keys: set[object] = set()
        self._authors: set[object] = set()
        self.add(own)

    def add(self, change: Change) -> bool:
        """Whether it goes with all before it; then it is one of them."""
        keys: set[object] = {*change.slots, *change.hosts}
        authors = {batch.author for batch in change.batches.values()}
        before = [self._parent.slots.get(endpoint) for endpoint in change.slots]
        wanted = [slot.address for slot in change.slots.values() if slot.address is not None]
        kept = {slot.address for slot in before if slot is not None}
        for node, host in change.hosts.items():
            known = self._parent.hosts.get(node)
            kept |= set() if known is None else {known.address}
            wanted += [] if host is None else [host.address]
        fresh = {address for address in wanted if address not in kept}
        if keys & self._keys or authors & self._authors or fresh & self._addresses or len(set(wanted)) < len(wanted):
            return False
        self._keys |= keys
        self._authors |= authors
        self._addresses |= set(wanted)
        return True


class _Checks:
    """Finds out which drafts the voters would take, with a limit to what that may cost."""

    def __init__(self, parent: Certified, view: View) -> None:
        self._parent = parent
        self._view = view
        self._left = _MOST_CHECKS

    def sound(self, own: Change, drafts: Sequence[Change]) -> list[Change]:
        """Those that may follow the parent together with ``own``: all at once if they can, else by halves."""
        if not drafts or self._left <= 0:
            return []
        self._left -= 1
        if self._holds(together(own, drafts)):
            return list(drafts)
        if len(drafts) == 1:
            return []
        half = len(drafts) // 2
        first = self.sound(own, drafts[:half])
        return first + self.sound(together(own, first), drafts[half:])

    def _holds(self, change: Change) -> bool:
        value, hash_ = self._parent.value, self._parent.certificate.hash
        try:
            child = apply_change(value, hash_, change)
            check(value, hash_, child, self._view, change=change)
        except (InvalidInput, RuleBroken, Unseen):
            return False
        return codec.value_size(child) <= codec.MAX_BYTES
