# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each rule about voters has a dishonest proposer that breaks exactly it, and is refused with the rule's name (R21)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from ledger_world import Chain, incarnation, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import View, Voter
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import (
    Change,
    apply_change,
    change_from_json,
    change_json,
    genesis,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.constants import RELEASE_BLOCKS
from ansible_collections.akash.avpn.plugins.module_utils._quorum.contradiction import Contradiction
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import RuleBroken, Unseen
from ansible_collections.akash.avpn.plugins.module_utils._quorum.evidence import Evidence, Statement
from ansible_collections.akash.avpn.plugins.module_utils._quorum.membership import wanted
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Acceptance,
    Ballot,
    Instance,
    Promise,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.rules import check
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value

RUN = "ab" * 16


def voter(number: int, **fields: str) -> Voter:
    return replace(Voter(node(number), incarnation(number), signer(number).public_key), **fields)


class Scene:
    """Voters 1 to 3; their leases and those of 4 run, 2's was closed long ago. Further hosts have no lease."""

    def __init__(self) -> None:
        self.chain = Chain(hosts=9)
        self.leases = {number: self.chain.deploy(f"m{number}", 10 + number, number) for number in (1, 2, 3, 4)}
        self.value: Value = genesis(self.chain.record(), self.chain.height)
        self.chain.close(self.leases[2])
        self.chain.height += 100

    def agree_on_record(self) -> None:
        """The record as it is now is the parent's."""
        self.chain.height += 1
        change = Change(record=(self.chain.record(), self.chain.height))
        self.value = apply_change(self.value, value_hash(self.value), change)

    def said(self, kind: str, number: int, **fields: object) -> Statement:
        """What a host says about the parent."""
        statement = Statement(
            kind,
            self.value.network,
            self.value.generation,
            self.value.version,
            value_hash(self.value),
            node(number),
            incarnation(number),
        )
        return replace(statement, **fields).signed(signer(number))  # type: ignore[arg-type]

    def change(
        self,
        add: Voter | None = None,
        remove: int | None = None,
        *,
        ready: tuple[int, ...] | None = None,
        height: int | None = None,
        **evidence: object,
    ) -> Change:
        """A change of voters that all the new ones are ready for."""
        voters = {one for one in self.value.voters if remove is None or one.node != node(remove)}
        voters |= {add} if add is not None else set()
        numbers = [int(one.node.node[1:]) for one in sorted(voters)] if ready is None else list(ready)
        statements = tuple(self.said("ready", number) for number in numbers)
        given = Evidence(self.chain.height if height is None else height, statements)
        return Change(voters=tuple(sorted(voters)), evidence=replace(given, **evidence))  # type: ignore[arg-type]

    def child(self, change: Change, *, view: View | None = None, vouched: bool = False, wire: bool = True) -> Value:
        if wire:
            change = change_from_json(change_json(change), "change", self.chain.record().owner)
        parent_hash = value_hash(self.value)
        child = apply_change(self.value, parent_hash, change)
        check(self.value, parent_hash, child, view or self.chain.view(), change=change, vouched=vouched)
        return child

    def refused(self, rule: str, change: Change, *, vouched: bool = False, wire: bool = True) -> None:
        with pytest.raises(RuleBroken) as error:
            self.child(change, vouched=vouched, wire=wire)
        assert error.value.rule == rule, str(error.value)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_honest_changes(scene: Scene) -> None:
    scene.child(scene.change(voter(4), 2))
    scene.child(scene.change(voter(4)))
    scene.child(scene.change(None, 2))
    scene.child(scene.change(voter(4), 2, ready=(1, 4)))


def _with(change: Change, **fields: object) -> Change:
    return replace(change, **fields)  # type: ignore[arg-type]


def _evidence(change: Change, **fields: object) -> Change:
    assert change.evidence is not None
    return replace(change, evidence=replace(change.evidence, **fields))  # type: ignore[arg-type]


def _ready(scene: Scene, **fields: object) -> Change:
    """2 is replaced by 4; what 4 says differs in one field."""
    change = scene.change(voter(4), 2, ready=(1,))
    assert change.evidence is not None
    return _evidence(change, ready=(*change.evidence.ready, scene.said("ready", 4, **fields)))


def _other_database(scene: Scene) -> Change:
    change = scene.change(voter(4, incarnation="0" * 32), 2, ready=(1, 3))
    assert change.evidence is not None
    said = scene.said("ready", 4, incarnation="0" * 32)
    return _evidence(change, ready=(*change.evidence.ready, said))


def _other_key(scene: Scene) -> Change:
    change = scene.change(voter(4, key=signer(8).public_key), 2, ready=(1, 3))
    assert change.evidence is not None
    return _evidence(change, ready=(*change.evidence.ready, scene.said("ready", 4).signed(signer(8))))


LIES: dict[str, tuple[str, Callable[[Scene], Change]]] = {
    "no evidence": ("voters-evidence", lambda s: _with(s.change(voter(4), 2), evidence=None)),
    "evidence for nothing": ("voters-evidence", lambda s: _with(s.change(voter(4), 2), voters=None)),
    "two go": ("voters-one", lambda s: _with(s.change(voter(4), 2), voters=(voter(1),))),
    "two come": ("voters-one", lambda s: _with(s.change(voter(4)), voters=tuple(sorted(map(voter, (1, 2, 3, 4, 5)))))),
    "nobody left": ("voters-count", lambda s: _with(s.change(None, 2), voters=())),
    "not in order": (
        "voters-order",
        lambda s: _with(s.change(voter(4), 2), voters=tuple(sorted(map(voter, (1, 3, 4)), reverse=True))),
    ),
    "two of one provider": (
        "voters-distinct",
        lambda s: s.change(voter(9, node=node(1)._replace(node="n9")), 2, ready=(1, 3)),  # type: ignore[arg-type]
    ),
    "two with one incarnation": ("voters-distinct", lambda s: s.change(voter(4, incarnation=incarnation(1)), 2)),
    "two with one key": ("voters-distinct", lambda s: s.change(voter(4, key=signer(1).public_key), 2)),
    "no consent": ("voter-consent", lambda s: s.change(voter(4), 2, ready=(1, 3))),
    "no majority is ready": ("voters-ready", lambda s: s.change(voter(4), 2, ready=(4,))),
    "one counts twice": ("voters-ready", lambda s: s.change(voter(4), 2, ready=(4, 4))),
    "ready by one that goes": ("voters-ready", lambda s: s.change(voter(4), 2, ready=(2, 4))),
    "ready for an older version": ("voters-ready", lambda s: _ready(s, version=7)),
    "ready for another value": ("voters-ready", lambda s: _ready(s, hash="0" * 64)),
    "ready for another network": ("voters-ready", lambda s: _ready(s, network="0" * 64)),
    "ready in another generation": ("voters-ready", lambda s: _ready(s, generation=3)),
    "ready with another database": ("voters-ready", lambda s: _ready(s, incarnation=incarnation(1))),
    "a resignation is no consent": (
        "voters-ready",
        lambda s: _evidence(s.change(voter(4), 2), ready=(s.said("ready", 1), s.said("resignation", 4))),
    ),
    "signed by somebody else": (
        "voters-ready",
        lambda s: _evidence(
            s.change(voter(4), 2),
            ready=(s.said("ready", 1), replace(s.said("ready", 4), signature=s.said("ready", 1).signature)),
        ),
    ),
    "no lease": ("voter-lease", lambda s: s.change(voter(5), 2)),
    "another database than on chain": ("voter-host", _other_database),
    "another key than on chain": ("voter-host", _other_key),
    "one whose lease runs": ("voter-removal", lambda s: s.change(voter(4), 3)),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies(lie: str, scene: Scene) -> None:
    rule, make = LIES[lie]
    scene.refused(rule, make(scene))


def test_at_most_five(scene: Scene) -> None:
    for number in (4, 5, 6):
        if number != 4:
            scene.chain.deploy(f"m{number}", 10 + number, number)
    scene.agree_on_record()
    for number in (4, 5):
        scene.value = scene.child(scene.change(voter(number)))
    change = scene.change(voter(6))
    with pytest.raises(InvalidInput):
        change_from_json(change_json(change), "change", scene.chain.record().owner)
    scene.refused("voters-count", change, wire=False)
    scene.child(scene.change(voter(6), 2))


def test_the_tenants_word_counts(scene: Scene) -> None:
    scene.chain.changes["evicted"] = (node(3).provider, node(4).provider)
    scene.agree_on_record()
    scene.refused("voter-evicted", scene.change(voter(4), 2))
    scene.child(scene.change(None, 3))
    scene.chain.changes["evicted"] = ()
    scene.chain.providers = (node(1).provider, node(2).provider)
    scene.agree_on_record()
    scene.refused("voter-permitted", scene.change(voter(4), 2))
    scene.child(scene.change(None, 3))  # not permitted any more
    scene.refused("voter-removal", scene.change(None, 1))


def test_witnesses_need_no_lease_and_stay(scene: Scene) -> None:
    scene.chain.changes["witnesses"] = (node(2), node(5))
    scene.agree_on_record()
    scene.refused("voter-removal", scene.change(None, 2))
    scene.child(scene.change(voter(5)))
    scene.chain.changes["evicted"] = (node(5).provider,)
    scene.agree_on_record()
    scene.refused("voter-evicted", scene.change(voter(5)))


def test_a_lease_counts_until_k_blocks_after_its_end(scene: Scene) -> None:
    scene.chain.close(scene.leases[3])
    scene.chain.height += RELEASE_BLOCKS - 1
    scene.refused("voter-removal", scene.change(None, 3))
    scene.chain.height += 1
    scene.child(scene.change(None, 3))
    scene.chain.lease(13, 3, oseq=2)
    scene.refused("voter-removal", scene.change(None, 3))


def test_heights_of_long_ago_help_nobody(scene: Scene) -> None:
    """At height 5 nobody had a lease; and once 2 had one."""
    scene.refused("voter-removal", scene.change(None, 3, height=5))
    then = scene.chain.leases[scene.leases[2]].created_at
    scene.value = scene.child(scene.change(None, 2))
    scene.refused("voter-lease", scene.change(voter(2), None, height=then))
    # And a height at which the reason didn't hold yet isn't one for those who come later.
    scene.chain.close(scene.leases[3])
    scene.chain.height += 50
    scene.refused("voter-removal", scene.change(None, 3, height=scene.chain.leases[scene.leases[3]].closed_at))


def test_a_height_above_the_view_is_unseen(scene: Scene) -> None:
    behind = scene.chain.view()
    scene.chain.height += 1
    with pytest.raises(Unseen):
        scene.child(scene.change(voter(4), 2), view=behind)


def test_what_was_right_once_can_be_finished(scene: Scene) -> None:
    change = scene.change(voter(4), 2)
    scene.chain.close(scene.leases[4])
    scene.chain.lease(12, 2, oseq=7)
    scene.refused("voter-removal", scene.change(None, 2))
    scene.refused("voter-lease", change)
    scene.child(change, vouched=True)
    scene.refused("voter-removal", scene.change(None, 1), vouched=True)


def test_who_holds_a_lease_by_a_record_that_is_not_agreed_yet_stays(scene: Scene) -> None:
    """The member's deployment was replaced: its old lease is closed, the new one runs at the same provider."""
    scene.agree_on_record()
    scene.chain.close(scene.leases[3])
    scene.chain.deploy("m3", 33, 3)
    scene.chain.height += RELEASE_BLOCKS
    scene.refused("voter-removal", scene.change(None, 3))
    scene.child(scene.change(None, 3), vouched=True)
    # Nobody honest asks for it: with two records, nobody knows who should vote.
    assert wanted(scene.value, scene.chain.view()) is None
    scene.agree_on_record()
    step = wanted(scene.value, scene.chain.view())
    assert step is not None and step.removed == voter(2)


def test_nobody_goes_by_a_view_that_is_older_than_the_record(scene: Scene) -> None:
    scene.agree_on_record()
    behind = scene.chain.view()
    assert wanted(scene.value, behind) is not None
    assert wanted(replace(scene.value, record_height=behind.height + 1), behind) is None


def test_another_database_replaces_the_one_before(scene: Scene) -> None:
    scene.chain.founded = {number: incarnation(number) for number in (1, 2, 3)}
    scene.chain.incarnations[3] = "5" * 32
    scene.chain.lease(12, 2, oseq=2)
    change = scene.change(voter(3, incarnation="5" * 32), 3, ready=(1, 2))
    assert change.evidence is not None
    scene.refused("voter-consent", change)
    said = scene.said("ready", 3, incarnation="5" * 32)
    scene.child(_evidence(change, ready=(*change.evidence.ready[:1], said)))
    scene.child(scene.change(None, 3, ready=(1, 2)))
    scene.refused("voter-removal", scene.change(None, 1, ready=(2, 3)))


def _contradiction(scene: Scene, number: int, *, shown: int | None, accepted: int, promised: int) -> Contradiction:
    instance = Instance(scene.value.network, 0, 3, "1" * 64)

    def ballot(counter: int) -> Ballot:
        return Ballot(counter, node(1), RUN, "2" * 64)

    promise = Promise(
        instance, ballot(promised), node(number), incarnation(number), None if shown is None else ballot(shown)
    )
    acceptance = Acceptance(instance, ballot(accepted), node(number), incarnation(number))
    return Contradiction(promise.signed(signer(number)), acceptance.signed(signer(number)))


@pytest.mark.parametrize(
    ("shown", "accepted", "promised", "caught"),
    [
        (None, 4, 9, True),
        (2, 4, 9, True),
        (4, 4, 9, False),
        (5, 4, 9, False),
        (None, 9, 9, False),
        (None, 10, 9, False),
    ],
)
def test_who_contradicts_itself_goes(
    scene: Scene, shown: int | None, accepted: int, promised: int, caught: bool
) -> None:
    found = _contradiction(scene, 3, shown=shown, accepted=accepted, promised=promised)
    change = scene.change(None, 3, contradiction=found)
    if caught:
        scene.child(change)
    else:
        scene.refused("voter-removal", change)


def test_contradictions_that_are_none(scene: Scene) -> None:
    """Signed by somebody else, of another voter's statements, of another network or database, or of another version."""
    good = _contradiction(scene, 3, shown=None, accepted=4, promised=9)
    other = _contradiction(scene, 1, shown=None, accepted=4, promised=9)
    forged = replace(good.second, signature=other.second.signature)
    later = replace(good.second, instance=replace(good.second.instance, version=4)).signed(signer(3))
    foreign = [
        replace(one, instance=replace(one.instance, network="0" * 64)).signed(signer(3))
        for one in (good.first, good.second)
    ]
    before = [replace(one, incarnation="7" * 32).signed(signer(3)) for one in (good.first, good.second)]
    for first, second in (
        (good.first, other.second),
        (other.first, other.second),
        (good.first, forged),
        (good.first, later),
        foreign,
        before,
    ):
        made = Contradiction(first, second)
        scene.refused("voter-removal", scene.change(None, 3, contradiction=made))


# --- what is wanted


def names(value: Value) -> set[int]:
    return {int(one.node.node[1:]) for one in value.voters}


def test_who_is_known_to_contradict_itself_goes_and_does_not_come_back(scene: Scene) -> None:
    liar = voter(1)
    step = wanted(scene.value, scene.chain.view(), caught={liar})
    assert step is not None and step.removed is not None
    assert {step.removed.node, *(one.node for one in step.voters)} >= {node(4)}
    for _unused in range(3):
        step = wanted(scene.value, scene.chain.view(), caught={liar})
        if step is None:
            break
        scene.value = replace(scene.value, voters=step.voters)
    assert names(scene.value) == {3, 4}
    # With a new database it is another voter.
    scene.chain.founded = {number: incarnation(number) for number in (1, 2, 3)}
    scene.chain.incarnations[1] = "5" * 32
    step = wanted(scene.value, scene.chain.view(), caught={liar})
    assert step is not None and step.added == voter(1, incarnation="5" * 32)


def settled(scene: Scene) -> set[int]:
    """The voters once nothing is wanted any more; every step on the way is one that voters take."""
    for _unused in range(12):
        step = wanted(scene.value, scene.chain.view())
        if step is None:
            return names(scene.value)
        ready = tuple(
            replace(scene.said("ready", int(one.node.node[1:])), incarnation=one.incarnation).signed(
                signer(int(one.node.node[1:]))
            )
            for one in step.voters
        )
        scene.value = scene.child(Change(voters=step.voters, evidence=Evidence(scene.chain.height, ready)))
    raise AssertionError("voters never settle")


def test_wanted_replaces_who_left(scene: Scene) -> None:
    scene.agree_on_record()
    assert settled(scene) == {1, 3, 4}


def test_wanted_without_anybody_to_replace_who_left(scene: Scene) -> None:
    scene.chain.close(scene.leases[4])
    scene.chain.height += 20
    scene.agree_on_record()
    assert settled(scene) == {1, 3}
    scene.chain.changes["witnesses"] = (node(7), node(8))
    scene.agree_on_record()
    assert len(settled(scene)) == 3
    scene.chain.close(scene.leases[3])
    scene.chain.close(scene.leases[1])
    scene.chain.height += 20
    assert settled(scene) == {7, 8}
    scene.chain.changes["witnesses"] = ()
    scene.agree_on_record()
    assert len(settled(scene)) == 1  # somebody has to keep it


def test_wanted_grows_to_five_and_not_to_four(scene: Scene) -> None:
    scene.chain.lease(12, 2, oseq=2)
    scene.agree_on_record()
    assert settled(scene) == {1, 2, 3}
    for number in (5, 6, 7):
        scene.chain.deploy(f"m{number}", 10 + number, number)
    scene.agree_on_record()
    grown = settled(scene)
    assert len(grown) == 5 and grown >= {1, 2, 3}
    assert settled(scene) == grown


def test_wanted_is_the_same_for_everybody_and_passes_by_who_is_not_ready(scene: Scene) -> None:
    scene.chain.deploy("m5", 15, 5)
    scene.agree_on_record()
    first = wanted(scene.value, scene.chain.view())
    assert first is not None and first.added is not None
    assert first == wanted(scene.value, scene.chain.view())
    other = wanted(scene.value, scene.chain.view(), {first.added})
    assert other is not None and other.added not in (None, first.added)
    alone = wanted(scene.value, scene.chain.view(), {first.added, other.added})
    assert alone is not None and alone.added is None and alone.removed is not None


def test_wanted_evicts_and_takes_another_database(scene: Scene) -> None:
    scene.chain.founded = {number: incarnation(number) for number in (1, 2, 3)}
    scene.chain.incarnations[3] = "5" * 32
    scene.chain.changes["evicted"] = (node(1).provider,)
    scene.chain.lease(12, 2, oseq=2)
    scene.agree_on_record()
    assert settled(scene) == {2, 3, 4}
    assert {one.incarnation for one in scene.value.voters} == {incarnation(2), "5" * 32, incarnation(4)}
