# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host holds of every generation of a ledger: the present one, and *former* ones that a higher has ended.

A former generation is read only. It stays until a version of a newer one is certified here, since the start of the
newer one needs it, and so does a tenant that has to raise the generation once more.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from typing import Any

from .._common import canonical
from .._common.canonical import Json
from .._common.checked import present
from .._common.errors import AvpnError
from . import codec
from .change import apply_change, change_from_json
from .header import Header
from .messages import Ballot, Certificate, Certified, Link
from .store import NetworkState, Store
from .survey import Accepted, Content, Position

MOST_FORMER = 8  # generations of one network
_MOST_HEADERS = 16  # of one network


@dataclass(frozen=True)
class Former:
    """A generation that is over: its position here, and its owner."""

    position: Position
    owner: str


def keep(store: Store, database: sqlite3.Connection, state: NetworkState) -> None:
    """Set the state of a generation aside, inside a transaction, before a higher one takes its place.

    Nothing is kept of a host that had left, or had neither a certificate nor accepted anything.
    """
    pending = store.pending(state)
    if state.gone or (state.certificate is None and pending.accepted is None):
        return
    value = None
    with contextlib.suppress(AvpnError):
        # A damaged ledger must not keep the host from the new generation; it says what it held all the same.
        value = store.value(state)
    links: list[Json] = [link.to_json() for link in store.links(state, None, state.version)]
    change = store.pending_change(state) if pending.accepted is not None else None
    database.execute(
        "INSERT OR REPLACE INTO former VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            state.network,
            state.generation,
            state.owner,
            state.version,
            state.hash if state.certificate is not None else None,
            None if state.certificate is None else canonical.dumps(state.certificate.to_json()),
            None if value is None else codec.value_bytes(value),
            canonical.dumps(links),
            None if pending.accepted is None else canonical.dumps(pending.accepted.to_json()),
            None if pending.promised is None else canonical.dumps(pending.promised.to_json()),
            None if change is None else canonical.dumps(change),
        ),
    )
    # Those that were never certified here go first, then the oldest: there is one that was, at most.
    database.execute(
        "DELETE FROM former WHERE network = ? AND generation NOT IN (SELECT generation FROM former"
        " WHERE network = ? ORDER BY certificate IS NOT NULL DESC, generation DESC LIMIT ?)",
        (state.network, state.network, MOST_FORMER),
    )


def former(store: Store, network: str) -> list[Former]:
    """The former generations that are kept of a network, newest first."""
    columns = "generation, owner, version, hash, accepted, promised"
    rows = store.rows(
        f"SELECT {columns} FROM former WHERE network = ? ORDER BY generation DESC",  # noqa: S608 - names of columns
        network,
    )
    return [
        Former(
            Position(
                row["generation"], row["version"], row["hash"], _ballot(row["accepted"]), _ballot(row["promised"])
            ),
            row["owner"],
        )
        for row in rows
    ]


def positions(store: Store, network: str) -> tuple[Position, ...]:
    """What is held here of each generation, newest first."""
    state = store.network(network)
    found = []
    if state is not None and not state.gone:
        pending = store.pending(state)
        certified = state.certificate is not None
        if certified or pending.accepted is not None or pending.promised is not None:
            hash_ = state.hash if certified else None
            found.append(Position(state.generation, state.version, hash_, pending.accepted, pending.promised))
    return (*found, *(one.position for one in former(store, network)))


def content(store: Store, network: str, generation: int, base: str | None) -> Content | None:
    """What is held of one generation, whole. ``base``: the hash that the record names. None: nothing is."""
    state = store.network(network)
    if state is not None and state.generation == generation:
        found = _present(store, state)
    else:
        found = _former(store, network, generation)
    if found is None or base is None:
        return found
    return Content(generation, found.certified, found.accepted, _header(store, network, generation, base))


def note_headers(store: Store, network: str) -> None:
    """Keep the headers of what a survey shows: the tenant may name one as base, and this host go on meanwhile.

    Whoever starts the next generation then has to show the base's header, which nothing newer contains.
    """
    for position in positions(store, network):
        hashes = {position.hash, None if position.accepted is None else position.accepted.hash} - {None}
        known = {row["hash"] for row in store.rows("SELECT hash FROM headers WHERE network = ?", network)}
        if hashes <= known:
            continue
        with contextlib.suppress(AvpnError):
            held = present(content(store, network, position.generation, None), f"generation {position.generation}")
            made = [header for header in _headers(held) if header.hash in hashes - known]
            with store.transaction() as database:
                for header in made:
                    row = (network, header.generation, header.version, header.hash)
                    document = canonical.dumps(header.to_json())
                    database.execute("INSERT OR IGNORE INTO headers VALUES (?, ?, ?, ?, ?)", (*row, document))
                database.execute(
                    "DELETE FROM headers WHERE network = ? AND rowid NOT IN"
                    " (SELECT rowid FROM headers WHERE network = ? ORDER BY rowid DESC LIMIT ?)",
                    (network, network, _MOST_HEADERS),
                )


def _headers(held: Content) -> list[Header]:
    """Of the certified value and of the accepted one."""
    certified, found = held.certified, []
    if certified is not None:
        found.append(codec.header_of(certified.value))
    if held.accepted is not None:
        parent = None if certified is None else certified.value
        parent_hash = "" if certified is None else certified.certificate.hash
        owner = "" if parent is None else parent.record.owner
        change = held.accepted.change
        if parent is None:
            owner = str(change["record"]["document"]["owner"]) if "record" in change else ""
        found.append(codec.header_of(apply_change(parent, parent_hash, change_from_json(change, "db", owner))))
    return found


def _header(store: Store, network: str, generation: int, hash_: str) -> Header | None:
    note_headers(store, network)
    query = "SELECT header FROM headers WHERE network = ? AND generation = ? AND hash = ?"
    rows = store.rows(query, network, generation, hash_)
    return Header.from_json(_load(rows[0]["header"]), "db") if rows else None


def _present(store: Store, state: NetworkState) -> Content | None:
    if state.gone:
        return None
    value, pending = store.value(state), store.pending(state)
    certified = None
    if value is not None:
        certificate = present(state.certificate, f"the certificate of {state.network}")
        certified = Certified(certificate, value, store.links(state, None, state.version))
    change = store.pending_change(state) if pending.accepted is not None else None
    accepted = None if pending.accepted is None or change is None else Accepted(pending.accepted, change)
    return Content(state.generation, certified, accepted) if certified or accepted else None


def _former(store: Store, network: str, generation: int) -> Content | None:
    rows = store.rows("SELECT * FROM former WHERE network = ? AND generation = ?", network, generation)
    if not rows:
        return None
    row, certified = rows[0], None
    if row["value"] is not None:
        certificate = Certificate.from_json(_load(row["certificate"]), "db")
        links = tuple(Link.from_json(one, "db") for one in _load(row["links"]))
        certified = Certified(certificate, codec.value_from_bytes(row["value"], "db"), links)
    ballot = _ballot(row["accepted"])
    accepted = None
    if ballot is not None and row["change"] is not None and (certified is not None or row["version"] < 0):
        accepted = Accepted(ballot, _load(row["change"]))
    return Content(generation, certified, accepted)


def _ballot(data: bytes | None) -> Ballot | None:
    return None if data is None else Ballot.from_json(_load(data), "db")


def _load(data: bytes) -> Any:
    return canonical.loads(data, where="db", limit=1 << 26)
