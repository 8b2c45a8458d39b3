# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever order messages come in, a version has one value (R5); and a voter that forgets would be found out."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import Voters
from schedule import Base, Simulation, TwoValues

from ansible_collections.akash.avpn.plugins.module_utils._quorum import recollection
from ansible_collections.akash.avpn.plugins.module_utils._quorum.contradiction import Vote, conflict
from ansible_collections.akash.avpn.plugins.module_utils._quorum.sightings import caught

_RUNS = itertools.count()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Base(tmp_path_factory.mktemp("base"))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_one_value_for_each_version(seed: int, base: Base, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("runs") / str(next(_RUNS))
    simulation = Simulation(base, directory, seed)
    simulation.run(200)
    # Nor does a voter that does as it should ever sign what counts against it, whoever collects it.
    assert {number: _contradictions(signed) for number, signed in simulation.signed.items()} == {1: [], 2: [], 3: []}
    for number in (1, 2, 3):
        store = simulation.voters.acceptors[number].store
        assert caught(store.reading()) == []
        store.close()


def _contradictions(signed: Iterable[Vote]) -> list[str]:
    pairs = itertools.combinations_with_replacement(signed, 2)
    return [why for one, other in pairs if (why := conflict(one, other)) is not None]


def test_the_simulation_gets_somewhere(base: Base, tmp_path: Path) -> None:
    versions = [Simulation(base, tmp_path / str(seed), seed).run(200) for seed in range(5)]
    assert sum(versions) >= 5, versions


def _forget(column: str) -> object:
    def broken(voters: Voters, number: int) -> None:
        with sqlite3.connect(voters.directory / f"voter{number}.db") as database:
            database.execute(f"UPDATE pending SET {column}")

    return broken


@pytest.mark.parametrize(
    "lost",
    ["accepted = NULL, change = NULL", "promised = NULL, promise = NULL, accepted = NULL, change = NULL"],
    ids=["acceptance forgotten", "promise and acceptance forgotten"],
)
def test_a_voter_that_forgets_is_found_out(
    lost: str, base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One that is shown what it forgot would retire; here it goes on.
    monkeypatch.setattr(recollection, "newer", lambda *_votes: False)
    with pytest.raises(TwoValues):
        for seed in range(400):
            simulation = Simulation(base, tmp_path / str(seed), seed, _forget(lost))  # type: ignore[arg-type]
            simulation.run(200)
    # And what it signed proves it.
    assert any(_contradictions(signed) for signed in simulation.signed.values())
