# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A voter's way from one generation to the next: what it held is set aside, and it votes in no lower one again.

docs/ledger.md ("Recovery") has the argument.
"""

from __future__ import annotations

from .._chain.model import NetworkRecord
from .._common.ids import NodeId
from . import codec, former
from .constants import FENCE_BLOCKS
from .errors import RuleBroken, Unseen
from .fence import why
from .messages import Certified, Held
from .store import NetworkState, Store

_OVER = ("changes", "pending", "holds", "links", "networks")


def state_of(store: Store, record: NetworkRecord, height: int) -> NetworkState:
    """What is certified here of the record's generation; ``height``: of the view that shows the record.

    Before anything is certified, the founders on chain are pinned; for a raised generation at once, which ends the
    lower one here, whatever view comes next. RuleBroken: the record contradicts what is pinned.
    """
    state = store.network(record.id)
    if state is not None and state.generation > record.generation:
        what = f"the view shows generation {record.generation}, it is {state.generation} already"
        raise RuleBroken("generation", what)
    parent = codec.genesis_parent(record.id, record.generation, record.base)
    if state is not None and state.generation == record.generation:
        # As where the record was deleted and written anew: what was agreed is never begun again in silence.
        began = f"than generation {state.generation} began with here; raise it"
        if state.founders != record.founders:
            raise RuleBroken("founders", f"the record names other founders {began}")
        if state.version < 0 and state.hash != parent:
            raise RuleBroken("base", f"the record names another base {began}")
        return state
    if not record.founders:
        if state is not None:
            raise RuleBroken("generation", f"generation {record.generation} is named, and no founders of it yet")
        raise Unseen("the network names no founders yet", height=height + 1, where="record.founders")
    of = (record.id, record.owner, record.name, record.generation)
    begun = NetworkState(*of, record.founders, record.founders, -1, parent, None)
    return begun if record.generation == 0 else _go_over(store, begun, height)


def _go_over(store: Store, begun: NetworkState, height: int) -> NetworkState:
    with store.transaction() as database:
        before = store.network(begun.network)
        if before is not None and before.generation >= begun.generation:
            return before  # another process was faster
        if before is not None:
            former.keep(store, database, before)
            for table in _OVER:
                database.execute(f"DELETE FROM {table} WHERE network = ?", (begun.network,))  # noqa: S608 - ours
        store.begin(database, begun)
        row = (begun.network, begun.generation, height)
        database.execute("INSERT OR REPLACE INTO begun VALUES (?, ?, ?)", row)
    return begun


def held(store: Store, state: NetworkState) -> tuple[Held, ...]:
    """What is held here of the generations before, newest first: what a promise for version 0 says.

    It stays the same until version 0 is certified here, since nothing is voted for there any more.
    """
    found = (one.position for one in former.former(store, state.network))
    return tuple(Held(one.generation, one.version, one.hash, one.accepted) for one in found)


def check_rest(store: Store, state: NetworkState, height: int) -> None:
    """Raise Unseen, with the height to wait for, while a raised generation rests upon its version 0.

    Counted from the height at which this host saw the generation first: nobody else's word is taken for it.
    """
    if state.generation == 0 or state.version != 0:
        return
    query = "SELECT since FROM begun WHERE network = ? AND generation = ?"
    rows = store.rows(query, state.network, state.generation)
    least = (int(rows[0]["since"]) if rows else height) + FENCE_BLOCKS
    if height < least:
        raise Unseen(why(least), height=least)


def supersede(store: Store, here: NodeId, record: NetworkRecord, known: Certified | None, height: int) -> None:
    """Forget the lower generations where the verified value ``known`` shows that others have begun the record's.

    For hosts that don't vote in it. What they held can't be of use any more: a founder that holds a version of the
    generation begins none with less than that.
    """
    if known is None or known.value.generation != record.generation or record.generation == 0:
        return
    if any(voter.node == here for voter in (*record.founders, *known.value.voters)):
        return
    state = store.network(record.id)
    if state is not None and state.generation < record.generation:
        state_of(store, record, height)
    if former.former(store, record.id):
        with store.transaction() as database:
            store.drop_former(database, record.id, record.generation)
