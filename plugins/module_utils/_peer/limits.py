# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one caller may cost: sessions at a time, and how often it may ask for what is expensive.

One small file per caller, under the caller's fingerprint. Open sessions hold a lock on one byte each,
which the kernel gives back whatever happens to the process; the times of recent requests stand in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from .._common.errors import Unavailable

_SLOTS_AT = 1 << 20  # byte offset of the session locks, beyond any content
_MOST_CONTENT = 1 << 18
_CONTENT_AT = 1 << 19  # byte whose lock guards the content


class Limits:
    """The limits of one caller (or of all, under a name of our own) below ``directory``."""

    def __init__(self, directory: Path, caller: str) -> None:
        self._mutex = threading.Lock()  # the file's locks hold between processes only
        name = hashlib.sha256(caller.encode()).hexdigest()[:32]
        self._handle = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        os.close(self._handle)

    def enter(self, sessions: int) -> None:
        """Take one of ``sessions`` places until the process ends or ``close``. Unavailable: all are taken."""
        for slot in range(sessions):
            try:
                fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _SLOTS_AT + slot)
                return
            except OSError:
                continue
        raise Unavailable(f"{sessions} sessions of this caller are open already", remedy="Close one, or wait")

    def take(self, what: str, *, every: float, burst: int = 1) -> float:
        """Seconds to wait before ``what`` is allowed; 0 means allowed now, and counted.

        At most ``burst`` at once, refilled by one ``every`` seconds (a token bucket, kept as the
        generic cell rate algorithm keeps it: one time per bucket).
        """
        with self._times() as times:
            now = time.time()
            # A clock that was set back must not lock anybody out for longer than a full bucket takes.
            due = min(max(times.get(what, now), now), now + every * burst)
            wait = due + every - (now + every * burst)
            times[what] = due + every if wait <= 0 else due
            return max(wait, 0.0)

    def give_back(self, what: str, *, every: float) -> None:
        """Undo one ``take`` that turned out to have been worth it."""
        with self._times() as times:
            if what in times:
                times[what] -= every

    def prune(self) -> None:
        """Drop what limits nothing any more; it may name networks that this host has left."""
        with self._times():
            pass

    @contextlib.contextmanager
    def _times(self) -> Iterator[dict[str, float]]:
        """The buckets, written back when they have changed. A damaged file starts anew."""
        with self._mutex, self._locked():
            content = os.pread(self._handle, _MOST_CONTENT, 0)
            try:
                times = {str(key): float(value) for key, value in json.loads(content or b"{}").items()}
            except (ValueError, AttributeError, TypeError):
                times = {}
            before = dict(times)
            yield times
            now = time.time()
            kept = {key: value for key, value in times.items() if value > now}
            if kept != before:
                text = json.dumps(kept).encode()
                os.pwrite(self._handle, text, 0)
                os.ftruncate(self._handle, len(text))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._handle, fcntl.LOCK_EX, 1, _CONTENT_AT)
        try:
            yield
        finally:
            fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, _CONTENT_AT)
