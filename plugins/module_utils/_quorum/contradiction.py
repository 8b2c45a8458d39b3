# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two statements of one voter that no honest voter signs both, whatever it is asked and in which order.

What an honest voter does (``acceptor``), for one version of one ledger: it votes upon the one parent that it holds as
certified. The ballots that it promises rise, and each is promised once: a repeat is the same text. With a promise it
shows the highest ballot accepted until then, which is lower; after it, it accepts no lower one. All of that is written
in one transaction before it is answered, so it holds for several processes and across restarts. What it says in
promises that it holds of generations that are over stays the same, for it votes there no more. Statements have no time,
so only what holds in every order counts. docs/ledger.md ("Voters that contradict themselves") has the argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

from .._chain.model import Voter
from .._common import fields
from .._common.canonical import Json
from .messages import Acceptance, Promise
from .signing import verify

Vote = Union[Promise, Acceptance]


def conflict(one: Vote, other: Vote) -> str | None:
    """Why no honest voter signs both, in a few words; None if one may. Who signed them is not looked at."""
    position = (one.instance.network, one.instance.generation, one.instance.version)
    if (other.instance.network, other.instance.generation, other.instance.version) != position:
        return None
    if one.instance != other.instance:
        return "voted for one version upon two parents"
    promises = sorted((vote for vote in (one, other) if isinstance(vote, Promise)), key=lambda vote: vote.ballot)
    for promise in promises:
        if promise.accepted is not None and promise.accepted >= promise.ballot:
            return "showed as accepted what isn't below what it promised"
    if len(promises) == 2:
        return _between_promises(*promises)
    for acceptance in (one, other):
        if promises and isinstance(acceptance, Acceptance):
            shown = promises[0].accepted
            if acceptance.ballot < promises[0].ballot and (shown is None or shown < acceptance.ballot):
                return "accepted a ballot that its promise of a higher one doesn't show"
    return None


def _between_promises(lower: Promise, higher: Promise) -> str | None:
    """What was accepted between the two was at least the lower one's ballot, if anything was."""
    if lower.held != higher.held:
        return "said of one start of a generation that it holds different things"
    if lower.accepted == higher.accepted:
        return None
    if lower.ballot == higher.ballot:
        return "promised one ballot twice and showed different ballots as accepted"
    if higher.accepted is None or higher.accepted < lower.ballot:
        return "showed a ballot as accepted that its other promise denies"
    return None


@dataclass(frozen=True)
class Contradiction:
    """The proof: anybody who knows the voter's key can check it."""

    first: Vote
    second: Vote

    @property
    def why(self) -> str:
        """What the voter did, in a few words; empty if the two don't contradict each other."""
        return conflict(self.first, self.second) or ""

    def by(self, voter: Voter, network: str, generation: int) -> bool:
        """Whether exactly this voter signed both, they are of this ledger, and contradict each other."""
        for vote in (self.first, self.second):
            if (vote.instance.network, vote.instance.generation) != (network, generation):
                return False
            if (vote.voter, vote.incarnation) != (voter.node, voter.incarnation):
                return False
            if not verify(voter.key, vote.text(), vote.signature):
                return False
        return bool(self.why)

    def to_json(self) -> dict[str, Json]:
        return {"first": vote_json(self.first), "second": vote_json(self.second)}

    @classmethod
    def from_json(cls, value: Any, where: str) -> Contradiction:
        raw = fields.obj(value, where, required={"first", "second"})
        return cls(vote_from_json(raw["first"], f"{where}.first"), vote_from_json(raw["second"], f"{where}.second"))


def kind_of(vote: Vote) -> str:
    """``promise`` or ``acceptance``."""
    return "promise" if isinstance(vote, Promise) else "acceptance"


def vote_json(vote: Vote) -> dict[str, Json]:
    """``{"promise": …}`` or ``{"acceptance": …}``."""
    return {kind_of(vote): vote.to_json()}


def vote_from_json(value: Any, where: str) -> Vote:
    """A promise or an acceptance; nothing is verified."""
    raw = fields.obj(value, where, required=set(), optional={"promise", "acceptance"})
    if "promise" in raw and len(raw) == 1:
        return Promise.from_json(raw["promise"], f"{where}.promise")
    fields.obj(value, where, required={"acceptance"})
    return Acceptance.from_json(raw["acceptance"], f"{where}.acceptance")
