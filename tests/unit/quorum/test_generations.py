# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The generation is raised in the midst of rounds: one value for each version, nothing kept is lost, the fence holds.

Each safety rule that it takes is taken out, and the simulation finds what it was for (R25).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schedule_generations
from schedule_generations import Broken, Simulation

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import NetworkRecord
from ansible_collections.akash.avpn.plugins.module_utils._quorum import raising, rules_recovery, starting
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Promise

_STEPS = 1200


@pytest.mark.parametrize("seed", range(6))
def test_the_generation_is_raised_in_the_midst_of_rounds(seed: int, tmp_path: Path) -> None:
    Simulation(tmp_path / "run", seed).run(_STEPS)


def test_the_simulation_gets_somewhere(tmp_path: Path) -> None:
    runs = [Simulation(tmp_path / str(seed), seed).run(_STEPS) for seed in range(6, 10)]
    assert any(count for run in runs for generation, count in run.items() if generation > 0), runs
    assert any(count > 1 for run in runs for generation, count in run.items() if generation > 0), runs


Mutation = Callable[[pytest.MonkeyPatch], dict[str, Any]]


def _no_rest(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(raising, "check_rest", lambda *_arguments: None)
    return {}


def _any_age(_monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"max_age": 10**6}


def _a_majority(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    whole = rules_recovery._check_promises

    def only_theirs(record: NetworkRecord, promises: Sequence[Promise]) -> None:
        said = {promise.voter for promise in promises}
        whole(replace(record, founders=tuple(voter for voter in record.founders if voter.node in said)), promises)

    monkeypatch.setattr(rules_recovery, "_check_promises", only_theirs)
    return {"all_founders": False}


def _without_what_was_accepted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(rules_recovery, "_check_newest", lambda *_arguments: None)
    whole = schedule_generations.recover
    monkeypatch.setattr(schedule_generations, "recover", lambda *asked: replace(whole(*asked), accepted=None))
    return {}


def _the_base_alone(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(rules_recovery, "_check_newest", lambda *_arguments: None)
    monkeypatch.setattr(starting, "newest_held", lambda base, _held: (base.version, base.hash, None))
    return {}


# With a seed close before one that shows it: each takes a second or two.
MUTATIONS: dict[str, tuple[Mutation, str, int]] = {
    "the new generation doesn't rest": (_no_rest, "fence", 6),
    "views of any age are voted on": (_any_age, "fence", 26),
    "a majority of the founders is heard": (_a_majority, "kept", 10),
    "what was accepted is left out": (_without_what_was_accepted, "kept", 3),
    "the base alone is begun with": (_the_base_alone, "kept", 3),
}


@pytest.mark.parametrize("without", MUTATIONS)
def test_without_the_rule_it_is_found(without: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation, what, first = MUTATIONS[without]
    options = mutation(monkeypatch)
    with pytest.raises(Broken, match=what):
        for seed in range(first, first + 100):
            Simulation(tmp_path / str(seed), seed, **options).run(_STEPS)
