# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unions and differences of spans, and disjoint boxes, against sets of integers."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.akash.avpn.plugins.module_utils._policy.boxes import (
    ALL_PORTS,
    disjoint,
    port_boxes,
    subtract,
    union,
)

spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=8)
# Nested or apart, as CIDRs are: an aligned block of a power of two.
blocks = st.tuples(st.integers(0, 4), st.integers(0, 31)).map(
    lambda pair: (pair[1] >> pair[0] << pair[0], (pair[1] >> pair[0] << pair[0]) + (1 << pair[0]) - 1)
)


def numbers(of: object) -> set[int]:
    return {number for first, last in of for number in range(first, last + 1)}  # type: ignore[attr-defined]


@given(spans)
def test_union(given_: list[tuple[int, int]]) -> None:
    united = union(given_)
    assert numbers(united) == numbers(given_)
    assert all(one[1] + 1 < two[0] for one, two in itertools.pairwise(united))


@given(spans, spans)
def test_subtract(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> None:
    left = subtract(union(one), union(two))
    assert numbers(left) == numbers(one) - numbers(two)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(left))


@given(st.dictionaries(blocks, spans, max_size=8))
def test_disjoint(wanted: dict[tuple[int, int], list[tuple[int, int]]]) -> None:
    pairs = [(peer, port) for block, ports in wanted.items() for peer in numbers([block]) for port in numbers(ports)]
    made = [(peer, port) for block, ports in disjoint(wanted) for peer in numbers([block]) for port in numbers(ports)]
    assert set(made) == set(pairs)
    assert len(made) == len(set(made)), "each exactly once"


@given(st.integers(0, ALL_PORTS[1]), st.integers(0, ALL_PORTS[1]))
def test_port_boxes(one: int, two: int) -> None:
    span = (min(one, two), max(one, two))
    boxes = port_boxes(span)
    assert len(boxes) <= 3
    count = sum((p[1] - p[0] + 1) * (q[1] - q[0] + 1) for p, q in boxes)
    assert count == span[1] - span[0] + 1
    lines = sorted((p * 65536 + q[0], p * 65536 + q[1]) for ps, q in boxes for p in range(ps[0], ps[1] + 1))
    assert union(lines) == (span,)
