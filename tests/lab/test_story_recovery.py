# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network loses its majority for good, its tenant raises the generation, the lost host comes back (R25)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from scenario import observing
from scenario.cast import ECHO, B, Member, Tenant
from scenario.story import Story
from scenario.streams import Stream

pytestmark = pytest.mark.lab

# One beside web at provider1, so that a connection can go on there; one at the host that is lost.
SIDE, LATE = Member("side", 2101, "provider1"), Member("late", 2102, "provider2")
LEFT, LOST = "provider1", "provider2"  # the two voters; a majority of two is both


def manifest() -> dict[str, Any]:
    """The cast's, and web may use the member beside it."""
    document = copy.deepcopy(B.manifest)
    rule = {"peers": ["side"], "ports": ["tcp/8080", *ECHO]}
    document["members"]["web"]["egress"]["allow"].append(rule)
    document["members"]["side"] = {"ingress": {"allow": [{"peers": ["web"], "ports": ["tcp/8080", *ECHO]}]}}
    return document


@dataclass
class Disaster:
    """The story with a connection that is up, and a host that is gone before it could give out an address."""

    story: Story
    tenant: Tenant
    network: str
    stream: Stream
    before: dict[str, str]  # endpoint → address
    last_run: float  # when the lost host last reconciled, Unix seconds

    def ledger(self, host: str) -> dict[str, Any]:
        return observing.ledger(self.story.lab, host, self.network)

    def addresses(self, host: str) -> dict[str, str]:
        slots = self.ledger(host)["slots"]
        return {label: slot["address"] for label, slot in slots.items() if slot["bound"]}

    def generation(self) -> int:
        """That of the record on chain."""
        record = self.story.chain.record(self.story.account(B.host), B.network)
        assert record is not None
        return int(record["generation"])


@pytest.fixture
def disaster(story: Story) -> Iterator[Disaster]:
    """provider2 is cut off from the others, hears of one more lease of its own, and is gone."""
    lab, network = story.lab, story.network_id(B)
    story.manifests[B.network] = manifest()
    now = story.present(B)
    tenant = replace(now, members=(*now.members, SIDE, LATE))
    owner, running = story.account(B.host), replace(now, members=(*now.members, SIDE))
    if LATE.dseq not in story.chain.deployments(owner):
        story.chain.deploy(owner, LATE.dseq, LATE.replicas)
    story.deploy(running)
    story.publish(tenant)
    story.wait_applied(running, manifest=story.handed(B))
    places = {place.label: place for place in story.places(B)}
    stream = Stream(lab, places["web/1/0"], places["side/1/0"])
    slots = observing.ledger(lab, LEFT, network)["slots"]
    before = {label: slot["address"] for label, slot in slots.items() if slot["bound"]}
    lab.cut([LOST], [host for host in story.providers if host != LOST])
    story.deploy(tenant, [LATE])
    dseq, gseq, oseq, provider = str(story.lease_of(tenant, LATE)).split("/")[1:]
    # As a view writes down a lease that is active.
    lease, view = f'["{dseq}/{gseq}/{oseq}","{provider}","active",', "/var/lib/avpn/view.json"
    observing.eventually(lambda: lease in lab.execute(LOST, ["cat", view]).stdout, f"{LOST} has read of its new lease")
    last_run = observing.runs(lab, LOST)[0]["finished"]
    lab.kill(LOST)
    try:
        yield Disaster(story, tenant, network, stream, before, last_run)
    finally:
        stream.close()
        lab.heal()
        lab.start(LOST)
        for member in (SIDE, LATE):
            story.close(str(story.lease_of(tenant, member)))
        story.chain.advance(12)
        story.restore()


def test_what_is_left_goes_on_and_what_comes_back_follows(disaster: Disaster) -> None:
    story, lab, network = disaster.story, disaster.story.lab, disaster.network
    chain, generation = lab.host("chain").address, disaster.generation() + 1
    variables = {
        "avpn_network": {"name": B.network},
        "avpn_ssh_key_file": "/root/avpn/tenant_ed25519",
        "avpn_account_private_key_file": "/root/avpn/account.key",
        "avpn_chain_endpoints": [f"http://{chain}:1317"],
        "avpn_chain_own": True,
        "avpn_chain_id": "avpn-lab-1",
        "avpn_peer_ranges": ["198.18.0.0/15"],
    }
    told = story.tenant_playbook(B, "akash.avpn.recover", variables, "-e", f"avpn_recover={generation}")
    print(told)
    assert "1 of 2 voters answer, 2 are needed" in told
    assert f"GENERATION {generation} HAS BEGUN: version 0 is certified" in told
    assert f"kept: {len(disaster.before)} of {len(disaster.before)} addresses of the base" in told
    value = disaster.ledger(LEFT)
    assert (value["generation"], disaster.addresses(LEFT)) == (generation, disaster.before)
    disaster.stream.goes_on()

    # The old one comes back with the view of then, and would still give its endpoint an address.
    story.chain.advance(360)
    lab.heal()
    lab.cut([LOST], ["chain"])
    lab.start(LOST)
    # So that it's told at once that it can't read the chain, and doesn't wait for it.
    lab.execute(LOST, ["ip", "route", "add", "unreachable", f"{chain}/32"])
    said: list[str] = []

    def refused() -> bool:
        for run in observing.runs(lab, LOST):
            if run["finished"] > disaster.last_run:
                said.extend(each["what"] for each in run["problems"] if each["where"] == network)
        return bool(said)

    observing.eventually(refused, f"a report of {LOST}'s reconciliation on its own")
    assert any("rule:generation" in text for text in said), said
    assert disaster.ledger(LOST)["generation"] == generation - 1
    assert disaster.addresses(LEFT) == disaster.before
    disaster.stream.goes_on()

    # Once it reads the chain, it follows, and gets its address from what went on without it.
    lab.heal()
    lab.execute(LOST, ["ip", "route", "del", "unreachable", f"{chain}/32"])
    observing.eventually(lambda: disaster.ledger(LOST)["generation"] == generation, f"{LOST} has the new generation")
    observing.eventually(lambda: "late/1/0" in disaster.addresses(LEFT), "the address of the new endpoint")
    after = disaster.addresses(LEFT)
    assert {label: after[label] for label in disaster.before} == disaster.before
    assert len(set(after.values())) == len(after)
    observing.eventually(lambda: len(disaster.ledger(LEFT)["voters"]) == 2, "two voters again")
    disaster.stream.goes_on()
