# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A voter's way from one generation to the next: what was held is set aside, and no lower generation is voted for."""

from __future__ import annotations

from .._chain.model import NetworkRecord
from .._common.errors import InvalidInput
from . import codec, former
from .errors import RuleBroken, Unseen
from .messages import Held
from .store import NetworkState, Store


def state_of(store: Store, record: NetworkRecord, height: int) -> NetworkState:
    """What is certified here of the record's generation, by a view of this height.

    The founders on chain are pinned before anything is certified. A higher generation than the one known here ends
    that one at once. A lower one: RuleBroken, for the chain's record never goes back.
    """
    state = store.network(record.id)
    if state is not None and state.generation > record.generation:
        what = f"generation {state.generation} has begun here; the view shows {record.generation}"
        raise RuleBroken("generation", what)
    if state is not None and state.generation == record.generation:
        if state.founders != record.founders:
            # As where the record was deleted and written anew: what was agreed is never begun again in silence.
            what = f"the record names other founders than generation {state.generation} began with here; raise it"
            raise RuleBroken("founders", what)
        return state
    if not record.founders:
        if state is not None:
            raise RuleBroken("generation", f"the tenant has raised the generation to {record.generation}")
        raise Unseen("the network names no founders yet", height=height + 1, where="record.founders")
    parent = codec.genesis_parent(record.id, record.generation, record.base)
    founders = record.founders
    new = NetworkState(record.id, record.owner, record.name, record.generation, founders, founders, -1, parent, None)
    return new if record.generation == 0 else _begin(store, new, height)


def held(store: Store, state: NetworkState, record: NetworkRecord, base_generation: int | None) -> Held | None:
    """What goes with the promise for the next version: something for version 0 of a raised generation only."""
    if state.generation == 0 or state.version >= 0:
        if base_generation is not None:
            raise InvalidInput("is for version 0 of a generation with a base only", where="base_generation")
        return None
    since = _since(store, state)
    if record.base is None or base_generation is None:
        if (record.base is None) != (base_generation is None):
            raise InvalidInput("must be there with a base, and only then", where="base_generation")
        return Held(since)
    if base_generation >= state.generation:
        raise InvalidInput("is not below the generation", where="base_generation")
    found = Held(since, base_generation)
    for one in former.former(store, state.network):
        position = one.position
        if position.generation > base_generation and position.hash is not None:
            what = f"version {position.version} of generation {position.generation} is certified here"
            raise RuleBroken("recovery-between", f"{what}, and the base is of generation {base_generation}")
        if position.generation == base_generation:
            found = Held(since, base_generation, position.version, position.hash, position.accepted)
    return found


def _begin(store: Store, new: NetworkState, height: int) -> NetworkState:
    with store.transaction() as database:
        state = store.network(new.network)
        if state is not None:
            if state.generation >= new.generation:
                return state
            former.keep(store, database, state)
            for table in ("networks", "pending", "changes", "links", "holds"):
                database.execute(f"DELETE FROM {table} WHERE network = ?", (new.network,))  # noqa: S608 - names of ours
        store.begin(database, new)
        database.execute("INSERT OR REPLACE INTO begun VALUES (?, ?, ?)", (new.network, new.generation, height))
    return new


def _since(store: Store, state: NetworkState) -> int:
    rows = store.rows("SELECT generation, since FROM begun WHERE network = ?", state.network)
    if not rows or rows[0]["generation"] != state.generation:
        raise RuleBroken("generation", f"it isn't known here since when generation {state.generation} is seen")
    return int(rows[0]["since"])
