# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing the voters of a network to what they should be: one change at a time, each with its evidence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from .._chain.model import View, Voter
from .._common.ids import NodeId
from .change import Change
from .evidence import Evidence
from .membership import Step, wanted
from .messages import Certified, majority
from .proposer import Outcome, Proposer
from .value import Value

_MOST_LEAVERS = 16  # told in one run


def leavers_of(certified: Certified) -> dict[str, NodeId]:
    """Hosts that the last changes of voters took out and that don't vote now, by ``node@version of the change``."""
    links = certified.trail()
    present = {voter.node for voter in certified.value.voters}
    found: dict[str, NodeId] = {}
    before = certified.value.record.founders
    for link in links:
        out = {voter.node for voter in before} - {voter.node for voter in link.header.voters}
        found.update({f"{node}@{link.version}": node for node in out if node not in present})
        before = link.header.voters
    return dict(list(found.items())[-_MOST_LEAVERS:])


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

    def dismiss(self, told: Collection[str]) -> set[str]:
        """Tell those who voted before that they may go, except whom ``told`` names; who has gone, in the same words.

        Best effort: a host that is away is told by somebody's later run.
        """
        known = self.proposer.known
        if known is None:
            return set()
        leavers = {word: node for word, node in leavers_of(known).items() if word not in told}
        gone = self.proposer.dismiss(sorted(set(leavers.values()))) if leavers else set()
        return {word for word, node in leavers.items() if node in gone}

    def _build(self, value: Value) -> Change | None:
        self._note(value)
        while (step := wanted(value, self.view, self._without)) is not None:
            ready = self.proposer.ready(step.voters, self.seconds, step.added.node if step.added else None)
            known = self.proposer.known
            if known is not None and known.value.version > value.version:
                return None  # others were faster; it is begun again upon theirs
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
