# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who resigns goes, by its own signed word about one version only, and only if enough vote then (R21)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from ledger_world import incarnation, node, signer
from test_rules_voters import Scene, names, voter

from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.evidence import Statement
from ansible_collections.akash.avpn.plugins.module_utils._quorum.membership import wanted

RESIGNS = "is drained"


@pytest.fixture
def scene() -> Scene:
    """Voters 1 to 3 and provider 4 hold leases by the record that is agreed on."""
    made = Scene()
    made.leases[2] = made.chain.lease(12, 2, oseq=2)
    made.agree_on_record()
    return made


def swap(scene: Scene, resignation: Statement) -> Change:
    """3 is replaced by 4, with this as its resignation."""
    return scene.change(voter(4), 3, resignation=resignation)


def test_who_resigns_goes(scene: Scene) -> None:
    scene.refused("voter-removal", scene.change(voter(4), 3))
    child = scene.child(swap(scene, scene.said("resignation", 3)))
    assert names(child) == {1, 2, 4}


LIES: dict[str, Callable[[Scene], Statement]] = {
    "another host's": lambda s: s.said("resignation", 1),
    "in its name, by another": lambda s: s.said("resignation", 3).signed(signer(1)),
    "in its name, by a host that comes": lambda s: s.said("resignation", 3).signed(signer(4)),
    "another's signature": lambda s: replace(s.said("resignation", 3), signature=s.said("resignation", 1).signature),
    "that it is ready, relabelled": lambda s: replace(s.said("ready", 3), kind="resignation"),
    "with another database": lambda s: s.said("resignation", 3, incarnation=incarnation(9)),
    "of another database, renamed": lambda s: replace(
        s.said("resignation", 3, incarnation=incarnation(9)), incarnation=incarnation(3)
    ),
    "in another network": lambda s: s.said("resignation", 3, network="0" * 64),
    "of another network, renamed": lambda s: replace(
        s.said("resignation", 3, network="0" * 64), network=s.value.network
    ),
    "in another generation": lambda s: s.said("resignation", 3, generation=1),
    "of another generation, renamed": lambda s: replace(s.said("resignation", 3, generation=1), generation=0),
    "upon an older version": lambda s: s.said("resignation", 3, version=s.value.version - 1),
    "upon a later version": lambda s: s.said("resignation", 3, version=s.value.version + 1),
    "upon another value": lambda s: s.said("resignation", 3, hash="0" * 64),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("vouched", [False, True])
def test_nobody_is_made_to_resign(lie: str, vouched: bool, scene: Scene) -> None:
    scene.refused("voter-removal", swap(scene, LIES[lie](scene)), vouched=vouched)


def test_a_resignation_serves_once(scene: Scene) -> None:
    """Brought again after another version, and after the voter went and was let in again."""
    word = scene.said("resignation", 3)
    gone = scene.child(swap(scene, word))
    scene.agree_on_record()
    scene.refused("voter-removal", swap(scene, word))
    scene.value = gone
    scene.chain.changes["evicted"] = (node(4).provider,)
    scene.agree_on_record()
    scene.value = scene.child(scene.change(voter(3), 4))
    scene.chain.changes["evicted"] = ()
    scene.agree_on_record()
    assert names(scene.value) == {1, 2, 3}
    scene.refused("voter-removal", swap(scene, word))
    scene.refused("voter-removal", swap(scene, replace(word, version=scene.value.version)))
    scene.child(swap(scene, scene.said("resignation", 3)))


def test_who_resigns_leaves_enough(scene: Scene) -> None:
    alone = scene.change(None, 3, resignation=scene.said("resignation", 3))
    scene.refused("voters-few", alone)
    scene.refused("voters-few", alone, vouched=True)
    # From four it may, and so may one who has another reason besides.
    scene.value = scene.child(scene.change(voter(4)))
    scene.child(scene.change(None, 3, resignation=scene.said("resignation", 3)))
    scene.value = scene.child(scene.change(None, 4, resignation=scene.said("resignation", 4)))
    scene.chain.close(scene.leases[3])
    scene.chain.height += 20
    scene.child(scene.change(None, 3, resignation=scene.said("resignation", 3)))


def test_a_resignation_is_one_voters(scene: Scene) -> None:
    """It takes nobody else out, and stands in for no consent."""
    word = scene.said("resignation", 3)
    scene.refused("voter-removal", scene.change(voter(4), 2, resignation=word))
    scene.refused("voter-consent", scene.change(voter(4), 3, ready=(1, 2), resignation=word))
    scene.refused("voters-evidence", replace(swap(scene, word), voters=None))


def test_wanted_lets_go_who_can_be_replaced(scene: Scene) -> None:
    view = scene.chain.view()
    assert wanted(scene.value, view) is None
    step = wanted(scene.value, view, resigns=voter(3))
    assert step is not None and (step.added, step.removed, step.why) == (voter(4), voter(3), RESIGNS)
    # One that isn't ready takes nobody's place, nor does who doesn't vote resign.
    assert wanted(scene.value, view, {voter(4)}, resigns=voter(3)) is None
    assert wanted(scene.value, view, resigns=voter(4)) is None
    scene.chain.changes["witnesses"] = (node(7),)
    scene.agree_on_record()
    step = wanted(scene.value, scene.chain.view(), {voter(4)}, resigns=voter(3))
    assert step is not None and step.added == voter(7)


def test_wanted_keeps_three(scene: Scene) -> None:
    """Of five, two can do without a replacement; the third of them votes on."""
    for number in (5, 6):
        scene.chain.deploy(f"m{number}", 10 + number, number)
    scene.agree_on_record()
    for number in (4, 5):
        scene.value = scene.child(scene.change(voter(number)))
    drained = {voter(6)}
    for number, left in ((3, {1, 2, 4, 5}), (4, {1, 2, 5})):
        step = wanted(scene.value, scene.chain.view(), drained, resigns=voter(number))
        assert step is not None and step.removed == voter(number)
        scene.value = scene.child(scene.change(None, number, resignation=scene.said("resignation", number)))
        assert names(scene.value) == left
        drained.add(voter(number))
    assert wanted(scene.value, scene.chain.view(), drained, resigns=voter(5)) is None


def test_wanted_sees_to_those_who_must_go_first(scene: Scene) -> None:
    scene.chain.changes["evicted"] = (node(1).provider,)
    scene.agree_on_record()
    step = wanted(scene.value, scene.chain.view(), resigns=voter(3))
    assert step is not None and (step.added, step.removed) == (voter(4), voter(1))
    # And a resignation gives no voter back its place.
    assert wanted(scene.value, scene.chain.view(), {voter(4)}, resigns=voter(3)) == replace(
        step, added=None, voters=(*sorted({voter(2), voter(3)}),)
    )


def test_another_host_of_the_same_provider_may_take_the_place(scene: Scene) -> None:
    view = scene.chain.view()
    beside = replace(
        view.hosts[node(9)],
        id=node(3)._replace(node="n9"),
    )
    view = replace(view, hosts={**view.hosts, beside.id: beside})
    step = wanted(scene.value, view, {voter(4)}, resigns=voter(3))
    assert step is not None and step.added is not None
    assert (step.added.node, step.removed) == (beside.id, voter(3))
