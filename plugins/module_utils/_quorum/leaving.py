# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a host that voted may drop a network's value, by what it has itself (``acceptor``: by what it is shown), and
how it comes back."""

from __future__ import annotations

from .._common.checked import present
from .._common.ids import NodeId
from . import codec
from .errors import BadProof
from .messages import Certified
from .store import NetworkState, Store
from .value import Value


def leave(store: Store, here: NodeId, network: str, known: Certified | None) -> bool:
    """Leave a network if the verified value ``known`` shows that others vote and hold it; tells whether it left.

    It does if they decided a version after the one that took this host out: whoever accepts a version holds it.
    """
    state = store.network(network)
    if state is None or state.gone or known is None or known.value.generation != state.generation:
        return False
    value = known.value
    if value.version < state.version or value.version <= value.seated or value.seated < 0:
        return False
    if any(voter.node == here for voter in value.voters):
        return False
    with store.transaction() as database:
        now = store.network(network)
        if now is None or now.gone or now.version > value.version:
            return False
        store.leave(database, now, tuple(link for link in known.trail() if link.version > now.version))
    return True


def come_back(store: Store, state: NetworkState, value: Value) -> None:
    """Hold again what this host left with, where nothing was agreed since. BadProof if it isn't that.

    It never voted for the version after it, for others were its voters; so there is nothing that it could forget.
    """
    if codec.value_hash(value) != state.hash:
        raise BadProof("is not what this host left with", where="value")
    certificate = present(state.certificate, f"the certificate of {state.network}")
    with store.transaction() as database:
        if store.network(state.network) == state:
            store.certify(database, state, Certified(certificate, value))


def serves(store: Store, here: NodeId, network: str) -> bool:
    """Whether this host votes in a network, or has to serve what it holds still."""
    state = store.network(network)
    if store.rows("SELECT 1 FROM former WHERE network = ? LIMIT 1", network):
        return True  # what recovery may begin with, until a newer generation is agreed here
    if state is None or state.gone:
        return False
    founded = any(voter.node == here for voter in state.founders)
    return founded or any(voter.node == here for voters in store.all_voters(state) for voter in voters)
