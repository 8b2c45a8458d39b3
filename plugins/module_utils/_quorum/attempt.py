# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What came of a proposal, and what the voters said in one phase of a round: what it means when that is no majority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .._chain.model import Voter
from .._common.errors import AvpnError
from .._common.ids import NodeId
from . import answers
from .change import Change
from .errors import NoMajority, OutcomeUnknown, Rejected
from .messages import Acceptance, Certificate, majority
from .value import Value

_MANY = 500  # slots in a change that isn't sent to more voters than need be


@dataclass(frozen=True)
class Outcome:
    """What came of a proposal. ``changed``: something was agreed, rather than nothing wanted."""

    value: Value
    certificate: Certificate
    changed: bool
    round_trips: int
    messages: int
    sent: int  # bytes of requests


@dataclass
class Attempt:
    """One phase."""

    promises: dict[NodeId, answers.Promised] = field(default_factory=dict)
    acceptances: dict[NodeId, Acceptance] = field(default_factory=dict)
    rejections: dict[NodeId, answers.RejectedBy] = field(default_factory=dict)
    excuses: dict[NodeId, str] = field(default_factory=dict)  # everything else, in words
    sent: set[NodeId] = field(default_factory=set)
    newer: bool = False
    refused: int = 0  # voters whom somebody else has a promise of
    wait: int = 0  # milliseconds a voter asked for

    def excuse(self, node: NodeId, answer: answers.Answer | AvpnError) -> None:
        """Note why somebody's answer is none of what was asked for."""
        if isinstance(answer, answers.RejectedBy):
            self.rejections[node] = answer
        elif isinstance(answer, (answers.NotSeen, answers.NotYet)):
            self.wait = max(self.wait, 500)
            self.excuses[node] = answer.what
        elif isinstance(answer, answers.Lacking):
            self.excuses[node] = "lacks the parent"
        elif isinstance(answer, AvpnError):
            self.excuses[node] = str(answer)
        else:
            self.excuses[node] = "gave an answer to another question"

    def spare(self, change: Change, child: Value, voters: Sequence[Voter]) -> list[NodeId]:
        """Who needn't be asked to accept what a majority promises: with a change as large as the value, reading it is
        most of the time. Those are sent the value once it's certified; or the change, if one of the majority fails.
        """
        if len(change.slots) < _MANY or 2 * len(change.slots) < len(child.slots):
            return []
        return [voter.node for voter in voters if voter.node not in self.promises]

    def refuse_hopeless(self, voters: Sequence[Voter], where: str) -> None:
        """Raise Rejected once so many voters refuse by rules that no majority is left."""
        if len(voters) - len(self.rejections) >= majority(voters):
            return
        reasons = "; ".join(f"{node.node}: {one}" for node, one in self.rejections.items())
        raise Rejected(f"the voters refuse: {reasons}", where=where)

    def no_majority(self, voters: Sequence[Voter], where: str, maybe_accepted: bool, why: str = "") -> NoMajority:
        """The error to raise: ``why``, or that too few answered, and who said what.

        ``maybe_accepted``: some voter may have accepted something of this run.
        """
        reasons = {node: str(one) for node, one in self.rejections.items()}
        reasons.update(self.excuses)
        for voter in voters:
            if not why and voter.node not in (reasons.keys() | self.promises.keys() | self.acceptances.keys()):
                reasons[voter.node] = "no answer in time"
        told = "; ".join(f"{node}: {reason}" for node, reason in sorted(reasons.items()))
        answered = len(self.promises) + len(self.acceptances)
        what = f"{why or f'no majority: {answered} of {len(voters)} voters answered'} ({told})"
        if maybe_accepted:
            what = f"{what}; whether the change was agreed is not known"
            return OutcomeUnknown(what, where=where, remedy="Run again: it is finished or found undone")
        return NoMajority(what, where=where, remedy="Nothing was changed; run again when they are back")
