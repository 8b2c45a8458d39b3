# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing the voters of a network to what they should be: one change at a time, each with its evidence."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._chain.model import View, Voter
from .._common.ids import NodeId
from .change import Change
from .evidence import Evidence
from .membership import Step, wanted
from .messages import majority
from .proposer import Outcome, Proposer
from .value import Value


@dataclass
class Membership:
    """Changes of voters by one proposer. ``steps``: those agreed; ``waiting``: hosts that aren't ready, and why not."""

    proposer: Proposer
    view: View
    seconds: float = 10.0  # for the hosts to be brought up to the newest value
    steps: list[Step] = field(default_factory=list)
    waiting: dict[NodeId, str] = field(default_factory=dict)
    _without: set[Voter] = field(default_factory=set)
    _last: tuple[int, Step] | None = None

    def run(self) -> Outcome:
        """Change voters until nothing is wanted that can be had. Raises like ``Proposer.propose``."""
        outcome = self.proposer.propose(self._build)
        self._note(outcome.value)
        return outcome

    def _build(self, value: Value) -> Change | None:
        self._note(value)
        while (step := wanted(value, self.view, self._without)) is not None:
            ready = self.proposer.ready(step.voters, self.seconds)
            if step.added is not None and step.added.node not in ready:
                self._without.add(step.added)
                self.waiting[step.added.node] = "doesn't say that it is ready to vote"
                continue
            if len(ready) < majority(step.voters):
                self.waiting.update({voter.node: "doesn't answer" for voter in step.voters if voter.node not in ready})
                return None
            self._last = value.version, step
            statements = tuple(statement for _node, statement in sorted(ready.items()))
            return Change(voters=step.voters, evidence=Evidence(self.view.height, statements))
        return None

    def _note(self, value: Value) -> None:
        if self._last is not None and value.version > self._last[0]:
            if value.voters == self._last[1].voters:
                self.steps.append(self._last[1])
            self._last = None
