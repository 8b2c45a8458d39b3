# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The protocol with one rule taken out, each with bounds within which that is found."""

from __future__ import annotations

from dataclasses import dataclass, field

from .explorer import Fence, Result, Sizes, search


@dataclass(frozen=True)
class Variant:
    """``mutation``: its number in voter.c (0: another protocol altogether); ``verdict``: what it leads to."""

    name: str
    mutation: int
    verdict: str
    sizes: Sizes | Fence
    settings: dict[str, int] = field(default_factory=dict)
    note: str = ""

    def search(self) -> Result:
        return search(self.sizes, {"mutation": self.mutation, **self.settings})


_THREE = Sizes(hosts=3, founders=3, versions=1, ballots=2)
_ONE_AND_TWO = Sizes(hosts=3, founders=1, versions=2, ballots=2)
_TWO_AND_ONE = Sizes(hosts=3, founders=2, versions=2, ballots=2)
_SAME = {"changes": 0}

VARIANTS = [
    Variant("the promise is erased after accepting", 1, "two", _THREE, _SAME),
    Variant("the promise is erased after accepting: ballots", 1, "order", _THREE, {"ordered": 1, **_SAME}),
    Variant(
        "the ballot doesn't name its value",
        2,
        "two",
        Sizes(3, 3, 1, 3),
        _SAME,
        note="(ballots 1 and 2 are one ballot with two values, and so are 3 and 4)",
    ),
    Variant(
        "checked against the voter's own value, not the parent",
        3,
        "binding",
        _TWO_AND_ONE,
        {"dishonest": 1, **_SAME},
    ),
    Variant("checked against what the voter itself accepted", 10, "stuck", _THREE, {"progress": 1, **_SAME}),
    Variant("voters of a version before its certificate", 4, "two", _TWO_AND_ONE),
    Variant("promises of hosts that are not the parent's voters", 5, "two", _ONE_AND_TWO),
    Variant("built on a half-done round without a certificate", 6, "descent", _TWO_AND_ONE),
    Variant(
        "built on a half-done round, and another one is certified",
        6,
        "descent",
        Sizes(3, 3, 2, 2),
        {"patient": 1, "later": 1, **_SAME},
    ),
    Variant("built on a half-done round in the same version", 9, "two", _THREE),
    Variant("a half-done round is not heeded", 11, "two", _THREE, _SAME),
    Variant("promises don't show what was accepted", 12, "two", _THREE, _SAME),
    Variant("leaving before the new voters hold the value", 7, "stuck", _TWO_AND_ONE, {"progress": 1}),
    Variant("resuming after disk loss", 8, "two", _THREE, {"losses": 1, **_SAME}),
    Variant("one register with joint majorities", 0, "binding", Sizes(2, 1, 1, 4, model="joint")),
]

# The same of recovery: recovery.pml has numbers of its own.
RECOVERIES = [
    Variant("votes on a view of any age", 1, "fence", Fence(mutation=1)),
    Variant("the new generation doesn't wait", 2, "fence", Fence(mutation=2)),
    Variant("who has seen the higher generation votes in the lower one", 3, "kept", Fence(mutation=3)),
    Variant("the start takes the base alone", 4, "kept", Fence(mutation=4)),
    Variant("the start hears a majority, not every survivor", 5, "kept", Fence(mutation=5)),
    Variant("clocks further apart than a view may be old", 0, "fence", Fence(skew=2)),
]
