# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who wrote the entries of a value: what a host checks again before it plans with one.

A certificate says that the voters checked all of it. Here nothing but the value itself is believed, so that
voters who lie can't change what others wrote: they don't have their keys.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._common.ids import NodeId
from .digests import Entry, entry_digest
from .errors import BadProof
from .signing import verify_batch
from .value import Value


def verify_authorship(value: Value) -> None:
    """Raise BadProof unless every signature is good and every entry is covered by the batch that it names.

    Host entries must be signed by the host itself, bound slots and locks by who holds them; a release may be
    anybody's. A batch keeps the key it was made with, so that it stays verifiable; that this was the author's is
    what the voters have checked.
    """
    for name, batch in value.batches.items():
        if not verify_batch(value.network, batch):
            raise BadProof("has a wrong signature", where=f"batches.{name}")
    covered = {name: frozenset(batch.digests) for name, batch in value.batches.items()}
    for kind, key, entry, batch_name, author in _entries(value):
        if entry_digest(kind, key, entry) not in covered.get(batch_name, ()):
            raise BadProof(f"is not what {batch_name} signs", where=f"{kind}s.{key}")
        signed_by = value.batches[batch_name].author
        if author is not None and signed_by != author:
            raise BadProof(f"is signed by {signed_by}, not by {author}", where=f"{kind}s.{key}")


def _entries(value: Value) -> Iterator[tuple[str, object, Entry, str, NodeId | None]]:
    """Kind, key, the entry, the batch it names, and who must have signed it (None: anybody)."""
    for node, host in value.hosts.items():
        yield "host", node, host, host.batch, node
    for endpoint, slot in value.slots.items():
        yield "slot", endpoint, slot, slot.batch, slot.host if slot.bound else None
    for name, lock in value.locks.items():
        yield "lock", name, lock, lock.batch, lock.holder
