# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A manifest handed to one provider takes effect on all, with nobody running anything there (R7, R9)."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from scenario import observing
from scenario.cast import A
from scenario.matrix import render
from scenario.report import record
from scenario.story import Story
from scenario.streams import Stream

pytestmark = pytest.mark.lab

# The last one brings the cast's manifest back.
ROUNDS = 4


def opened() -> dict[str, Any]:
    """The cast's manifest, with port 9090 opened from web to api, and pings between the two forbidden."""
    manifest = copy.deepcopy(A.manifest)
    manifest["members"]["web"]["egress"] = {"allow": [{"peers": ["api"], "ports": ["tcp/8080", "tcp/9090"]}]}
    manifest["members"]["api"]["ingress"]["allow"][0]["ports"] = ["tcp/8080", "tcp/9090"]
    return manifest


def enforced_at(story: Story, host: str) -> float:
    """When the rules that a host enforces were loaded (all hosts of the lab have one clock)."""
    path = f"/run/avpn/{observing.short(story.lab, host, story.network_id(A))}/firewall.json"
    return float(story.lab.execute(host, ["stat", "-c", "%.9Y", path]).stdout)


def test_a_manifest_handed_to_provider3_takes_effect_everywhere(stage: Story) -> None:
    network = stage.network_id(A)
    tenant = replace(stage.present(A), hand_in="provider3")
    places = {place.label: place for place in stage.places(A)}
    stream = Stream(stage.lab, places["web/1/0"], places["api/1/1"])
    seconds = []
    for number in range(ROUNDS):
        stage.manifests[A.network] = opened() if number % 2 == 0 else A.manifest
        before = {host: enforced_at(stage, host) for host in stage.providers}
        stage.publish(tenant)
        stage.wait_applied(tenant, manifest=stage.handed(tenant))
        stored = f"/var/lib/avpn/manifests/{network}.json"
        handed = float(stage.lab.execute("provider3", ["stat", "-c", "%.9Y", stored]).stdout)
        loaded = {host: enforced_at(stage, host) for host in stage.providers}
        assert all(loaded[host] > max(before[host], handed) for host in loaded)
        seconds.append({host: round(loaded[host] - handed, 2) for host in loaded})
        if number < 2:
            paths = stage.probe(A)
            assert all(path.as_predicted for path in paths), render(paths)
    # A connection that stayed permitted all the time was never cut.
    stream.goes_on()
    stream.close()
    last = sorted(max(each.values()) for each in seconds)
    record("manifest to enforcement on the last host, seconds", {"rounds": seconds, "last host": last})
    print(
        f"manifest handed to provider3, enforced on the last host after {', '.join(f'{each:.1f}' for each in last)} s"
    )
    for host in stage.providers:
        held = observing.document(stage.lab, host, f"/var/lib/avpn/manifests/{network}.json")
        assert json.dumps(held["content"], sort_keys=True) == json.dumps(A.manifest, sort_keys=True)
