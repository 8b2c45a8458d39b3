# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A peer's session: lines in, lines out, bounded in size, number and time.

The other end may be anybody whose key the chain names. It may stall, flood, or stop in the middle of a
line; it gets an error as an object where there is one to give, and a closed connection where there isn't.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass

from .._common.errors import AvpnError, InvalidInput, Unavailable
from .messages import MAX_REQUEST, error_answer

_CHUNK = 1 << 16
_LULL = 0.05  # seconds without a request, after which there is time for what can wait
_LONGEST_PUT_OFF = 1.0  # seconds it waits at most


@dataclass(frozen=True)
class Bounds:
    """What a session may cost."""

    idle: float = 120.0  # seconds until a request begins
    line: float = 60.0  # seconds until it is whole
    answer: float = 60.0  # seconds until the peer has taken the answer
    session: float = 1800.0  # seconds of all
    requests: int = 10_000
    request_bytes: int = MAX_REQUEST


class Session:
    """Serves requests from file descriptor ``source`` to ``sink`` until the peer or a bound ends it."""

    def __init__(self, source: int, sink: int, bounds: Bounds = Bounds()) -> None:
        self._source = source
        self._sink = sink
        self._bounds = bounds
        self._buffer = bytearray()
        self._end = time.monotonic() + bounds.session
        self._afterwards: Callable[[], None] = lambda: None
        self._put_off: float | None = None  # since when something may wait
        os.set_blocking(source, False)
        os.set_blocking(sink, False)

    def serve(self, handle: Callable[[bytes], bytes], afterwards: Callable[[], None] = lambda: None) -> str:
        """Answer each line with ``handle(line)`` (a line). Returns why the session ended, for the log.

        ``afterwards`` is called when answers have left and the peer is quiet for a moment, and at the end: for what
        nobody waits for. One call does for all requests before it.
        """
        self._afterwards = afterwards
        try:
            return self._serve(handle)
        finally:
            self._catch_up()

    def _serve(self, handle: Callable[[bytes], bytes]) -> str:
        for _unused in range(self._bounds.requests):
            if self._put_off is not None and time.monotonic() > self._put_off + _LONGEST_PUT_OFF:
                self._catch_up()
            try:
                line = self._read()
            except AvpnError as error:
                self._write(error_answer(error))
                return str(error)
            except EOFError:
                return "closed by the peer"
            except TimeoutError:
                return "the peer was silent for too long"
            answer = handle(line)
            if self._put_off is None:
                self._put_off = time.monotonic()
            if not self._write(answer):
                return "the peer didn't take the answer"
        self._write(error_answer(Unavailable("there were too many requests in this session")))
        return "too many requests"

    def _read(self) -> bytes:
        """The next line without its end. EOFError also for an unfinished line: nobody meant that as a request."""
        searched = 0
        deadline = min(self._end, time.monotonic() + (self._bounds.line if self._buffer else self._bounds.idle))
        while True:
            end = self._buffer.find(b"\n", searched)
            if (end < 0 and len(self._buffer) > self._bounds.request_bytes) or end > self._bounds.request_bytes:
                raise InvalidInput(f"is longer than {self._bounds.request_bytes} bytes", where="request")
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                return line
            searched = len(self._buffer)
            if self._put_off is not None and not self._ready(self._source, selectors.EVENT_READ, _LULL):
                self._catch_up()
            self._wait(self._source, selectors.EVENT_READ, deadline)
            try:
                data = os.read(self._source, _CHUNK)
            except OSError:
                data = b""
            if not data:
                raise EOFError
            if not self._buffer:
                deadline = min(self._end, time.monotonic() + self._bounds.line)
            self._buffer += data

    def _write(self, line: bytes) -> bool:
        """Hand over an answer; tells whether the peer took it."""
        rest = memoryview(line)
        deadline = time.monotonic() + self._bounds.answer
        try:
            while rest:
                self._wait(self._sink, selectors.EVENT_WRITE, deadline)
                rest = rest[os.write(self._sink, rest[:_CHUNK]) :]
        except (TimeoutError, OSError):
            return False
        return True

    def _catch_up(self) -> None:
        if self._put_off is not None:
            self._put_off = None
            self._afterwards()

    def _wait(self, handle: int, event: int, deadline: float) -> None:
        if not self._ready(handle, event, max(deadline - time.monotonic(), 0)):
            raise TimeoutError

    @staticmethod
    def _ready(handle: int, event: int, seconds: float) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(handle, event)
            return bool(selector.select(seconds))
