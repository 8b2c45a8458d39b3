# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Those who are in each other's way wait at a voter, and one of them brings along what the others signed (R5, R21)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from ledger_world import Chain, Direct, Voters, allocate, builder, cache, facts, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, NotPermitted
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers, waiting
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import to_change, wish
from ansible_collections.akash.avpn.plugins.module_utils._quorum.attempt import Outcome
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change, change_json
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft, sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Ballot, Certified, Instance
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Prepare, Wait
from ansible_collections.akash.avpn.plugins.module_utils._quorum.sharing import Sharing, together
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value

HOSTS = 8


class Town:
    """Three voters, and eight hosts of which each wants an endpoint more than it has."""

    def __init__(self, directory: Path) -> None:
        self.chain = Chain(hosts=HOSTS, cidr="100.64.0.0/22")
        for number in range(1, HOSTS + 1):
            self.chain.deploy(f"m{number}", 10 + number, number)
        self.voters = Voters(directory, self.chain)
        self.kept = cache(directory / "cache")
        for number in range(1, HOSTS + 1):
            allocate(self.voters, number, cache=self.kept)
        for number in range(1, HOSTS + 1):
            self.chain.replicas[10 + number] = 2
        self.pool = ThreadPoolExecutor(HOSTS)

    @property
    def parent(self) -> Certified:
        record = self.chain.record()
        known = self.kept.load(record.id, 0, record.founders)
        assert known is not None
        return known

    def sharing(self, number: int) -> Sharing:
        return Sharing(self.own(number), self.chain.view())

    def own(self, number: int) -> Callable[[Value], Change | None]:
        def build(value: Value) -> Change | None:
            view = self.chain.view()
            wanted = wish(value, view, facts(number), self.chain.endpoints(number), crowded=True)
            return to_change(wanted, value, view, facts(number), signer(number))

        return build

    def draft(self, number: int) -> Change:
        change = self.own(number)(self.parent.value)
        assert change is not None
        return change

    def ask(self, request: Any, caller: int, voter: int = 1) -> answers.Answer:
        document = {**request.to_json(), "as": str(node(caller))}
        return answers.parse_answer(self.voters.acceptors[voter].handle(document, [node(caller)]), "voter")

    def waits(self, caller: int, draft: Change | None = None, milliseconds: int = 2_000) -> Future[answers.Answer]:
        """The answer to come; the caller stands in the line when this returns."""
        parent = self.parent
        request = Wait(parent.value.network, parent.certificate.position, milliseconds, draft)
        before = len(self.line())
        found = self.pool.submit(self.ask, request, caller)
        until = time.monotonic() + 2
        while len(self.line()) == before and not found.done():
            assert time.monotonic() < until
            time.sleep(0.001)
        return found

    def line(self) -> list[str]:
        directory = self.voters.directory / "voter1.db.waiting"
        found = os.listdir(directory) if directory.exists() else []
        return sorted(name for name in found if not name.startswith("new-"))

    def hold(self, caller: int, milliseconds: int = 2_000) -> Prepare:
        """Somebody has the voters' promises."""
        value, certificate = self.parent.value, self.parent.certificate
        instance = Instance(value.network, value.generation, value.version + 1, certificate.hash)
        prepare = Prepare(instance, Ballot(1, node(caller), "ab" * 16, "0" * 64), milliseconds, certificate)
        for voter in (1, 2, 3):
            assert isinstance(self.ask(prepare, caller, voter), answers.Promised)
        return prepare

    def give_up(self, prepare: Prepare) -> None:
        for voter in (1, 2, 3):
            self.ask(replace(prepare, hold=0), int(prepare.ballot.node.node[1:]), voter)

    def allocate(self, number: int, **options: Any) -> Outcome:
        chain = self.chain
        options = {"pauses": 0.1, "cache": self.kept, **options}
        transport = options.pop("transport", None) or Direct(self.voters, node(number))
        sharing = options.pop("sharing", None) or self.sharing(number)
        with Proposer(transport, node(number), chain.record(), chain.height, **options) as proposer:
            return proposer.propose(builder(chain, number), sharing)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.pool.shutdown()


def _second(number: int) -> EndpointId:
    return EndpointId(f"m{number}", 1, 1)


def test_who_waits_longest_gets_the_turn_and_what_the_others_left(town: Town) -> None:
    prepare = town.hold(1)
    first = town.waits(2, town.draft(2))
    second = town.waits(3, town.draft(3))
    third = town.waits(4)
    time.sleep(0.05)
    assert not first.done() and not second.done() and not third.done()
    town.give_up(prepare)
    answer = first.result(1)
    assert isinstance(answer, answers.Waited)
    assert answer.turn and answer.update is None
    assert answer.drafts == (change_json(town.draft(3)),)
    time.sleep(0.05)
    assert not second.done() and not third.done()  # one at a time
    outcome = town.allocate(2)
    assert set(outcome.value.slots) >= {_second(2)} and _second(3) not in outcome.value.slots
    assert isinstance(told := third.result(1), answers.Waited) and told.update is not None and not told.turn
    answer = second.result(1)
    assert isinstance(answer, answers.Waited) and answer.turn and answer.update is not None


def test_who_is_brought_along_is_told_with_the_version(town: Town) -> None:
    prepare = town.hold(1)
    parent = town.parent
    first, second = town.waits(2, town.draft(2)), town.waits(3, town.draft(3))
    town.give_up(prepare)
    answer = first.result(1)
    assert isinstance(answer, answers.Waited)
    change = town.sharing(2).joined(parent, town.draft(2), answer.drafts)
    with Proposer(Direct(town.voters, node(2)), node(2), parent.value.record, town.chain.height) as proposer:
        outcome = proposer.propose(lambda value: change if value.version == parent.value.version else None)
    assert {_second(2), _second(3)} <= set(outcome.value.slots)
    told = second.result(1)
    assert isinstance(told, answers.Waited) and not told.turn
    assert told.update is not None and told.update.certificate == outcome.certificate
    assert told.drafts == ()


def test_a_draft_that_does_not_fit_any_more_is_made_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_MIDDLE", 2_000)  # however slow the machine is, the way isn't free before
    town.hold(2)
    taken = town.draft(3)
    waits = town.waits(3, taken)
    # Host 2 takes the address that host 3 wanted.
    parent = town.parent
    (wanted,) = town.draft(2).slots.values()
    (address,) = (slot.address for slot in taken.slots.values())
    change = sign(Draft(slots={_second(2): replace(wanted, address=address)}), parent.value, node(2), signer(2))
    with Proposer(
        Direct(town.voters, node(2)), node(2), parent.value.record, town.chain.height, run="ab" * 16
    ) as proposer:
        proposer.propose(lambda value: change if value.version == parent.value.version else None)
    told = waits.result(5)
    assert isinstance(told, answers.Waited) and not told.turn and told.update is not None


def test_crowds_need_few_versions(town: Town) -> None:
    before = town.parent.value.version
    barrier = threading.Barrier(HOSTS)

    def one(number: int) -> Outcome:
        barrier.wait()
        return town.allocate(number, deadline=20)

    outcomes = list(town.pool.map(one, range(1, HOSTS + 1)))
    newest = max((outcome.value for outcome in outcomes), key=lambda value: value.version)
    addresses = [slot.address for slot in newest.bound().values()]
    assert len(addresses) == len(set(addresses)) == 2 * HOSTS
    assert newest.version < before + HOSTS
    for number, outcome in enumerate(outcomes, 1):
        assert outcome.value.slots[_second(number)] == newest.slots[_second(number)]


def test_nobody_leaves_what_is_anothers_or_nobodys(town: Town) -> None:
    town.hold(1)
    network, have = town.parent.value.network, town.parent.certificate.position

    def leave(draft: Change, caller: int = 3) -> answers.Answer:
        return town.ask(Wait(network, have, 10, draft), caller)

    assert isinstance(leave(town.draft(3)), answers.Waited)
    with pytest.raises(NotPermitted, match="is not the caller's"):
        leave(town.draft(2))
    (name, batch), *_none = town.draft(3).batches.items()
    forged = replace(batch, signature=signer(2).sign(b"something else"))
    with pytest.raises(InvalidInput, match="wrong signature"):
        leave(replace(town.draft(3), batches={name: forged}))
    locked = sign(
        Acquire("deploy", 5, town.chain.height).draft(town.parent.value, node(3)), town.parent.value, node(3), signer(3)
    )
    for other in (locked, together(town.draft(3), [town.draft(2)]), replace(town.draft(3), hosts={node(3): None})):
        with pytest.raises(InvalidInput, match="more than one author's hosts and slots"):
            leave(other)


def test_places_are_limited(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = town.hold(1)
    monkeypatch.setattr(waiting, "_OF_PROVIDER", 2)
    first = [town.waits(3, town.draft(3)) for _unused in range(2)]
    late = town.pool.submit(
        town.ask, Wait(town.parent.value.network, town.parent.certificate.position, 300, town.draft(3)), 3
    )
    other = town.waits(4, town.draft(4))
    assert len(town.line()) == 3
    answer = late.result(1)  # it waited, and tries by itself with nothing of others
    assert isinstance(answer, answers.Waited) and answer.turn and answer.drafts == ()
    monkeypatch.setattr(waiting, "_OF_NETWORK", 3)
    crowded = town.ask(Wait(town.parent.value.network, town.parent.certificate.position, 10, town.draft(5)), 5)
    assert isinstance(crowded, answers.Waited) and crowded.drafts == ()
    monkeypatch.setattr(waiting, "MAX_DRAFT", 100)
    long = town.ask(Wait(town.parent.value.network, town.parent.certificate.position, 10, town.draft(5)), 5)
    assert isinstance(long, answers.Waited) and long.drafts == ()
    town.give_up(prepare)
    assert isinstance(first[0].result(1), answers.Waited)
    town.allocate(4)
    other.result(2), first[1].result(3)
    time.sleep(0.3)
    assert all(name.split(".")[4] for name in town.line())  # but for turns that were told, nothing is left of it


def test_places_of_the_dead_end(town: Town) -> None:
    directory = town.voters.directory / "voter1.db.waiting"
    directory.mkdir()
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    network = town.parent.value.network
    (directory / f"{network}.{now - 5_000}.{now + 200}.dead-1.").touch()  # killed while it stood there
    (directory / f"{network}.{now + 900_000}.{now + 901_000}.dead-2.").touch()  # before the machine was started anew
    began = time.monotonic()
    answer = town.waits(2, town.draft(2)).result(2)
    assert isinstance(answer, answers.Waited) and answer.turn
    assert 0.1 < time.monotonic() - began < 1.5
    assert not [name for name in town.line() if "dead" in name]


def test_nothing_is_left_in_lines_that_nobody_looks_at(tmp_path: Path) -> None:
    line = waiting.Line(tmp_path / "waiting")
    line.sweep()  # nobody has ever waited
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    with line.place("1" * 64, node(1), None, 1.0):
        (tmp_path / "waiting" / f"{'2' * 64}.{now - 5_000}.{now - 1}.told-1.7").touch()
        for name, age in (("new-killed", 100), ("new-writing", 0)):
            (tmp_path / "waiting" / name).touch()
            os.utime(tmp_path / "waiting" / name, (time.time() - age,) * 2)
        line.sweep()
        standing = sorted(name.split(".")[0] for name in os.listdir(tmp_path / "waiting"))
        assert standing == ["1" * 64, "new-writing"]


def _documents(*drafts: Change) -> list[dict[str, Any]]:
    return [change_json(draft) for draft in drafts]


def _joined(town: Town, *drafts: Change) -> set[EndpointId]:
    """Whose slots host 2 proposes, given what others are said to have left."""
    change = town.sharing(2).joined(town.parent, town.draft(2), _documents(*drafts))
    assert _second(2) in change.slots
    return set(change.slots) - {_second(2)}


def _signed(town: Town, number: int, by: int | None = None, **slot: Any) -> Change:
    """Host ``number``'s draft with a slot that says something else, signed by itself or another."""
    draft = town.draft(number)
    slots = {endpoint: replace(one, batch="", **slot) for endpoint, one in draft.slots.items()}
    author = number if by is None else by
    return sign(Draft(slots=slots), town.parent.value, node(author), signer(author))


def test_what_others_left_is_not_believed(town: Town) -> None:
    good = town.draft(3)
    assert _joined(town, good) == {_second(3)}
    (name, batch), *_none = town.draft(4).batches.items()
    forged = replace(town.draft(4), batches={name: replace(batch, signature=signer(5).sign(b"anything"))})
    slots = {
        endpoint: replace(slot, address=IPv4Address("100.64.1.9")) for endpoint, slot in town.draft(4).slots.items()
    }
    changed = replace(town.draft(4), slots=slots)
    for bad in (
        forged,
        changed,  # after it was signed
        _signed(town, 4, address=IPv4Address("100.64.9.9")),  # outside the range
        _signed(town, 4, by=5),  # somebody else's endpoint
        _signed(town, 4, created=1),  # another lease's
        _signed(town, 4, height=1),  # before it ran
        _signed(town, 4, height=town.chain.height + 5),  # what nobody has seen yet
    ):
        assert _joined(town, good, bad) == {_second(3)}, bad
        assert _joined(town, bad, good) == {_second(3)}, bad
    nonsense = [{"slots": 7}, {"batches": {}}, {}, {"record": {}}]
    change = town.sharing(2).joined(town.parent, town.draft(2), [*nonsense, *_documents(good)])
    assert set(change.slots) == {_second(2), _second(3)}


def test_drafts_that_want_the_same_are_not_brought_together(town: Town) -> None:
    (own,) = town.draft(2).slots.values()
    assert _joined(town, _signed(town, 3, address=own.address), town.draft(4)) == {_second(4)}
    (other,) = town.draft(4).slots.values()
    assert _joined(town, town.draft(4), _signed(town, 3, address=other.address)) == {_second(4)}
    taken = next(iter(town.parent.value.hosts.values())).address
    assert _joined(town, town.draft(4), _signed(town, 3, address=taken)) == {_second(4)}
    assert _joined(town, town.draft(4), town.draft(4)) == {_second(4)}


def test_bad_drafts_cost_a_bounded_number_of_checks(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.akash.avpn.plugins.module_utils._quorum import sharing

    checks = []
    real = sharing.check

    def counting(*arguments: Any, **options: Any) -> None:
        checks.append(1)
        real(*arguments, **options)

    monkeypatch.setattr(sharing, "check", counting)
    monkeypatch.setattr(sharing, "_MOST_CHECKS", 4)
    bad = [_signed(town, number, created=1) for number in range(3, HOSTS + 1)]
    assert _joined(town, *bad) == set()
    assert len(checks) == 4


def test_voters_who_do_not_take_what_others_left_are_asked_without(town: Town) -> None:
    """The proposer sees a lease that the voters' views don't show."""
    behind = town.chain.view()
    town.voters.views = dict.fromkeys((1, 2, 3), lambda: replace(behind, time=town.chain.view().time))
    town.chain.close(next(lease for lease in town.chain.leases if lease.dseq == 13))
    town.chain.lease(13, 3, oseq=2)
    foreign = town.draft(3)
    calls: list[Mapping[str, Any]] = []

    refused = Ballot(1, node(1), "ab" * 16, "0" * 64)

    class Meeting(Direct):
        def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
            calls.append(request)
            if request["op"] == "wait":
                return answers.Waited(None, (change_json(foreign),), turn=True).to_json()
            if request["op"] == "prepare" and len(calls) <= 3:
                return answers.Refused(refused, refused.node, 10).to_json()
            return super().call(node, request)

    outcome = town.allocate(2, transport=Meeting(town.voters, node(2)))
    assert _second(2) in outcome.value.slots
    proposed = [set(call["change"]["slots"]) for call in calls if call["op"] == "accept"]
    assert {str(_second(2)), "m3/1/0"} <= proposed[0]  # it tried
    assert outcome.value.slots[EndpointId("m3", 1, 0)].lease.oseq == 1


@pytest.mark.parametrize("says", ["turn", "nothing", "error"])
def test_a_voter_that_lies_about_the_line_costs_time_only(town: Town, says: str) -> None:
    prepare = town.hold(1, 400)

    class Lying(Direct):
        def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
            if request["op"] != "wait":
                return super().call(node, request)
            self.calls.append((node, "wait"))
            if says == "error":
                raise InvalidInput("is not a known operation", where="op")
            return answers.Waited(None, turn=says == "turn").to_json()

    transport = Lying(town.voters, node(2))
    outcome = town.allocate(2, transport=transport, pauses=1.0)
    assert _second(2) in outcome.value.slots
    assert 1 <= sum(op == "wait" for _at, op in transport.calls) < 20
    assert prepare.hold == 400


def test_shares_of_a_range_are_apart(town: Town) -> None:
    addresses = [slot.address for number in range(1, HOSTS + 1) for slot in town.draft(number).slots.values()]
    assert len(addresses) == len(set(addresses)) == HOSTS
    first = min(usable for usable in addresses if usable is not None)
    assert first > IPv4Address("100.64.0.60")  # the lower end is for those who are alone
