# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One of three provider hosts stopped, then two: allocation goes on, then says no; traffic goes on (R4, R5)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from scenario import observing
from scenario.cast import ECHO, A, Member, Tenant
from scenario.matrix import Place, render
from scenario.story import Story
from scenario.streams import Stream

pytestmark = pytest.mark.lab

# Two more members, both at provider1; what the cast's members may do with them is in the manifest below.
CACHE, SPARE = Member("cache", 1101, "provider1"), Member("spare", 1102, "provider1")


def manifest() -> dict[str, Any]:
    """The cast's, and everybody may use the new members."""
    document = copy.deepcopy(A.manifest)
    for member in ("web", "api", "db"):
        rule = {"peers": ["cache", "spare"], "ports": ["tcp/8080", *ECHO]}
        document["members"][member]["egress"]["allow"].append(rule)
    for member in ("cache", "spare"):
        document["members"][member] = {"ingress": {"allow": [{"peers": ["any"], "ports": ["tcp/8080", *ECHO]}]}}
    return document


@dataclass
class Outage:
    """The story with what the tests below have added to it, one after the other."""

    story: Story
    tenant: Tenant
    network: str

    def place(self, label: str) -> Place:
        return next(place for place in self.story.places(self.tenant) if place.label == label)

    def ledger(self, host: str) -> dict[str, Any]:
        return observing.ledger(self.story.lab, host, self.network)

    def addresses(self, host: str) -> dict[str, str]:
        """Endpoint → address of all that are bound."""
        slots = self.ledger(host)["slots"]
        return {label: slot["address"] for label, slot in slots.items() if slot["bound"]}


@pytest.fixture(scope="module")
def outage(story: Story) -> Iterator[Outage]:
    """provider3, one of three voters, stopped; and then the tenant makes two more deployments and leases one."""
    story.lab.stop("provider3")
    now = story.present(A)
    story.manifests[A.network] = manifest()
    tenant = replace(now, members=(*now.members, CACHE, SPARE))
    owner = story.account(A.host)
    if SPARE.dseq not in story.chain.deployments(owner):
        story.chain.deploy(owner, SPARE.dseq, SPARE.replicas)
    story.deploy(now, [CACHE])
    story.publish(tenant)
    yield Outage(story, tenant, story.network_id(A))
    story.restore()


def test_with_one_host_stopped_a_new_endpoint_gets_its_address_and_is_reached(outage: Outage) -> None:
    story, live = outage.story, ["provider1", "provider2"]
    with_cache = replace(outage.tenant, members=outage.tenant.members[:-1])
    story.wait_applied(with_cache, live, manifest=story.handed(A))
    held = outage.addresses("provider1")
    assert held["cache/1/0"] not in [address for label, address in held.items() if label != "cache/1/0"]
    # By name, from the other live provider and everywhere else that lives.
    paths = story.probe(A)
    assert ("shop:api/1/0", "shop:cache/1/0", "8080", 4, True) in {
        (path.source, path.target, path.kind, path.family, path.seen) for path in paths
    }
    assert all(path.as_predicted for path in paths), render(paths)


def test_the_stopped_host_catches_up_by_itself(outage: Outage) -> None:
    story = outage.story
    story.lab.start("provider3")
    with_cache = replace(outage.tenant, members=outage.tenant.members[:-1])
    story.wait_applied(with_cache, manifest=story.handed(A))
    paths = story.probe(A)
    assert any(path.source.startswith("shop:db") and path.target == "shop:cache/1/0" and path.seen for path in paths)
    assert all(path.as_predicted for path in paths), render(paths)


def test_with_two_hosts_stopped_nothing_is_given_out_and_traffic_goes_on(outage: Outage) -> None:
    story, lab = outage.story, outage.story.lab
    stream = Stream(lab, outage.place("web/1/0"), outage.place("cache/1/0"))
    held = outage.addresses("provider1")
    lab.stop("provider2")
    lab.stop("provider3")
    try:
        since = observing.runs(lab, "provider1")[0]["finished"]
        story.deploy(story.present(A), [SPARE])
        said: list[str] = []

        def refused() -> bool:
            for run in observing.runs(lab, "provider1"):
                if run["finished"] > since:
                    said.extend(each["what"] for each in run["problems"] if each["where"] == outage.network)
            return bool(said)

        observing.eventually(refused, "a report of provider1's reconciliation on its own")
        assert any("majority" in text for text in said), said
        assert outage.addresses("provider1") == held
        assert "spare/1/0" not in story.known("provider1", A)
        stream.goes_on()
    finally:
        stream.close()
        lab.start("provider2")
        lab.start("provider3")


def test_with_a_majority_back_it_is_given_out_by_itself(outage: Outage) -> None:
    story = outage.story
    story.wait_applied(outage.tenant, manifest=story.handed(A))
    paths = story.probe(A)
    assert any(path.target == "shop:spare/1/0" and path.seen for path in paths)
    assert all(path.as_predicted for path in paths), render(paths)


def test_closing_their_leases_removes_them_everywhere(outage: Outage) -> None:
    story, lab = outage.story, outage.story.lab
    held = outage.addresses("provider1")
    gone = {label: held[label] for label in ("cache/1/0", "spare/1/0")}
    for member in (CACHE, SPARE):
        story.close(str(story.lease_of(A, member)))
    story.chain.advance(12)
    story.wait_applied(story.present(A), manifest=story.handed(A))
    for host in story.providers:
        observing.eventually(
            lambda host=host: not set(gone) & set(outage.addresses(host)), f"released in the ledger of {host}"
        )
        short = observing.short(lab, host, outage.network)
        texts = {
            "names": observing.names(lab, host, short),
            "peers": observing.peers(lab, host, short),
            "rules": observing.rules(lab, host, short),
            "links": lab.execute_in(host, f"avpn-{short}", ["ip", "-o", "route"]).stdout,
        }
        for kind, text in texts.items():
            words = set(text.replace(",", " ").replace("/", " ").split())
            assert not words & set(gone.values()), (host, kind, text)
        assert "cache.shop" not in texts["names"]
    left = [name for name in lab.workloads("provider1") if name.startswith(tuple(ended_namespaces(story)))]
    assert left == []


def ended_namespaces(story: Story) -> list[str]:
    """Namespaces of the members' leases; none should be leased any more."""
    from lab.lease import lease_namespace

    owner, provider = story.account(A.host), story.account("provider1")
    return [lease_namespace(owner, member.dseq, 1, 1, provider) for member in (CACHE, SPARE)]
