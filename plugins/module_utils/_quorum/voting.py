# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing the voters of a network to what they should be: one change at a time, each with its evidence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from .._chain.model import View, Voter
from .._common.checked import present
from .._common.ids import NodeId
from . import answers
from .attempt import Outcome
from .change import Change
from .evidence import Evidence, Statement
from .fanout import Question
from .membership import Step, wanted
from .messages import Certified, majority
from .proposer import Proposer
from .requests import Leave, ReadyRequest
from .resigning import DRAINED, Resigning
from .value import Value

_MOST_LEAVERS = 16  # told in one run
_DISMISS_SECONDS = 5.0
_SOON = 0.05  # seconds for further statements once there are enough
_HELD_SECONDS = 3.0  # how long others are held back at most: the proposer's hold


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
    """Changes of voters by one proposer. ``steps``: those agreed; ``waiting``: hosts that aren't ready, and why not.

    Who may come is asked at leisure first, and brought up to the newest value. But what the hosts say counts for one
    version, and while others write, that is over before enough of them have said it. So after that the promises come
    first, whose hold keeps others back, and then the statements about exactly the version that is held.
    """

    proposer: Proposer
    view: View
    seconds: float = 10.0  # for the hosts to be brought up to the newest value
    steps: list[Step] = field(default_factory=list)
    waiting: dict[NodeId, str] = field(default_factory=dict)
    resigning: Resigning | None = None  # this host's own voter, if it is to go
    drained: set[Voter] = field(default_factory=set)  # asked to come, and said that their teams drain them
    _without: set[Voter] = field(default_factory=set)
    _asked: set[Step] = field(default_factory=set)
    _ready: dict[NodeId, Statement] = field(default_factory=dict)
    _refusals: dict[NodeId, answers.RejectedBy] = field(default_factory=dict)
    _about: str = ""  # the hash of the value that those are ready for
    _hopeless: bool = False
    _last: tuple[int, Step] | None = None

    def run(self) -> Outcome:
        """Change voters until nothing is wanted that can be had. Raises like ``Proposer.propose``."""
        outcome = self.proposer.propose(self._build, complete=self._complete)
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
        if not leavers:
            return set()
        value = known.value
        leave = Leave(value.network, known.trail(), known.certificate)
        if value.version == value.seated:
            # Those who vote now haven't decided anything yet, so they say themselves that they hold it.
            statements = self.statements(value.voters, _DISMISS_SECONDS)
            leave = Leave(value.network, known.trail(), ready=tuple(statements.values()))
        asked = self.proposer.ask(leave.to_json(), Question(_DISMISS_SECONDS), sorted(set(leavers.values())))
        gone = {node for node, answer in asked if isinstance(answer, answers.Left)}
        return {word for word, node in leavers.items() if node in gone}

    def statements(
        self, voters: Sequence[Voter], seconds: float, needed: NodeId | None = None
    ) -> dict[NodeId, Statement]:
        """Those of ``voters`` that say they hold the newest known value, brought up to it where they don't.

        Waits for ``seconds``; not for long once a majority with ``needed`` has said so, and not at all once somebody
        shows a newer value.
        """
        certificate = present(self.proposer.known, "a value to be ready for").certificate
        position = (certificate.instance.network, *certificate.position, certificate.hash)
        by_node = {voter.node: voter for voter in voters}
        found: dict[NodeId, Statement] = {}
        question = Question(seconds)
        asked = self.proposer.ask(ReadyRequest(certificate).to_json(), question, list(by_node), teach=True)
        for node, answer in asked:
            if isinstance(answer, answers.Ready):
                statement = answer.statement
                if statement.is_of(*position) and statement.by(by_node[node]):
                    found[node] = statement
            if isinstance(answer, answers.RejectedBy):
                self._refusals[node] = answer
            if len(found) >= majority(voters) and (needed is None or needed in found):
                question.hurry(_SOON)
        return found

    def _build(self, value: Value) -> Change | None:
        """The next change of voters, without its evidence."""
        self._note(value)
        while not self._hopeless and (step := self._wanted(value)) is not None:
            if step not in self._asked:
                self._asked.add(step)
                if not self._ask(step, self.seconds) and not self._overtaken(value.version):
                    self._pass_by(step)
                    continue
            self._last = value.version, step
            return Change(voters=step.voters)
        return None

    def _wanted(self, value: Value) -> Step | None:
        resigns = None if self.resigning is None else self.resigning.voter
        return wanted(value, self.view, self._without, self.proposer.watch.caught, resigns)

    def _complete(self, parent: Certified, change: Change) -> Change | None:
        """The change with what the hosts say about its parent; None if they don't while others are held back."""
        if self._last is None or self._last[1].voters != change.voters:
            return None
        step = self._last[1]
        said = self._about == parent.certificate.hash and self._enough(step)
        if not said and not self._ask(step, min(self.seconds, _HELD_SECONDS)):
            if not self._overtaken(parent.value.version):
                self._pass_by(step)
            return None
        statements = tuple(statement for _node, statement in sorted(self._ready.items()))
        caught = None if step.removed is None else self.proposer.watch.caught.get(step.removed)
        resignation = None
        if self.resigning is not None and step.removed == self.resigning.voter:
            resignation = self.resigning.statement(parent)
        return replace(change, evidence=Evidence(self.view.height, statements, resignation, caught))

    def _ask(self, step: Step, seconds: float) -> bool:
        """Ask the hosts of a step whether they are ready for the value known here; tells whether enough are."""
        known = present(self.proposer.known, "a value to be ready for")
        self._about = known.certificate.hash
        self._ready = self.statements(step.voters, seconds, step.added.node if step.added else None)
        return self._enough(step)

    def _enough(self, step: Step) -> bool:
        comes = step.added is None or step.added.node in self._ready
        return comes and len(self._ready) >= majority(step.voters)

    def _overtaken(self, version: int) -> bool:
        """Whether others were faster; then nobody is to blame."""
        known = self.proposer.known
        return known is not None and known.value.version > version

    def _pass_by(self, step: Step) -> None:
        """Without this step in this run: the one that should come isn't ready, or else too few answer for any."""
        if step.added is not None and step.added.node not in self._ready:
            self._without.add(step.added)
            refusal = self._refusals.get(step.added.node)
            if refusal is not None and refusal.rule == DRAINED:
                self.drained.add(step.added)
            why = "doesn't say that it is ready to vote"
            self.waiting[step.added.node] = why if refusal is None else f"{why}: {refusal.what}"
            return
        self.waiting.update({one.node: "doesn't answer" for one in step.voters if one.node not in self._ready})
        self._hopeless = True

    def _note(self, value: Value) -> None:
        if self._last is not None and value.version > self._last[0]:
            if value.voters == self._last[1].voters:
                self.steps.append(self._last[1])
            self._last = None
