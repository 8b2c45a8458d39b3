# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""IP packets of flows, made and read in bytes: first packets, answers, and what follows. Pure.

A packet carries a number by which it is known where it arrives: IPv4's identification, IPv6's flow label. Both
survive forwarding and fragmenting, and nothing decides by them. They have 16 bits. Ports, tags and sequence numbers
of a flow follow from its ``ident``, so that connection tracking takes what follows for parts of the same flow.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Address, Packet

NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132}
ECHO = {"icmp": 8, "icmpv6": 128}
ANSWERS = {8: 0, 13: 14, 15: 16, 17: 18, 128: 129, 139: 140}  # ICMP: types that begin a flow, and what answers them

_SYN, _ACK, _PUSH = 0x02, 0x10, 0x08
_FRAGMENT, _OPTIONS = 44, 60  # IPv6's extension headers
_TO, _BACK = 0x11111111, 0x22222222  # SCTP's tags, TCP's first sequence numbers


@dataclass(frozen=True)
class Flow:
    """A flow by its first packet. ``ident``: its source port, or ICMP's identifier. ``number``: the IP protocol,
    which says more than the packet's ``other``. ``form``: how its packets look: plain, fragments, options (IPv6).
    ``offers``: options of TCP's first packet, in whole words."""

    packet: Packet
    ident: int
    number: int
    form: str = "plain"
    offers: bytes = b""

    @property
    def one_a_pair(self) -> bool:
        """Whether connection tracking takes all packets between two addresses for one flow: there are no ports."""
        return self.packet.protocol == "other"


def first(flow: Flow, number: int) -> list[bytes]:
    """The packet that begins the flow; several if it comes in fragments."""
    return _packets(flow, number, back=False, body=_body(flow, "first"))


def answer(flow: Flow, number: int) -> list[bytes]:
    """What the target says to the first packet."""
    return _packets(flow, number, back=True, body=_body(flow, "answer"))


def later(flow: Flow, number: int, *, back: bool) -> list[bytes]:
    """What either end may send once the flow has been answered, any number of times."""
    return _packets(flow, number, back=back, body=_body(flow, "back" if back else "later"))


def error(flow: Flow, number: int) -> list[bytes]:
    """The target's ICMP error about the first packet: the port is unreachable."""
    (quoted,) = first(replace(flow, form="plain"), 1)
    version = flow.packet.source.version
    protocol, kind, code = ("icmp", 3, 3) if version == 4 else ("icmpv6", 1, 4)
    told = replace(flow, packet=replace(flow.packet, protocol=protocol), number=NUMBERS[protocol], form="plain")
    body = struct.pack("!BBHI", kind, code, 0, 0) + quoted
    return _packets(told, number, back=True, body=_summed(told, body, 2, pseudo=version == 6))


@dataclass(frozen=True)
class Arrival:
    """What identifies a packet that arrived."""

    number: int
    source: Address
    target: Address
    protocol: int


def read(data: bytes) -> Arrival | None:
    """The packet in these bytes, None if it is no IP packet or not the first of several fragments."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        if struct.unpack("!H", data[6:8])[0] & 0x1FFF:
            return None
        source, target = ipaddress.IPv4Address(data[12:16]), ipaddress.IPv4Address(data[16:20])
        return Arrival(struct.unpack("!H", data[4:6])[0], source, target, data[9])
    if len(data) < 40 or data[0] >> 4 != 6:
        return None
    protocol, rest = data[6], data[40:]
    while protocol in (_FRAGMENT, _OPTIONS) and len(rest) >= 8:
        if protocol == _FRAGMENT and struct.unpack("!H", rest[2:4])[0] & 0xFFF8:
            return None
        length = 8 if protocol == _FRAGMENT else 8 * (rest[1] + 1)
        protocol, rest = rest[0], rest[length:]
    source6, target6 = ipaddress.IPv6Address(data[8:24]), ipaddress.IPv6Address(data[24:40])
    return Arrival(struct.unpack("!I", data[:4])[0] & 0xFFFFF, source6, target6, protocol)


def _body(flow: Flow, which: str) -> bytes:
    packet, back = flow.packet, which in ("answer", "back")
    if packet.protocol in ("icmp", "icmpv6"):
        kind = packet.port if packet.port is not None else ECHO[packet.protocol]
        body = struct.pack("!BBHHH", ANSWERS[kind] if back else kind, 0, 0, flow.ident, 1) + bytes(16)
        return _summed(flow, body, 2, pseudo=packet.protocol == "icmpv6")
    pair = (flow.ident, packet.port or 0)
    ports = struct.pack("!HH", *(pair[::-1] if back else pair))
    if packet.protocol == "tcp":
        sequence, acknowledged, flags = {
            "first": (_TO, 0, _SYN),
            "answer": (_BACK, _TO + 1, _SYN | _ACK),
            "later": (_TO + 1, _BACK + 1, _ACK | _PUSH),
            "back": (_BACK + 1, _TO + 1, _ACK | _PUSH),
        }[which]
        payload = flow.offers if flags & _SYN else b"later"
        words = 5 + len(flow.offers) // 4 if flags & _SYN else 5
        body = ports + struct.pack("!IIBBHHH", sequence, acknowledged, words << 4, flags, 64240, 0, 0) + payload
        return _summed(flow, body, 16)
    if packet.protocol == "udp":
        payload = bytes(64 if flow.form == "fragments" else 8)
        return _summed(flow, ports + struct.pack("!HH", 8 + len(payload), 0) + payload, 6)
    if packet.protocol == "sctp":
        return _sctp(ports, which)
    return bytes((0, 0, 0x08, 0)) + bytes(20)  # a GRE header of version 0; nobody looks into it


def _sctp(ports: bytes, which: str) -> bytes:
    """INIT, INIT ACK, or a DATA chunk (RFC 9260), with the checksum of RFC 3309."""
    if which in ("first", "answer"):
        own = _TO if which == "first" else _BACK
        chunk = struct.pack("!BBHIIHHI", 1 if which == "first" else 2, 0, 20, own, 65535, 1, 1, own)
        tag = 0 if which == "first" else _TO
    else:
        chunk = struct.pack("!BBHIHHI", 0, 3, 20, 1, 0, 0, 0) + b"more"
        tag = _TO if which == "back" else _BACK
    head = ports + struct.pack("!I", tag)
    return head + struct.pack("<I", _crc32c(head + bytes(4) + chunk)) + chunk


def _summed(flow: Flow, body: bytes, at: int, *, pseudo: bool = True) -> bytes:
    """``body`` with the Internet checksum at offset ``at``. It is the same both ways, for sums have no order."""
    total = body
    if pseudo:
        ends = flow.packet.source.packed + flow.packet.target.packed
        total = ends + struct.pack("!II", flow.number, len(body)) + body
    return body[:at] + struct.pack("!H", _checksum(total)) + body[at + 2 :]


def _checksum(data: bytes) -> int:
    padded = data + b"\0" if len(data) % 2 else data
    # 2^16 is 1 modulo 65535, so that the ones' complement sum of all words is the whole number's remainder.
    return (~(int.from_bytes(padded, "big") % 0xFFFF) & 0xFFFF) or 0xFFFF


def _packets(flow: Flow, number: int, *, back: bool, body: bytes) -> list[bytes]:
    source, target = flow.packet.source, flow.packet.target
    ends = (target, source) if back else (source, target)
    pieces: Sequence[tuple[int, bool, bytes]] = [(0, False, body)]
    if flow.form == "fragments":
        pieces = [(0, True, body[:32]), (32, False, body[32:])]
    make = _ipv4 if source.version == 4 else _ipv6
    return [make(flow, ends, number, *piece) for piece in pieces]


def _ipv4(flow: Flow, ends: tuple[Address, Address], number: int, offset: int, more: bool, body: bytes) -> bytes:
    fragment = offset // 8 | (0x2000 if more else 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), number, fragment, 64, flow.number, 0)
    head += ends[0].packed + ends[1].packed
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + body


def _ipv6(flow: Flow, ends: tuple[Address, Address], number: int, offset: int, more: bool, body: bytes) -> bytes:
    kind, extra = flow.number, b""
    if flow.form == "fragments":
        kind, extra = _FRAGMENT, struct.pack("!BBHI", flow.number, 0, offset | more, number)
    elif flow.form == "options":
        kind, extra = _OPTIONS, struct.pack("!BB6B", flow.number, 0, 1, 4, 0, 0, 0, 0)  # six bytes of padding
    head = struct.pack("!IHBB", 0x60000000 | number, len(extra) + len(body), kind, 64)
    return head + ends[0].packed + ends[1].packed + extra + body


def _table() -> tuple[int, ...]:
    made = []
    for byte in range(256):
        value = byte
        for _unused in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        made.append(value)
    return tuple(made)


_CRC = _table()


def _crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
