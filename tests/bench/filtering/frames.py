# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ethernet frames with UDP over IPv4 as capture files, for replaying.

Formats: RFC 768, RFC 791, and the capture file format of tcpdump (link type 1, microseconds).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

_PAYLOAD = bytes(18)  # makes a frame of the least size, 60 bytes


class Datagram(NamedTuple):
    """Who sends to whom: addresses and ports of a UDP packet."""

    source: IPv4Address
    target: IPv4Address
    source_port: int
    target_port: int

    @property
    def reply(self) -> Datagram:
        return Datagram(self.target, self.source, self.target_port, self.source_port)


def write(path: Path, datagrams: Iterable[Datagram], target_mac: bytes, source_mac: bytes) -> None:
    """A capture of one frame for each datagram, in order."""
    ethernet = target_mac + source_mac + b"\x08\x00"
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for each in datagrams:
            frame = ethernet + _packet(each)
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


def _packet(each: Datagram) -> bytes:
    length = 28 + len(_PAYLOAD)
    header = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0x4000, 64, 17, 0) + each.source.packed + each.target.packed
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    total += total >> 16
    header = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
    # A checksum of 0 says that there is none: the firewall doesn't look at it.
    return header + struct.pack("!HHHH", each.source_port, each.target_port, 8 + len(_PAYLOAD), 0) + _PAYLOAD
