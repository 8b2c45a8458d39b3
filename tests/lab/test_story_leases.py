# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deployments replaced and leases closed: addresses stay with their endpoints, nothing else stays (R11, R12)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenario import observing
from scenario.cast import A
from scenario.matrix import render
from scenario.story import Story

pytestmark = pytest.mark.lab


def kept(network: str) -> list[str]:
    """What a founder's host that has left may keep: the tombstone in its voter's database, and the chain's and its own
    history. The ledger goes once another version has been agreed without it. In words of `traces`, which name the rest:
    namespaces, keys, rules, units, the tenant's policies.
    """
    voter = ["/var/lib/avpn/voter.db", "/var/lib/avpn/voter.db-wal"]
    return [*voter, "/var/lib/avpn/view.json", "/var/lib/avpn-host/announced.json", "/var/lib/avpn-host/reconcile.json"]


def addresses(story: Story) -> dict[str, str]:
    """Endpoint → IPv4 address, as the ledger has it."""
    slots = observing.ledger(story.lab, "provider1", story.network_id(A))["slots"]
    return {label: slot["address"] for label, slot in slots.items() if slot["bound"]}


def test_a_replaced_deployment_keeps_its_addresses(stage: Story) -> None:
    before, now = addresses(stage), stage.present(A)
    old = now.member("api")
    ended = str(stage.lease_of(now, old))
    number = stage.chain.replace(stage.account(A.host), old.dseq)
    stage.end_workloads(ended)
    # The tenant's deployment has another number now, and its record has to say so.
    members = [replace(member, dseq=number) if member is old else member for member in now.members]
    tenant = replace(now, members=tuple(members))
    stage.deploy(tenant)
    stage.publish(tenant)
    lease = str(stage.lease_of(tenant, tenant.member("api")))
    assert lease.split("/")[1] == str(number)
    for host in stage.providers:
        observing.eventually(
            lambda host=host: {stage.known(host, A).get(f"api/1/{index}", [""])[0] for index in (0, 1)} == {lease},
            f"{host} knows the new leases of api",
        )
    stage.wait_applied(tenant, manifest=stage.handed(A))
    assert addresses(stage) == before
    paths = stage.probe(A)
    assert all(path.as_predicted for path in paths), render(paths)


def test_closing_a_providers_last_lease_leaves_nothing_of_the_network(stage: Story) -> None:
    lab, host, network, now = stage.lab, "provider3", stage.network_id(A), stage.present(A)
    short = observing.short(lab, host, network)
    before = addresses(stage)
    assert observing.traces(lab, host, network, short, ()) != []
    stage.close(str(stage.lease_of(now, now.member("db"))))
    stage.chain.advance(12)
    left = replace(now, members=tuple(member for member in now.members if member.name != "db"))
    stage.wait_applied(left)
    found: list[str] = []

    def nothing() -> bool:
        found[:] = observing.traces(lab, host, network, short, kept(network))
        return not found

    observing.eventually(nothing, f"nothing of the network left on {host}", told=lambda: found)
    for other in ("provider1", "provider2"):
        assert "db/1/0" not in stage.known(other, A)
        name = observing.short(lab, other, network)
        for text in (observing.names(lab, other, name), observing.peers(lab, other, name)):
            assert before["db/1/0"] not in text.replace("/", " ").split()
        observing.eventually(
            lambda other=other: host not in str(list(observing.ledger(lab, other, network)["hosts"])),
            f"{host} gone from the ledger of {other}",
        )
    # It comes back with its next lease, to the same address.
    stage.deploy(now)
    stage.wait_applied(now, manifest=stage.handed(A))
    assert addresses(stage) == before
    paths = stage.probe(A)
    assert all(path.as_predicted for path in paths), render(paths)
