# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a manifest stages is counted on the hosts and kept where team and tenant are shown it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.tests.integration.overlay.machinery import Node, wait_for, within
from ansible_collections.akash.avpn.tests.unit.overlay.builders import World, open_manifest

pytestmark = pytest.mark.root

OPEN = open_manifest("web", "api", "db")
API0, API1 = EndpointId("api", 1, 0), EndpointId("api", 1, 1)


def test_it_is_counted_and_kept_since_the_version_that_brought_it(hosts: list[Node], world: World) -> None:
    two = hosts[1]

    def applied(manifest: Manifest, version: int) -> Any:
        plan = two.plan(world, manifest)
        planned = dataclasses.replace(plan.networks[world.network], manifest=version)
        two.apply(dataclasses.replace(plan, networks={world.network: planned}), resolver=False)
        shown = json.loads((two.host.paths.applied / f"{world.network}.json").read_bytes())
        assert shown["manifest"] == version
        return shown["staged"]

    def ping() -> bool:
        space, address = two.workload(world, API0), str(world.slots[API1].address)
        return within(space, "ping", "-c1", "-W1", address).returncode == 0

    closed = Manifest()
    first = applied(dataclasses.replace(OPEN, staged=closed), 5)
    assert (first["since"], first["would_refuse"]) == (5, [])
    wait_for("an answer", ping)
    counted = applied(dataclasses.replace(OPEN, staged=closed), 6)
    assert counted["since"] == 5, "the same is staged since then"
    assert [(one["who"], one["side"]) for one in counted["would_refuse"]] == [("api", "egress")]
    assert counted["would_refuse"][0]["flows"] >= 1
    other = applied(dataclasses.replace(OPEN, staged=open_manifest("web")), 7)
    assert (other["since"], other["would_refuse"]) == (7, [])
    assert other["digest"] != counted["digest"]
    assert applied(OPEN, 8) is None
