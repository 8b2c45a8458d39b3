# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a new generation could start from, as far as hosts have shown it, and what isn't such a thing. Shapes only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from .._chain.model import Voter
from .._common.ids import NodeId
from .._quorum.messages import Ballot
from .._quorum.survey import Content, Surveyed
from .._quorum.value import Value


class Proof(str, Enum):
    """Why a value may be believed."""

    CERTIFIED = "certified"  # by the voters that lead from the founders on chain to it, or from the base
    BASE = "base"  # the record on chain names its hash
    BEGUN = "begun"  # a version 0 that a founder accepted, with all founders' word on what it had to begin with
    NAMED = "named"  # the tenant names its hash now
    ACCEPTED = "accepted"  # one host's word only; never chosen without being named


@dataclass(frozen=True)
class Said:
    """What one host answered: its positions, and what it showed when asked for contents."""

    surveyed: Surveyed
    contents: tuple[Content, ...] = ()

    @property
    def node(self) -> NodeId:
        return self.surveyed.node

    def is_voter(self, voters: Iterable[Voter]) -> bool:
        """Whether this very database is one of the voters."""
        return any((self.node, self.surveyed.incarnation) == (voter.node, voter.incarnation) for voter in voters)


@dataclass(frozen=True)
class HalfDone:
    """A version after a candidate that voters accepted and nobody shows as certified: the start finishes it."""

    ballot: Ballot
    value: Value
    nodes: tuple[NodeId, ...]


@dataclass(frozen=True)
class Candidate:
    """A value that a new generation can start from. ``halves``: what is half done after it, the highest ballot first.

    ``holders``: hosts that say it's the newest they hold. ``signers``: who certified it. ``ballot``: the highest
    under which a first version was accepted that isn't certified.
    """

    value: Value
    hash: str
    proof: Proof
    holders: tuple[NodeId, ...]
    signers: tuple[NodeId, ...] = ()
    halves: tuple[HalfDone, ...] = ()
    ballot: Ballot | None = None

    @property
    def generation(self) -> int:
        return self.value.generation

    @property
    def version(self) -> int:
        return self.value.version

    @property
    def rank(self) -> tuple[bool, int, int, int, int]:
        """What is better than what: proven before somebody's word, then the newer, then the higher ballot."""
        counter = 0 if self.ballot is None else self.ballot.counter
        return (self.proof is not Proof.ACCEPTED, self.generation, self.version, counter, len(self.holders))


@dataclass(frozen=True)
class Doubt:
    """What a host says and doesn't prove: nothing is built on it. ``version`` -1: nothing of that generation."""

    node: NodeId
    generation: int
    version: int
    why: str


@dataclass(frozen=True)
class Found:
    """The candidates, the best first, and what isn't one."""

    candidates: tuple[Candidate, ...]
    doubts: tuple[Doubt, ...]

    @property
    def best(self) -> Candidate | None:
        """The newest proven one; None if nothing is proven. See ``contradiction``."""
        first = self.candidates[0] if self.candidates else None
        return None if first is None or first.proof is Proof.ACCEPTED else first

    @property
    def contradiction(self) -> tuple[Candidate, Candidate] | None:
        """Two proven values of the best one's version: voters have lied, and nobody but the tenant can choose.

        Several first versions may have been tried honestly; they keep the same.
        """
        proven = [one for one in self.candidates if one.proof not in (Proof.ACCEPTED, Proof.BEGUN)]
        if len(proven) < 2 or (proven[0].generation, proven[0].version) != (proven[1].generation, proven[1].version):
            return None
        return proven[0], proven[1]

    def named(self, hash_: str) -> Candidate | None:
        """The candidate with this hash."""
        return next((one for one in self.candidates if one.hash == hash_), None)
