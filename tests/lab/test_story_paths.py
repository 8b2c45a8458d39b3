# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every path between all endpoints of two networks, as the policies predict it (R4, R6, R13, R26)."""

from __future__ import annotations

import pytest
from scenario import probing
from scenario.cast import A, B
from scenario.matrix import FAMILIES, render
from scenario.story import Story

pytestmark = pytest.mark.lab


def test_every_path_is_as_predicted(story: Story) -> None:
    before = {host: story.lab.leaked(host) for host in story.providers}
    paths = story.probe()
    # No packet for the overlay took a pod's own default route.
    assert {host: story.lab.leaked(host) for host in story.providers} == before
    assert len(paths) == 6 * 5 * len(probing.KINDS) * len(FAMILIES)
    assert all(path.as_predicted for path in paths), render(paths)
    assert {path.predicted for path in paths if path.source[0] == path.target[0]} == {True, False}


def test_a_path_that_is_not_as_predicted_is_seen(story: Story) -> None:
    # The checker itself: told another policy than the one in force, it must say so.
    enforced = story.manifests[B.network]
    rules = {"web": {"egress": {"allow": [{"peers": ["db"], "ports": ["tcp/9090"]}]}}, "db": enforced["members"]["db"]}
    story.manifests[B.network] = {"members": rules}
    try:
        wrong = {(path.source, path.target, path.kind) for path in story.probe(B) if not path.as_predicted}
    finally:
        story.manifests[B.network] = enforced
    assert wrong == {("blog:web/1/0", "blog:db/1/0", kind) for kind in ("8080", "ping")}


def test_no_endpoint_of_one_tenant_answers_another_though_their_ranges_are_equal(story: Story) -> None:
    places = story.places()
    addresses = {network: {place.ipv4 for place in places if place.network == network} for network in ("shop", "blog")}
    assert addresses["shop"] & addresses["blog"], "the networks should share addresses, or this shows nothing"
    probing.listen(story.lab, places)
    seen = []
    for host in story.providers:
        checks = [
            {"namespace": source.namespace, "source": source.network, "address": address, "kind": str(port)}
            for source in places
            if source.host == host
            for address in sorted({target.address(family) for target in places for family in FAMILIES})
            for port in probing.PORTS
        ]
        seen += probing.run_probe(story.lab, host, checks)
    answered = {(one["source"], one["seen"].split(":")[0]) for one in seen if one["seen"]}
    assert answered == {(A.network, A.network), (B.network, B.network)}
