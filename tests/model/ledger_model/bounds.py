# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is explored of the protocol as it is: within these bounds everything is seen, and nothing may go wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from .explorer import Result, Sizes, search


@dataclass(frozen=True)
class Bound:
    """``settings``: see ``ledger.pml``; progress is checked in every state, and hosts' names don't matter."""

    sizes: Sizes
    settings: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Such as ``3+1 hosts, 2 versions, 2 ballots``: founders and others."""
        sizes, told = self.sizes, dict(self.settings)
        founders, others = sizes.founders, sizes.hosts - sizes.founders
        ballots = str(told.pop("ballots", sizes.ballots))
        if "later" in told:
            ballots += f" then {told.pop('later')}"
        versions = told.pop("versions", sizes.versions)
        words = [f"{founders}+{others} hosts", f"{versions} versions", f"{ballots} ballots"]
        words += [f"{name}={value}" for name, value in sorted(told.items())]
        return ", ".join(words)

    def search(self, **how: int) -> Result:
        return search(self.sizes, {"progress": 1, "symmetry": 1, **self.settings}, **how)


# Part of `make test`: a few seconds altogether.
SHORT = [
    Bound(Sizes(3, 3, 1, 3)),
    Bound(Sizes(4, 3, 1, 2), {"losses": 1}),
    Bound(Sizes(3, 2, 2, 2), {"losses": 1}),
    Bound(Sizes(3, 2, 2, 2), {"dishonest": 1}),
    Bound(Sizes(3, 1, 3, 2), {"losses": 1}),
    Bound(Sizes(4, 3, 2, 2), {"later": 1}),
]

# `make model`, the quick ones first.
LONG = [
    *SHORT,
    Bound(Sizes(3, 3, 2, 2), {"losses": 1}),
    Bound(Sizes(3, 2, 2, 3), {"later": 2}),
    Bound(Sizes(3, 2, 3, 2), {"later": 1, "losses": 1}),
    Bound(Sizes(3, 1, 3, 3), {"later": 2}),
    Bound(Sizes(4, 3, 1, 3)),
    Bound(Sizes(5, 5, 1, 2)),
    Bound(Sizes(5, 4, 1, 2)),
    Bound(Sizes(3, 3, 1, 4)),
    Bound(Sizes(4, 2, 2, 2), {"losses": 1}),
    Bound(Sizes(4, 3, 2, 2), {"later": 1, "losses": 1}),
    Bound(Sizes(4, 3, 2, 2)),
]
