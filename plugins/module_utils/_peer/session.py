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
        os.set_blocking(source, False)
        os.set_blocking(sink, False)

    def serve(self, handle: Callable[[bytes], bytes]) -> str:
        """Answer each line with ``handle(line)`` (a line). Returns why the session ended, for the log."""
        for _unused in range(self._bounds.requests):
            try:
                line = self._read()
            except AvpnError as error:
                self._write(error_answer(error))
                return str(error)
            except EOFError:
                return "closed by the peer"
            except TimeoutError:
                return "the peer was silent for too long"
            if not self._write(handle(line)):
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

    @staticmethod
    def _wait(handle: int, event: int, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(handle, event)
            if not selector.select(max(deadline - time.monotonic(), 0)):
                raise TimeoutError
