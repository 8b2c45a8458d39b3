# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which slots of a ledger are live: the endpoints that take part now.

A slot is live if it is bound and nothing fresh speaks against it: its lease isn't known to be closed, its
member still points to the lease's deployment, and the tenant still permits its provider. What the view doesn't
know (a lease newer than it) the voters have checked, so it counts. With a view that is too old nothing is taken
away and nothing let in: what ran goes on (design section 3).
"""

from __future__ import annotations

from collections.abc import Mapping

from .._chain.model import LeaseState, NetworkRecord, View
from .._chain.view import record_gone
from .._common.checked import present
from .._common.ids import EndpointId
from .._quorum.value import Slot, Value
from .model import LiveSlot
from .names import ipv6_of, ula


def knows(view: View, value: Value) -> bool:
    """Whether a fresh view can speak about this network: it has its record in good order, or saw it go."""
    network = value.network
    if network in view.problems:
        return False
    return network in view.networks or value.record_height > view.height or record_gone(view, network)


def current_record(view: View, value: Value) -> NetworkRecord | None:
    """The newer of the view's and the ledger's copy of the record; None: the network is gone from the chain."""
    if value.record_height > view.height:
        return value.record
    seen = view.networks.get(value.network)
    return None if seen is None or record_gone(view, value.network) else seen.record


def live_slots(view: View, value: Value) -> tuple[LiveSlot, ...]:
    """The live slots by a fresh view that knows the network, ordered by endpoint."""
    record = current_record(view, value)
    if record is None:
        return ()
    seen = view.networks.get(value.network)
    closed = (
        {lease.id for lease in seen.leases if lease.closed_at or lease.state is LeaseState.CLOSED} if seen else set()
    )
    return tuple(
        _live(value, endpoint, slot)
        for endpoint, slot in sorted(value.bound().items())
        if slot.lease not in closed
        and record.members.get(endpoint.member) == slot.lease.dseq
        and record.permits(slot.lease.provider)
    )


def kept_slots(previous: Mapping[EndpointId, LiveSlot]) -> tuple[LiveSlot, ...]:
    """The live slots without a fresh view: exactly what was live when this host last applied."""
    return tuple(slot for _endpoint, slot in sorted(previous.items()))


def _live(value: Value, endpoint: EndpointId, slot: Slot) -> LiveSlot:
    address = present(slot.address, f"the address of the bound slot {endpoint}")
    return LiveSlot(endpoint, slot.lease, slot.host, address, ipv6_of(ula(value.network), address))
