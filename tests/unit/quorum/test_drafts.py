# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each check on what others leave at a voter, at the place where it is left and where it is brought along (R21)."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from ledger_world import account, node, signer
from test_sharing import Town

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers, codec, sharing, waiting
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change, change_json
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft, sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.evidence import Evidence
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Update, Wait
from ansible_collections.akash.avpn.plugins.module_utils._quorum.sharing import Sharing, can_be_brought, together
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Slot

NETWORK = "1" * 64


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Nothing is agreed in it."""
    made = Town(tmp_path_factory.mktemp("town"))
    yield made
    made.pool.shutdown()


def locked(town: Town, number: int) -> Change:
    value = town.parent.value
    draft = Acquire("deploy", 5, town.chain.height).draft(value, node(number))
    return sign(draft, value, node(number), signer(number))


def slot_of(town: Town, number: int) -> Slot:
    (slot,) = town.draft(number).slots.values()
    return replace(slot, batch="")


def signed(town: Town, by: int, **slots: Slot) -> Change:
    """A draft by a host, with slots by their endpoints' member and index, such as ``m3_1``."""
    named = {EndpointId(name.split("_")[0], 1, int(name.split("_")[1])): slot for name, slot in slots.items()}
    return sign(Draft(slots=named), town.parent.value, node(by), signer(by))


# --- what may be left and brought


NOT_TO_BE_BROUGHT: dict[str, Callable[[Town, Change], Change]] = {
    "with a record": lambda t, d: replace(d, record=(t.chain.record(), t.chain.height)),
    "with voters": lambda t, d: replace(d, voters=t.parent.value.voters[:2]),
    "with evidence": lambda t, d: replace(d, evidence=Evidence(t.chain.height)),
    "with a lock": lambda t, d: replace(d, locks=locked(t, 3).locks),
    "with a host removed": lambda _t, d: replace(d, hosts={node(3): None}),
    "with a slot that gives its address up": lambda _t, d: replace(
        d, slots={endpoint: replace(slot, address=None) for endpoint, slot in d.slots.items()}
    ),
    "of two authors": lambda t, d: together(d, [t.draft(4)]),
    "of nobody": lambda _t, d: replace(d, batches={}),
}


@pytest.mark.parametrize("what", NOT_TO_BE_BROUGHT)
def test_only_one_authors_claims_are_brought(what: str, town: Town) -> None:
    good = town.draft(3)
    assert can_be_brought(good)
    bad = NOT_TO_BE_BROUGHT[what](town, good)
    assert not can_be_brought(bad)
    # Neither does an honest host leave it, nor one that has the turn take it along, though voters might take it.
    assert Sharing(lambda _value: bad, town.chain.view()).draft(town.parent.value) is None
    own = town.draft(2)
    assert town.sharing(2).joined(town.parent, own, [change_json(bad)]) == own


def test_a_lock_is_not_brought_along_though_it_may_follow(town: Town) -> None:
    own = town.draft(2)
    assert town.sharing(2).joined(town.parent, own, [change_json(locked(town, 3))]) == own


def test_a_new_record_or_other_voters_go_alone(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The voters would refuse anything along with them, and the proposer doesn't even try."""
    drafts, checks = [change_json(town.draft(3))], counted(monkeypatch)
    for own in (
        Change(record=(town.chain.record(), town.chain.height + 1)),
        Change(voters=town.parent.value.voters[:2], evidence=Evidence(5)),
    ):
        assert town.sharing(2).joined(town.parent, own, drafts) == own
    assert checks == []


def test_what_would_make_the_value_too_long_stays_behind(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    own, drafts = town.draft(2), [change_json(town.draft(3))]
    assert town.sharing(2).joined(town.parent, own, drafts) != own
    monkeypatch.setattr(codec, "MAX_BYTES", codec.value_size(town.parent.value))
    assert town.sharing(2).joined(town.parent, own, drafts) == own


def _overlapping(town: Town) -> dict[str, tuple[Change, Change]]:
    three, four, free = slot_of(town, 3), slot_of(town, 4), IPv4Address("100.64.3.3")
    return {
        "one endpoint, by two": (town.draft(3), signed(town, 5, m3_1=replace(three, address=free))),
        "one author, twice": (town.draft(3), signed(town, 3, m3_2=replace(three, address=free))),
        "one address": (town.draft(3), signed(town, 4, m4_1=replace(four, address=three.address))),
    }


@pytest.mark.parametrize("what", ["one endpoint, by two", "one author, twice", "one address"])
def test_what_overlaps_is_found_before_any_rule_is_asked(
    what: str, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first stays. So whoever leaves much that overlaps costs others nothing."""
    checks = counted(monkeypatch)
    first, second = _overlapping(town)[what]
    change = town.sharing(2).joined(town.parent, town.draft(2), [change_json(first), change_json(second)])
    assert change == together(town.draft(2), [first])
    assert len(checks) == 1


@pytest.mark.parametrize("what", ["own", "own author", "a slot's", "a host's", "itself"])
def test_what_is_spoken_for_is_found_before_any_rule_is_asked(
    what: str, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, slot, parent = counted(monkeypatch), slot_of(town, 3), town.parent.value
    free = IPv4Address("100.64.3.3")
    bad = {
        "own": signed(town, 3, m3_1=replace(slot, address=slot_of(town, 2).address)),
        "own author": signed(town, 2, m2_2=replace(slot_of(town, 2), address=free)),
        "a slot's": signed(town, 3, m3_1=replace(slot, address=parent.slots[EndpointId("m1", 1, 0)].address)),
        "a host's": signed(town, 3, m3_1=replace(slot, address=parent.hosts[node(1)].address)),
        "itself": signed(town, 3, m3_1=replace(slot, address=free), m3_2=replace(slot, address=free)),
    }[what]
    assert town.sharing(2).joined(town.parent, town.draft(2), [change_json(bad)]) == town.draft(2)
    assert checks == []


def test_what_an_entry_has_already_it_may_keep(town: Town) -> None:
    """A host's new key comes with its old address."""
    before = town.parent.value.hosts[node(3)]
    entry = replace(before, port=before.port + 1, height=town.chain.height, batch="")
    change = sign(Draft(hosts={node(3): entry}), town.parent.value, node(3), signer(3))
    taken = sharing._Taken(town.parent.value, town.draft(2))
    assert taken.add(change)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for each time that the rules are asked."""
    checks: list[int] = []
    real = sharing.check

    def counting(*arguments: Any, **options: Any) -> None:
        checks.append(1)
        real(*arguments, **options)

    monkeypatch.setattr(sharing, "check", counting)
    return checks


# --- whether what was left still fits


def update(town: Town, change: Change | None) -> Update:
    """A version with this change; None: a whole value, from which that can't be told."""
    certificate = town.parent.certificate
    if change is None:
        return Update(certificate, town.parent.value)
    return Update(certificate, None, ({**change_json(change)},))


def test_who_waits_is_told_when_its_draft_may_not_follow(town: Town) -> None:
    draft, slot, free = town.draft(3), slot_of(town, 3), IPv4Address("100.64.3.3")
    assert waiting._still_fits(update(town, town.draft(4)), draft)
    entry = replace(town.parent.value.hosts[node(3)], address=free, batch="")
    for bad in (
        None,
        Change(record=(town.chain.record(), town.chain.height)),
        signed(town, 3, m3_2=replace(slot, address=free)),  # its author has a higher serial now
        signed(town, 4, m3_1=replace(slot, address=free)),  # its endpoint
        signed(town, 4, m4_1=replace(slot, address=slot.address)),  # its address
    ):
        assert not waiting._still_fits(update(town, bad), draft), bad
    hosts = sign(Draft(hosts={node(3): entry}), town.parent.value, node(3), signer(3))
    by_another = sign(Draft(hosts={node(3): entry}), town.parent.value, node(4), signer(4))
    assert not waiting._still_fits(update(town, by_another), hosts)
    same = sign(
        Draft(slots={EndpointId("m4", 1, 1): replace(slot, address=free)}), town.parent.value, node(4), signer(4)
    )
    assert not waiting._still_fits(update(town, same), hosts)


def test_who_has_more_than_the_voter_is_asked_for_it(town: Town) -> None:
    generation, version = town.parent.certificate.position
    request = Wait(town.parent.value.network, (generation, version + 1), 10, None)
    assert town.ask(request, 3) == answers.Lacking((generation, version))
    assert isinstance(town.ask(replace(request, have=(generation, version)), 3), answers.Waited)


def test_who_waits_where_the_voter_leaves_is_told(tmp_path: Path) -> None:
    """What it would wait for never comes there."""
    town = Town(tmp_path)
    town.hold(1)
    waits = town.waits(3)
    store = town.voters.acceptors[1].store
    with store.transaction() as database:
        state = store.network(town.parent.value.network)
        assert state is not None
        store.leave(database, state, ())
    assert isinstance(waits.result(1.5), answers.Left)
    town.pool.shutdown()


# --- the line


@pytest.fixture
def line(tmp_path: Path) -> waiting.Line:
    return waiting.Line(tmp_path / "waiting")


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as made:
        yield made


def stand(stack: contextlib.ExitStack, line: waiting.Line, who: NodeId, draft: Change | None = None) -> waiting.Place:
    """A place behind all others: the order is by milliseconds."""
    time.sleep(0.003)
    return stack.enter_context(line.place(NETWORK, who, draft, 1.0))


def test_a_long_draft_has_no_place(line: waiting.Line, town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = town.draft(3)
    with line.place(NETWORK, node(3), draft, 1.0):
        assert len(line.names(NETWORK)) == 1
    monkeypatch.setattr(waiting, "MAX_DRAFT", 100)
    with line.place(NETWORK, node(3), draft, 1.0) as place:
        assert line.names(NETWORK) == []
        assert not place.is_first(0)
        assert place.take_turn(0) == ()


def test_a_provider_and_a_network_have_so_many_places(line: waiting.Line, stack: contextlib.ExitStack) -> None:
    """All hosts of a provider together; another provider has its own."""
    same = [NodeId(account("p"), name) for name in ("a", "b")]
    for number in range(waiting._OF_PROVIDER + 2):
        stack.enter_context(line.place(NETWORK, same[number % 2], None, 2.0))
    assert len(line.names(NETWORK)) == waiting._OF_PROVIDER
    for number in range(waiting._OF_NETWORK):
        stack.enter_context(line.place(NETWORK, node(number), None, 2.0))
    assert len(line.names(NETWORK)) == waiting._OF_NETWORK
    stack.enter_context(line.place("2" * 64, same[0], None, 2.0))
    assert len(line.names("2" * 64)) == 1


@pytest.mark.parametrize("data", [b'{"a": ', b"[]", b"7", b'{"a": "' + b"x" * waiting.MAX_DRAFT + b'"}', b"\xff"])
def test_a_damaged_place_holds_nothing(
    data: bytes, line: waiting.Line, stack: contextlib.ExitStack, tmp_path: Path, town: Town
) -> None:
    first = stand(stack, line, node(1))
    stand(stack, line, node(2), town.draft(2))
    stand(stack, line, node(3), town.draft(3))
    (_mine, second, _third) = line.names(NETWORK)
    (tmp_path / "waiting" / str(second)).write_bytes(data)
    assert first.take_turn(0) == (change_json(town.draft(3)),)


def test_what_is_no_place_is_none(line: waiting.Line, stack: contextlib.ExitStack, tmp_path: Path) -> None:
    stand(stack, line, node(1))
    for name in ("x", f"{NETWORK}.a.b.c.", f"{NETWORK}.1.b.c.", f"{NETWORK}.1.2.c", "new-x"):
        (tmp_path / "waiting" / name).touch()
    assert len(line.names(NETWORK)) == 1
    line.sweep()
    assert len(os.listdir(tmp_path / "waiting")) == 6


def test_who_has_the_turn_is_not_brought_along(line: waiting.Line, stack: contextlib.ExitStack, town: Town) -> None:
    """It proposes itself; and upon the next version the turn is somebody else's."""
    first, second = stand(stack, line, node(2), town.draft(2)), stand(stack, line, node(3))
    assert first.is_first(4) and not second.is_first(4)
    assert first.take_turn(4) == ()
    assert not second.is_first(4)
    assert second.take_turn(4) == ()


def test_a_turn_is_over_with_its_version(line: waiting.Line, stack: contextlib.ExitStack, town: Town) -> None:
    first, second = stand(stack, line, node(2), town.draft(2)), stand(stack, line, node(3))
    first.take_turn(7)
    assert not second.is_first(7)
    assert second.is_first(8)
    assert len(line.names(NETWORK)) == 1
