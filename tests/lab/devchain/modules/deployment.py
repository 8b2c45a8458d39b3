# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""x/deployment: deployments and their groups (akash-network/node, x/deployment/handler)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..address import check_address
from ..errors import (
    DEPLOYMENT_CLOSED,
    DEPLOYMENT_DEPOSIT,
    DEPLOYMENT_DUPLICATE_GROUP,
    DEPLOYMENT_EMPTY_HASH,
    DEPLOYMENT_EXISTS,
    DEPLOYMENT_GROUP_SPEC,
    DEPLOYMENT_GROUPS,
    DEPLOYMENT_HASH,
    DEPLOYMENT_ID,
    DEPLOYMENT_NOT_FOUND,
    TxError,
)
from ..records import DEPLOYMENTS, Deployment, Group
from ..shapes import group_spec
from ..store import Reader
from . import bank, market
from .context import Context, Event, event

_HASH_LENGTH = 32


def get(state: Reader, owner: str, dseq: int) -> Deployment | None:
    """A deployment, if it exists."""
    found: Deployment | None = state.get(DEPLOYMENTS, (owner, dseq))
    return found


def put(ctx: Context, deployment: Deployment) -> None:
    """Store a deployment."""
    ctx.state.set(DEPLOYMENTS, (deployment.owner, deployment.dseq), deployment)


def check_id(ctx: Context, message: Any) -> None:
    """The id of a deployment: an address and a sequence number above zero."""
    check_address(message.id.owner, ctx.prefix, "MsgCreate: Invalid Owner Address")
    if message.id.dseq == 0:
        raise TxError(DEPLOYMENT_ID)


def check_update(ctx: Context, message: Any) -> None:
    """Stateless checks of MsgUpdateDeployment."""
    check_id(ctx, message)
    if not message.hash:
        raise TxError(DEPLOYMENT_EMPTY_HASH)
    if len(message.hash) != _HASH_LENGTH:
        raise TxError(DEPLOYMENT_HASH)


def check_create(ctx: Context, message: Any) -> None:
    """Stateless checks of MsgCreateDeployment."""
    check_update(ctx, message)
    if not message.groups:
        raise TxError(DEPLOYMENT_GROUPS)
    names = set()
    for group in message.groups:
        if not group.name:
            raise TxError(DEPLOYMENT_GROUP_SPEC, "empty group spec name denomination")
        if not group.resources:
            raise TxError(DEPLOYMENT_GROUP_SPEC, f"group {group.name}: no resources")
        if any(unit.count == 0 for unit in group.resources):
            raise TxError(DEPLOYMENT_GROUP_SPEC, f"group {group.name}: count must be above zero")
        if group.name in names:
            raise TxError(DEPLOYMENT_DUPLICATE_GROUP, f"duplicate deployment group name {group.name}")
        names.add(group.name)
    _deposit(ctx, message)


def _deposit(ctx: Context, message: Any) -> int:
    coin = message.deposit.amount
    if not coin.denom and not coin.amount:
        return 0
    if coin.denom != ctx.denom or not coin.amount.isdigit():
        raise TxError(DEPLOYMENT_DEPOSIT, f"{coin.amount}{coin.denom}")
    return int(coin.amount)


def create(ctx: Context, message: Any) -> list[Event]:
    """MsgCreateDeployment: an active deployment with open groups, numbered from one."""
    owner, dseq = message.id.owner, int(message.id.dseq)
    if get(ctx.state, owner, dseq) is not None:
        raise TxError(DEPLOYMENT_EXISTS)
    deposit = _deposit(ctx, message)
    if deposit:
        bank.take(ctx.state, owner, deposit, ctx.denom)
    groups = tuple(
        Group(gseq, "open", group_spec(spec), ctx.height) for gseq, spec in enumerate(message.groups, start=1)
    )
    put(ctx, Deployment(owner, dseq, "active", message.hash.hex(), ctx.height, groups, deposit))
    return [event("akash.deployment.v1.EventDeploymentCreated", owner=owner, dseq=str(dseq))]


def _active(ctx: Context, owner: str, dseq: int) -> Deployment:
    deployment = get(ctx.state, owner, dseq)
    if deployment is None:
        raise TxError(DEPLOYMENT_NOT_FOUND)
    if deployment.state != "active":
        raise TxError(DEPLOYMENT_CLOSED)
    return deployment


def update(ctx: Context, message: Any) -> list[Event]:
    """MsgUpdateDeployment: changes the hash and nothing else."""
    deployment = _active(ctx, message.id.owner, int(message.id.dseq))
    put(ctx, replace(deployment, hash=message.hash.hex()))
    return [event("akash.deployment.v1.EventDeploymentUpdated", owner=deployment.owner, dseq=str(deployment.dseq))]


def close(ctx: Context, message: Any) -> list[Event]:
    """MsgCloseDeployment."""
    return close_by_id(ctx, message.id.owner, int(message.id.dseq))


def close_by_id(ctx: Context, owner: str, dseq: int) -> list[Event]:
    """Close a deployment, its groups and its leases; what is left of the deposit goes back."""
    deployment = _active(ctx, owner, dseq)
    for lease in market.leases_of(ctx.state, owner, dseq):
        if lease.runs:
            market.end(ctx, lease, "closed", "lease_closed_owner")
    groups = tuple(replace(group, state="closed") for group in deployment.groups)
    put(ctx, replace(deployment, state="closed", groups=groups))
    if deployment.deposit:
        bank.add(ctx.state, owner, deployment.deposit)
    return [event("akash.deployment.v1.EventDeploymentClosed", owner=owner, dseq=str(dseq))]
