# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A voter whose team drains its host: it asks to be taken out, and comes in nowhere.

It votes like any other until a version has taken it out, and signs that it goes for one version only. So what it
signed can't be used once it was let in again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._chain.model import Voter
from .errors import RuleBroken
from .evidence import Statement
from .messages import Certified
from .signing import Signer

DRAINED = "drained"  # the rule's name in a refusal
LEAST_VOTERS = 3  # of whom one may fail: with fewer, one that answers is worth more than none


@dataclass(frozen=True)
class Resigning:
    """The voter that wants to go, as the value names it, and what it signs with."""

    voter: Voter
    signer: Signer

    def statement(self, parent: Certified) -> Statement:
        """Its word that it goes with the version after ``parent``."""
        value = parent.value
        return Statement(
            "resignation",
            value.network,
            value.generation,
            value.version,
            parent.certificate.hash,
            self.voter.node,
            self.voter.incarnation,
        ).signed(self.signer)


def enough(before: int, after: int) -> bool:
    """Whether one voter of ``before`` may resign if ``after`` vote then: as many as before, or as many as tolerate a
    loss. By any other reason to go, fewer may be left."""
    return after >= min(LEAST_VOTERS, before)


def check_willing(drained: bool, me: Voter, voters: Sequence[Voter]) -> None:
    """RuleBroken if this host is drained and doesn't vote: it doesn't say that it is ready to. Who votes still does,
    for others may have to be replaced before it."""
    if drained and me not in voters:
        raise RuleBroken(DRAINED, f"{me.node} is drained: its team takes it out of voting")
