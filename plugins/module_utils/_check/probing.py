# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The edge: sockets inside workloads' network namespaces, and what comes back.

A socket belongs to the namespace it was made in, whoever uses it afterwards. So this process is inside a workload's
namespace only for the moment in which it makes one (``netns.entered``, which ends the process if it can't get back);
there is no thread and no child, and every socket is closed when a round ends, however it ends.

What a service notices is one TCP connection that is closed at once, or an empty datagram; nothing is sent over a
connection. Not more than ``RATE`` probes begin in a second, not more than ``WINDOW`` are under way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .._common.errors import Unsupported
from .._common.ids import EndpointId
from .._overlay import netns
from .probes import Probe

RATE = 200  # probes a second
WINDOW = 250  # sockets open at a time
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_ICMP_FILTER, _ICMP6_FILTER, _SOL_RAW = 1, 1, 255
_ECHO_REPLY = {4: 0, 6: 129}
_IP_RECVERR, _IPV6_RECVERR = 11, 25


@dataclass(frozen=True)
class Answer:
    """What came back. ``passed`` None: nothing that tells; ``silent`` then says whether there was only silence."""

    passed: bool | None
    how: str
    silent: bool = False


SILENCE = Answer(None, "silence", silent=True)


class Prober:
    """Sends probes from the workloads at these paths of network namespaces, by endpoint."""

    def __init__(self, workloads: Mapping[EndpointId, str]) -> None:
        self._workloads = workloads

    def send(self, probes: Sequence[Probe], seconds: float) -> dict[Probe, Answer]:
        """Try all of them, each for at most ``seconds``."""
        with contextlib.ExitStack() as stack:
            return _Round(stack, self._workloads, seconds).run(probes)


class _Round:
    def __init__(self, stack: contextlib.ExitStack, workloads: Mapping[EndpointId, str], seconds: float) -> None:
        self._stack = stack
        self._workloads = workloads
        self._seconds = seconds
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._answers: dict[Probe, Answer] = {}
        self._open: dict[Probe, tuple[float, socket.socket | None]] = {}  # by the order of beginning: until when
        self._pingers: dict[tuple[EndpointId, int], socket.socket] = {}
        self._echoes: dict[tuple[str, int], Probe] = {}
        self._identifier = int.from_bytes(os.urandom(2), "big")
        stack.callback(self._close)

    def run(self, probes: Sequence[Probe]) -> dict[Probe, Answer]:
        waiting = deque(probes)
        begin = time.monotonic()
        while waiting or self._open:
            now = time.monotonic()
            while waiting and len(self._open) < WINDOW and now >= begin:
                self._begin(waiting.popleft(), now + self._seconds)
                begin = max(begin, now - 1 / RATE) + 1 / RATE
            until = min((end for end, _socket in self._open.values()), default=now)
            if waiting and len(self._open) < WINDOW:
                until = min(until, begin) if self._open else begin
            for key, _events in self._selector.select(max(0.0, until - time.monotonic())):
                key.data()
            self._expire(time.monotonic())
        return self._answers

    def _begin(self, probe: Probe, end: float) -> None:
        try:
            if probe.packet.port is None:
                self._ping(probe, end)
            else:
                self._connect(probe, end)
        except Unsupported as error:
            self._answers[probe] = Answer(None, f"the workload's namespace {error.what}")
        except OSError as error:
            self._answers[probe] = _failed(error.errno)

    def _expire(self, now: float) -> None:
        for probe in [probe for probe, (end, _socket) in self._open.items() if end <= now]:
            self._end(probe, SILENCE)

    def _end(self, probe: Probe, answer: Answer) -> None:
        _until, used = self._open.pop(probe)
        if used is not None:
            self._selector.unregister(used)
            used.close()
        self._answers[probe] = answer

    def _close(self) -> None:
        for _end, used in self._open.values():
            if used is not None:
                used.close()
        for used in self._pingers.values():
            used.close()

    def _made(self, probe: Probe, kind: int, protocol: int = 0) -> socket.socket:
        """A socket inside the workload's namespace that sends from the endpoint's own address."""
        with netns.entered(self._workloads[probe.source.id]):
            made = socket.socket(_FAMILY[probe.family], kind, protocol)
        try:
            made.setblocking(False)
            made.bind((str(probe.packet.source), 0))
        except BaseException:
            made.close()
            raise
        return made

    # --- TCP and UDP

    def _connect(self, probe: Probe, end: float) -> None:
        stream = probe.packet.protocol == "tcp"
        made = self._made(probe, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        level, option = (socket.IPPROTO_IP, _IP_RECVERR) if probe.family == 4 else (socket.IPPROTO_IPV6, _IPV6_RECVERR)
        try:
            made.setsockopt(level, option, 1)
            failed = made.connect_ex((str(probe.packet.target), probe.packet.port))
            if failed not in (0, errno.EINPROGRESS):
                raise OSError(failed, os.strerror(failed))
            if not stream:
                made.send(b"")
        except OSError:
            made.close()
            raise
        self._open[probe] = (end, made)
        event = selectors.EVENT_WRITE if stream else selectors.EVENT_READ
        told = self._connected if stream else self._answered
        self._selector.register(made, event, self._bound(told, probe, made))

    def _bound(
        self, told: Callable[[Probe, socket.socket], Answer], probe: Probe, made: socket.socket
    ) -> Callable[[], None]:
        return lambda: self._end(probe, told(probe, made))

    def _connected(self, _probe: Probe, made: socket.socket) -> Answer:
        failed = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return Answer(True, "connected") if failed == 0 else _failed(failed)

    def _answered(self, _probe: Probe, made: socket.socket) -> Answer:
        try:
            made.recv(1)
        except OSError as error:
            return _failed(error.errno)
        return Answer(True, "answered")

    # --- ping

    def _ping(self, probe: Probe, end: float) -> None:
        key = (probe.source.id, probe.family)
        if key not in self._pingers:
            made = self._made(
                probe, socket.SOCK_RAW, socket.IPPROTO_ICMP if probe.family == 4 else socket.IPPROTO_ICMPV6
            )
            self._pingers[key] = made
            _only_replies(made, probe.family)
            self._selector.register(made, selectors.EVENT_READ, lambda: self._replies(made, probe.family))
        number = len(self._echoes) & 0xFFFF
        self._echoes[str(probe.packet.target), number] = probe
        self._pingers[key].sendto(echo_request(probe.family, self._identifier, number), (str(probe.packet.target), 0))
        self._open[probe] = (end, None)

    def _replies(self, made: socket.socket, family: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, sender = made.recvfrom(2048)
                body = data[(data[0] & 15) * 4 :] if family == 4 else data
                if len(body) < 8 or body[0] != _ECHO_REPLY[family]:
                    continue
                identifier, number = struct.unpack_from("!HH", body, 4)
                probe = self._echoes.get((sender[0], number))
                if identifier == self._identifier and probe is not None and probe in self._open:
                    self._end(probe, Answer(True, "echo"))


def _failed(number: int | None) -> Answer:
    """What an error says. A reset, or its like for UDP, is the receiver's own: the packet has arrived there."""
    if number == errno.ECONNREFUSED:
        return Answer(True, "refused by the workload")
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return Answer(False, "unreachable")
    return Answer(None, os.strerror(number) if number else "failed")


def _only_replies(made: socket.socket, family: int) -> None:
    if family == 4:
        made.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("I", 0xFFFFFFFF ^ 1 << _ECHO_REPLY[4]))
    else:
        words = [0xFFFFFFFF] * 8
        words[_ECHO_REPLY[6] >> 5] ^= 1 << (_ECHO_REPLY[6] & 31)
        made.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("8I", *words))


def echo_request(family: int, identifier: int, number: int) -> bytes:
    """An echo request (RFC 792, RFC 4443). The kernel fills in ICMPv6's checksum."""
    if family == 6:
        return struct.pack("!BBHHH", 128, 0, 0, identifier, number)
    total = 0x0800 + identifier + number
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBHHH", 8, 0, ~total & 0xFFFF, identifier, number)
