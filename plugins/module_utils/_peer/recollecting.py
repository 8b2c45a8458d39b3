# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a boot, this host's voter asks the others what they saw of it before it votes again. Runs as avpn.

The voter itself only answers; so the fast path asks for it, and writes down what came of it.
"""

from __future__ import annotations

import syslog
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from .._common.errors import AvpnError
from .._common.ids import NodeId
from .client import PeerClient
from .identities import Identities
from .paths import Paths

if TYPE_CHECKING:
    from .._chain.model import Voter
    from .._quorum.contradiction import Vote
    from .._quorum.store import NetworkState, Store

_SECONDS = 10.0
_AT_ONCE = 8  # voters


def recollect(paths: Paths, identities: Identities, client: PeerClient) -> dict[str, str]:
    """Ask for every network whose memory isn't known to be whole; problems by network. Nothing most of the time."""
    if not paths.voter_database.exists():
        return {}
    from .._quorum.store import Store

    store = Store(paths.voter_database)
    try:
        due = {network: state for network in identities.networks if (state := _due(store, identities, network))}
        return _ask_all(store, identities.here, client, due) if due else {}
    finally:
        store.close()


def _due(store: Store, identities: Identities, network: str) -> NetworkState | None:
    """The state of a network that this database votes in, if the others have to be asked."""
    from .._quorum.store import NetworkState

    if store.certain(network):
        return None
    record, state = identities.networks[network].record, store.network(network)
    if state is None:
        # Nothing is remembered of it: there may never have been anything, or it was forgotten.
        where = (record.id, record.owner, record.name, record.generation)
        state = NetworkState(*where, record.founders, record.founders, -1, "", None)
    return state if _me(store, identities.here, state) is not None and not state.gone else None


def _me(store: Store, here: NodeId, state: NetworkState) -> Voter | None:
    return next((one for one in state.voters if (one.node, one.incarnation) == (here, store.incarnation)), None)


def _ask_all(store: Store, here: NodeId, client: PeerClient, due: Mapping[str, NetworkState]) -> dict[str, str]:
    from .._quorum import recollection

    by_voter: dict[NodeId, list[str]] = {}
    for network, state in due.items():
        for voter in recollection.unheard(store.reading(), network, state.voters, here):
            by_voter.setdefault(voter.node, []).append(network)
    incarnation = store.incarnation
    answers: dict[str, dict[NodeId, tuple[Vote, ...]]] = {network: {} for network in due}

    def ask(node: NodeId) -> None:
        for network in by_voter[node]:
            found = _ask(client, node, network, incarnation)
            if found is None:
                return  # whoever can't be reached isn't waited for once for each network
            answers[network][node] = found

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(ask, by_voter))
    problems: dict[str, str] = {}
    for network, state in due.items():
        problem = _judge(store, here, state, answers[network])
        if problem is not None:
            problems[f"voter of {network}"] = problem
    return problems


def _ask(client: PeerClient, node: NodeId, network: str, incarnation: str) -> tuple[Vote, ...] | None:
    from .._quorum.answers import Recalled, parse_answer
    from .._quorum.requests import Recall

    try:
        request = Recall(network, incarnation).to_json()
        answer = parse_answer(client.call(node, request, seconds=_SECONDS), str(node))
    except AvpnError:
        return None
    return answer.votes if isinstance(answer, Recalled) else None


def _judge(store: Store, here: NodeId, state: NetworkState, answered: Mapping[NodeId, tuple[Vote, ...]]) -> str | None:
    """Retire if anything newer was shown; else note who answered. What to tell, if this voter doesn't vote yet."""
    from .._quorum import recollection
    from .._quorum.signing import verify

    me = _me(store, here, state)
    if me is None:
        return None  # it retired because of another network
    votes = [vote for shown in answered.values() for vote in shown if verify(me.key, vote.text(), vote.signature)]
    votes = [vote for vote in votes if vote.instance.network == state.network]
    told = recollection.remind(store, state.network, me, votes)
    if told is not None:
        syslog.syslog(syslog.LOG_ALERT, told)
        return told
    heard = [voter for voter in state.voters if voter.node in answered]
    with store.transaction() as database:
        enough = recollection.heard(database, state, heard, here, store.milliseconds())
        missing = recollection.unheard(database, state.network, state.voters, here)
    if enough:
        return None
    names = ", ".join(str(voter.node) for voter in missing)
    return f"doesn't vote since the boot until others have said what they saw of it; no answer yet from {names}"
