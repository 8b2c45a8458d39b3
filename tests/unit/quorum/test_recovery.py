# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A majority is lost for good, the tenant raises the generation: what survives goes on, the old ones don't (R25)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_world import OWNER, Chain, Direct, Voters, allocate, cache, facts, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import Voter
from ansible_collections.akash.avpn.plugins.module_utils._common import canonical
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import wish
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import (
    Change,
    apply_change,
    genesis,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import header_of, value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.constants import FENCE_BLOCKS, token_of
from ansible_collections.akash.avpn.plugins.module_utils._quorum.contradiction import conflict
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft, sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority, RuleBroken
from ansible_collections.akash.avpn.plugins.module_utils._quorum.fence import rests_until
from ansible_collections.akash.avpn.plugins.module_utils._quorum.former import positions
from ansible_collections.akash.avpn.plugins.module_utils._quorum.leaving import serves
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire
from ansible_collections.akash.avpn.plugins.module_utils._quorum.membership import wanted
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Ballot,
    Certified,
    Held,
    Instance,
    Promise,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.raising import supersede
from ansible_collections.akash.avpn.plugins.module_utils._quorum.recovery import Recovery
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Accept, Fetch, Prepare, Request, Survey
from ansible_collections.akash.avpn.plugins.module_utils._quorum.rules import check
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value

RUN = "ab" * 16


class Town:
    """Voters 1 to 3 with addresses; 4 and 5 hold leases and don't vote."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.chain = Chain()
        for number, member in ((1, "web"), (2, "api"), (3, "db"), (4, "four"), (5, "five")):
            self.chain.deploy(member, 10 + number, number)
        self.voters = Voters(directory, self.chain)
        for number in (4, 5):
            self.voters.add(number)
        for number in (1, 2, 3):
            allocate(self.voters, number)

    def content(self, number: int, generation: int = 0) -> Any:
        request = {**Survey(self.chain.record().id, generation).to_json(), "as": OWNER}
        answer = answers.parse_answer(self.voters.acceptors[number].handle(request, [OWNER]), "voter")
        assert isinstance(answer, answers.Shown)
        return answer.content

    def certified(self, number: int, generation: int = 0) -> Certified:
        found: Certified = self.content(number, generation).certified
        return found

    def ask(self, number: int, request: Request, caller: NodeId) -> answers.Answer:
        document = {**request.to_json(), "as": str(caller)}
        return answers.parse_answer(self.voters.acceptors[number].handle(document, [caller]), "voter")

    def raise_to(self, generation: int, base: str | None, founders: tuple[int, ...]) -> None:
        voters = tuple(
            Voter(node(one), self.chain.incarnations[one], signer(one).public_key) for one in sorted(founders)
        )
        self.chain.height += 1
        self.chain.changes = {"generation": generation, "base": base, "founders": voters}

    def start(self, number: int, **options: Any) -> Value:
        """Version 0, without building upon it."""
        return allocate(self.voters, number, **options).value

    def half_do(self, number: int, member: str, heard: tuple[int, ...]) -> None:
        """Host ``number`` proposes one endpoint more; only those named accept it, nobody learns of a certificate."""
        self.chain.deploy(member, 50 + number, number)
        allocate(self.voters, next(one for one in (1, 2, 3) if one != number))  # the record goes in alone
        with pytest.raises(NoMajority):
            allocate(self.voters, number, Choosy(self.voters, node(number), heard), deadline=0.5)


class Choosy(Direct):
    """Accepts reach some voters only, and certificates nobody."""

    def __init__(self, voters: Voters, caller: NodeId, heard: tuple[int, ...]) -> None:
        super().__init__(voters, caller)
        self.heard = heard
        self.deaf: set[NodeId] = set()

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        if request["op"] == "learn" or node in self.deaf:
            raise Unavailable("cut off", where=str(node))
        if request["op"] == "accept":
            self.deaf.add(node)
            if self.voters.number(node) not in self.heard:
                raise Unavailable("cut off", where=str(node))
            super().call(node, request)
            raise Unavailable("answer lost", where=str(node))
        return super().call(node, request)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


def test_what_a_survivor_holds_goes_on_with_new_founders(town: Town) -> None:
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    value = town.start(4)
    assert (value.generation, value.version) == (1, 0)
    assert (value.slots, value.hosts, value.serials) == (
        before.value.slots,
        before.value.hosts,
        before.value.serials,
    )
    assert value.voters == town.chain.record().founders
    assert positions(town.voters.acceptors[3].store, value.network)[0].generation == 1
    # It rests, says until when, and goes on then.
    view = town.chain.view()
    until = rests_until(value, view.height)
    assert until == value.record_height + FENCE_BLOCKS
    waiting = wish(value, view, facts(4), town.chain.endpoints(4)).waiting
    assert waiting == {EndpointId("four", 1, 0): f"the new generation rests until block {until}"}
    assert wanted(value, view) is None
    with pytest.raises(Unavailable, match=f"block {until}"):
        Acquire("job", 5, view.height).draft(value, node(3))
    town.chain.height = until
    after = allocate(town.voters, 4).value
    assert set(after.bound()) == set(before.value.bound()) | {EndpointId("four", 1, 0)}
    addresses = [slot.address for slot in after.slots.values()] + [host.address for host in after.hosts.values()]
    assert len(addresses) == len(set(addresses))
    lock = Acquire("job", 5, town.chain.height).draft(after, node(3)).locks["job"]
    assert lock is not None and lock.token == token_of(1, after.version + 1) > 1 << 24
    # Nothing of the old generation is kept once the new one is certified.
    assert [one.generation for one in positions(town.voters.acceptors[3].store, value.network)] == [1]


def test_what_was_accepted_by_one_survivor_goes_on(town: Town) -> None:
    town.half_do(3, "late", (3,))
    before = town.certified(3)
    assert town.content(3).accepted is not None
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    assert EndpointId("late", 1, 0) in town.start(5).bound()


def test_what_is_newer_than_the_base_goes_on(town: Town) -> None:
    before = town.certified(3)
    town.content(3)  # shown to the tenant, who names it
    allocate(town.voters, 4)
    newer = town.certified(3)
    assert newer.value.version > before.value.version
    town.voters.down = {1, 2}
    request = {**Survey(before.value.network).to_json(), "as": OWNER}
    town.voters.acceptors[3].handle(request, [OWNER])
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    with pytest.raises(Unavailable, match="nobody who answers shows the base"):
        town.start(4, deadline=1)
    # As when it had been surveyed before.
    base = header_of(before.value)
    with town.voters.acceptors[3].store.transaction() as database:
        database.execute(
            "INSERT INTO headers VALUES (?, ?, ?, ?, ?)",
            (base.network, 0, base.version, base.hash, canonical.dumps(base.to_json())),
        )
    assert town.start(4).slots == newer.value.slots


def test_all_founders_have_to_be_heard(town: Town) -> None:
    before = town.certified(3)
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    town.voters.down = {1, 2, 5}
    with pytest.raises(NoMajority, match="all founders have to take part.*" + str(node(5))):
        town.start(4, deadline=1)
    # So the tenant does, with others.
    town.raise_to(2, before.certificate.hash, (3, 4))
    assert town.start(4).slots == before.value.slots


def test_a_half_done_start_is_finished_by_another_though_a_founder_is_lost_since(town: Town) -> None:
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    with pytest.raises(NoMajority):
        town.start(4, transport=Choosy(town.voters, node(4), (4,)), deadline=1)
    for number in (3, 4, 5):
        town.voters.acceptors[number].store.close()
        town.voters.start(number)
    town.voters.down = {1, 2, 5}
    town.chain.height += 3
    value = town.start(3)
    assert (value.generation, value.version, value.slots) == (1, 0, before.value.slots)


def test_a_start_without_a_base_is_empty(town: Town) -> None:
    town.raise_to(1, None, (3, 4, 5))
    town.voters.down = {1, 2}
    value = town.start(4)
    assert (value.generation, value.version, value.slots, value.hosts) == (1, 0, {}, {})
    town.chain.height += 1
    assert rests_until(value, town.chain.height) is not None


def test_the_old_ones_come_back(town: Town, tmp_path: Path) -> None:
    kept = cache(tmp_path / "old")
    allocate(town.voters, 1, cache=kept)
    old_record, old_view = town.chain.record(), town.chain.view()
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    value = town.start(4)
    town.chain.height = value.record_height + FENCE_BLOCKS
    after = allocate(town.voters, 4).value
    town.voters.down = set()
    for number in (1, 2):
        town.voters.acceptors[number].store.close()
        town.voters.start(number)
    town.chain.deploy("again", 99, 1)
    town.chain.height += 900  # seconds here
    # With the views of then: too old to vote on. The others have ended that generation.
    town.voters.views = {1: lambda: old_view, 2: lambda: old_view}
    with Proposer(
        Direct(town.voters, node(1)), node(1), old_record, old_view.height, cache=kept, deadline=1, pauses=0.1
    ) as proposer:
        with pytest.raises(NoMajority, match="the view of the chain is") as error:
            proposer.propose(_claim(town, 1))
        assert "rule:generation" in str(error.value)
    # With views of now: they know that it is over, and don't vote in the new one.
    town.voters.views = {}
    with (
        Proposer(
            Direct(town.voters, node(1)), node(1), old_record, old_view.height, cache=kept, deadline=1, pauses=0.1
        ) as proposer,
        pytest.raises(Exception, match="rule:generation"),
    ):
        proposer.propose(_claim(town, 1))
    # Readers take the new one, and nothing lower over it.
    newest = allocate(town.voters, 1, cache=kept).value
    assert newest.generation == 1 and set(after.bound()) <= set(newest.bound())
    stored = kept.load(newest.network, 1, town.chain.record().founders)
    assert stored is not None and stored.value == newest
    assert not kept.save(before)
    assert kept.load(newest.network, 1, town.chain.record().founders) is not None


def _claim(town: Town, number: int) -> Callable[[Value], Change | None]:
    def build(value: Value) -> Change | None:
        entry = replace(value.hosts[node(number)], mtu=1400, height=town.chain.height)
        return sign(Draft(hosts={node(number): entry}), value, node(number), signer(number))

    return build


def test_a_view_that_goes_back_begins_nothing(town: Town) -> None:
    old = town.chain.view()
    town.raise_to(1, town.certified(3).certificate.hash, (3, 4, 5))
    fetch = {**Fetch(town.chain.record().id).to_json(), "as": str(node(4))}
    town.voters.acceptors[3].handle(fetch, [node(4)])
    town.voters.views[3] = lambda: old
    answer = town.voters.acceptors[3].handle(fetch, [node(4)])
    assert answer["rejected"]["rule"] == "generation"


def test_a_record_that_changes_its_base_without_another_generation_begins_nothing(town: Town) -> None:
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    fetch = {**Fetch(town.chain.record().id).to_json(), "as": str(node(4))}
    for number in (3, 4, 5):
        town.voters.acceptors[number].handle(fetch, [node(4)])
    town.raise_to(1, None, (3, 4, 5))
    with pytest.raises(NoMajority, match=r"rule:base.*another base than generation 1 began with"):
        town.start(4, deadline=1)


def test_the_rest_counts_from_what_a_voter_saw_itself(town: Town) -> None:
    """Whatever height version 0 claims: who is asked for the next one has waited since it saw the generation."""
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    value = town.start(4)
    parent = town.certified(3, 1)
    change = _claim(town, 3)(value)
    assert change is not None
    child = apply_change(value, parent.certificate.hash, change)
    instance, ballot = Instance.of(child), Ballot(1, node(3), RUN, value_hash(child))
    prepare = Prepare(instance, ballot, 0, parent.certificate)
    for before_hand in (FENCE_BLOCKS, 1):
        town.chain.height = value.record_height + FENCE_BLOCKS - before_hand
        told = town.ask(3, prepare, node(3))
        assert isinstance(told, answers.NotSeen)
        assert told.height == value.record_height + FENCE_BLOCKS
    town.chain.height += 1
    promises = []
    for number in (3, 4):
        promised = town.ask(number, prepare, node(3))
        assert isinstance(promised, answers.Promised)
        promises.append(promised.promise)
    # One whose view lies behind again doesn't accept either, whatever it has promised.
    accept = Accept(instance, ballot, tuple(promises), change, parent.certificate)
    town.chain.height -= 1
    told = town.ask(3, accept, node(3))
    assert isinstance(told, answers.NotSeen)
    town.chain.height += 1
    assert isinstance(town.ask(3, accept, node(3)), answers.Accepted)


def test_a_host_that_sees_the_generation_later_waits_longer(town: Town) -> None:
    town.voters.down = {1, 2}
    town.raise_to(1, None, (3, 4, 5))
    town.voters.down |= {5}
    value = town.start(4)
    town.chain.height += 100
    town.voters.down = {1, 2}
    fetch = {**Fetch(value.network).to_json(), "as": str(node(4))}
    town.voters.acceptors[5].handle(fetch, [node(4)])
    late = town.chain.height
    town.chain.height = value.record_height + FENCE_BLOCKS
    town.voters.down = {1, 2, 4}
    with pytest.raises(NoMajority, match=f"rests until block {late + FENCE_BLOCKS}"):
        allocate(town.voters, 3, deadline=1)
    town.voters.down = {1, 2, 5}
    assert allocate(town.voters, 3).changed


def test_a_founder_that_claims_what_it_cannot_prove_is_named(town: Town) -> None:
    before = town.certified(3)
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    town.voters.down = {1, 2}
    fetch = {**Fetch(town.chain.record().id).to_json(), "as": str(node(4))}
    town.voters.acceptors[3].handle(fetch, [node(4)])
    with town.voters.acceptors[3].store.transaction() as database:
        database.execute("UPDATE former SET version = version + 5, hash = ?", ("3" * 64,))
    with pytest.raises(Unavailable, match=f"{node(3)} says to hold version"):
        town.start(4, deadline=1)


@pytest.mark.parametrize("done", [True, False], ids=["certified", "accepted"])
def test_a_generation_between_is_not_lost(town: Town, done: bool) -> None:
    before = town.certified(3)
    town.content(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    if done:
        town.start(4)
    else:
        with pytest.raises(NoMajority):
            town.start(4, transport=Choosy(town.voters, node(4), (4,)), deadline=1)
    shown = town.content(4, 1)
    first = shown.certified.certificate.hash if done else shown.accepted.ballot.hash
    town.raise_to(2, before.certificate.hash, (3, 4, 5))
    why = r"nobody who answers shows the base.* holds version 0 of generation 1" if done else r"recovery-between"
    with pytest.raises(AvpnError, match=why):
        town.start(4, deadline=1)
    town.raise_to(3, first, (3, 4, 5))
    value = town.start(4)
    assert (value.generation, value.slots) == (3, before.value.slots)


def test_whoever_shows_something_else_is_passed_by(town: Town) -> None:
    """A host that shows a wrong change for the accepted ballot, or a wrong certificate, stops nobody."""
    town.half_do(3, "late", (3,))
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))

    class Misleading(Direct):
        def call(self, to: NodeId, request: Mapping[str, Any]) -> Any:
            answer = super().call(to, request)
            if request["op"] == "survey" and request["generation"] == 0 and to == node(4):
                told = super().call(node(3), request)["surveyed"]
                told["content"]["accepted"]["change"] = {}
                told["content"]["certified"]["certificate"]["acceptances"] = []
                return {"surveyed": {**told, "node": str(node(4))}}
            return answer

    assert EndpointId("late", 1, 0) in town.start(5, transport=Misleading(town.voters, node(5))).bound()


def test_an_old_voter_serves_what_it_holds_until_the_new_generation_is_known(town: Town) -> None:
    before = town.certified(1)
    network = before.value.network
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    store = town.voters.acceptors[1].store
    fetch = {**Fetch(network).to_json(), "as": str(node(4))}
    town.voters.acceptors[1].handle(fetch, [node(4)])
    assert serves(store, node(1), network)
    assert town.content(1).certified.certificate.hash == before.certificate.hash
    town.start(4)
    record = town.chain.record()
    supersede(store, node(1), record, before, town.chain.height)
    assert serves(store, node(1), network)
    supersede(store, node(1), record, town.certified(4, 1), town.chain.height)
    assert not serves(store, node(1), network)
    assert positions(store, network) == ()
    # It remembers that the lower one is over.
    assert store.network(network).generation == 1  # type: ignore[union-attr]
    # One that wasn't asked anything meanwhile, too; a founder keeps what it has.
    store = town.voters.acceptors[2].store
    supersede(store, node(2), record, town.certified(4, 1), town.chain.height)
    assert store.network(network).generation == 1 and not serves(store, node(2), network)  # type: ignore[union-attr]
    supersede(town.voters.acceptors[5].store, node(5), record, town.certified(4, 1), town.chain.height)
    assert serves(town.voters.acceptors[5].store, node(5), network)


# --- dishonest proposers: each breaks exactly one rule


class Forge:
    """A start among 3, 4 and 5 that is made by hand: 3 holds a version and has accepted the next one."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.older = town.certified(3)
        town.half_do(3, "late", (3,))
        self.old = town.certified(3)
        town.voters.down = {1, 2}
        content = town.content(3)
        assert content.accepted is not None
        town.raise_to(1, self.older.certificate.hash, (3, 4, 5))
        self.record, self.height = town.chain.record(), town.chain.height
        links = tuple(link for link in self.old.links if link.version > self.older.value.version)
        self.recovery: Recovery | None = Recovery(
            header_of(self.older.value), self.old.value, (), self.old.certificate, links, content.accepted.change
        )
        self.accepted = content.accepted.ballot
        self.mine = Held(0, self.old.value.version, self.old.certificate.hash, self.accepted)
        self.held: dict[int, tuple[Held, ...] | None] = {3: (self.mine,), 4: (), 5: ()}
        self.signed_by = {number: signer(number) for number in self.held}
        self.ballot = Ballot(1, node(4), RUN, "0" * 64)
        self.instance: Instance | None = None

    def promises(self) -> tuple[Promise, ...]:
        instance = self.instance or Instance.of(genesis(self.record, self.height))
        return tuple(
            Promise(instance, self.ballot, node(number), self.town.chain.incarnations[number], None, held=held).signed(
                self.signed_by[number]
            )
            for number, held in self.held.items()
        )

    def check(self, *, vouched: bool = False, **fields: Any) -> None:
        recovery = self.recovery if self.recovery is None else replace(self.recovery, promises=self.promises())
        change = Change(record=(self.record, self.height), recovery=recovery, **fields)
        child = apply_change(None, "", change)
        check(None, child.parent, child, self.town.chain.view(), change=change, vouched=vouched)

    def set(self, **fields: Any) -> None:
        assert self.recovery is not None
        self.recovery = replace(self.recovery, **fields)

    def name(self, **fields: Any) -> None:
        """The tenant's record says something else."""
        self.record = replace(self.record, **fields)
        self.town.chain.changes.update(fields)


def _lock(forge: Forge) -> Any:
    return {"locks": Acquire("job", 5, forge.town.chain.height).draft(forge.old.value, node(3)).locks}


def _unsigned(forge: Forge) -> None:
    endpoint, slot = next(iter(forge.old.value.slots.items()))
    other = replace(forge.old.value, slots={**forge.old.value.slots, endpoint: replace(slot, height=slot.height + 1)})
    forge.name(base=value_hash(other))
    forge.recovery = Recovery(header_of(other), other, ())
    forge.held = dict.fromkeys((3, 4, 5), ())


def _narrow(forge: Forge) -> None:
    forge.name(cidr=ipaddress.IPv4Network("100.65.0.0/24"))


def _beside(forge: Forge) -> None:
    """The base was accepted here, and another value under a higher ballot there."""
    forge.name(base=forge.old.certificate.hash)
    forge.recovery = Recovery(header_of(forge.old.value), forge.old.value, ())
    version, parent = forge.old.value.version - 1, forge.old.value.parent
    low, high = (Ballot(one, node(1), RUN, of) for one, of in ((2, forge.old.certificate.hash), (3, "2" * 64)))
    forge.held = {3: (Held(0, version, parent, low),), 4: (Held(0, version, parent, high),), 5: ()}


def _no_base(forge: Forge) -> None:
    forge.name(base=None)


def _newer(forge: Forge, **fields: Any) -> None:
    forge.held[4] = (replace(forge.mine, **fields),)


Lie = Callable[[Forge], Any]
LIES: dict[str, tuple[str, Lie]] = {
    "nothing is shown": ("recovery-missing", lambda f: setattr(f, "recovery", None)),
    "something, and there is no base": ("recovery-none", _no_base),
    "another header": ("recovery-base", lambda f: f.set(base=header_of(f.old.value))),
    "another network's": ("recovery-network", lambda f: f.set(value=replace(f.old.value, network="0" * 64))),
    "of no lower generation": ("recovery-generation", lambda f: f.set(value=replace(f.old.value, generation=1))),
    "not the base, and no certificate": (
        "recovery-value",
        lambda f: f.set(certificate=None, links=(), accepted=None),
    ),
    "not above the base": ("recovery-value", lambda f: f.set(value=f.older.value, certificate=f.older.certificate)),
    "another value's certificate": ("recovery-value", lambda f: f.set(value=replace(f.old.value, record_height=1))),
    "too few have certified it": (
        "recovery-value",
        lambda f: f.set(certificate=replace(f.old.certificate, acceptances=f.old.certificate.acceptances[:1])),
    ),
    "a founder's promise is missing": ("recovery-all", lambda f: f.held.pop(5)),
    "a promise that says nothing": ("recovery-promise", lambda f: f.held.update({5: None})),
    "a promise of another start": (
        "recovery-promise",
        lambda f: setattr(f, "instance", replace(Instance.of(genesis(f.record, f.height)), generation=2)),
    ),
    "a promise signed by somebody else": ("recovery-promise", lambda f: f.signed_by.update({5: signer(4)})),
    "a founder holds a newer one": ("recovery-newest", lambda f: _newer(f, version=99, hash="1" * 64)),
    "a founder holds another one": ("recovery-newest", lambda f: _newer(f, hash="f" * 64)),
    "a founder holds a generation between": (
        "recovery-between",
        lambda f: (f.name(generation=3), f.held.update({5: (Held(2, 0, "1" * 64),)})),
    ),
    "what was accepted is left out": ("recovery-accepted", lambda f: f.set(accepted=None)),
    "what nobody accepted": ("recovery-accepted", lambda f: f.held.update({3: (replace(f.mine, accepted=None),)})),
    "something else was accepted": (
        "recovery-accepted",
        lambda f: _newer(f, accepted=Ballot(99, node(1), RUN, "2" * 64)),
    ),
    "another value in the base's place": ("recovery-beside", _beside),
    "entries that aren't signed": ("recovery-signature", _unsigned),
    "another range": ("recovery-range", _narrow),
    "a lock besides": ("recovery-exact", _lock),
    "a host less": ("recovery-exact", lambda f: {"hosts": {next(iter(f.old.value.hosts)): None}}),
    "other voters": ("founders", lambda f: {"voters": f.record.founders[:2]}),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("vouched", [False, True], ids=["anew", "half done"])
def test_a_dishonest_start_is_refused_by_its_rule(lie: str, vouched: bool, town: Town) -> None:
    """The proof is part of the change, so it is looked at as well where somebody claims to have accepted it."""
    rule, tell = LIES[lie]
    forge = Forge(town)
    forge.check(vouched=vouched)  # honest so far
    told = tell(forge)
    with pytest.raises(RuleBroken) as error:
        forge.check(
            vouched=vouched, **(told if isinstance(told, dict) and {"locks", "hosts", "voters"} & set(told) else {})
        )
    assert error.value.rule == rule, str(error.value)


def test_only_version_0_begins_with_something(town: Town) -> None:
    forge = Forge(town)
    value = town.certified(1).value
    change = Change(recovery=replace(forge.recovery, promises=forge.promises()))  # type: ignore[type-var]
    child = apply_change(value, value_hash(value), change)
    with pytest.raises(RuleBroken) as error:
        check(value, value_hash(value), child, town.chain.view(), change=change)
    assert error.value.rule == "recovery-start"


def test_two_promises_that_say_different_things_contradict_each_other(town: Town) -> None:
    forge = Forge(town)
    first = forge.promises()[0]
    forge.held[3], forge.ballot = (), Ballot(2, node(5), RUN, "1" * 64)
    other = forge.promises()[0]
    assert conflict(first, first) is None
    assert "holds different things" in (conflict(first, other) or "")


def test_tokens_rise_over_generations() -> None:
    assert token_of(0, 7) == 7 < token_of(1, 0) < token_of(1, 1) < token_of(2**20 - 1, 2**24 - 1) < 2**53
