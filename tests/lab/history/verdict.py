# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that is checked of a recorded campaign, and the sum of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

from . import authors, ownership, proofs, realtime, seats, statements
from .events import WRITES, Recording
from .replaying import Chain, replay

MOST = 50  # problems of one kind that are told


@dataclass(frozen=True)
class Verdict:
    """``problems``: what is wrong, by kind; a kind that isn't there was checked and is right."""

    problems: dict[str, list[str]]
    counts: dict[str, int]
    versions: int
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)  # kind of operation -> outcome -> how many

    @property
    def duplicates(self) -> int:
        return len(self.problems.get("duplicate", []))

    @property
    def lost(self) -> int:
        return len(self.problems.get("lost", []))

    @property
    def linearizable(self) -> bool:
        """One register: one chain, answers in real time's order, nothing out of nowhere."""
        wrong = ("fork", "stale", "untrue", "misplaced", "undead", "unasked", "unfinished")
        return not any(self.problems.get(kind) for kind in wrong)

    @property
    def good(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        return {
            **self.counts,
            "duplicates": self.duplicates,
            "lost": self.lost,
            "linearizable": self.linearizable,
            "good": self.good,
            "versions": self.versions,
            "outcomes": self.outcomes,
            "problems": self.problems,
        }


def judge(recording: Recording) -> Verdict:
    """Check everything."""
    chain = replay(recording)
    checks: dict[str, Callable[[], Iterable[str]]] = {
        "fork": lambda: ownership.forks(chain),
        "duplicate": lambda: ownership.duplicates(chain),
        "lost": lambda: ownership.lost(recording, chain),
        "unasked": lambda: ownership.unasked(recording, chain),
        "stale": lambda: realtime.stale(recording),
        "untrue": lambda: realtime.untrue(recording, chain),
        "misplaced": lambda: realtime.misplaced(recording, chain),
        "undead": lambda: realtime.undead(recording, chain),
        "backward": lambda: statements.backward(recording.statements),
        "forgotten": lambda: statements.forgotten(recording.statements),
        "twofold": lambda: statements.twofold(recording.statements),
        "forged": lambda: proofs.forged(recording, chain),
        "outsider": lambda: proofs.outsiders(recording, chain),
        "unproven": lambda: proofs.unproven(recording, chain),
        "unsigned": lambda: authors.unsigned(recording, chain),
        "unfounded": lambda: seats.unfounded(recording, chain),
        "final": lambda: ownership.differing_ends(recording, chain),
        "unfinished": lambda: [] if recording.ended else ["the recording has no end"],
    }
    problems = {kind: found for kind, check in checks.items() if (found := list(islice(check(), MOST)))}
    return Verdict(problems, _counts(recording, chain), len(chain.versions), _outcomes(recording))


def _counts(recording: Recording, chain: Chain) -> dict[str, int]:
    operations = recording.operations.values()
    voters_changed = sum(before != after for before, after in pairwise([chain.founders, *chain.voters]))
    return {
        "operations": len(operations),
        "faults": len({fault["number"] for fault in recording.faults}),
        "acknowledged": sum(one.outcome == "ok" for one in operations),
        "failed": sum(one.outcome == "failed" for one in operations),
        "unknown": sum(one.outcome == "unknown" for one in operations),
        "voters_changed": voters_changed,
        "writes": sum(one.kind in WRITES and one.outcome == "ok" and one.strength == "decided" for one in operations),
        "statements": len(recording.statements),
    }


def _outcomes(recording: Recording) -> dict[str, dict[str, int]]:
    table: dict[str, Counter[str]] = {}
    for one in recording.operations.values():
        table.setdefault(one.kind, Counter())[one.outcome] += 1
    return {kind: dict(sorted(counts.items())) for kind, counts in sorted(table.items())}
