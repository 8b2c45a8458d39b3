# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a view from the development chain, with tenants who write nonsense and nodes that slip."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._chain import reading
from ansible_collections.akash.avpn.plugins.module_utils._chain.carriers import AuditCarrier, FileCarrier
from ansible_collections.akash.avpn.plugins.module_utils._chain.messages import delete_attributes
from ansible_collections.akash.avpn.plugins.module_utils._chain.model import LeaseState, SeenRecord, View
from ansible_collections.akash.avpn.plugins.module_utils._chain.reading import read_view, record_at
from ansible_collections.akash.avpn.plugins.module_utils._chain.records import record_digest
from ansible_collections.akash.avpn.plugins.module_utils._chain.view import (
    load_view,
    record_gone,
    record_seen,
    save_view,
    view_age,
)
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId, network_id
from ansible_collections.akash.avpn.tests.unit.chain import samples
from ansible_collections.akash.avpn.tests.unit.chain.conftest import World


def prod(world: World) -> str:
    return network_id(world.tenant.address, "prod")


def test_a_providers_view(world: World) -> None:
    web, api, other = world.lease(0), world.lease(1, count=2), world.lease(2)
    world.write("prod", members={"web": web, "api": api})
    world.write("elsewhere", members={"db": other})
    with world.sources() as sources:
        view = read_view(sources, provider=world.providers[0])
        network = view.networks[prod(world)]
        assert set(view.networks) == {prod(world)}, "only what concerns this provider"
        assert network.record.members == {"web": web, "api": api}
        assert network.participants() == set(world.providers[:2])
        assert network.deployments[api].replicas == {1: 2}
        assert set(view.hosts) == {NodeId(provider, "node1") for provider in world.providers[:2]}
        assert view.hosts_of(world.providers[1])[0].ssh_address == "198.18.0.12"
        assert (view.chain_id, view.height, view.problems) == (world.chain.chain_id, world.chain.height, {})
        assert view_age(view) < 60
        everything = read_view(sources, provider=None, owners=[world.tenant.address])
        assert {entry.record.name for entry in everything.networks.values()} == {"prod", "elsewhere"}


def test_reclaiming_runs_and_closed_stays_known(world: World) -> None:
    web, api = world.lease(0), world.lease(1)
    world.write("prod", members={"web": web, "api": api})
    world.chain.admin.lease_reclaim(world.tenant.address, web)
    with world.sources() as sources:
        view = read_view(sources, provider=world.providers[0])
        states = {lease.id.dseq: lease.state for lease in view.networks[prod(world)].leases}
        assert states == {web: LeaseState.RECLAIMING, api: LeaseState.ACTIVE}
        assert world.providers[0] in view.networks[prod(world)].participants()
        world.chain.admin.lease_close(world.tenant.address, web)
        closed = read_view(sources, provider=world.providers[0], keep=[prod(world)], previous=view)
        lease = next(one for one in closed.networks[prod(world)].leases if one.id.dseq == web)
        assert not lease.running and lease.closed_at == world.chain.height
        assert lease.ran_at(lease.closed_at - 1) and not lease.ran_at(lease.closed_at)
        # Without a lease and without anything kept, the network is none of this host's business.
        assert read_view(sources, provider=world.providers[0], previous=closed).networks == {}


def test_leases_of_a_replaced_deployment_stay(world: World) -> None:
    web = world.lease(0)
    world.write("prod", members={"web": web})
    with world.sources() as sources:
        first = read_view(sources, provider=world.providers[0])
        new = int(world.chain.admin.deployment_replace(world.tenant.address, web)["deployment"]["id"]["dseq"])
        world.write("prod", members={"web": new})
        second = read_view(sources, provider=world.providers[0], previous=first)
        by_dseq = {lease.id.dseq: lease for lease in second.networks[prod(world)].leases}
        assert by_dseq[web].state is LeaseState.CLOSED and by_dseq[web].closed_at
        assert by_dseq[new].running
        third = read_view(sources, provider=world.providers[0], previous=second)
        assert third.networks[prod(world)].leases == second.networks[prod(world)].leases
        # A host that starts today learns of it through the ledger's slots.
        fresh = read_view(sources, provider=world.providers[0])
        assert web not in {lease.id.dseq for lease in fresh.networks[prod(world)].leases}
        told = read_view(sources, provider=world.providers[0], deployments={prod(world): [web]})
        assert by_dseq[web] in told.networks[prod(world)].leases


def test_bad_record_costs_only_its_network(world: World) -> None:
    web, api = world.lease(0), world.lease(0)
    world.write("prod", members={"web": web})
    world.write("test", members={"api": api})
    with world.sources() as sources:
        good = read_view(sources, provider=world.providers[0])
        world.write_text("prod", '{"v":1,"cidr":"100.64.0.0/22\\naddress=/#/192.0.2.1"}')
        view = read_view(sources, provider=world.providers[0], previous=good)
        assert view.networks[prod(world)].record == good.networks[prod(world)].record
        assert set(view.problems) == {prod(world)}
        assert "cidr" in view.problems[prod(world)] and "\n" not in view.problems[prod(world)]
        assert record_seen(view, prod(world), record_digest(good.networks[prod(world)].record), view.height) is False
        other = network_id(world.tenant.address, "test")
        assert view.networks[other].record.members == {"api": api}
        # A host that never saw a good one has none, and says why.
        fresh = read_view(sources, provider=world.providers[0])
        assert set(fresh.networks) == {other} and set(fresh.problems) == {prod(world)}
        world.write("prod", members={"web": web}, generation=0)
        assert read_view(sources, provider=world.providers[0], previous=view).problems == {}


def test_bad_host_record_costs_only_that_host(world: World) -> None:
    world.write("prod", members={"web": world.lease(0), "api": world.lease(1)})
    with world.sources() as sources:
        good = read_view(sources, provider=world.providers[0])
        world.set_host(1, world.providers[1], gossip="$(reboot)")
        view = read_view(sources, provider=world.providers[0], previous=good)
        assert view.hosts == good.hosts
        assert list(view.problems) == [f"{world.providers[1]}/node1"]
        assert "gossip" in view.problems[f"{world.providers[1]}/node1"]
        fresh = read_view(sources, provider=world.providers[0])
        assert set(fresh.hosts) == {NodeId(world.providers[0], "node1")}
        world.set_host(1, world.providers[1], wireguard="198.18.0.99")
        moved = read_view(sources, provider=world.providers[0], previous=view)
        assert moved.hosts_of(world.providers[1])[0].wireguard_address == "198.18.0.99"


def test_somebody_elses_word_is_not_the_tenants(world: World) -> None:
    """Anyone may sign attributes under another's owner; only the pair (tenant, tenant) counts."""
    from ansible_collections.akash.avpn.plugins.module_utils._chain.account import load_account
    from ansible_collections.akash.avpn.plugins.module_utils._chain.messages import sign_attributes
    from ansible_collections.akash.avpn.plugins.module_utils._chain.transactions import send

    web = world.lease(0)
    rival = load_account(private_key="22" * 32)
    world.chain.fund(rival.address)
    text = json.dumps({"v": 1, "cidr": "10.0.0.0/8", "members": {"web": web}})
    forged = sign_attributes(world.tenant.address, rival.address, {"avpn/network/prod": text})
    send([world.chain.url], world.chain.chain_id, rival, [forged])
    with world.sources() as sources:
        assert read_view(sources, provider=world.providers[0], owners=[world.tenant.address]).networks == {}
        # And a node that serves the wrong row is not believed.
        world.write("prod", members={"web": web})
        world.chain.faults.add("lie", route="/audit/", path="providers.*.auditor", value=rival.address)
        with pytest.raises(Unavailable, match="not the pair"):
            read_view(sources, provider=world.providers[0])


def test_a_doubled_key_has_no_meaning(world: World) -> None:
    from ansible_collections.akash.avpn.plugins.module_utils._chain.messages import Message

    web = world.lease(0)
    rows = [
        {"key": "avpn/network/prod", "value": json.dumps({"v": 1, "cidr": cidr, "members": {"web": web}})}
        for cidr in ("10.0.0.0/24", "10.0.1.0/24")
    ]
    me = world.tenant.address
    double = Message("/akash.audit.v1.MsgSignProviderAttributes", {"owner": me, "auditor": me, "attributes": rows})
    world.send(double)
    with world.sources() as sources:
        view = read_view(sources, provider=world.providers[0])
    assert view.networks == {} and "twice" in view.problems[prod(world)]


def test_one_absence_tears_nothing_down(world: World) -> None:
    world.write("prod", members={"web": world.lease(0)})
    keep = [prod(world)]
    with world.sources() as sources:
        before = read_view(sources, provider=world.providers[0])
        world.chain.faults.add("not-found", route="/audit/", count=1)
        slip = read_view(sources, provider=world.providers[0], keep=keep, previous=before)
        assert slip.networks[prod(world)] == before.networks[prod(world)]
        assert not record_gone(slip, prod(world))
        world.chain.block()
        back = read_view(sources, provider=world.providers[0], keep=keep, previous=slip)
        assert back.networks == before.networks and not record_gone(back, prod(world))

        me = world.tenant.address
        world.send(delete_attributes(me, me, ["avpn/network/prod"]))
        once = read_view(sources, provider=world.providers[0], keep=keep, previous=back)
        assert prod(world) in once.networks
        assert once.seen_records[prod(world)][-1].digest == "" and not record_gone(once, prod(world))
        same_height = read_view(sources, provider=world.providers[0], keep=keep, previous=once)
        assert prod(world) in same_height.networks, "the same block asked again is no second word"
        world.chain.block()
        twice = read_view(sources, provider=world.providers[0], keep=keep, previous=same_height)
        assert prod(world) not in twice.networks and record_gone(twice, prod(world))
        world.write("prod", members={"web": world.lease(0)})
        again = read_view(sources, provider=None, keep=keep, previous=twice)
        assert prod(world) in again.networks and not record_gone(again, prod(world))


def test_missing_leases_deployments_and_providers_are_slips(world: World) -> None:
    web = world.lease(0, count=3)
    world.write("prod", members={"web": web})
    with world.sources() as sources:
        before = read_view(sources, provider=world.providers[0])
        world.chain.faults.add("not-found", route="/deployments/info")
        world.chain.faults.add("not-found", route="/providers/")
        world.chain.faults.add("lie", route="/leases/list", path="leases", value=[])
        slip = read_view(sources, provider=world.providers[0], keep=[prod(world)], previous=before)
        assert slip.networks == before.networks and slip.hosts == before.hosts


def test_nothing_new_is_known_when_the_chain_does_not_answer(world: World) -> None:
    world.write("prod", members={"web": world.lease(0)})
    with world.sources() as sources:
        before = read_view(sources, provider=world.providers[0])
        for route in ("/leases/", "/audit/", "/deployments/", "/providers/", "/blocks/"):
            fault = world.chain.faults.add("unavailable", route=route)
            with pytest.raises(Unavailable, match="503"):
                read_view(sources, provider=world.providers[0], previous=before)
            world.chain.faults.clear(fault.number)
        world.chain.faults.add("stale", blocks=3)
        with pytest.raises(Unavailable, match="behind what was read before"):
            read_view(sources, provider=world.providers[0], previous=before)


def test_the_view_is_of_one_height(world: World) -> None:
    """What changes on chain while the view is being read is not in it."""
    web = world.lease(0)
    world.write("prod", members={"web": web})
    carrier = AuditCarrier()

    class Meddling(AuditCarrier):
        def read(self, snapshot, owner):  # type: ignore[no-untyped-def]
            world.chain.admin.lease_close(owner, web)
            return carrier.read(snapshot, owner)

    with world.sources() as sources:
        view = read_view(sources, provider=world.providers[0], carrier=Meddling())
        assert view.height == world.chain.height - 1
        assert view.networks[prod(world)].participants() == {world.providers[0]}


def test_records_seen(world: World) -> None:
    with world.sources() as sources:
        view = None
        digests, heights = [], []
        for mtu in range(3):
            world.write("prod", members={f"m{mtu}": 5})
            world.chain.block(3)
            view = read_view(sources, provider=None, owners=[world.tenant.address], previous=view)
            digests.append(record_digest(view.networks[prod(world)].record))
            heights.append(view.height)
            world.chain.block(3)
            view = read_view(sources, provider=None, owners=[world.tenant.address], previous=view)
        assert view is not None
        me = prod(world)
        assert record_seen(view, me, digests[0], heights[0]) is True
        assert record_seen(view, me, digests[0], heights[0] + 2) is True
        assert record_seen(view, me, digests[1], heights[0] + 2) is False
        between = heights[1] - 2
        assert record_seen(view, me, digests[0], between) is True and record_seen(view, me, digests[1], between) is True
        assert record_seen(view, me, digests[2], between) is None
        assert record_seen(view, me, digests[2], view.height + 1) is None, "newer than this view"
        assert record_seen(view, me, digests[0], heights[0] - 1) is None, "older than what it remembers"
        assert record_seen(view, "0" * 64, digests[0], heights[0]) is None
        # Where the view can't tell, the chain can, while it keeps the height.
        past = record_at(sources, world.tenant.address, "prod", heights[0])
        assert past is not None and record_digest(past) == digests[0]
        assert record_at(sources, world.tenant.address, "none", heights[0]) is None


def test_history_is_bounded(world: World) -> None:
    from ansible_collections.akash.avpn.plugins.module_utils._chain.view import extend_history

    history: tuple[SeenRecord, ...] = ()
    for height in range(1, 60):
        history = extend_history(history, f"{height // 2}", height)
    assert len(history) == 16 and history[-1] == SeenRecord("29", 58, 59)
    assert extend_history(history, "0", 59) == history, "heights never go back"


def test_view_file(world: World, tmp_path: pathlib.Path) -> None:
    web = world.lease(0, count=2)
    founders = [samples.founder(number) for number in range(3)]
    world.write("prod", members={"web": web}, founders=founders, access=[samples.ssh_key("t")])
    world.chain.admin.lease_close(world.tenant.address, web)
    with world.sources() as sources:
        view = read_view(sources, provider=world.providers[0], owners=[world.tenant.address])
    view = dataclasses.replace(view, problems={"x": "y"})
    path = tmp_path / "view.json"
    save_view(path, view)
    assert load_view(path) == view
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["view.json"]
    with pytest.raises(Unavailable, match="no view"):
        load_view(tmp_path / "none")
    document = json.loads(path.read_text())
    for broken in (
        {**document, "v": 2},
        {**document, "more": 1},
        {**document, "height": "1"},
        {**document, "networks": {"0" * 64: document["networks"][prod(world)]}},
        {**document, "hosts": {"x/y": {}}},
        {**document, "seen_records": {prod(world): [["d", 1]]}},
        {**document, "names": {prod(world): [world.providers[0], "prod"]}},
    ):
        path.write_text(json.dumps(broken))
        with pytest.raises(InvalidInput, match=r"view\.json"):
            load_view(path)
    for number, bad in enumerate(("1/1", samples.OWNER[:-1], "gone", -1, "0")):
        lease = list(document["networks"][prod(world)]["leases"][0])
        lease[number] = bad
        changed = json.loads(json.dumps(document))
        changed["networks"][prod(world)]["leases"] = [lease]
        path.write_text(json.dumps(changed))
        with pytest.raises(InvalidInput, match=rf"leases\.0\.{number}"):
            load_view(path)


def test_view_age() -> None:
    view = View("x", 1, 1000, networks={}, hosts={})
    assert view_age(view, now=1060.5) == 60.5
    assert view_age(view, now=900) == 0


def test_file_carrier(world: World, tmp_path: pathlib.Path) -> None:
    world.write("prod", members={"web": world.lease(0)})
    path = tmp_path / "snapshot.json"
    with world.sources() as sources:
        view = read_view(sources, provider=world.providers[0])
        save_view(path, view)
        carrier = FileCarrier(str(path))
        assert read_view(sources, provider=world.providers[0], carrier=carrier).networks == view.networks
        record = dataclasses.replace(view.networks[prod(world)].record, access=(samples.ssh_key("new"),))
        after = carrier.write(world.tenant.address, {"prod": record}, chain_id="x")
        assert after.height == view.height + 1
        assert carrier.view().networks[prod(world)].record == record
        assert carrier.view().networks[prod(world)].leases == view.networks[prod(world)].leases
        moved = read_view(sources, provider=world.providers[0], carrier=carrier)
        assert moved.networks[prod(world)].record == record
    carrier.write(world.tenant.address, {"prod": None}, chain_id="x")
    assert carrier.view().networks == {}
    fresh = FileCarrier(str(tmp_path / "new.json"))
    fresh.write(world.tenant.address, {"prod": record}, chain_id="x")
    assert fresh.view().networks[prod(world)].record == record


# What a stranger may put where a field's name belongs: it ends up in reports, and the reports in the view's file.
_NASTY = ["line\nfeed", "bell\x07", "\u2028", "\x00", "nb\xa0sp", "e\u0301\u200f", "x" * 5000]


@pytest.mark.parametrize("name", _NASTY)
def test_a_view_with_nonsense_in_it_can_be_read_again(world: World, tmp_path: pathlib.Path, name: str) -> None:
    """A view that could be saved and not loaded would stop everything on the host, for all its tenants."""
    web, path = world.lease(0), tmp_path / "view.json"
    world.write("prod", members={"web": web})
    with world.sources() as sources:
        good = read_view(sources, provider=world.providers[0])
        world.write_text("prod", json.dumps({"v": 1, "cidr": "100.64.0.0/22", name: 1}))
        world.write_text("more", json.dumps({"v": 1, "cidr": "100.64.0.0/22", "members": {"a": 1, name: 2}}))
        world.set_host(0, world.providers[0], **{name: 1})
        bad = read_view(sources, provider=world.providers[0], previous=good)
    assert prod(world) in bad.problems and f"{world.providers[0]}/node1" in bad.problems
    save_view(path, bad)
    assert load_view(path) == bad


def test_one_tenant_makes_a_host_read_so_much_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records cost next to nothing, and each deployment and provider that they name is asked for at every reading."""
    monkeypatch.setattr(reading, "_MAX_NETWORKS", 3)
    monkeypatch.setattr(reading, "_MAX_DEPLOYMENTS", 5)
    monkeypatch.setattr(reading, "_MAX_VOTERS", 2)
    web = world.lease(0)
    first = world.providers[0]
    world.write("y-runs", members={"web": web})
    with world.sources() as sources:
        view = read_view(sources, provider=first)
        running = network_id(world.tenant.address, "y-runs")
        assert set(view.networks) == {running}
        for name in "abcd":
            world.write(name, members={"web": web})
        more = read_view(sources, provider=first, keep=[running], previous=view)
        names = {entry.record.name for entry in more.networks.values()}
        assert names == {"a", "b", "y-runs"}, "what runs comes before what is new, whatever it is called"
        assert "more than 3 networks" in more.problems[network_id(world.tenant.address, "c")]
        # The one that runs is made too large: it goes on as it was.
        world.write("y-runs", members={"web": web, **{f"m{number}": 1000 + number for number in range(6)}})
        large = read_view(sources, provider=first, keep=[running], previous=more)
        assert "more than 5 deployments" in large.problems[running]
        assert large.networks[running] == more.networks[running]
        world.write("a", members={"web": web}, witnesses=[f"{one}/node1" for one in samples.PROVIDERS[:3]])
        voters = read_view(sources, provider=first, keep=[running], previous=large)
        assert "more than 2 voters" in voters.problems[network_id(world.tenant.address, "a")]
        # Whoever looks at its own networks sees them all.
        own = read_view(sources, provider=None, owners=[world.tenant.address])
        assert {entry.record.name for entry in own.networks.values()} == {"a", "b", "c", "d", "y-runs"}


def test_nonexistent_deployments_are_not_asked_for_without_end(world: World) -> None:
    web = world.lease(0)
    for number in range(6):
        members = {f"m{index}": 10_000 + 250 * number + index for index in range(250)}
        world.write(f"n{number}", members={"web": web, **members})
    with world.sources() as sources:
        view = read_view(sources, provider=world.providers[0])
    asked = {dseq for entry in view.networks.values() for dseq in entry.record.members.values()}
    assert 0 < len(asked) <= 512
