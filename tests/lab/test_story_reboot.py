# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose plug was pulled comes back by itself, and is never open meanwhile (R6, R23)."""

from __future__ import annotations

import pytest
from scenario import observing, probing
from scenario.cast import TENANTS, A, Tenant
from scenario.matrix import Path, render
from scenario.story import Story

pytestmark = pytest.mark.lab

HOST = "provider2"


def settle(stage: Story, *tenants: Tenant) -> None:
    """Every path is as predicted before long, and none is ever open that should be closed.

    A tunnel notices up to 15 s after the first packet that the host at its other end has forgotten their session.
    """
    paths: list[Path] = []

    def settled() -> bool:
        paths[:] = stage.probe(*tenants)
        assert not [path for path in paths if path.seen and not path.predicted], render(paths)
        return all(path.as_predicted for path in paths)

    observing.eventually(settled, "every path as predicted", 90, told=lambda: render(paths))


def test_a_host_comes_back_by_itself_and_is_closed_until_its_rules_stand(stage: Story) -> None:
    lab = stage.lab
    places = {place.label: place for place in stage.places(A)}
    source, target = places["web/1/0"], places["api/1/0"]
    lab.kill(HOST)
    lab.start(HOST)
    # A listener is there before the network is, so that whatever is let through would be answered.
    probing.listen(lab, list(places.values()))
    asked = {"namespace": source.namespace, "source": source.identity, "address": target.ipv4}
    looks: list[dict[str, str]] = []

    def answered() -> bool:
        found = probing.run_probe(lab, source.host, [{**asked, "kind": str(port)} for port in probing.PORTS])
        looks.append({one["kind"]: one["seen"] for one in found})
        assert looks[-1]["9090"] is None, "a forbidden port answered"
        return looks[-1]["8080"] == target.identity

    waited = observing.eventually(
        answered, f"traffic to {HOST} after its reboot", told=lambda: (looks[-1], stage.applied(HOST, A))
    )
    print(f"traffic to {HOST} again {waited:.1f} s after its boot; a forbidden port looked at {len(looks)} times")
    for tenant in TENANTS:
        stage.wait_applied(stage.present(tenant), manifest=stage.handed(tenant))
    settle(stage)


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
        if state is None or state["time"] < booted:
            return False
        return [entry["state"] for entry in state["endpoints"].values()] == ["attached", "attached"]

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
    settle(stage, A)
