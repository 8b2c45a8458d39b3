# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ranges with exceptions as spans of addresses. Pure.

What is left of a CIDR without some CIDRs is written as CIDRs again, so that any two spans of a list of rules are nested
or apart, as ``boxes.disjoint`` needs. An exception costs at most one CIDR for each bit by which its prefix is longer.
"""

from __future__ import annotations

from .._manifest.model import Policy, RangePeer
from .boxes import Span


def spans_of(peer: RangePeer) -> list[Span]:
    """The addresses of ``peer`` as aligned blocks of powers of two, ascending."""
    first, size = int(peer.range.network_address), peer.range.num_addresses
    taken = sorted({(int(each.network_address), each.num_addresses) for each in peer.excepted})
    if not taken:
        return [(first, first + size - 1)]
    spans: list[Span] = []
    position = first
    for start, length in (*taken, (first + size, 0)):
        while position < start:
            # The largest block that begins here and ends before the exception does.
            block = min(position & -position or size, 1 << ((start - position).bit_length() - 1))
            spans.append((position, position + block - 1))
            position += block
        position = max(position, start + length)
    return spans


def pieces(policy: Policy) -> int:
    """At most how many elements the ranges with exceptions of a policy make: known before any is made."""
    count = 0
    for rules in (policy.ingress, policy.egress):
        for rule in (*rules.deny, *rules.allow):
            for peer in rule.peers:
                if isinstance(peer, RangePeer) and peer.excepted:
                    bits = sum(each.prefixlen - peer.range.prefixlen for each in peer.excepted)
                    count += bits * len(rule.ports)
    return count
