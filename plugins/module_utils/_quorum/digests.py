# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests of a value's entries and sections: each entry's is computed once, for its signature and for the value.

A section's digest is over its leaves ``[key, entry digest, batch]`` in the order of their bytes. An entry remembers
its digest and leaf, and the unchanged entries of a child are its parent's, so the hash of a small change of a value
with 10,000 slots costs no more than joining what is at hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, Union

from .._common import canonical
from .._common.canonical import Json
from .entry_codec import batch_json, host_json, lock_json, slot_text
from .signing import entry_text
from .value import Batch, HostEntry, Known, Lock, Slot

Entry = Union[HostEntry, Slot, Lock]
E = TypeVar("E", HostEntry, Slot, Lock)


def entry_digest(kind: str, key: object, entry: Entry | None) -> str:
    """What the author of an entry signs: digest of kind, key and the entry without its batch (None: a removal)."""
    if entry is None:
        return hashlib.sha256(entry_text(kind, str(key), None)).hexdigest()
    return _known(kind, key, entry).digest


def with_batch(kind: str, key: object, entry: E, batch: str) -> E:
    """The entry as covered by ``batch``; its digest stays and isn't computed again."""
    known = _known(kind, key, entry)
    # There are thousands, and ``replace``, which asks for every field's default, takes several times as long.
    named = object.__new__(type(entry))
    vars(named).update(vars(entry), batch=batch)
    _remember(named, kind, key, known.digest, known.size - len(entry.batch) + len(batch))
    return named


def section_digest(kind: str, section: Mapping[Any, Entry]) -> str:
    """Digest of all entries of one kind."""
    return _digest(_known(kind, key, entry).leaf for key, entry in section.items())


def batches_digest(batches: Mapping[str, Batch]) -> str:
    """Digest of the batches: their leaves are ``[name, digest]``."""
    return _digest(_known_batch(name, batch).leaf for name, batch in batches.items())


def section_size(kind: str, section: Mapping[Any, Entry]) -> int:
    """Bytes of the section's canonical JSON, or a few more."""
    return sum(_known(kind, key, entry).size for key, entry in section.items())


def batches_size(batches: Mapping[str, Batch]) -> int:
    """The same of the batches."""
    return sum(_known_batch(name, batch).size for name, batch in batches.items())


def _digest(leaves: Iterable[bytes]) -> str:
    return hashlib.sha256(b"[" + b",".join(sorted(leaves)) + b"]").hexdigest()


def _known(kind: str, key: object, entry: Entry) -> Known:
    known = entry.known
    # The same entry under another key is another entry.
    if known is None or known.kind != kind or (known.key is not key and str(known.key) != str(key)):
        text = _text(kind, str(key), entry)
        known = _remember(entry, kind, key, hashlib.sha256(text).hexdigest(), len(text) + len(entry.batch) + 16)
    return known


def _known_batch(name: str, batch: Batch) -> Known:
    known = batch.known
    if known is None or known.key != name:
        text = canonical.dumps(batch_json(batch))
        digest = hashlib.sha256(text).hexdigest()
        known = Known("batch", name, digest, canonical.dumps([name, digest]), len(text) + len(name) + 4)
        object.__setattr__(batch, "known", known)
    return known


def _remember(entry: Entry, kind: str, key: object, digest: str, size: int) -> Known:
    # Keys and batch names have no character that JSON would write otherwise.
    known = Known(kind, key, digest, f'["{key}","{digest}","{entry.batch}"]'.encode(), size)
    object.__setattr__(entry, "known", known)
    return known


def _text(kind: str, key: str, entry: Entry) -> bytes:
    """What the digest is of (``signing.entry_text``)."""
    if isinstance(entry, Slot):
        return f'{{"entry":{slot_text(entry)},"key":"{key}","kind":"{kind}"}}'.encode()
    document: Json = host_json(entry, signed=True) if isinstance(entry, HostEntry) else lock_json(entry, signed=True)
    return entry_text(kind, key, document)
