# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ranges with exceptions against sets of integers, and how many elements they may make."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_compile import many

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import RangePeer
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.remainders import pieces, spans_of

BASE = ipaddress.ip_network("100.64.0.0/25")


@st.composite
def excepting(draw: st.DrawFn) -> RangePeer:
    """A few addresses of IPv4 or IPv6, at the very start of the addresses too, and blocks among them."""
    base = draw(st.sampled_from(("100.64.0.0/25", "0.0.0.0/25", "255.255.255.128/25", "::/121", "fd00:1::6440:80/121")))
    network = ipaddress.ip_network(base)
    inner = []
    for _unused in range(draw(st.integers(0, 4))):
        bits = draw(st.integers(0, 6))
        start = draw(st.integers(0, 127)) >> bits << bits
        inner.append(ipaddress.ip_network((int(network.network_address) + start, network.max_prefixlen - bits)))
    return RangePeer(network, tuple(inner))


@given(excepting())
def test_the_spans_are_what_is_left_in_aligned_blocks(peer: RangePeer) -> None:
    spans = spans_of(peer)
    left = set(map(int, peer.range)) - {int(address) for each in peer.excepted for address in each}
    assert [number for first, last in spans for number in range(first, last + 1)] == sorted(left)
    for first, last in spans:
        size = last - first + 1
        assert size & (size - 1) == 0
        assert first % size == 0
    assert all(one[1] < two[0] for one, two in itertools.pairwise(spans))


@given(excepting())
def test_their_number_is_known_before(peer: RangePeer) -> None:
    rule = {"peers": str(peer.range), "ports": ["tcp/1", "udp/1"]}
    manifest = parse({"members": {"web": {"egress": {"deny": [rule]}}}})
    policy = manifest.policies["web"]
    assert pieces(policy) == 0, "without exceptions there are none"
    if peer.excepted and spans_of(peer):
        written = {"range": str(peer.range), "except": [str(each) for each in dict.fromkeys(peer.excepted)]}
        rule = {"peers": written, "ports": ["tcp/1", "udp/1"]}
        try:
            policy = parse({"members": {"web": {"ingress": {"allow": [rule]}}}}).policies["web"]
        except InvalidInput:
            return  # an exception of everything
        assert 2 * len(spans_of(peer)) <= pieces(policy)


def test_an_exploding_manifest_is_refused_before_it_is_compiled() -> None:
    holes = [f"2001:db8::{number:x}/128" for number in range(1, 128, 2)]
    rules = [{"peers": {"range": "::/0", "except": holes}, "ports": [f"tcp/{2 * number + 1}" for number in range(200)]}]
    document = {"members": {"m0": {"ingress": {"allow": rules}}}}
    with pytest.raises(InvalidInput, match="more than 200000 elements"):
        compile_ruleset(parse(document), many(3, 3), [], ["avtunnela"])
