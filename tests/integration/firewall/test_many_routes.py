# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""As many routes as a manifest may have, nested at random, in the kernel's sets: no element overlaps (R8)."""

from __future__ import annotations

import ipaddress
import random

import pytest
from wire import OWN, TUNNEL, Wire

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.grammar import MAX_ROUTES
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest, Range, Route
from ansible_collections.akash.avpn.plugins.module_utils._policy.carried import Routing
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import Local
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset

pytestmark = pytest.mark.root

EVERYBODY = [
    Endpoint(EndpointId("web", 1, number), OWN[0][number + 2], OWN[1][0x64400002 + number], "lease")
    for number in range(100)
]


def nested(choose: random.Random) -> list[Range]:
    """Ranges many of which hold others: few bits are set, at any length. Of both families, some in the network."""
    found: set[Range] = {ipaddress.ip_network(each) for each in ("0.0.0.0/0", "::/0", *map(str, OWN))}
    while len(found) < MAX_ROUTES:
        if choose.random() < 0.5:
            bits = choose.getrandbits(32) & choose.getrandbits(32) & 0x3FFFFFFF | 0x40000000
            found.add(ipaddress.ip_network((bits, choose.randint(3, 32)), strict=False))
        else:
            bits = choose.getrandbits(128) & choose.getrandbits(128) >> 3 | 0x2 << 124
            found.add(ipaddress.ip_network((bits, choose.randint(4, 128)), strict=False))
    return sorted(found, key=str)


def compiled(ranges: list[Range], carriers: int) -> Ruleset:
    """With that many carriers on this host and one elsewhere, each with every so many-th range."""
    local = [
        Local(f"ve{number:08x}", each.ipv4, each.ipv6, tuple(ranges[number :: carriers + 1]))
        for number, each in enumerate(EVERYBODY[:carriers])
    ]
    return compile_ruleset(
        Manifest(routes=tuple(Route(each, "web") for each in ranges)),
        Endpoints(EVERYBODY, OWN),
        local,
        [TUNNEL],
        routing=Routing(frozenset(ranges[carriers :: carriers + 1])),
    )


def test_as_many_nested_routes_as_there_may_be_are_loaded_and_changed_by_differences(empty: Wire) -> None:
    site, choose = empty.site("host1"), random.Random(8)
    ranges = nested(choose)
    site.apply(compiled(ranges, 2))
    for step in range(6):
        if step % 2:
            ranges = sorted({*choose.sample(ranges, 200), *choose.sample(nested(choose), 56)}, key=str)
        change = site.apply(compiled(ranges, 1 + step % 3))
        assert change and not change.scripts.whole and not change.difference_refused
        assert not site.apply(compiled(ranges, 1 + step % 3))
