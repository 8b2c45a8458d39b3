# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports of all protocols on one line: protocol number × 65536 + port. Pure."""

from __future__ import annotations

from .._manifest.icmp import BEGINNING
from .._manifest.model import Port
from .boxes import ALL_PORTS, Span

PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "sctp": 132}  # the most frequent first


def port_span(port: Port) -> Span:
    """What a rule's port covers."""
    if port.protocol == "any":
        return ALL_PORTS
    base = PROTOCOLS[port.protocol] * 65536
    if port.first is None or port.last is None:
        return base, base + 65535
    if port.protocol in BEGINNING:
        # Type and code of the packet that began the flow stand where others have their port.
        return base + (port.first << 8), base + (port.last << 8 | 0xFF)
    return base + port.first, base + port.last
