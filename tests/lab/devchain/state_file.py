# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state on disk: one SQLite file, one transaction per block."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from .blocks import Block, TxResult
from .errors import DevchainError
from .records import as_json, from_json
from .store import Change

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (
    height INTEGER PRIMARY KEY, time INTEGER NOT NULL, parent TEXT NOT NULL,
    app_hash TEXT NOT NULL, txs TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (
    height INTEGER NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (name, key, height)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS results (
    hash TEXT PRIMARY KEY, height INTEGER NOT NULL, time INTEGER NOT NULL, code INTEGER NOT NULL,
    codespace TEXT NOT NULL, log TEXT NOT NULL, gas_wanted INTEGER NOT NULL,
    gas_used INTEGER NOT NULL, raw BLOB NOT NULL, events TEXT NOT NULL);
"""


class StateFile:
    """Reads and writes the file of one chain."""

    def __init__(self, path: Path, chain_id: str) -> None:
        self._chain_id = chain_id
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._db.execute("INSERT OR IGNORE INTO meta VALUES ('chain_id', ?)", (chain_id,))
        (found,) = self._db.execute("SELECT value FROM meta WHERE name = 'chain_id'").fetchone()
        if found != chain_id:
            self._db.close()
            raise DevchainError(f"{path} holds chain {found}, not {chain_id}")

    def save(self, block: Block, changes: list[Change], results: list[TxResult]) -> None:
        """Write one block with everything it changed, or nothing."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute(
                "INSERT INTO blocks VALUES (?, ?, ?, ?, ?)",
                (block.height, block.time, block.parent, block.app_hash, json.dumps([raw.hex() for raw in block.txs])),
            )
            db.executemany(
                "INSERT INTO cells VALUES (?, ?, ?, ?)",
                [
                    (block.height, table, json.dumps(list(key)), json.dumps(as_json(value)))
                    for table, key, value in changes
                ],
            )
            db.executemany(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        each.hash,
                        each.height,
                        each.time,
                        each.code,
                        each.codespace,
                        each.log,
                        each.gas_wanted,
                        each.gas_used,
                        each.raw,
                        json.dumps(each.events),
                    )
                    for each in results
                ],
            )
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def blocks(self) -> Iterator[Block]:
        """All blocks, oldest first."""
        for height, time, parent, app_hash, txs in self._db.execute("SELECT * FROM blocks ORDER BY height"):
            raw = tuple(bytes.fromhex(each) for each in json.loads(txs))
            yield Block(self._chain_id, height, time, parent, app_hash, raw)

    def changes(self) -> Iterator[tuple[int, Change]]:
        """All changes with their heights, oldest first."""
        rows = self._db.execute("SELECT height, name, key, value FROM cells ORDER BY height, name, key")
        for height, table, key, value in rows:
            yield height, (table, tuple(json.loads(key)), from_json(table, json.loads(value)))

    def results(self) -> Iterator[TxResult]:
        """All results, oldest first."""
        rows = self._db.execute(
            "SELECT hash, height, code, codespace, log, gas_wanted, gas_used, time, raw, events "
            "FROM results ORDER BY height, rowid"
        )
        for tx_hash, height, code, codespace, log, wanted, used, time, raw, events in rows:
            yield TxResult(
                tx_hash, height, code, codespace, log, wanted, used, time, bytes(raw), tuple(json.loads(events))
            )

    def prune(self, floor: int) -> None:
        """Forget what only heights below ``floor`` need."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM blocks WHERE height < ?", (floor,))
        self._db.execute(
            "DELETE FROM cells WHERE height < (SELECT MAX(newer.height) FROM cells AS newer "
            "WHERE newer.name = cells.name AND newer.key = cells.key AND newer.height <= ?)",
            (floor,),
        )
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()
