# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever order messages come in, a version has one value (R5); and a voter that forgets would be found out."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import Voters
from schedule import Base, Simulation, TwoValues

_RUNS = itertools.count()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Base(tmp_path_factory.mktemp("base"))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_one_value_for_each_version(seed: int, base: Base, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("runs") / str(next(_RUNS))
    Simulation(base, directory, seed).run(200)


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
def test_a_voter_that_forgets_is_found_out(lost: str, base: Base, tmp_path: Path) -> None:
    with pytest.raises(TwoValues):
        for seed in range(400):
            Simulation(base, tmp_path / str(seed), seed, _forget(lost)).run(200)  # type: ignore[arg-type]
