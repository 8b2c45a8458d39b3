# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The voter's memory: one SQLite file for all networks of a host.

``journal_mode=WAL`` with ``synchronous=FULL``: a commit is one append that is synchronised before it
returns, where a rollback journal takes several synchronised writes; a process that is killed leaves a
log that the next one replays up to the last whole commit; and whoever reads (fetch) doesn't wait for
who writes. Only processes of the user avpn open the file, or its side files would change their owner.

Each connection from a peer is a process of its own: writers take ``BEGIN IMMEDIATE`` and wait for each
other for a bounded time.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from .._chain.model import Voter
from .._common import canonical
from .._common.checked import present
from .._common.errors import Unavailable
from . import codec, entry_codec, recollection, sightings
from .change import Change, apply_change, change_from_json, change_json
from .messages import Ballot, Certificate, Certified, Link, Promise
from .requests import MAX_CHANGES, Update
from .value import Value

_BUSY_SECONDS = 15.0
_MOST_EVIDENCE = 16  # of one kind, in one network
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS networks (
    network TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL,
    founders BLOB NOT NULL, voters BLOB NOT NULL, gone INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL, hash TEXT NOT NULL, certificate BLOB,
    snapshot_version INTEGER NOT NULL, snapshot BLOB);
CREATE TABLE IF NOT EXISTS changes (
    network TEXT NOT NULL, generation INTEGER NOT NULL, version INTEGER NOT NULL, change BLOB NOT NULL,
    PRIMARY KEY (network, generation, version));
CREATE TABLE IF NOT EXISTS links (
    network TEXT NOT NULL, generation INTEGER NOT NULL, version INTEGER NOT NULL, link BLOB NOT NULL,
    PRIMARY KEY (network, generation, version));
CREATE TABLE IF NOT EXISTS pending (
    network TEXT PRIMARY KEY, generation INTEGER NOT NULL, version INTEGER NOT NULL,
    promised BLOB, promise BLOB, hold_run TEXT, hold_until INTEGER NOT NULL DEFAULT 0,
    accepted BLOB, change BLOB);
CREATE TABLE IF NOT EXISTS holds (
    network TEXT NOT NULL, provider TEXT NOT NULL, run TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS evidence (
    id INTEGER PRIMARY KEY, network TEXT NOT NULL, generation INTEGER NOT NULL, version INTEGER NOT NULL,
    what TEXT NOT NULL, first BLOB NOT NULL, second BLOB NOT NULL, UNIQUE (network, what, first, second));
CREATE TABLE IF NOT EXISTS former (
    network TEXT NOT NULL, generation INTEGER NOT NULL, owner TEXT NOT NULL, version INTEGER NOT NULL, hash TEXT,
    certificate BLOB, value BLOB, links BLOB NOT NULL, accepted BLOB, promised BLOB, change BLOB,
    PRIMARY KEY (network, generation));
CREATE TABLE IF NOT EXISTS headers (
    network TEXT NOT NULL, generation INTEGER NOT NULL, version INTEGER NOT NULL, hash TEXT NOT NULL,
    header BLOB NOT NULL, UNIQUE (network, hash));
CREATE TABLE IF NOT EXISTS begun (network TEXT PRIMARY KEY, generation INTEGER NOT NULL, since INTEGER NOT NULL);
"""


# What NetworkState is made of; the snapshot beside it may be megabytes.
_STATE = "network, owner, name, generation, founders, voters, version, hash, certificate, gone"


@dataclass(frozen=True)
class NetworkState:
    """What is certified here. ``version`` is -1, ``hash`` the genesis parent, before version 0.

    ``voters`` decide the next version. ``gone``: this host has left; only the way to the voters after it is kept.
    """

    network: str
    owner: str
    name: str
    generation: int
    founders: tuple[Voter, ...]
    voters: tuple[Voter, ...]
    version: int
    hash: str
    certificate: Certificate | None
    gone: bool = False

    @property
    def have(self) -> tuple[int, int] | None:
        return None if self.version < 0 else (self.generation, self.version)


@dataclass(frozen=True)
class Pending:
    """What was promised and accepted for the version after the certified one. Times are boot-time milliseconds."""

    version: int
    promised: Ballot | None = None
    promise: Promise | None = None  # the last one given, as it was signed
    hold_run: str = ""
    hold_until: int = 0
    accepted: Ballot | None = None


class Store:
    """All tables. Methods that write are called inside ``transaction``."""

    def __init__(self, path: str | os.PathLike[str], *, milliseconds: Callable[[], int] | None = None) -> None:
        self._path = os.fspath(path)
        self._local = threading.local()
        self._values: dict[str, Value] = {}  # parsed values by hash; a few
        self._checked: tuple[str, Value] | None = None  # the last proposed value that was found good, by its hash
        self.milliseconds = milliseconds or (lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000)
        with self.transaction() as database:
            for statement in (_SCHEMA + sightings.SCHEMA + recollection.SCHEMA).split(";"):
                database.execute(statement)
            insert = "INSERT OR IGNORE INTO meta VALUES (?, ?)"
            now = recollection.stamp()
            fresh = database.execute(insert, ("incarnation", secrets.token_hex(16))).rowcount > 0
            database.execute(insert, ("boot", now))
            database.execute(insert, ("born", now if fresh else ""))
            if self._meta(database, "boot") != now:
                # Holds are counted in time since boot, and whoever held has long given up.
                database.execute("DELETE FROM holds")
                database.execute("UPDATE pending SET hold_until = 0, hold_run = ''")
                recollection.restart(database)
                database.execute("UPDATE meta SET value = ? WHERE key = 'boot'", (now,))
            self.incarnation = self._meta(database, "incarnation")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: all or nothing, on disk when it ends. Unavailable: busy, full or broken."""
        try:
            database = self._connection()
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
        except sqlite3.Error as error:
            if getattr(self._local, "connection", None) is not None and self._local.connection.in_transaction:
                self._local.connection.execute("ROLLBACK")
            raise Unavailable(f"the voter's database: {error}", where=self._path) from error

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def network(self, network: str) -> NetworkState | None:
        """What is certified of a network, or None if it was never heard of here."""
        row = self._row(f"SELECT {_STATE} FROM networks WHERE network = ?", network)  # noqa: S608 - names of columns
        return None if row is None else _state(tuple(row))

    def mark(self) -> int:
        """Another number after every commit of somebody else: for waiting without reading all the time."""
        return int(self._row("PRAGMA data_version")[0])

    def begin(self, database: sqlite3.Connection, state: NetworkState) -> None:
        """Remember a network's generation and founders, before anything is promised for it."""
        founders = _voters_bytes(state.founders)
        database.execute(
            "INSERT INTO networks VALUES (?, ?, ?, ?, ?, ?, 0, -1, ?, NULL, -1, NULL)",
            (state.network, state.owner, state.name, state.generation, founders, founders, state.hash),
        )

    def value(self, state: NetworkState) -> Value | None:
        """The certified value: its snapshot, or a newer one at hand, with the changes since. None before version 0."""
        if state.version < 0:
            return None
        found = self._values.get(state.hash)
        if found is not None:
            return found
        certificate = present(state.certificate, f"the certificate of {state.network}")
        row = self._row("SELECT snapshot_version, snapshot FROM networks WHERE network = ?", state.network)
        if row is None or row["snapshot_version"] > state.version:
            raise Unavailable("the ledger has moved on meanwhile", where=state.network, remedy="Ask again")
        value = self._at_hand(state, row["snapshot_version"])
        if value is None and row["snapshot"] is not None:
            value = codec.value_from_bytes(row["snapshot"], "db")
        # The hash below covers all that was applied, and of the parents' hashes only the last one's is part of it.
        for change in self._changes(state, 0 if value is None else value.version + 1):
            parent = certificate.instance.parent
            value = apply_change(value, parent, change_from_json(change, "db", state.owner))
        if value is None or codec.value_hash(value) != state.hash:
            raise Unavailable("the stored ledger is damaged", where=state.network, remedy="It will be fetched anew")
        self._remember(state.hash, value)
        return value

    def update(self, state: NetworkState, have: tuple[int, int] | None) -> Update:
        """What somebody who has ``have`` needs to know the newest certified value."""
        certificate = present(state.certificate, f"the certificate of {state.network}")
        if have is not None and have[0] == state.generation and 0 < state.version - have[1] <= MAX_CHANGES:
            changes = self._changes(state, have[1] + 1)
            if len(changes) == state.version - have[1]:
                return Update(certificate, changes=tuple(changes), links=self.links(state, have, state.version))
        return Update(certificate, value=self.value(state), links=self.links(state, have, state.version))

    def links(self, state: NetworkState, have: tuple[int, int] | None, before: int) -> tuple[Link, ...]:
        """The changes of voters below the version ``before`` that somebody who has ``have`` doesn't know."""
        since = have[1] if have is not None and have[0] == state.generation else -1
        rows = self._connection().execute(
            "SELECT link FROM links WHERE network = ? AND generation = ? AND version > ? AND version < ?"
            " ORDER BY version",
            (state.network, state.generation, since, before),
        )
        return tuple(Link.from_json(_load(row["link"]), "db") for row in rows)

    def count_links(self, state: NetworkState) -> int:
        """How often the voters have changed in this generation."""
        query = "SELECT count(*) AS count FROM links WHERE network = ? AND generation = ?"
        return int(self._row(query, state.network, state.generation)["count"])

    def all_voters(self, state: NetworkState) -> list[tuple[Voter, ...]]:
        """Everybody who ever voted in this generation, as far as is known here: the founders, then each change."""
        links = self.links(state, None, state.version + 1)
        return [state.founders, *(link.header.voters for link in links)]

    def seated(self, state: NetworkState) -> int:
        """The version that named the voters of the next one; -1: they are the founders."""
        query = "SELECT max(version) AS version FROM links WHERE network = ? AND generation = ? AND version <= ?"
        found = self._row(query, state.network, state.generation, state.version)["version"]
        return -1 if found is None else int(found)

    def deciders(self, state: NetworkState, version: int) -> tuple[Voter, ...]:
        """Who decided ``version``, which is at most the next one."""
        links = self.links(state, None, version)
        return links[-1].header.voters if links else state.founders

    def pending(self, state: NetworkState) -> Pending:
        """What was promised and accepted for the next version."""
        # Without the change, which may be megabytes.
        columns = "generation, version, promised, promise, hold_run, hold_until, accepted"
        row = self._row(f"SELECT {columns} FROM pending WHERE network = ?", state.network)  # noqa: S608
        if row is None or (row["generation"], row["version"]) != (state.generation, state.version + 1):
            return Pending(state.version + 1)
        return Pending(
            version=row["version"],
            promised=_ballot(row["promised"]),
            promise=None if row["promise"] is None else Promise.from_json(_load(row["promise"]), "db"),
            hold_run=row["hold_run"] or "",
            hold_until=row["hold_until"],
            accepted=_ballot(row["accepted"]),
        )

    def pending_change(self, state: NetworkState) -> dict[str, Any] | None:
        """The change that was accepted for the next version, as JSON."""
        row = self._row(
            "SELECT change FROM pending WHERE network = ? AND generation = ? AND version = ?",
            state.network,
            state.generation,
            state.version + 1,
        )
        return None if row is None or row["change"] is None else _load(row["change"])

    def write_promise(
        self, database: sqlite3.Connection, state: NetworkState, promise: Promise, hold_until: int
    ) -> None:
        """Keep a promise, and until when nobody else is promised."""
        self._ensure_pending(database, state)
        database.execute(
            "UPDATE pending SET promised = ?, promise = ?, hold_run = ?, hold_until = ? WHERE network = ?",
            (
                canonical.dumps(promise.ballot.to_json()),
                canonical.dumps(promise.to_json()),
                promise.ballot.run,
                hold_until,
                state.network,
            ),
        )

    def write_hold(self, database: sqlite3.Connection, state: NetworkState, until: int) -> None:
        """Shorten the hold of the present promise; 0: it was given up."""
        database.execute("UPDATE pending SET hold_until = ? WHERE network = ?", (until, state.network))

    def write_acceptance(
        self, database: sqlite3.Connection, state: NetworkState, ballot: Ballot, change: Change
    ) -> None:
        """Keep an accepted ballot and its change; accepting promises the ballot, too."""
        self._ensure_pending(database, state)
        encoded = canonical.dumps(ballot.to_json())
        database.execute(
            "UPDATE pending SET accepted = ?, change = ?,"
            " promise = CASE WHEN promised = ? THEN promise ELSE NULL END, promised = ? WHERE network = ?",
            (encoded, canonical.dumps(change_json(change)), encoded, encoded, state.network),
        )

    def remember_checked(self, hash_: str, value: Value) -> None:
        """A value of this hash is about to be accepted: if it is certified, it needn't be read again."""
        self._checked = hash_, value

    def leave(self, database: sqlite3.Connection, state: NetworkState, links: Sequence[Link]) -> NetworkState:
        """Drop value, changes and votes of a network. What is kept is which version it was left with, and the links."""
        last = links[-1] if links else None
        if last is not None and last.version > state.version:
            for link in links:
                self._add_link(database, link)
            certificate, voters = last.certificate, last.header.voters
            state = replace(state, voters=voters, version=last.version, hash=certificate.hash, certificate=certificate)
        for table in ("changes", "pending", "holds", "sightings"):
            database.execute(f"DELETE FROM {table} WHERE network = ?", (state.network,))  # noqa: S608 - names of ours
        certificate_ = present(state.certificate, f"the certificate of {state.network}")
        database.execute(
            "UPDATE networks SET version = ?, hash = ?, certificate = ?, voters = ?, gone = 1,"
            " snapshot_version = -1, snapshot = NULL WHERE network = ?",
            (
                state.version,
                state.hash,
                canonical.dumps(certificate_.to_json()),
                _voters_bytes(state.voters),
                state.network,
            ),
        )
        self._values.clear()
        return replace(state, gone=True)

    def forget(self, network: str) -> bool:
        """Drop everything of a network whose record is gone from the chain; tells whether there was anything."""
        with self.transaction() as database:
            tables = ("changes", "pending", "holds", "links", "evidence", "former", "headers", "begun")
            for table in (*tables, *sightings.TABLES, "recalls"):
                database.execute(f"DELETE FROM {table} WHERE network = ?", (network,))  # noqa: S608 - names of ours
            found = database.execute("DELETE FROM networks WHERE network = ?", (network,)).rowcount
            database.execute("DELETE FROM meta WHERE key LIKE ?", (f"% {network}",))
        self._values.clear()
        return found > 0

    def left(self, network: str) -> bool:
        """Whether this host voted there and has left."""
        row = self._row("SELECT gone FROM networks WHERE network = ?", network)
        return row is not None and bool(row["gone"])

    def rows(self, query: str, *arguments: Any) -> list[Any]:
        """What a query gives, for tables that other modules know more about."""
        try:
            return self._connection().execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"the voter's database: {error}", where=self._path) from error

    def reading(self) -> sqlite3.Connection:
        """The same for those that are handed a transaction at other times."""
        try:
            return self._connection()
        except sqlite3.Error as error:
            raise Unavailable(f"the voter's database: {error}", where=self._path) from error

    def certain(self, network: str) -> bool:
        """Whether the memory of a network is known to be whole; another process may have retired meanwhile."""
        self.incarnation, found = recollection.certain(self.reading(), network)
        return found

    def networks(self) -> list[str]:
        """Ids of all networks that something is kept of."""
        return [str(row["network"]) for row in self._connection().execute("SELECT network FROM networks")]

    def note(self, what: str, network: str) -> str:
        """A word that this host left itself about a network; empty: none."""
        row = self._row("SELECT value FROM meta WHERE key = ?", f"{what} {network}")
        return "" if row is None else str(row["value"])

    def write_note(self, what: str, network: str, word: str) -> None:
        """Leave a word for the next run."""
        with self.transaction() as database:
            database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"{what} {network}", word))

    def certify_pending(
        self, database: sqlite3.Connection, state: NetworkState, certificate: Certificate
    ) -> NetworkState:
        """Make the accepted next value the certified one; its hash must be the certificate's."""
        if self._checked is not None and self._checked[0] == certificate.hash:
            child = self._checked[1]
        else:
            change = present(self.pending_change(state), f"the accepted change of {state.network}")
            parent = self.value(state)
            child = apply_change(parent, state.hash, change_from_json(change, "db", state.owner))
        # Version 0 is kept whole: nobody has anything that it would be a change of.
        if child.version > 0:
            database.execute(
                "INSERT OR REPLACE INTO changes SELECT network, generation, version, change FROM pending"
                " WHERE network = ? AND generation = ? AND version = ?",
                (state.network, state.generation, child.version),
            )
        return self._advance(database, state, Certified(certificate, child), snapshot=child.version == 0)

    def certify(self, database: sqlite3.Connection, state: NetworkState, certified: Certified) -> NetworkState:
        """Take over a certified value that came whole and was verified, with the links since what is here."""
        database.execute("DELETE FROM changes WHERE network = ?", (state.network,))
        for link in certified.links:
            if link.version > state.version:
                self._add_link(database, link)
        return self._advance(database, state, certified, snapshot=True)

    def drop_former(self, database: sqlite3.Connection, network: str, below: int) -> None:
        """Forget the generations below one of which a version is certified now."""
        if below > 0:
            for table in ("former", "headers"):
                database.execute(
                    f"DELETE FROM {table} WHERE network = ? AND generation < ?",  # noqa: S608 - names of ours
                    (network, below),
                )

    def holds(self, network: str, since: int) -> list[tuple[str, int, int]]:
        """Holds that ended after ``since``: provider, from, until."""
        rows = self._connection().execute(
            "SELECT provider, since, until FROM holds WHERE network = ? AND until > ?", (network, since)
        )
        return [(row["provider"], row["since"], row["until"]) for row in rows]

    def start_hold(self, database: sqlite3.Connection, network: str, ballot: Ballot, since: int, until: int) -> None:
        """Count a hold; those of more than a minute ago are forgotten."""
        database.execute("DELETE FROM holds WHERE until < ?", (since - 60_000,))
        holder = (network, ballot.node.provider, ballot.run)
        database.execute("INSERT INTO holds VALUES (?, ?, ?, ?, ?)", (*holder, since, until))

    def end_holds(self, database: sqlite3.Connection, network: str, now: int) -> None:
        """Holds on a network end now, if they haven't yet."""
        database.execute("UPDATE holds SET until = ? WHERE network = ? AND until > ?", (now, network, now))

    def add_evidence(self, state: NetworkState, version: int, what: str, first: Any, second: Any) -> None:
        """Keep two documents that contradict each other: of a network the first few, for who can make one can go on."""
        row = (state.network, state.generation, version, what, canonical.dumps(first), canonical.dumps(second))
        with self.transaction() as database:
            database.execute(
                "INSERT OR IGNORE INTO evidence (network, generation, version, what, first, second)"
                " SELECT ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM evidence WHERE network = ? AND what = ?) < ?",
                (*row, state.network, what, _MOST_EVIDENCE),
            )

    def evidence(self) -> list[dict[str, Any]]:
        """All contradictions found, oldest first."""
        rows = self._connection().execute("SELECT * FROM evidence ORDER BY id").fetchall()
        return [
            {**{key: row[key] for key in row.keys()}, "first": _load(row["first"]), "second": _load(row["second"])}  # noqa: SIM118
            for row in rows
        ]

    def _advance(
        self, database: sqlite3.Connection, state: NetworkState, certified: Certified, *, snapshot: bool
    ) -> NetworkState:
        certificate, value = certified.certificate, certified.value
        row = self._row("SELECT snapshot_version FROM networks WHERE network = ?", state.network)
        # Changes are small and values may be megabytes, so the whole value is written only now and then.
        snapshot = snapshot or row is None or value.version - row["snapshot_version"] >= MAX_CHANGES // 2
        if value.seated == value.version:
            self._add_link(database, Link(codec.header_of(value), certificate))
        encoded = canonical.dumps(certificate.to_json())
        database.execute(
            "UPDATE networks SET version = ?, hash = ?, certificate = ?, voters = ?, gone = 0 WHERE network = ?",
            (value.version, certificate.hash, encoded, _voters_bytes(value.voters), state.network),
        )
        if snapshot:
            database.execute(
                "UPDATE networks SET snapshot_version = ?, snapshot = ? WHERE network = ?",
                (value.version, codec.value_bytes(value), state.network),
            )
            database.execute(
                "DELETE FROM changes WHERE network = ? AND version <= ?", (state.network, value.version - MAX_CHANGES)
            )
        database.execute("DELETE FROM pending WHERE network = ?", (state.network,))
        self.drop_former(database, state.network, state.generation)
        self.end_holds(database, state.network, self.milliseconds())
        self._remember(certificate.hash, value)
        return replace(
            state,
            voters=value.voters,
            version=value.version,
            hash=certificate.hash,
            certificate=certificate,
            gone=False,
        )

    @staticmethod
    def _add_link(database: sqlite3.Connection, link: Link) -> None:
        header = link.header
        database.execute(
            "INSERT OR IGNORE INTO links VALUES (?, ?, ?, ?)",
            (header.network, header.generation, header.version, canonical.dumps(link.to_json())),
        )

    def _ensure_pending(self, database: sqlite3.Connection, state: NetworkState) -> None:
        database.execute(
            "INSERT OR IGNORE INTO pending (network, generation, version) VALUES (?, ?, ?)",
            (state.network, state.generation, state.version + 1),
        )

    def _changes(self, state: NetworkState, first: int) -> list[dict[str, Any]]:
        rows = self._connection().execute(
            "SELECT change FROM changes WHERE network = ? AND generation = ? AND version BETWEEN ? AND ?"
            " ORDER BY version",
            (state.network, state.generation, first, state.version),
        )
        return [_load(row["change"]) for row in rows]

    def _at_hand(self, state: NetworkState, least: int) -> Value | None:
        """The newest certified value that was parsed here already, at ``least`` as new as the snapshot."""
        known = [
            value
            for value in self._values.values()
            if (value.network, value.generation) == (state.network, state.generation)
            and max(least, 0) <= value.version < state.version
        ]
        return max(known, key=lambda value: value.version, default=None)

    def _remember(self, hash_: str, value: Value) -> None:
        while len(self._values) >= 4:
            self._values.pop(next(iter(self._values)), None)
        self._values[hash_] = value

    def _meta(self, database: sqlite3.Connection, key: str) -> str:
        return str(database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()["value"])

    def _row(self, query: str, *arguments: Any) -> Any:
        try:
            return self._connection().execute(query, arguments).fetchone()
        except sqlite3.Error as error:
            raise Unavailable(f"the voter's database: {error}", where=self._path) from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            # Connections of SQLite belong to one thread; only tests have more than one.
            connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._local.connection = connection
        return connection


def incarnation(path: str | os.PathLike[str]) -> str:
    """The incarnation of the database at ``path``, which is made if there is none. For the host record."""
    store = Store(path)
    store.close()
    return store.incarnation


def _voters(data: bytes) -> tuple[Voter, ...]:
    return tuple(entry_codec.voter_from_json(item, "voters") for item in _load(data))


def _voters_bytes(voters: Iterable[Voter]) -> bytes:
    return canonical.dumps([entry_codec.voter_json(voter) for voter in voters])


@lru_cache(maxsize=64)
def _state(row: tuple[Any, ...]) -> NetworkState:
    """From a row's ``_STATE``; remembered, for every message begins with it and few change it."""
    network, owner, name, generation, founders, voters, version, hash_, certificate, gone = row
    return NetworkState(
        network=network,
        owner=owner,
        name=name,
        generation=generation,
        founders=_voters(founders),
        voters=_voters(voters),
        version=version,
        hash=hash_,
        certificate=None if certificate is None else Certificate.from_json(_load(certificate), "db"),
        gone=bool(gone),
    )


def _ballot(data: bytes | None) -> Ballot | None:
    return None if data is None else Ballot.from_json(_load(data), "db")


def _load(data: bytes) -> Any:
    return canonical.loads(data, where="db", limit=1 << 26)
