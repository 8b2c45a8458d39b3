# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""x/market, as far as the lab needs it: leases come and go by acts of the operator.

Orders and bids are not kept; a lease is the order, the bid and the lease in one act.
Reclamation follows AEP of node v2: the window is agreed with the bid, a reclaiming
lease still runs, and nothing closes by itself when the window is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..errors import AdminError
from ..records import DEPLOYMENTS, LEASES, PROVIDERS, Deployment, Lease, Provider, Reclamation
from ..store import Reader
from .context import Context

HOUR = 3600
MIN_WINDOW = 1 * HOUR
MAX_WINDOW = 720 * HOUR


def leases_of(state: Reader, owner: str, dseq: int) -> Iterator[Lease]:
    """All leases a deployment ever had."""
    for _key, lease in state.prefixed(LEASES, (owner, dseq)):
        yield lease


def required_attributes(state: Reader, provider: str) -> Iterator[tuple[str, str]]:
    """What the groups of a provider's active leases ask of its attributes."""
    for _key, lease in state.items(LEASES):
        if lease.provider != provider or lease.state != "active":
            continue
        deployment: Deployment | None = state.get(DEPLOYMENTS, (lease.owner, lease.dseq))
        group = deployment.group(lease.gseq) if deployment else None
        if group is not None:
            for attribute in group.spec["requirements"]["attributes"]:
                yield (attribute["key"], attribute["value"])


def find(state: Reader, owner: str, dseq: int, gseq: int, oseq: int | None, provider: str | None) -> Lease:
    """The one lease meant by an operator; the newest if several match."""
    matching = [
        lease
        for lease in leases_of(state, owner, dseq)
        if lease.gseq == gseq
        and (oseq is None or lease.oseq == oseq)
        and (provider is None or lease.provider == provider)
    ]
    if not matching:
        raise AdminError(f"no lease {owner}/{dseq}/{gseq}/{oseq or '*'}/{provider or '*'}")
    return max(matching, key=lambda lease: (lease.oseq, lease.created_at, lease.bseq))


def open_lease(ctx: Context, wanted: Lease) -> Lease:
    """Order, bid and lease in one act. ``wanted.oseq`` 0 takes the next order."""
    deployment: Deployment | None = ctx.state.get(DEPLOYMENTS, (wanted.owner, wanted.dseq))
    if deployment is None or deployment.state != "active":
        raise AdminError(f"deployment {wanted.owner}/{wanted.dseq} is not active")
    group = deployment.group(wanted.gseq)
    if group is None:
        raise AdminError(f"deployment {wanted.owner}/{wanted.dseq} has no group {wanted.gseq}")
    if group.state != "open":
        raise AdminError(f"group {wanted.gseq} of {wanted.owner}/{wanted.dseq} is {group.state}, not open")
    provider: Provider | None = ctx.state.get(PROVIDERS, (wanted.provider,))
    if provider is None:
        raise AdminError(f"{wanted.provider} is not a registered provider")
    required = [(each["key"], each["value"]) for each in group.spec["requirements"]["attributes"]]
    missing = [key for key, value in required if (key, value) not in provider.attributes]
    if missing:
        raise AdminError(f"{wanted.provider} lacks attributes the group asks for: {', '.join(missing)}")
    before = [lease for lease in leases_of(ctx.state, wanted.owner, wanted.dseq) if lease.gseq == wanted.gseq]
    if any(lease.runs for lease in before):
        raise AdminError(f"group {wanted.gseq} of {wanted.owner}/{wanted.dseq} already has a running lease")
    last = max((lease.oseq for lease in before), default=0)
    oseq = wanted.oseq or last + 1
    if oseq <= last:
        raise AdminError(f"order {oseq} of group {wanted.gseq} was filled before; the next is {last + 1}")
    lease = replace(wanted, oseq=oseq, state="active", created_at=ctx.height, closed_on=0)
    ctx.state.set(LEASES, lease.key, lease)
    return lease


def end(ctx: Context, lease: Lease, state: str, reason: str) -> Lease:
    """A running lease becomes ``closed`` or ``insufficient_funds``."""
    if not lease.runs:
        raise AdminError(f"lease {'/'.join(map(str, lease.key))} is {lease.state} already")
    ended = replace(lease, state=state, reason=reason, closed_on=ctx.height)
    ctx.state.set(LEASES, lease.key, ended)
    return ended


def set_group_state(ctx: Context, lease: Lease, state: str) -> None:
    """Set the state of the group a lease belongs to."""
    deployment: Deployment = ctx.state.get(DEPLOYMENTS, (lease.owner, lease.dseq))
    groups = tuple(replace(group, state=state) if group.gseq == lease.gseq else group for group in deployment.groups)
    ctx.state.set(DEPLOYMENTS, (lease.owner, lease.dseq), replace(deployment, groups=groups))


def reclaim(ctx: Context, lease: Lease, window: int | None, reason: str) -> Lease:
    """Start reclaiming an active lease; ``window`` (seconds) agrees one after the fact."""
    if lease.state != "active":
        raise AdminError(f"lease {'/'.join(map(str, lease.key))} is {lease.state}, not active")
    agreed = lease.reclamation.window if lease.reclamation else MIN_WINDOW
    seconds = agreed if window is None else window
    if not MIN_WINDOW <= seconds <= MAX_WINDOW:
        raise AdminError(f"a reclamation window is {MIN_WINDOW} to {MAX_WINDOW} seconds, not {seconds}")
    running = Reclamation(seconds, ctx.height, ctx.time + seconds, reason)
    reclaiming = replace(lease, state="reclaiming", reclamation=running)
    ctx.state.set(LEASES, lease.key, reclaiming)
    return reclaiming
