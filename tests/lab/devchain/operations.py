# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The acts of the lab's operator: what a real chain does by other people's transactions.

Every act is a block of its own (``batch`` puts several into one), so its effect is
visible as soon as the method returns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import shapes
from .address import is_address
from .chain import Chain
from .errors import AdminError
from .modules import Context, bank, deployment, market, provider
from .records import PROVIDERS, Deployment, Group, Lease, Provider, Reclamation
from .shapes import Json

Act = Callable[[Context], Json]
GroupWish = Mapping[str, Any]

_GROUP_FIELDS = {"name", "count", "attributes"}


class Operations:
    """Typed methods over a chain; the admin interface and the fixture both use them."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._batch: list[Act] | None = None

    def _do(self, act: Act) -> Json:
        if self._batch is not None:
            self._batch.append(act)
            return {}
        return self._chain.act(act)

    def batch(self, acts: Sequence[Callable[[Operations], object]]) -> list[Json]:
        """Several acts in one block, all or nothing: ``batch([lambda ops: ops.fund(...), ...])``."""
        collector = Operations(self._chain)
        collector._batch = []
        for each in acts:
            each(collector)
        return self._chain.act_all(collector._batch)

    def _address(self, address: str, what: str) -> str:
        if not is_address(address, self._chain.prefix):
            raise AdminError(f"{what}: {address!r} is not an address of this chain ({self._chain.prefix}1…)")
        return address

    # -- accounts and providers ------------------------------------------------

    def fund(self, address: str, amount: int = 100_000_000) -> Json:
        """Give an account coins out of nothing."""
        self._address(address, "address")
        if amount <= 0:
            raise AdminError("amount must be above zero")

        def act(ctx: Context) -> Json:
            bank.add(ctx.state, address, amount)
            return {"address": address, "balance": bank.balance(ctx.state, address)}

        return self._do(act)

    def provider_set(
        self,
        owner: str,
        host_uri: str = "https://provider.example:8443",
        attributes: Mapping[str, str] | None = None,
        email: str = "",
        website: str = "",
    ) -> Json:
        """Register a provider, or replace its record, without a transaction."""
        self._address(owner, "owner")
        record = Provider(owner, host_uri, tuple((attributes or {}).items()), email, website)

        def act(ctx: Context) -> Json:
            provider.check_host_uri(host_uri)
            provider.check_attributes(record.attributes)
            ctx.state.set(PROVIDERS, (owner,), record)
            return shapes.provider(record)

        return self._do(act)

    # -- deployments -----------------------------------------------------------

    def deployment_create(
        self, owner: str, groups: Sequence[GroupWish] = ({"name": "g1", "count": 1},), dseq: int | None = None
    ) -> Json:
        """Make a deployment; ``groups`` are ``{"name", "count", "attributes": {}}``.

        Without ``dseq`` it is the height of its block, or the next free number above.
        """
        self._address(owner, "owner")
        specs = [self._spec(wish) for wish in groups]
        if not specs:
            raise AdminError("a deployment has at least one group")
        return self._do(lambda ctx: self._create(ctx, owner, specs, dseq))

    def _spec(self, wish: GroupWish) -> Json:
        unknown = set(wish) - _GROUP_FIELDS
        count = wish.get("count", 1)
        if unknown or not wish.get("name") or not isinstance(count, int) or count < 1:
            raise AdminError(f'a group is {{"name", "count", "attributes"}}, not {dict(wish)!r}')
        attributes = tuple((str(key), str(value)) for key, value in dict(wish.get("attributes", {})).items())
        return shapes.plain_group_spec(str(wish["name"]), count, attributes, self._chain.denom)

    def _create(self, ctx: Context, owner: str, specs: Sequence[Mapping[str, Any]], dseq: int | None) -> Json:
        number = ctx.height if dseq is None else dseq
        while dseq is None and deployment.get(ctx.state, owner, number) is not None:
            number += 1
        if deployment.get(ctx.state, owner, number) is not None:
            raise AdminError(f"deployment {owner}/{number} exists")
        if len({spec["name"] for spec in specs}) != len(specs):
            raise AdminError("group names must be unique")
        groups = tuple(Group(gseq, "open", spec, ctx.height) for gseq, spec in enumerate(specs, start=1))
        text = f"{owner}/{number}/{[spec['name'] for spec in specs]}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        made = Deployment(owner, number, "active", digest, ctx.height, groups)
        deployment.put(ctx, made)
        return shapes.deployment(made, ctx.denom)

    def deployment_close(self, owner: str, dseq: int) -> Json:
        """Close a deployment and its leases."""

        def act(ctx: Context) -> Json:
            deployment.close_by_id(ctx, owner, dseq)
            closed = deployment.get(ctx.state, owner, dseq)
            assert closed is not None
            return shapes.deployment(closed, ctx.denom)

        return self._do(act)

    def deployment_replace(self, owner: str, dseq: int, new_dseq: int | None = None) -> Json:
        """Close a deployment and make the same again, with leases at the same providers."""

        def act(ctx: Context) -> Json:
            old = deployment.get(ctx.state, owner, dseq)
            if old is None:
                raise AdminError(f"no deployment {owner}/{dseq}")
            running = [lease for lease in market.leases_of(ctx.state, owner, dseq) if lease.runs]
            if old.state == "active":
                deployment.close_by_id(ctx, owner, dseq)
            made = self._create(ctx, owner, [group.spec for group in old.groups], new_dseq)
            number = int(made["deployment"]["id"]["dseq"])
            leases = [
                market.open_lease(
                    ctx,
                    replace(lease, dseq=number, oseq=0, reason="lease_closed_invalid", reclamation=None),
                )
                for lease in running
            ]
            return {**made, "leases": [shapes.lease(lease, ctx.denom) for lease in leases]}

        return self._do(act)

    def group_start(self, owner: str, dseq: int, gseq: int = 1) -> Json:
        """Open a group that is paused or out of funds."""

        def act(ctx: Context) -> Json:
            found = deployment.get(ctx.state, owner, dseq)
            group = found.group(gseq) if found else None
            if found is None or group is None or found.state != "active":
                raise AdminError(f"no group {gseq} of an active deployment {owner}/{dseq}")
            groups = tuple(replace(each, state="open") if each.gseq == gseq else each for each in found.groups)
            deployment.put(ctx, replace(found, groups=groups))
            return {"gseq": gseq, "state": "open"}

        return self._do(act)

    # -- leases ----------------------------------------------------------------

    def lease_create(
        self,
        owner: str,
        dseq: int,
        provider: str,
        gseq: int = 1,
        oseq: int = 0,
        bseq: int = 1,
        price: str = "1",
        reclamation_hours: int | None = None,
    ) -> Json:
        """Order, bid and lease in one act; ``oseq`` 0 takes the next order of the group."""
        self._address(owner, "owner")
        self._address(provider, "provider")
        window = None
        if reclamation_hours is not None:
            window = Reclamation(reclamation_hours * market.HOUR)
        wanted = Lease(owner, dseq, gseq, oseq, provider, bseq, "active", price, 0, reclamation=window)
        return self._do(lambda ctx: shapes.lease(market.open_lease(ctx, wanted), ctx.denom))

    def _lease(self, act: Callable[[Context, Lease], Lease], find: tuple[Any, ...]) -> Json:
        return self._do(lambda ctx: shapes.lease(act(ctx, market.find(ctx.state, *find)), ctx.denom))

    def lease_close(
        self,
        owner: str,
        dseq: int,
        gseq: int = 1,
        oseq: int | None = None,
        provider: str | None = None,
        by: str = "owner",
    ) -> Json:
        """Close a lease. By the owner the group stays open, by the provider it is paused."""
        if by not in ("owner", "provider"):
            raise AdminError("a lease is closed by owner or provider")

        def act(ctx: Context, lease: Lease) -> Lease:
            reason = "lease_closed_owner" if by == "owner" else "lease_closed_reason_unspecified"
            ended = market.end(ctx, lease, "closed", reason)
            if by == "provider":
                market.set_group_state(ctx, lease, "paused")
            return ended

        return self._lease(act, (owner, dseq, gseq, oseq, provider))

    def lease_insufficient_funds(
        self, owner: str, dseq: int, gseq: int = 1, oseq: int | None = None, provider: str | None = None
    ) -> Json:
        """The escrow account ran dry: the lease ends, its group waits for funds."""

        def act(ctx: Context, lease: Lease) -> Lease:
            ended = market.end(ctx, lease, "insufficient_funds", "lease_closed_reason_insufficient_funds")
            market.set_group_state(ctx, lease, "insufficient_funds")
            return ended

        return self._lease(act, (owner, dseq, gseq, oseq, provider))

    def lease_reclaim(
        self,
        owner: str,
        dseq: int,
        gseq: int = 1,
        oseq: int | None = None,
        provider: str | None = None,
        hours: int | None = None,
    ) -> Json:
        """The provider starts reclaiming: the lease runs on until somebody closes it."""
        window = None if hours is None else hours * market.HOUR

        def act(ctx: Context, lease: Lease) -> Lease:
            return market.reclaim(ctx, lease, window, "lease_closed_reason_decommission")

        return self._lease(act, (owner, dseq, gseq, oseq, provider))

    # -- time ------------------------------------------------------------------

    def advance(self, blocks: int = 1, seconds_each: float = 0) -> Json:
        """Make blocks at once."""
        if not 1 <= blocks <= 1_000_000 or seconds_each < 0:
            raise AdminError("blocks is 1 to 1000000, seconds_each 0 or more")
        return {"height": self._chain.advance(blocks, seconds_each)}

    def status(self) -> Json:
        """Where the chain is."""
        with self._chain.lock:
            view, block = self._chain.view(), self._chain.block_at()
            return {
                "chain_id": self._chain.chain_id,
                "height": block.height,
                "oldest": self._chain.oldest,
                "time": block.as_json("")["block"]["header"]["time"],
                "pending": self._chain.pending,
                "transactions": len(self._chain.transactions()),
                **{
                    table: sum(1 for _unused in view.items(table))
                    for table in ("accounts", "providers", "deployments", "leases", "audit")
                },
            }
