# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a voter's memory is the newest there was: after another boot, or on another machine, the others are asked.

A database may be a copy of an earlier one then. The others keep what they saw of its voter (``sightings``). A voter
that is shown something newer than its memory retires: its database goes on under another incarnation, which hasn't
voted yet.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._chain.model import Voter
from .._common.ids import NodeId
from .contradiction import Vote
from .messages import Ballot, Promise, majority

if TYPE_CHECKING:
    from .store import NetworkState, Pending, Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS recalls (
    network TEXT NOT NULL, voter TEXT NOT NULL, incarnation TEXT NOT NULL,
    PRIMARY KEY (network, voter, incarnation)) WITHOUT ROWID;
"""

PATIENCE = 600_000  # milliseconds of asking, after which those who don't answer count as lost
_MOST_RETIRED = 8


def stamp() -> str:
    """What changes with every boot, and where the disk is put into another machine."""
    found = []
    for path in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"):
        try:
            with open(path, encoding="ascii") as file:
                found.append(file.read(64).strip())
        except (OSError, UnicodeDecodeError):
            found.append("")
    return " ".join(found)


def restart(database: sqlite3.Connection) -> None:
    """Another boot or machine: what the others said before counts no more, nor that nothing was forgotten."""
    database.execute("DELETE FROM recalls")
    database.execute("DELETE FROM meta WHERE key LIKE 'certain %' OR key LIKE 'asked %'")


def newer(vote: Vote, state: NetworkState | None, pending: Pending | None) -> bool:
    """Whether a statement of this voter's own shows that it has forgotten something.

    It can't be while its memory is whole: what it signs is written down before, only later versions are certified
    here than those it voted for, and whoever leaves keeps the version it left with.
    """
    instance = vote.instance
    if state is None:
        return True
    if (instance.generation, instance.version) <= (state.generation, state.version):
        return False
    if (instance.generation, instance.version, instance.parent) != (state.generation, state.version + 1, state.hash):
        return True
    if pending is None:
        return True
    known = pending.promised if isinstance(vote, Promise) else pending.accepted
    return known is None or known < vote.ballot


def _newer_than_former(database: sqlite3.Connection, vote: Vote) -> bool:
    """The same for a generation that is over: what was set aside of it must not be older, for a start relies on it."""
    instance = vote.instance
    query = "SELECT version, promised, accepted FROM former WHERE network = ? AND generation = ?"
    row = database.execute(query, (instance.network, instance.generation)).fetchone()
    if row is None or instance.version <= row[0]:
        return False
    known = row[1] if isinstance(vote, Promise) else row[2]
    if instance.version > row[0] + 1 or known is None:
        return True
    return Ballot.from_json(json.loads(known), "db") < vote.ballot


def certain(database: sqlite3.Connection, network: str) -> tuple[str, bool]:
    """This database's incarnation, and whether its memory of a network is known to be whole."""
    rows = database.execute(
        "SELECT key, value FROM meta WHERE key IN ('incarnation', 'boot', 'born', ?)", (f"certain {network}",)
    )
    found = {row[0]: row[1] for row in rows}
    return str(found["incarnation"]), found["born"] == found["boot"] or f"certain {network}" in found


def unheard(database: sqlite3.Connection, network: str, voters: Sequence[Voter], here: NodeId) -> list[Voter]:
    """The other voters that haven't said yet what they saw of this one."""
    rows = database.execute("SELECT voter, incarnation FROM recalls WHERE network = ?", (network,))
    heard = {(row[0], row[1]) for row in rows}
    others = [voter for voter in voters if voter.node != here]
    return [voter for voter in others if (str(voter.node), voter.incarnation) not in heard]


def heard(database: sqlite3.Connection, state: NetworkState, answered: Sequence[Voter], here: NodeId, now: int) -> bool:
    """Note who answered and showed nothing newer, inside a transaction; tells whether that is enough to vote again.

    Enough is a majority of the *other* voters. Where that can't be had for ``PATIENCE``, a majority with this voter
    itself is enough, or one that is lost for good and a harmless boot would stop a network of three for ever.
    ``now``: milliseconds since boot.
    """
    network = state.network
    database.executemany(
        "INSERT OR IGNORE INTO recalls VALUES (?, ?, ?)",
        [(network, str(voter.node), voter.incarnation) for voter in answered],
    )
    database.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (f"asked {network}", str(now)))
    since = int(database.execute("SELECT value FROM meta WHERE key = ?", (f"asked {network}",)).fetchone()[0])
    others = [voter for voter in state.voters if voter.node != here]
    count = len(others) - len(unheard(database, network, state.voters, here))
    enough = not others or count >= majority(others)
    enough = enough or (now - since >= PATIENCE and count + 1 >= majority(state.voters))
    if enough:
        database.execute("INSERT OR REPLACE INTO meta VALUES (?, 'yes')", (f"certain {network}",))
    return enough


def retire(database: sqlite3.Connection, why: str) -> str:
    """Go on as another incarnation, inside a transaction, and return it. What is certified stays and is handed out."""
    fresh = secrets.token_hex(16)
    former = database.execute("SELECT value FROM meta WHERE key = 'incarnation'").fetchone()[0]
    for table in ("pending", "holds", "recalls"):
        database.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
    database.execute("DELETE FROM meta WHERE key LIKE 'certain %' OR key LIKE 'asked %'")
    database.execute("UPDATE meta SET value = ? WHERE key = 'incarnation'", (fresh,))
    # It has voted for nothing, so there is nothing that it could have forgotten.
    database.execute("UPDATE meta SET value = (SELECT value FROM meta WHERE key = 'boot') WHERE key = 'born'")
    told = [*retired(database), {"incarnation": former, "why": why}][-_MOST_RETIRED:]
    database.execute("INSERT OR REPLACE INTO meta VALUES ('retired', ?)", (json.dumps(told),))
    return fresh


def retired(database: sqlite3.Connection) -> list[dict[str, Any]]:
    """The incarnations of this database that retired, and why; the newest last."""
    row = database.execute("SELECT value FROM meta WHERE key = 'retired'").fetchone()
    return [] if row is None else list(json.loads(row[0]))


def remind(store: Store, network: str, here: Voter, votes: Sequence[Vote]) -> str | None:
    """Retire if one of the votes is this voter's own and newer than its memory; why, or None."""
    with store.transaction() as database:
        state = store.network(network)
        pending = None if state is None else store.pending(state)
        for vote in votes:
            mine = (vote.voter, vote.incarnation) == (here.node, store.incarnation)
            if not (mine and here.incarnation == store.incarnation):
                continue
            if newer(vote, state, pending) or _newer_than_former(database, vote):
                return forget_oneself(store, database, vote)
    return None


def forget_oneself(store: Store, database: sqlite3.Connection, vote: Vote) -> str:
    """Retire because of this vote, inside a transaction; what to tell the operators."""
    instance = vote.instance
    what = f"a vote for version {instance.generation}.{instance.version} of network {instance.network}"
    why = f"{what}, shown by others, isn't in this host's memory"
    store.incarnation = retire(database, why)
    return f"{why}: its voter retires, and has to be published anew (akash.avpn.publish)"
