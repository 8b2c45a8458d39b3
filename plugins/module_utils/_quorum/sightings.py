# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host has seen voters sign, and the contradictions it found in it: two tables of the voter's database.

Only statements that were verified as those of a version's voters come in, and of each voter only the newest few stay:
they are there to notice a contradiction, and to remind a voter of what it signed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._chain.model import Voter
from .._common import canonical
from .._common.errors import InvalidInput
from .._common.ids import NodeId
from . import entry_codec
from .contradiction import Contradiction, Vote, kind_of, vote_from_json, vote_json
from .messages import Acceptance, Certificate, check_voter

SCHEMA = """
CREATE TABLE IF NOT EXISTS sightings (
    network TEXT NOT NULL, generation INTEGER NOT NULL, version INTEGER NOT NULL, voter TEXT NOT NULL,
    incarnation TEXT NOT NULL, kind TEXT NOT NULL, counter INTEGER NOT NULL, vote BLOB NOT NULL,
    PRIMARY KEY (network, generation, version, voter, incarnation, kind, counter, vote)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contradictions (
    network TEXT NOT NULL, generation INTEGER NOT NULL, voter BLOB NOT NULL, document BLOB NOT NULL,
    PRIMARY KEY (network, generation, voter)) WITHOUT ROWID;
"""
TABLES = ("sightings", "contradictions")

_VERSIONS = 2  # the newest ones, of which statements are kept
_EACH = 4  # promises, and as many acceptances, of one voter for one version: those of the highest ballots
_MOST_CAUGHT = 64  # voters of one network; each has to have voted there and to have signed the proof itself


@dataclass(frozen=True)
class Caught:
    """A voter that contradicted itself, and the proof."""

    network: str
    generation: int
    voter: Voter
    proof: Contradiction

    def __str__(self) -> str:
        version = self.proof.first.instance.version
        return f"{self.voter.node} {self.proof.why}, of version {self.generation}.{version}; its vote isn't counted"


def acceptances_of(certificate: Certificate) -> list[Vote]:
    """What a certificate is made of."""
    return [
        Acceptance(certificate.instance, certificate.ballot, voter, incarnation, signature)
        for voter, incarnation, signature in certificate.acceptances
    ]


def see(
    database: sqlite3.Connection, votes: Iterable[Vote], voters: Sequence[Voter], *, but: NodeId | None = None
) -> list[Caught]:
    """Note statements of ``voters``, who decide the version they are about, inside a transaction.

    Returns who was caught by it. Whatever isn't signed by one of the voters is left out. ``but``: whose statements
    needn't be noted, this host itself.
    """
    by_node = {voter.node: voter for voter in voters}
    found: list[Caught] = []
    for vote in votes:
        voter = by_node.get(vote.voter)
        if voter is None or vote.voter == but:
            continue
        try:
            check_voter(vote, voters, "vote")
        except InvalidInput:
            continue
        caught = _note(database, vote, voter)
        if caught is not None and keep(database, caught):
            found.append(caught)
    return found


def _note(database: sqlite3.Connection, vote: Vote, voter: Voter) -> Caught | None:
    instance = vote.instance
    of_voter = (instance.network, instance.generation, instance.version, str(voter.node), voter.incarnation)
    where = "network = ? AND generation = ? AND version = ? AND voter = ? AND incarnation = ?"
    encoded = canonical.dumps(vote_json(vote))
    known = [
        bytes(row[0])
        for row in database.execute(f"SELECT vote FROM sightings WHERE {where}", of_voter)  # noqa: S608 - a constant
    ]
    if encoded in known:
        return None
    kind = kind_of(vote)
    database.execute(
        "INSERT INTO sightings VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*of_voter, kind, vote.ballot.counter, encoded)
    )
    if not known:
        # The first statement of a version: those of long before are over.
        database.execute(
            "DELETE FROM sightings WHERE network = ? AND (generation < ? OR (generation = ? AND version <= ?))",
            (instance.network, instance.generation, instance.generation, instance.version - _VERSIONS),
        )
    elif len(known) >= _EACH:
        database.execute(
            f"DELETE FROM sightings WHERE {where} AND kind = ? AND vote NOT IN ("  # noqa: S608 - constants
            f"SELECT vote FROM sightings WHERE {where} AND kind = ? ORDER BY counter DESC, vote DESC LIMIT ?)",
            (*of_voter, kind, *of_voter, kind, _EACH),
        )
    for data in known:
        proof = Contradiction(_vote(data), vote)
        if proof.by(voter, instance.network, instance.generation):
            return Caught(instance.network, instance.generation, voter, proof)
    alone = Contradiction(vote, vote)
    return (
        Caught(instance.network, instance.generation, voter, alone)
        if alone.by(voter, instance.network, instance.generation)
        else None
    )


def keep(database: sqlite3.Connection, caught: Caught) -> bool:
    """Keep one proof for a voter, inside a transaction; tells whether it is the first. The proof was verified."""
    row = (caught.network, caught.generation, _voter_bytes(caught.voter), canonical.dumps(caught.proof.to_json()))
    added = database.execute(
        "INSERT OR IGNORE INTO contradictions SELECT ?, ?, ?, ?"
        " WHERE (SELECT count(*) FROM contradictions WHERE network = ?) < ?",
        (*row, caught.network, _MOST_CAUGHT),
    )
    return added.rowcount > 0


def caught(database: sqlite3.Connection, network: str | None = None) -> list[Caught]:
    """Who was caught, in one network or in all; in a fixed order."""
    query = "SELECT network, generation, voter, document FROM contradictions"
    rows = database.execute(f"{query} ORDER BY network, generation, voter")
    if network is not None:
        rows = database.execute(f"{query} WHERE network = ? ORDER BY generation, voter", (network,))
    return [
        Caught(
            of,
            generation,
            entry_codec.voter_from_json(_load(voter), "db"),
            Contradiction.from_json(_load(document), "db"),
        )
        for of, generation, voter, document in rows
    ]


def proofs(found: Iterable[Caught], generation: int) -> Mapping[Voter, Contradiction]:
    """By voter, of one generation."""
    return {one.voter: one.proof for one in found if one.generation == generation}


def signed_by(database: sqlite3.Connection, network: str, node: NodeId, incarnation: str) -> list[Vote]:
    """What was seen of one voter, the newest last."""
    rows = database.execute(
        "SELECT vote FROM sightings WHERE network = ? AND voter = ? AND incarnation = ?"
        " ORDER BY generation, version, counter",
        (network, str(node), incarnation),
    )
    return [_vote(bytes(row[0])) for row in rows]


def _voter_bytes(voter: Voter) -> bytes:
    return canonical.dumps(entry_codec.voter_json(voter))


def _vote(data: bytes) -> Vote:
    return vote_from_json(_load(data), "db")


def _load(data: bytes) -> Any:
    return canonical.loads(data, where="db", limit=1 << 20)
