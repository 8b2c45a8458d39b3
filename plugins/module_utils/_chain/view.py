# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The view as it is kept on a host: its file, its age, and which records it has seen.

Reading a view from the chain is ``reading``'s; what is here needs no network, so that the
peer command and the fast path start quickly.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

from .._common import canonical
from .._common.errors import InvalidInput, Unavailable
from .._common.regular import read_regular
from .model import ABSENT, SeenRecord, View
from .view_json import view_from_json, view_to_json

MAX_VIEW_BYTES = 256 * 1024 * 1024
MAX_SEEN = 16


def load_view(path: str | os.PathLike[str]) -> View:
    """The view stored at ``path``. Unavailable: there is none; InvalidInput: it isn't one."""
    try:
        data = read_regular(path, most=MAX_VIEW_BYTES)
    except FileNotFoundError as error:
        raise Unavailable(
            "there is no view of the chain yet", where=str(path), remedy="Reconciliation reads and stores it"
        ) from error
    except OSError as error:
        raise Unavailable(f"can't be read: {error.strerror}", where=str(path)) from error
    try:
        return view_from_json(canonical.loads(data, where="view", limit=MAX_VIEW_BYTES))
    except InvalidInput as error:
        raise InvalidInput(f"{error.where} {error.what}", where=str(path)) from error


def save_view(path: str | os.PathLike[str], view: View, *, mode: int = 0o644) -> None:
    """Store the view at ``path``, whole or not at all: written beside it, synchronised, renamed."""
    target = Path(path)
    data = canonical.dumps(view_to_json(view))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def view_age(view: View, now: float | None = None) -> float:
    """Seconds since the block the view was read at; never below 0, even if this host's clock is behind."""
    return max(0.0, (time.time() if now is None else now) - view.time)


def record_seen(view: View, network: str, digest: str, height: int) -> bool | None:
    """Whether the record with ``digest`` was the network's record on chain at ``height``.

    True: a reading at or around that height found it. Between two neighbouring readings that found
    different records, the change may have been at any height, so both count as possible there.
    False: the readings before and after found the same other record.
    None: this view can't tell: the height is newer than the view, or older than what is remembered;
    ``reading.record_at`` asks the chain about that height.
    """
    history = view.seen_records.get(network, ())
    for index, seen in enumerate(history):
        if seen.first_seen <= height <= seen.last_seen:
            return seen.digest == digest
        following = history[index + 1] if index + 1 < len(history) else None
        if following is not None and seen.last_seen < height < following.first_seen:
            return True if digest in (seen.digest, following.digest) else None
    return None


def record_gone(view: View, network: str) -> bool:
    """Whether the record's absence was read at two heights at least, so that the network counts as deleted."""
    history = view.seen_records.get(network, ())
    return bool(history) and history[-1].digest == ABSENT and history[-1].last_seen > history[-1].first_seen


def extend_history(history: tuple[SeenRecord, ...], digest: str, height: int) -> tuple[SeenRecord, ...]:
    """The history with one more reading: the last entry grows, or a new one follows it; the oldest go first."""
    if history and history[-1].last_seen >= height:
        return history
    if history and history[-1].digest == digest:
        return (*history[:-1], SeenRecord(digest, history[-1].first_seen, height))
    return (*history, SeenRecord(digest, height, height))[-MAX_SEEN:]
