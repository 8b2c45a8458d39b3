# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What justifies a change of voters: part of the change, so that it travels with a half-done round, not of the value.

Statements name the parent's version and hash, so that none of them serves twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._chain.model import Voter
from .._common import fields
from .._common.canonical import Json
from .._common.ids import NodeId
from .contradiction import Contradiction
from .entry_codec import parse_node
from .errors import BadProof
from .messages import majority
from .signing import Signer, signed_text, verify
from .value import MAX_VOTERS

_MOST_READY = MAX_VOTERS


@dataclass(frozen=True)
class Statement:
    """A host's signed word about one certified value. ``kind``: ``ready`` or ``resignation``.

    *ready*: it holds the value with its certificate and what came before, and is willing to vote from there on.
    *resignation*: it asks to be taken out of the voters in the next version.
    """

    kind: str
    network: str
    generation: int
    version: int
    hash: str
    voter: NodeId
    incarnation: str
    signature: str = ""

    def text(self) -> bytes:
        return signed_text(self.kind, self._document())

    def signed(self, signer: Signer) -> Statement:
        return replace(self, signature=signer.sign(self.text()))

    def by(self, voter: Voter) -> bool:
        """Whether exactly this voter signed it."""
        same = (self.voter, self.incarnation) == (voter.node, voter.incarnation)
        return same and verify(voter.key, self.text(), self.signature)

    def is_of(self, network: str, generation: int, version: int, hash_: str) -> bool:
        """Whether it is about this value."""
        return (self.network, self.generation, self.version, self.hash) == (network, generation, version, hash_)

    def to_json(self) -> dict[str, Json]:
        return {**self._document(), "signature": self.signature}

    def _document(self) -> dict[str, Json]:
        return {
            "network": self.network,
            "generation": self.generation,
            "version": self.version,
            "hash": self.hash,
            "voter": str(self.voter),
            "incarnation": self.incarnation,
        }

    @classmethod
    def from_json(cls, kind: str, value: Any, where: str) -> Statement:
        names = {"network", "generation", "version", "hash", "voter", "incarnation", "signature"}
        raw = fields.obj(value, where, required=names)
        return cls(
            kind=kind,
            network=fields.hex64(raw["network"], f"{where}.network"),
            generation=fields.integer(raw["generation"], f"{where}.generation"),
            version=fields.integer(raw["version"], f"{where}.version"),
            hash=fields.hex64(raw["hash"], f"{where}.hash"),
            voter=parse_node(raw["voter"], f"{where}.voter"),
            incarnation=fields.hex32(raw["incarnation"], f"{where}.incarnation"),
            signature=fields.base64_bytes(raw["signature"], f"{where}.signature", length=64),
        )


def ready_from_json(value: Any, where: str) -> Statement:
    """A statement that a host is ready."""
    return Statement.from_json("ready", value, where)


def check_ready(
    statements: Sequence[Statement],
    voters: Sequence[Voter],
    *,
    network: str,
    generation: int,
    version: int,
    hash_: str,
) -> frozenset[NodeId]:
    """The voters that say they hold this value. BadProof unless they are a majority, all well signed."""
    seen: set[NodeId] = set()
    for one in statements:
        if not one.is_of(network, generation, version, hash_):
            raise BadProof(f"of {one.voter} is about another value", where="ready")
        if not any(one.by(voter) for voter in voters):
            raise BadProof(f"is not signed by a voter as which {one.voter} is known", where="ready")
        seen.add(one.voter)
    if not voters or len(seen) < majority(voters):
        raise BadProof(f"is of {len(seen)} of {len(voters)} voters, which is no majority", where="ready")
    return frozenset(seen)


@dataclass(frozen=True)
class Evidence:
    """``height``: the chain height at which the reasons hold; ``ready``: statements of the new voters."""

    height: int
    ready: tuple[Statement, ...] = ()
    resignation: Statement | None = None
    contradiction: Contradiction | None = None

    def to_json(self) -> dict[str, Json]:
        return {
            "height": self.height,
            "ready": [one.to_json() for one in self.ready],
            "resignation": None if self.resignation is None else self.resignation.to_json(),
            "contradiction": None if self.contradiction is None else self.contradiction.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any, where: str) -> Evidence:
        raw = fields.obj(value, where, required={"height", "ready", "resignation", "contradiction"})
        resignation, contradiction = raw["resignation"], raw["contradiction"]
        return cls(
            height=fields.integer(raw["height"], f"{where}.height", least=1),
            ready=tuple(fields.items(raw["ready"], f"{where}.ready", ready_from_json, most=_MOST_READY)),
            resignation=None
            if resignation is None
            else Statement.from_json("resignation", resignation, f"{where}.resignation"),
            contradiction=None
            if contradiction is None
            else Contradiction.from_json(contradiction, f"{where}.contradiction"),
        )
