# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host goes over to a higher generation: what it holds of the lower one is set aside, in one transaction."""

from __future__ import annotations

import sqlite3

from . import former
from .messages import Held
from .store import NetworkState, Store

_OVER = ("changes", "pending", "holds", "links", "networks")


def go_over(store: Store, database: sqlite3.Connection, before: NetworkState, after: NetworkState) -> None:
    """Inside a transaction; ``after`` is the higher generation, of which nothing is agreed here yet."""
    former.keep(store, database, before)
    for table in _OVER:
        database.execute(f"DELETE FROM {table} WHERE network = ?", (before.network,))  # noqa: S608 - names of ours
    store.begin(database, after)


def held(store: Store, network: str) -> tuple[Held, ...]:
    """What is held here of the generations before, newest first: what a promise for version 0 says."""
    return tuple(
        Held(one.position.generation, one.position.version, one.position.hash, one.position.accepted)
        for one in former.former(store, network)
    )
