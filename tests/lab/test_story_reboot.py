# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose plug was pulled comes back by itself, and is never open meanwhile (R6, R23)."""

from __future__ import annotations

import pytest
from scenario import observing, probing
from scenario.cast import TENANTS, A
from scenario.matrix import render
from scenario.story import Story

pytestmark = pytest.mark.lab

HOST = "provider2"


def test_a_host_comes_back_by_itself_and_is_closed_until_its_rules_stand(stage: Story) -> None:
    lab = stage.lab
    places = {place.label: place for place in stage.places(A)}
    source, target = places["web/1/0"], places["api/1/0"]
    lab.kill(HOST)
    lab.start(HOST)
    # A listener is there before the network is, so that whatever is let through would be answered.
    probing.listen(lab, list(stage.places(A)))
    port = {
        str(number): {
            "namespace": source.namespace,
            "source": source.identity,
            "address": target.ipv4,
            "kind": str(number),
        }
        for number in probing.PORTS
    }
    forbidden = 0

    def answered() -> bool:
        nonlocal forbidden
        seen = {one["kind"]: one["seen"] for one in probing.run_probe(lab, source.host, port.values(), timeout=1.0)}
        assert seen["9090"] is None, "a forbidden port answered"
        forbidden += 1
        return bool(seen["8080"] == target.identity)

    waited = observing.eventually(answered, f"traffic to {HOST} after its reboot")
    assert forbidden >= 1
    print(f"traffic to {HOST} again {waited:.1f} s after its boot, {forbidden} looks at a forbidden port meanwhile")
    for tenant in TENANTS:
        stage.wait_applied(stage.present(tenant), manifest=stage.handed(tenant))
    paths = stage.probe()
    assert all(path.as_predicted for path in paths), render(paths)


def test_a_host_without_a_manifest_lets_nothing_pass(stage: Story) -> None:
    # Cut off before it boots, and without the manifest it had: it has the ledger, so tunnels and endpoints are
    # made, but nobody tells it what to permit.
    lab, network = stage.lab, stage.network_id(A)
    lab.isolate(HOST)
    lab.execute(HOST, ["systemctl", "stop", "avpn-fastpath.timer", "avpn-fastpath.path"])
    lab.execute(HOST, ["rm", f"/var/lib/avpn/manifests/{network}.json"])
    lab.kill(HOST)
    lab.start(HOST)

    def attached() -> bool:
        state = stage.applied(HOST, A)
        booted = float(lab.execute(HOST, ["stat", "-c", "%Y", "/run/systemd"]).stdout)
        return state is not None and state["time"] >= booted and len(state["endpoints"]) == 2

    observing.eventually(attached, f"{HOST} applies what it knows after its boot, though it reaches nobody")
    places = {place.label: place for place in stage.places(A)}
    probing.listen(lab, [places["api/1/0"], places["api/1/1"]])
    checks = [
        {"namespace": places[f"api/1/{one}"].namespace, "source": str(one), "address": address, "kind": kind}
        for one, other in ((0, 1), (1, 0))
        for address in (places[f"api/1/{other}"].ipv4, places[f"api/1/{other}"].ipv6)
        for kind in ("8080", "9090", "ping")
    ]
    seen = probing.run_probe(lab, HOST, checks)
    assert len(seen) == len(checks)
    assert [one for one in seen if one["seen"]] == []
    lab.heal()
    for tenant in TENANTS:
        stage.wait_applied(stage.present(tenant), manifest=stage.handed(tenant))
    paths = stage.probe(A)
    assert all(path.as_predicted for path in paths), render(paths)
