# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose reconciliation changes the voters, and that whoever left by it is told (R12)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ledger_world import Direct, allocate, cache, node
from test_voters import Town

from ansible_collections.akash.avpn.plugins.module_utils._peer.reshaping import reshape
from ansible_collections.akash.avpn.plugins.module_utils._quorum.membership import has_turn
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """3 has no lease any more; its addresses are released."""
    town = Town(tmp_path)
    town.go(3)
    allocate(town.voters, 1)
    return town


def run(town: Town, number: int) -> dict[str, Any]:
    """What the reconciliation of a host does about the voters."""
    transport, view = Direct(town.voters, node(number)), town.chain.view()
    record = town.chain.record()
    with Proposer(transport, node(number), record, view.height, cache=cache(town.directory / str(number))) as proposer:
        value = proposer.fetch(5.0).value  # type: ignore[union-attr]
        return reshape(town.voters.acceptors[number].store, proposer, view, node(number), value)


def left(town: Town, number: int) -> bool:
    return town.voters.acceptors[number].store.left(town.chain.record().id)


def test_whoever_has_the_turn_changes_the_voters_and_tells_the_one_that_left(town: Town) -> None:
    value, view = town.known(1).value, town.chain.view()
    turns = [number for number in (1, 2) if has_turn(value, view.networks[value.network], node(number))]
    assert len(turns) == 1
    assert run(town, turns[0])["voters_changed"]
    assert left(town, 3)


def test_others_do_it_when_they_find_it_wanted_twice(town: Town) -> None:
    value, view = town.known(1).value, town.chain.view()
    other = next(number for number in (1, 2) if not has_turn(value, view.networks[value.network], node(number)))
    assert run(town, other)["voters_changed"] == []
    assert run(town, other)["voters_changed"]
    assert left(town, 3)


def test_the_one_that_leaves_waits_for_those_who_stay(town: Town) -> None:
    for _again in range(3):
        assert run(town, 3)["voters_changed"] == []
    assert not left(town, 3)
