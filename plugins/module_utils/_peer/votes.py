# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A quick look into the voter's database: which networks this host votes in, or has left. Runs as avpn."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._common.errors import InvalidInput
from .._common.ids import NodeId
from .paths import Paths

if TYPE_CHECKING:
    from .._quorum.sightings import Caught


@dataclass(frozen=True)
class Votes:
    """One network in the database: its owner and name, who votes as far as is known here, whether this host left."""

    owner: str
    name: str
    voters: frozenset[NodeId]
    gone: bool


def votes(paths: Paths) -> Mapping[str, Votes]:
    """By network id. Empty where there is no database, or one of another version of the software."""
    if not paths.voter_database.exists():
        return {}
    database = None
    try:
        database = sqlite3.connect(f"file:{paths.voter_database}?mode=ro", uri=True, timeout=5)
        rows = database.execute("SELECT network, owner, name, voters, gone FROM networks").fetchall()
        return {network: Votes(owner, name, _nodes(voters), bool(gone)) for network, owner, name, voters, gone in rows}
    except (sqlite3.Error, ValueError, KeyError, TypeError, InvalidInput):
        return {}
    finally:
        if database is not None:
            database.close()


def notes(paths: Paths, what: str) -> dict[str, str]:
    """By network id, the words that this host's reconciliation left itself (``Store.write_note``)."""
    if not paths.voter_database.exists():
        return {}
    database = None
    try:
        database = sqlite3.connect(f"file:{paths.voter_database}?mode=ro", uri=True, timeout=5)
        rows = database.execute("SELECT key, value FROM meta WHERE key GLOB ?", (f"{what} *",)).fetchall()
        return {key.rpartition(" ")[2]: str(word) for key, word in rows}
    except sqlite3.Error:
        return {}
    finally:
        if database is not None:
            database.close()


def caught(paths: Paths) -> list[Caught]:
    """Voters that this host has seen contradict themselves."""
    if not paths.voter_database.exists():
        return []
    from .._quorum import sightings

    database = None
    try:
        database = sqlite3.connect(f"file:{paths.voter_database}?mode=ro", uri=True, timeout=5)
        return sightings.caught(database)
    except (sqlite3.Error, InvalidInput):
        return []
    finally:
        if database is not None:
            database.close()


def _nodes(voters: bytes) -> frozenset[NodeId]:
    return frozenset(NodeId.parse(one["node"], "db") for one in json.loads(voters))
