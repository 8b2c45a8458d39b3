# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything a survey brought together: what the report is written from, and what plays can use of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._chain.model import NetworkRecord, NetworkView
from .._common.ids import NodeId
from .._quorum.survey import Surveyed
from .candidates import Candidate, Found
from .keeping import against, keeps
from .proposal import Proposal, Standing


@dataclass(frozen=True)
class Picture:
    """The state of a network as its hosts tell it. ``obstacle``: why nothing can be proposed, if that is so."""

    network: NetworkView
    height: int
    surveyed: Mapping[NodeId, Surveyed]
    silent: Mapping[NodeId, str]
    found: Found
    standing: Standing
    proposal: Proposal | None = None
    obstacle: str = ""

    @property
    def record(self) -> NetworkRecord:
        return self.network.record

    @property
    def chosen(self) -> Candidate | None:
        """What the new generation would start from."""
        return None if self.proposal is None else self.proposal.candidate

    def to_result(self) -> dict[str, Any]:
        """For the module's result."""
        now = self.standing
        return {
            "generation": self.record.generation,
            "needed": not now.able,
            "voters": {
                str(voter.node): voter.node in now.answering for voter in sorted(now.voters, key=lambda one: one.node)
            },
            "hosts": self._hosts(),
            "candidates": [self._candidate(one) for one in self.found.candidates],
            "doubts": [
                {"host": str(one.node), "generation": one.generation, "version": one.version, "why": one.why}
                for one in self.found.doubts
            ],
            "proposal": None if self.proposal is None else _proposal(self.proposal),
        }

    def _hosts(self) -> dict[str, Any]:
        answered = {
            str(node): [[one.generation, one.version] for one in surveyed.positions if one.version >= 0]
            for node, surveyed in self.surveyed.items()
        }
        return {
            **{node: {"holds": holds, "silent": None} for node, holds in sorted(answered.items())},
            **{str(node): {"holds": [], "silent": why} for node, why in sorted(self.silent.items())},
        }

    def _candidate(self, one: Candidate) -> dict[str, Any]:
        much, beside = keeps(one.value), against(one.value, self.network)
        return {
            "generation": one.generation,
            "version": one.version,
            "hash": one.hash,
            "proof": one.proof.value,
            "certified_by": [str(node) for node in one.signers],
            "held_by": [str(node) for node in one.holders],
            "half_done": [
                {"hash": half.ballot.hash, "hosts": [str(node) for node in half.nodes]} for half in one.halves
            ],
            "hosts": much.hosts,
            "addresses": much.addresses,
            "missing": [str(endpoint) for endpoint in beside.missing],
        }


@dataclass(frozen=True)
class Started:
    """The new generation once a version of it is certified. ``kept`` and ``lost``: of the base's addresses, where the
    base is known here. ``rests_until``: the block before which nothing is given out; None: that is over."""

    version: int
    hash: str
    held_by: tuple[NodeId, ...]
    hosts: int
    addresses: int
    rests_until: int | None = None
    kept: int | None = None
    lost: Mapping[str, str] = field(default_factory=dict)
    gained: Mapping[str, str] = field(default_factory=dict)

    def to_result(self) -> dict[str, Any]:
        """For the module's result."""
        return {
            "version": self.version,
            "hash": self.hash,
            "held_by": [str(node) for node in self.held_by],
            "hosts": self.hosts,
            "addresses": self.addresses,
            "rests_until": self.rests_until,
            "kept": self.kept,
            "lost": dict(self.lost),
            "gained": dict(self.gained),
        }


def _proposal(proposal: Proposal) -> dict[str, Any]:
    return {
        "generation": proposal.generation,
        "base": proposal.base,
        "founders": [str(voter.node) for voter in proposal.founders],
        "notes": list(proposal.notes),
    }
