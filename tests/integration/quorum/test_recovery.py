# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two of three voters are gone: the tenant asks the hosts over real SSH, and raises the generation (R25)."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ledger_world import OWNER
from quorum_site import Site, module_result, opened

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import NetworkRecord, View
from ansible_collections.akash.avpn.plugins.module_utils._chain.view import load_view, save_view
from ansible_collections.akash.avpn.plugins.module_utils._peer import config, drop, gather, keys
from ansible_collections.akash.avpn.plugins.module_utils._quorum.cache import LedgerCache
from ansible_collections.akash.avpn.plugins.module_utils._quorum.former import positions
from ansible_collections.akash.avpn.plugins.module_utils._quorum.leaving import serves
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Certified
from ansible_collections.akash.avpn.plugins.module_utils._quorum.store import Store

pytestmark = [pytest.mark.root, pytest.mark.slow]


@dataclass
class Desk:
    """The tenant's: an SSH key, and the chain as a file. ``told``: what endpoints were told by hosts that asked."""

    site: Site
    folder: Path
    told: dict[str, str] = field(default_factory=dict)

    def recovery(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        save_view(self.folder / "view.json", self.site.view())
        common = {
            "name": "prod",
            "owner": OWNER,
            "key_file": str(self.folder / "key"),
            "peer_ranges": ["198.18.0.0/15"],
            "carrier": "file",
            "path": str(self.folder / "view.json"),
            "host_timeout": 10,
        }
        return module_result("recovery", {**common, **options}, check=check)

    def node(self, number: int) -> str:
        return str(self.site.hosts[number].node)

    def read(self) -> NetworkRecord:
        """The record as the module has left it; from now on the chain's, though no host has read it yet."""
        (entry,) = load_view(self.folder / "view.json").networks.values()
        record = entry.record
        written = {"generation": record.generation, "base": record.base, "founders": record.founders}
        self.site.chain.changes |= written
        return record

    def address(self, number: int, deadline: float = 20) -> dict[str, Any]:
        """As a reconciliation on one host; what became of the network."""
        result = module_result("address", {"root": str(self.site.hosts[number].paths.root), "deadline": deadline})
        assert not result.get("failed"), result
        (network,) = result["networks"].values()  # type: ignore[attr-defined]
        for endpoint, at in network.get("allocated", {}).items():
            assert self.told.setdefault(endpoint, at) == at
        assert len(set(self.told.values())) == len(self.told)
        return dict(network)

    def gather(self, number: int) -> dict[str, Any]:
        """The fast path's first half on one host, when it's time to compare; there is no chain to be read here."""
        paths = self.site.hosts[number].paths
        (paths.state / "compare.stamp").unlink(missing_ok=True)
        host = config.load(paths.host_config)
        found: dict[str, Any] = drop.as_user(drop.USER, lambda: gather.gather(paths, host), seconds=60)
        return found

    def cached(self, number: int) -> Certified:
        """The newest that a host has, proven by the founders of its generation."""
        record = self.site.chain.record()
        found = LedgerCache(self.site.hosts[number].paths.ledgers).load(record.id, record.generation, record.founders)
        assert found is not None
        return found

    def bound(self, number: int) -> dict[str, str]:
        """The addresses that are bound in it."""
        return {str(endpoint): str(slot.address) for endpoint, slot in self.cached(number).value.bound().items()}

    def show(self, number: int, view: View, age: float = 0) -> None:
        """A host has this view, read so many seconds ago."""
        save_view(self.site.hosts[number].paths.view, replace(view, time=int(time.time() - age)))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    if os.geteuid() != 0 or shutil.which("sshd", path="/usr/sbin") is None or shutil.which("wg") is None:
        pytest.skip("needs root, openssh-server and wireguard-tools")
    keys.create_ssh_key(tmp_path / "key")
    with opened(3, hosts=5) as site:
        site.chain.changes = {"access": (keys.ssh_public_key(tmp_path / "key"),)}
        for number, member in ((1, "web"), (2, "api"), (3, "db"), (4, "cache")):
            site.chain.deploy(member, 10 + number, number)
        site.publish()
        save_view(tmp_path / "view.json", site.view())
        made = Desk(site, tmp_path)
        for number in (1, 2, 3):
            assert made.address(number)["allocated"]
        yield made


def test_the_survey_tells_what_is_left(desk: Desk) -> None:
    healthy = desk.recovery()
    assert not healthy.get("failed"), healthy
    assert not healthy["needed"] and not healthy["changed"]
    assert any("enough to go on without recovery" in line for line in healthy["report"])
    best = healthy["candidates"][0]
    assert (best["proof"], best["addresses"], best["missing"]) == ("certified", 3, ["cache/1/0"])

    for number in (2, 3):
        desk.site.hosts[number].stop()
    alone = desk.recovery()
    assert alone["needed"]
    assert alone["voters"] == {desk.node(1): True, desk.node(2): False, desk.node(3): False}
    assert alone["hosts"][desk.node(2)]["silent"]
    assert alone["hosts"][desk.node(4)] == {"holds": [], "silent": None}
    assert alone["candidates"][0]["hash"] == best["hash"]
    proposal = alone["proposal"]
    assert (proposal["generation"], proposal["base"]) == (1, best["hash"])
    assert sorted(proposal["founders"]) == sorted([desk.node(1), desk.node(4)])
    text = "\n".join(alone["report"])
    assert "The network can't decide anything: 1 of 3 voters answer, 2 are needed" in text
    assert "cache/1/0" in text and best["hash"] in text
    print("\n" + text)

    # What would be written, and that nothing is.
    path = desk.folder / "view.json"
    planned = desk.recovery(check=True, generation=1)
    assert not planned.get("failed"), planned
    assert planned["changed"]
    record = planned["record"]
    assert (record["generation"], record["base"]) == (1, best["hash"])
    assert '"generation": 1' in planned["diff"]["after"] and '"generation": 0' in planned["diff"]["before"]
    assert load_view(path).networks[planned["network"]].record.generation == 0

    assert "the next one is 1" in desk.recovery(generation=2)["msg"]
    assert "which no host that answers shows" in "\n".join(desk.recovery(base="5" * 64)["report"])


def test_who_may_not_ask_is_told_before_anybody_is_asked(desk: Desk) -> None:
    keys.create_ssh_key(desk.folder / "stranger")
    refused = desk.recovery(key_file=str(desk.folder / "stranger"))
    assert refused["failed"] and "isn't a key that the network's record names" in refused["msg"]
    assert "doesn't exist" in desk.recovery(key_file=str(desk.folder / "none"))["msg"]
    assert "no such network" in desk.recovery(name="other")["msg"]


def test_what_is_left_goes_on_and_the_old_hosts_follow(desk: Desk) -> None:
    site, chain = desk.site, desk.site.chain
    chain.deploy("late", 15, 2)
    site.publish()
    before, old = desk.cached(3), site.view()
    for number in (2, 3):
        site.hosts[number].stop()
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(desk.recovery, generation=1, wait=60)
        while desk.read().generation < 1:
            assert not following.done(), following.result()
            time.sleep(0.2)
        site.publish()
        resting = desk.address(4)
        recovered = following.result()
    assert not recovered.get("failed"), recovered
    print("\n" + "\n".join(recovered["report"]))
    assert recovered["record"]["base"] == before.certificate.hash
    started = recovered["started"]
    assert (started["version"], started["kept"], started["lost"], started["gained"]) == (0, 3, {}, {})
    until = started["rests_until"]
    assert until == desk.cached(4).value.record_height + 360

    # It rests: what runs goes on, and nothing new is given out.
    why = f"the new generation rests until block {until}"
    assert (resting["version"], resting["waiting"]) == (0, {"cache/1/0": why})
    site.publish(until - 1 - chain.height)
    assert desk.address(4)["waiting"] == {"cache/1/0": why}
    site.publish()
    given = desk.address(4)
    assert list(given["allocated"]) == ["cache/1/0"]
    assert desk.bound(4) == desk.told

    # The old ones come back. With the view of then they do nothing, for it is too old.
    newest = desk.cached(4)
    for number in (2, 3):
        desk.show(number, old, 1000)
        site.hosts[number].start()
    stale = module_result("address", {"root": str(site.hosts[3].paths.root)})
    assert stale["failed"] and "the view of the chain is 10" in str(stale["msg"])
    # Nor if it were young: whoever has read the chain refuses, also the one that voted with it then.
    desk.show(2, old)
    desk.show(3, site.view())
    refused = desk.address(2)["error"]
    for number in (1, 3):
        assert f"n{number}: generation 0 is over; it is 1 (rule:generation)" in refused
    assert desk.gather(2)["news"] == []
    assert LedgerCache(site.hosts[2].paths.ledgers).load(before.value.network, 0, before.value.voters) is not None

    # They have read the chain: they take the new generation from whoever has it, and nothing of the old one after.
    site.publish()
    for number in (2, 3):
        assert desk.gather(number)["news"] == [["ledger", newest.value.network]]
        assert desk.cached(number).value == newest.value
        assert not LedgerCache(site.hosts[number].paths.ledgers).save(before)
        store = Store(site.hosts[number].paths.voter_database)
        assert positions(store, newest.value.network) == ()
        assert not serves(store, site.hosts[number].node, newest.value.network)
        store.close()
        assert desk.gather(number)["news"] == []
    assert list(desk.address(2)["allocated"]) == ["late/1/0"]
    assert desk.cached(2).value.generation == 1
    assert desk.bound(2) == desk.told


def test_a_founder_that_does_not_answer_is_named_and_left_out(desk: Desk) -> None:
    site, chain = desk.site, desk.site.chain
    chain.deploy("more", 15, 5)
    site.publish()
    for number in (2, 3):
        site.hosts[number].stop()
    # Written, and the tenant's machine fails before anybody has begun. Run again, it goes on where it was.
    written = desk.recovery(generation=1, wait=0)
    assert written["changed"] and written["started"] is None
    assert {str(voter.node) for voter in desk.read().founders} == set(map(desk.node, (1, 4, 5)))
    again = desk.recovery(generation=1, wait=1)
    assert again["failed"] and not again["changed"] and again["msg"].endswith("hasn't begun after 1 s")
    assert f"{desk.node(1)}: answers, and hasn't read generation 1 on chain yet" in "\n".join(again["report"])
    site.hosts[5].stop()
    site.publish()
    why = desk.address(1, deadline=3)["error"]
    assert "all founders have to take part in the start from a base" in why and desk.node(5) in why
    waiting = desk.recovery(generation=1, wait=3)
    assert waiting["msg"].endswith(f"needs all founders; no answer from {desk.node(5)}")
    assert "\n".join(waiting["report"]).count("answers, and takes part; others are missing") == 2
    survey = desk.recovery()
    assert "2 of 3 voters answer, and all are needed" in "\n".join(survey["report"])
    assert (survey["proposal"]["generation"], survey["needed"]) == (2, True)

    assert desk.recovery(generation=2, wait=0)["changed"]
    assert {str(voter.node) for voter in desk.read().founders} == {desk.node(1), desk.node(4)}
    site.publish()
    assert desk.address(4)["version"] == 0
    recovered = desk.recovery(generation=2)
    assert not recovered["changed"] and recovered["started"]["version"] == 0
    assert desk.bound(4) == desk.told
    # It has heard of generation 1, which never was, and follows.
    site.hosts[5].start()
    assert desk.gather(5)["news"] == [["ledger", desk.cached(4).value.network]]
    assert desk.cached(5).value == desk.cached(4).value
