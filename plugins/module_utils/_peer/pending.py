# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether something of this host waits to be agreed: the fast path can't allocate, but it can ask for who does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from .._chain.model import Lease, NetworkView, View, Voter
from .._quorum.fence import rests_until
from .._quorum.membership import has_turn, wanted
from .._quorum.value import Value
from .config import HostConfig


def pending(view: View, entry: NetworkView, value: Value | None, config: HostConfig) -> str | None:
    """What waits in one network, in a few words; None: nothing."""
    mine = [lease for lease in entry.running_leases() if lease.id.provider == config.provider]
    if value is None:
        return "the ledger has to be started or fetched" if mine and entry.record.founders else None
    if rests_until(value, view.height) is not None:
        return None  # nothing can be agreed yet, however often it's asked for
    if entry.record != value.record and view.height > value.record_height and mine:
        return "the network's record has changed"
    here = [slot for slot in value.bound().values() if slot.host == config.id]
    bound = Counter(slot.lease for slot in value.bound().values())
    for lease in mine:
        if bound[lease.id] < _replicas(entry, lease):
            return f"lease {lease.id} has replicas without an address"
    if here and config.id not in value.hosts:
        return "this host is not in the ledger"
    closed = {lease.id: lease.closed_at for lease in entry.leases if lease.closed_at}
    for slot in here:
        if slot.lease in closed and closed[slot.lease] + config.release_blocks <= view.height:
            return f"lease {slot.lease} is closed and holds addresses"
    own = value.hosts.get(config.id)
    if own is not None and not mine and not here:
        return "this host has left and is still in the ledger"
    return None


def voters_pending(
    view: View,
    entry: NetworkView,
    value: Value | None,
    config: HostConfig,
    caught: Collection[Voter] = (),
    drained: str = "",
) -> str | None:
    """Which change of voters waits, if it is this host's turn to make it, or only this host may know of it.

    ``drained``: words ``node/incarnation`` for those who said in the last run that they don't come; not before the
    next one, which has another cause, they are asked again.
    """
    if value is None:
        return None
    me = next((voter for voter in value.voters if config.drain and voter.node == config.id), None)
    if me is None and config.provider not in entry.participants():
        return None
    words = set(drained.split())
    found = [Voter(host.id, host.incarnation, host.signing_key) for host in view.hosts.values()] if words else []
    without = [voter for voter in found if f"{voter.node}/{voter.incarnation}" in words]
    step = wanted(value, view, without, caught, me)
    own = step is not None and step.removed is not None and (step.removed == me or step.removed in caught)
    if step is not None and not own and not has_turn(value, entry, config.id):
        return None
    return None if step is None else f"the voters are to be changed ({step})"


def _replicas(entry: NetworkView, lease: Lease) -> int:
    """How many endpoints a lease has: the count of its deployment's group, one at least while that isn't known."""
    deployment = entry.deployments.get(lease.id.dseq)
    return deployment.replicas.get(lease.id.gseq, 1) if deployment is not None else 1
