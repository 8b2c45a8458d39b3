# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the entries somebody wants to a signed change: digests, one batch, one signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .._common.ids import EndpointId, NodeId
from .change import Change, references
from .constants import WASTE_ALLOWANCE, WASTE_FACTOR
from .digests import entry_digest, with_batch
from .signing import Signer, sign_batch
from .value import HostEntry, Lock, Slot, Value


@dataclass(frozen=True)
class Draft:
    """Entries without a signature yet; their ``batch`` is filled in. ``None`` removes an entry."""

    hosts: Mapping[NodeId, HostEntry | None] = field(default_factory=dict)
    slots: Mapping[EndpointId, Slot] = field(default_factory=dict)
    locks: Mapping[str, Lock | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.hosts or self.slots or self.locks)


def sign(draft: Draft, parent: Value, author: NodeId, signer: Signer) -> Change:
    """The draft as a change of ``parent``, in one batch of ``author``.

    Where the author's old batches would waste too much room, its other entries are signed anew along with it.
    """
    draft = _compacted(draft, parent, author)
    digests = [entry_digest("host", node, entry) for node, entry in draft.hosts.items()]
    digests += [entry_digest("slot", endpoint, slot) for endpoint, slot in draft.slots.items()]
    digests += [entry_digest("lock", name, lock) for name, lock in draft.locks.items()]
    serial = parent.serials.get(author, 0) + 1
    batch = sign_batch(signer, parent.network, parent.generation, author, serial, digests)
    name = batch.name
    return Change(
        hosts={
            node: None if entry is None else with_batch("host", node, entry, name)
            for node, entry in draft.hosts.items()
        },
        slots={endpoint: with_batch("slot", endpoint, slot, name) for endpoint, slot in draft.slots.items()},
        locks={key: None if lock is None else with_batch("lock", key, lock, name) for key, lock in draft.locks.items()},
        batches={name: batch},
    )


def _compacted(draft: Draft, parent: Value, author: NodeId) -> Draft:
    own = {name: len(batch.digests) for name, batch in parent.batches.items() if batch.author == author}
    hosts = {key: host for key, host in parent.hosts.items() if host.batch in own and key not in draft.hosts}
    slots = {key: slot for key, slot in parent.slots.items() if slot.batch in own and key not in draft.slots}
    locks = {key: lock for key, lock in parent.locks.items() if lock.batch in own and key not in draft.locks}
    kept = references(hosts, slots, locks)
    drafted = len(draft.hosts) + len(draft.slots) + len(draft.locks)
    digests = sum(own[name] for name in kept) + drafted
    covered = len(hosts) + len(slots) + len(locks) + drafted
    if digests <= WASTE_FACTOR * covered + WASTE_ALLOWANCE // 2:
        return draft
    return Draft({**hosts, **draft.hosts}, {**slots, **draft.slots}, {**locks, **draft.locks})
