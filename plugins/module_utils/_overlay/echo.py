# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking other hosts, through the tunnels, whether they hear this one: echo requests (RFC 792, RFC 4443)."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Mapping

from .._common.errors import Unsupported
from . import netns

Pair = tuple[str, str]  # another host's address, and the own one it is asked from

_EVERY = 0.7  # seconds; hosts answer four a second
_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}


def answers(
    asked: Mapping[str, Iterable[Pair]], seconds: float, *, one_is_enough: bool = False
) -> dict[str, set[Pair]]:
    """Who answers within so many seconds. ``asked``: by path of a network's namespace; so is the result.

    Ends when all have answered; with ``one_is_enough``, when somebody has in each network where somebody was asked.
    """
    with contextlib.ExitStack() as stack:
        asking = _Asking(stack, {path: sorted(set(pairs)) for path, pairs in asked.items()})
        end = time.monotonic() + seconds
        while not asking.done(one_is_enough) and (left := end - time.monotonic()) > 0:
            asking.send()
            asking.receive(min(left, _EVERY), one_is_enough)
        return asking.answered


class _Asking:
    def __init__(self, stack: contextlib.ExitStack, asked: Mapping[str, list[Pair]]) -> None:
        self.answered: dict[str, set[Pair]] = {path: set() for path in asked}
        self._asked = asked
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._sockets: dict[tuple[str, str], socket.socket] = {}
        self._identifier = int.from_bytes(os.urandom(2), "big")
        for path, pairs in asked.items():
            for own in sorted({own for _other, own in pairs}):
                # An own address that isn't there yet, or a namespace: nobody is heard from there.
                with contextlib.suppress(OSError, Unsupported):
                    made = stack.enter_context(_opened(path, own))
                    self._sockets[path, own] = made
                    self._selector.register(made, selectors.EVENT_READ, path)

    def done(self, one_is_enough: bool) -> bool:
        if one_is_enough:
            return all(self.answered[path] for path, pairs in self._asked.items() if pairs)
        return all(len(self.answered[path]) == len(pairs) for path, pairs in self._asked.items())

    def send(self) -> None:
        for path, pairs in self._asked.items():
            for number, (other, own) in enumerate(pairs):
                made = self._sockets.get((path, own))
                if made is not None and (other, own) not in self.answered[path]:
                    with contextlib.suppress(OSError):  # no way there at the moment
                        made.sendto(request(_version(other), self._identifier, number), (other, 0))

    def receive(self, seconds: float, one_is_enough: bool) -> None:
        end = time.monotonic() + seconds
        while not self.done(one_is_enough) and (left := end - time.monotonic()) > 0:
            for key, _events in self._selector.select(left):
                self._heard(key.fileobj, key.data)  # type: ignore[arg-type]

    def _heard(self, made: socket.socket, path: str) -> None:
        try:
            data, sender = made.recvfrom(2048)
        except OSError:
            return
        version = 6 if made.family == socket.AF_INET6 else 4
        message = data[(data[0] & 15) * 4 :] if version == 4 and data else data
        if len(message) < 8:
            return
        kind, _code, _checksum, identifier, number = struct.unpack("!BBHHH", message[:8])
        pairs = self._asked[path]
        expected = kind == _REPLY[version] and identifier == self._identifier and number < len(pairs)
        if expected and pairs[number][0] == sender[0]:
            self.answered[path].add(pairs[number])


def request(version: int, identifier: int, number: int) -> bytes:
    """An echo request; the kernel fills in the checksum of ICMPv6, which covers addresses."""
    head = struct.pack("!BBHHH", _REQUEST[version], 0, 0, identifier, number & 0xFFFF)
    if version == 6:
        return head
    total = sum(struct.unpack("!4H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[4:]


def _opened(path: str, own: str) -> socket.socket:
    with netns.entered(path):
        if _version(own) == 6:
            made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        else:
            made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    try:
        made.setblocking(False)
        made.bind((own, 0))
    except OSError:
        made.close()
        raise
    return made


def _version(address: str) -> int:
    return 6 if ":" in address else 4
