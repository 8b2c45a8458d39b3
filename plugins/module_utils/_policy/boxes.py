# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From overlapping (peers × ports) to disjoint ones, as the kernel's interval sets demand. Pure.

A ``Span`` is an inclusive range of integers. Ports of all protocols lie on one line: protocol number × 65536 +
port, so that ``any`` is one span and unions and differences are one-dimensional. Peers are spans of addresses or
of class numbers; two of them are always nested or apart (CIDRs are, and classes are numbered so), which is what
keeps the result as long as the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Span = tuple[int, int]

ALL_PORTS: Span = (0, 256 * 65536 - 1)


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same integers in ascending spans that neither overlap nor touch."""
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def subtract(spans: tuple[Span, ...], taken: tuple[Span, ...]) -> tuple[Span, ...]:
    """The integers of ``spans`` that are not in ``taken``; both ascending and disjoint, and so is the result."""
    left: list[Span] = []
    index = 0
    for first, last in spans:
        while index < len(taken) and taken[index][1] < first:
            index += 1
        position, at = first, index
        while at < len(taken) and taken[at][0] <= last:
            if taken[at][0] > position:
                left.append((position, taken[at][0] - 1))
            position = taken[at][1] + 1
            at += 1
        if position <= last:
            left.append((position, last))
    return tuple(left)


def disjoint(wanted: Mapping[Span, Iterable[Span]]) -> list[tuple[Span, tuple[Span, ...]]]:
    """The same (peer, port) pairs, each exactly once. ``wanted``: peers -> ports; peers nested or apart.

    A peer inside another one keeps only the ports that the outer one doesn't have.
    """
    result: list[tuple[Span, tuple[Span, ...]]] = []
    around: list[tuple[Span, tuple[Span, ...]]] = []  # the peers that contain the present one, with all their ports
    for peer in sorted(wanted, key=lambda span: (span[0], -span[1])):
        while around and around[-1][0][1] < peer[0]:
            around.pop()
        covered = around[-1][1] if around else ()
        own = subtract(union(wanted[peer]), covered)
        if own:
            result.append((peer, own))
        around.append((peer, union((*covered, *own)) if own else covered))
    return result


def port_boxes(span: Span) -> list[tuple[Span, Span]]:
    """A span of the ports' line as at most three (protocols, ports) rectangles."""
    (first_protocol, first_port), (last_protocol, last_port) = divmod(span[0], 65536), divmod(span[1], 65536)
    if first_protocol == last_protocol:
        return [((first_protocol, first_protocol), (first_port, last_port))]
    boxes = []
    if first_port > 0:
        boxes.append(((first_protocol, first_protocol), (first_port, 65535)))
        first_protocol += 1
    tail = last_port < 65535
    full = last_protocol - 1 if tail else last_protocol
    if first_protocol <= full:
        boxes.append(((first_protocol, full), (0, 65535)))
    if tail:
        boxes.append(((last_protocol, last_protocol), (0, last_port)))
    return boxes
