# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proposer among others: whether somebody is in its way, and how it waits at a voter until it is its turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._chain.model import Voter
from .._common.ids import NodeId
from . import answers
from .change import Change
from .fanout import Fanout, Question
from .messages import Certified
from .requests import Wait
from .sharing import Sharing
from .updates import teaching

_LEAST, _MOST = 0.05, 1.0  # seconds at a voter, until one tries without one's turn
_ANSWER_SECONDS = 1.0  # beyond those


class Turns:
    """Of one proposer. ``crowded``: somebody was in the way, so it doesn't propose before its turn."""

    def __init__(self, network: str, fanout: Fanout) -> None:
        self.crowded = False
        self.left = False  # a draft with somebody, who may bring it even later
        self._network = network
        self._fanout = fanout
        self._sharing: Sharing | None = None
        self._drafts: tuple[dict[str, Any], ...] | None = None  # with the turn, what others left
        self._silent: frozenset[NodeId] = frozenset()

    def begin(self, sharing: Sharing | None) -> None:
        """A new proposal; ``sharing`` None: it goes together with nobody's."""
        self.crowded, self.left, self._drafts, self._sharing = False, False, None, sharing

    @property
    def waits(self) -> bool:
        """Whether it's somebody else's turn."""
        return self.crowded and self._drafts is None

    def end(self) -> None:
        """The turn is over."""
        self._drafts = None

    def try_anyway(self) -> None:
        """As if it were one's turn, with nothing of others."""
        self._drafts = ()

    def go_alone(self) -> None:
        """Not all voters took what others had left: from now on without."""
        self._sharing = None
        self.try_anyway()

    def joined(self, parent: Certified, change: Change) -> Change:
        """The change with what others left; the turn is over with it."""
        drafts, self._drafts = self._drafts, None
        if not drafts or self._sharing is None:
            return change
        # What it would have left itself goes together with theirs; the rest has time.
        return self._sharing.joined(parent, self._sharing.draft(parent.value) or change, drafts)

    def wait(self, base: Certified | None, voters: Sequence[Voter], seconds: float) -> answers.Answer | None:
        """Until it is one's turn, or there is something newer than ``base``; None if the voter doesn't answer.

        What one wants is left with the voter meanwhile. All ask the same one, so that one of them proposes for all.
        """
        draft = None if self._sharing is None or base is None else self._sharing.draft(base.value)
        self.left = self.left or draft is not None
        seconds = max(_LEAST, min(_MOST, seconds))
        have = None if base is None else base.certificate.position
        asked = self._fanout.ask(
            Wait(self._network, have, int(seconds * 1000), draft).to_json(),
            catch_up=None if base is None else teaching(base),
            question=Question(seconds + _ANSWER_SECONDS),
            nodes=[self.meeting(voters)],
        )
        for node, answer in asked:
            if isinstance(answer, answers.Waited):
                if answer.turn:
                    self._drafts = answer.drafts
                return answer
            self._silent |= {node}
            return answer if isinstance(answer, answers.Left) else None
        return None

    def meeting(self, voters: Sequence[Voter]) -> NodeId:
        """The voter that those in each other's way turn to: the same for all, but one that answers."""
        nodes = [voter.node for voter in voters]
        start = int(self._network[:8], 16) % len(nodes)
        nodes = nodes[start:] + nodes[:start]
        return next((node for node in nodes if node not in self._silent), nodes[0])

    def heard(self, voters: Sequence[Voter], answered: Mapping[NodeId, object]) -> None:
        """Who answered when all were asked last."""
        self._silent = frozenset(voter.node for voter in voters if voter.node not in answered)
