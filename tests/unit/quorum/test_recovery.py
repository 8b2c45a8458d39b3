# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A majority is lost for good, the tenant raises the generation: what survives goes on, the old ones don't (R25)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_world import OWNER, Chain, Direct, Voters, allocate, cache, facts, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import Voter
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import wish
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import (
    Change,
    Recovery,
    apply_change,
    genesis,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import header_of, value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.constants import FENCE_BLOCKS
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority, RuleBroken, Unseen
from ansible_collections.akash.avpn.plugins.module_utils._quorum.fence import rests_until, token_of
from ansible_collections.akash.avpn.plugins.module_utils._quorum.former import positions
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
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Accept, Fetch, Prepare, Survey
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
    assert waiting == {EndpointId("four", 1, 0): f"block {until}: until then the new generation rests"}
    assert wanted(value, view) is None
    with pytest.raises(Unavailable, match=f"block {until}"):
        Acquire("job", 5, view.height).draft(value, node(3))
    town.chain.height = until
    after = allocate(town.voters, 4).value
    assert set(after.bound()) == set(before.value.bound()) | {EndpointId("four", 1, 0)}
    addresses = [slot.address for slot in after.slots.values()] + [host.address for host in after.hosts.values()]
    assert len(addresses) == len(set(addresses))
    lock = Acquire("job", 5, town.chain.height).draft(after, node(3)).locks["job"]
    assert lock is not None and lock.token == token_of(1, after.version + 1) > 1 << 32
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
    with pytest.raises(NoMajority, match="nobody shows the value that the tenant named"):
        town.start(4, deadline=1)
    # As when it had been surveyed before.
    base = header_of(before.value)
    from ansible_collections.akash.avpn.plugins.module_utils._common import canonical

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
    with pytest.raises(NoMajority, match="all are needed, 2 promised.*" + str(node(5))) as error:
        town.start(4, deadline=1)
    assert "raises the generation again" in error.value.remedy
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
        from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft

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


# --- dishonest proposers: each breaks exactly one rule


class Forge:
    """A start among 3, 4 and 5 that is made by hand."""

    def __init__(self, town: Town) -> None:
        self.town = town
        town.half_do(3, "late", (3,))
        self.old = town.certified(3)
        town.voters.down = {1, 2}
        content = town.content(3)
        assert content.accepted is not None
        self.accepted = content.accepted.parsed(OWNER)
        town.raise_to(1, self.old.certificate.hash, (3, 4, 5))
        self.record = town.chain.record()
        self.since = town.chain.height
        self.recovery = Recovery(header_of(self.old.value), self.old.value, accepted=self.accepted)
        self.held = Held(self.since, 0, self.old.value.version, self.old.certificate.hash, content.accepted.ballot)
        self.helds = {3: self.held, 4: Held(self.since, 0), 5: Held(self.since, 0)}
        self.height = self.since

    def promises(self) -> tuple[Promise, ...]:
        instance = Instance.of(genesis(self.record, self.height))
        ballot = Ballot(1, node(4), RUN, "0" * 64)
        return tuple(
            Promise(instance, ballot, node(number), self.town.chain.incarnations[number], None, held=held).signed(
                signer(number)
            )
            for number, held in self.helds.items()
        )

    def check(self, *, vouched: bool = False, **fields: Any) -> None:
        change = Change(record=(self.record, self.height), recovery=self.recovery, **fields)
        child = apply_change(None, "", change)
        view = self.town.chain.view()
        check(None, child.parent, child, view, change=change, vouched=vouched, promises=self.promises())

    def set(self, **fields: Any) -> None:
        self.recovery = replace(self.recovery, **fields)


def _lock(forge: Forge) -> Any:
    return Acquire("job", 5, forge.town.chain.height).draft(forge.old.value, node(3)).locks


def _forged_slot(forge: Forge) -> None:
    endpoint, slot = next(iter(forge.old.value.slots.items()))
    other = replace(forge.old.value, slots={**forge.old.value.slots, endpoint: replace(slot, height=slot.height + 1)})
    forge.record = replace(forge.record, base=value_hash(other))
    forge.town.chain.changes["base"] = value_hash(other)
    forge.recovery = Recovery(header_of(other), other)
    forge.helds = dict.fromkeys((3, 4, 5), Held(forge.since, 0))


def _narrow(forge: Forge) -> None:
    import ipaddress

    forge.record = replace(forge.record, cidr=ipaddress.IPv4Network("100.65.0.0/24"))
    forge.town.chain.cidr = "100.65.0.0/24"


LIES: dict[str, tuple[str, Callable[[Forge], Any]]] = {
    "no base is shown": ("recovery-missing", lambda f: setattr(f, "recovery", None)),
    "another header": ("recovery-base", lambda f: f.set(base=replace(f.recovery.base, version=0))),
    "neither the base nor certified": (
        "recovery-value",
        lambda f: f.set(value=replace(f.old.value, record_height=1), accepted=None),
    ),
    "a certificate of another value": (
        "recovery-value",
        lambda f: f.set(certificate=f.old.certificate, accepted=None),
    ),
    "a founder's promise is missing": ("recovery-founders", lambda f: f.helds.pop(5)),
    "a promise that says nothing": ("recovery-held", lambda f: f.helds.update({5: None})),
    "a promise about another generation": ("recovery-held", lambda f: f.helds.update({5: Held(f.since, 7)})),
    "a founder holds a newer one": (
        "recovery-older",
        lambda f: f.helds.update({3: replace(f.held, version=f.held.version + 1)}),
    ),
    "a founder holds another one": ("recovery-fork", lambda f: f.helds.update({3: replace(f.held, hash="1" * 64)})),
    "what was accepted is left out": ("recovery-accepted", lambda f: f.set(accepted=None)),
    "what nobody accepted": ("recovery-accepted", lambda f: f.helds.update({3: replace(f.held, accepted=None)})),
    "something else was accepted": (
        "recovery-accepted",
        lambda f: f.helds.update({5: replace(f.held, accepted=Ballot(99, node(1), RUN, "2" * 64))}),
    ),
    "a height before the raising": ("recovery-height", lambda f: setattr(f, "height", f.since - 1)),
    "entries that aren't signed": ("recovery-signatures", _forged_slot),
    "another range": ("recovery-range", _narrow),
    "locks": ("recovery-locks", lambda f: {"locks": _lock(f)}),
    "a slot more": (
        "recovery-slots",
        lambda f: {"slots": {EndpointId("more", 1, 0): replace(next(iter(f.old.value.slots.values())), address=None)}},
    ),
    "a host less": ("recovery-hosts", lambda _f: {"hosts": {node(1): None}}),
    "other voters": ("founders", lambda f: {"voters": f.record.founders[:2]}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_dishonest_start_is_refused_by_its_rule(lie: str, town: Town) -> None:
    rule, tell = LIES[lie]
    forge = Forge(town)
    forge.check()  # honest so far
    told = tell(forge)
    with pytest.raises(RuleBroken) as error:
        forge.check(**(told if isinstance(told, dict) and told and isinstance(next(iter(told)), str) else {}))
    assert error.value.rule == rule, str(error.value)


def test_who_accepted_a_start_had_heard_all(town: Town) -> None:
    forge = Forge(town)
    forge.helds.pop(3)
    forge.check(vouched=True)


def test_nothing_is_built_before_the_rest_is_over(town: Town) -> None:
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    value = town.start(4)
    change = _claim(town, 3)(value)
    assert change is not None
    child = apply_change(value, value_hash(value), change)
    with pytest.raises(Unseen, match="rule:fence"):
        check(value, value_hash(value), child, town.chain.view(), change=change, vouched=True)
    town.chain.height = value.record_height + FENCE_BLOCKS
    check(value, value_hash(value), child, town.chain.view(), change=change)


def test_a_founder_that_claims_what_it_cannot_prove_is_named(town: Town) -> None:
    before = town.certified(3)
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    town.voters.down = {1, 2}
    fetch = {**Fetch(town.chain.record().id).to_json(), "as": str(node(4))}
    town.voters.acceptors[3].handle(fetch, [node(4)])
    with town.voters.acceptors[3].store.transaction() as database:
        database.execute("UPDATE former SET version = version + 5, hash = ?", ("3" * 64,))
    with pytest.raises(NoMajority, match="says that it holds version"):
        town.start(4, deadline=1)


def test_a_certified_generation_between_is_not_lost(town: Town) -> None:
    before = town.certified(3)
    town.voters.down = {1, 2}
    town.raise_to(1, before.certificate.hash, (3, 4, 5))
    first = town.start(4)
    town.raise_to(2, before.certificate.hash, (3, 4, 5))
    instance = Instance.of(genesis(town.chain.record(), town.chain.height))
    prepare = Prepare(instance, Ballot(1, node(4), RUN, "0" * 64), 0, base_generation=0)
    document = {**prepare.to_json(), "as": str(node(4))}
    answer = town.voters.acceptors[3].handle(document, [node(4)])
    assert answer["rejected"]["rule"] == "recovery-between"
    town.raise_to(3, value_hash(first), (3, 4, 5))
    assert town.start(4).slots == first.slots


def test_requests_of_wrong_form(town: Town) -> None:
    town.raise_to(1, town.certified(3).certificate.hash, (3, 4, 5))
    instance = Instance.of(genesis(town.chain.record(), town.chain.height))
    for of in (None, 1, 2):
        prepare = Prepare(instance, Ballot(1, node(4), RUN, "0" * 64), 0, base_generation=of)
        with pytest.raises(InvalidInput, match="base_generation"):
            town.voters.acceptors[3].handle({**prepare.to_json(), "as": str(node(4))}, [node(4)])
    assert Accept(instance, Ballot(1, node(4), RUN, "0" * 64), (), Change()).promises == ()
