# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger's protocol, searched to the end within small bounds; and every rule that is taken out is missed.

The larger bounds are ``make model``. What is modelled, and how far it can be trusted: docs/model.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_model.bounds import SHORT, Bound
from ledger_model.explorer import Fence, SearchFailed, Sizes, search
from ledger_model.story import tell
from ledger_model.variants import RECOVERIES, VARIANTS, Variant

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "model.md"
SMALL = Sizes(hosts=3, founders=2, versions=2, ballots=2)


@pytest.mark.parametrize("bound", SHORT, ids=lambda bound: bound.name)
def test_the_protocol_holds_and_can_always_go_on(bound: Bound) -> None:
    result = bound.search()
    assert result.verdict == "holds", "\n".join(tell(result.steps))
    assert result.states > 10_000
    row = f"| {bound.name} | {result.states:,} | {result.transitions:,} | {result.depth} |"
    assert row in GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("skew", [0, 1])
def test_the_old_majority_coming_back_changes_nothing(skew: int) -> None:
    result = search(Fence(skew=skew))
    assert result.verdict == "holds", "\n".join(tell(result.steps))
    assert result.states > 10_000


@pytest.mark.parametrize("variant", [*VARIANTS, *RECOVERIES], ids=lambda variant: variant.name)
def test_a_broken_variant_is_caught(variant: Variant) -> None:
    result = variant.search()
    assert result.verdict == variant.verdict
    lines = tell(result.steps)
    assert "WRONG" in lines[-1]
    # The guide tells what is found.
    steps = sum("->" not in line for line in lines)
    row = f"| {variant.name} | `{variant.verdict}` | {steps} | {result.states:,} |"
    assert row in GUIDE.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("variant", [one for one in VARIANTS if one.mutation], ids=lambda variant: variant.name)
def test_the_same_bounds_hold_with_the_rule(variant: Variant) -> None:
    """It is the missing rule that is caught, not the bounds or what is looked for."""
    result = search(variant.sizes, {**variant.settings, "symmetry": 1, "progress": 1, "ordered": 1})
    assert result.verdict == "holds", "\n".join(tell(result.steps))


@pytest.mark.parametrize(
    ("sizes", "goal", "last"),
    [
        (SMALL, 1, "certified"),
        (Sizes(hosts=3, founders=1, versions=3, ballots=2), 2, "leave"),
        (Sizes(hosts=4, founders=2, versions=2, ballots=2), 2, "leave"),
    ],
    ids=[
        "the last version is certified",
        "the only voter is replaced and has left",
        "both voters are replaced and have left",
    ],
)
def test_the_model_gets_there(sizes: Sizes, goal: int, last: str) -> None:
    result = search(sizes, {"goal": goal})
    assert result.verdict == "goal"
    assert result.steps[-1][0] == last


def test_states_that_are_taken_for_one_are_one() -> None:
    """Neither hosts' names nor what was forgotten matter: without these reductions nothing else is found."""
    results = {
        (symmetry, forgetting): search(
            SMALL, {"progress": 1, "symmetry": symmetry, "forgetting": forgetting, "later": 1}
        )
        for symmetry in (0, 1)
        for forgetting in (0, 1)
    }
    assert {result.verdict for result in results.values()} == {"holds"}
    assert len({result.depth for (_symmetry, forgetting), result in results.items() if forgetting}) == 1
    for forgetting in (0, 1):
        # Two founders that may change names: classes of at most two states.
        assert results[1, forgetting].states <= results[0, forgetting].states <= 2 * results[1, forgetting].states
    assert results[0, 1].states < results[0, 0].states


@pytest.mark.parametrize("symmetry", [0, 1])
def test_renaming_hosts_hides_no_counterexample(symmetry: int) -> None:
    for variant in VARIANTS:
        if variant.mutation and isinstance(variant.sizes, Sizes) and variant.sizes.versions == 1:
            found = search(variant.sizes, {"mutation": variant.mutation, **variant.settings, "symmetry": symmetry})
            assert (found.verdict, found.depth) == (variant.verdict, variant.search().depth), variant.name


def test_a_search_that_ends_early_is_no_proof() -> None:
    with pytest.raises(SearchFailed):
        search(SMALL, megabytes=5, table=10)
