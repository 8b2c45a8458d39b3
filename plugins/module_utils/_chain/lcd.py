# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reader of one chain node's LCD (the JSON gateway of a Cosmos node).

Routes and shapes: ``docs`` of Akash node v2 (deployment v1beta4, market v1beta5, provider v1beta4,
audit v1). Fields that are used are typed strictly, further ones are ignored, for the chain may grow.
Every query gives what *this* node says; whether to believe it is ``sources``' business.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from .._common import fields
from .._common.errors import InvalidInput
from .._common.ids import LeaseId
from .http_json import JsonClient, Limits, NotFound
from .model import Block, Deployment, Lease, LeaseState, ProviderRecord
from .paging import MAX_PAGES, PAGE_ROWS, NeedsState, TooMany, read_pages

MAX_DEPLOYMENT_LEASES = 5_000
RUNNING_STATES = (LeaseState.ACTIVE, LeaseState.RECLAIMING)

_BLOCKS = "/cosmos/base/tendermint/v1beta1/blocks"
_LEASES = "/akash/market/v1beta5/leases/list"
_DEPLOYMENT = "/akash/deployment/v1beta4/deployments/info"
_PROVIDERS = "/akash/provider/v1beta4/providers"
_AUDIT = "/akash/audit/v1/audit/attributes"
_MOST_REPLICAS = 2**32 - 1
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.\d{1,9})?Z", re.ASCII)
_STATES = {state.value: state for state in LeaseState}


class Lcd:
    """One endpoint. ``height`` pins an answer to a block; without it the node answers for its newest."""

    def __init__(
        self, url: str, *, ca_file: str | None = None, plain_http: bool = False, limits: Limits | None = None
    ) -> None:
        self._client = JsonClient(url, ca_file=ca_file, plain_http=plain_http, limits=limits)

    @property
    def url(self) -> str:
        return self._client.url

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, params: Mapping[str, str] | None = None, *, height: int | None = None) -> dict[str, Any]:
        """Any other route, unparsed."""
        return self._client.get(path, params, height=height)

    def block(self, height: int | None = None) -> Block:
        """The block at a height, or the newest."""
        answer = self._client.get(f"{_BLOCKS}/{'latest' if height is None else height}")
        header = _part(_part(answer, "block", ""), "header", "block")
        block_id = _part(answer, "block_id", "")
        block = Block(
            chain_id=fields.text(header.get("chain_id"), "block.header.chain_id", most=64),
            height=fields.decimal(header.get("height"), "block.header.height"),
            time=_unix(header.get("time"), "block.header.time"),
            hash=fields.base64_bytes(block_id.get("hash"), "block_id.hash", length=32),
        )
        if height is not None and block.height != height:
            raise InvalidInput(f"is {block.height}, asked for {height}", where="block.header.height")
        return block

    def running_leases(self, provider: str, height: int) -> tuple[Lease, ...]:
        """Active and reclaiming leases of a provider, by id. The filter takes one state, so it is asked twice."""
        leases: dict[LeaseId, Lease] = {}
        for state in RUNNING_STATES:
            for lease in self._leases({"filters.provider": provider, "filters.state": state.value}, height):
                leases[lease.id] = lease
        return _sorted(leases)

    def deployment_leases(self, owner: str, dseq: int, height: int) -> tuple[Lease, ...] | None:
        """All leases a deployment ever had, closed ones too, by id.

        None: more than MAX_DEPLOYMENT_LEASES. That is a tenant's doing and this tenant's problem only,
        so it is an answer and not a failure of the node.
        """
        filters = {"filters.owner": owner, "filters.dseq": str(dseq)}
        pages = MAX_DEPLOYMENT_LEASES // PAGE_ROWS
        try:
            try:
                found = self._leases(filters, height, pages)
            except NeedsState:
                found = []
                for state in LeaseState:
                    found += self._leases({**filters, "filters.state": state.value}, height, pages)
        except TooMany:
            return None
        return _sorted({lease.id: lease for lease in found})

    def lease(self, lease: LeaseId, height: int) -> Lease | None:
        """One lease by its id."""
        filters = {
            "filters.owner": lease.owner,
            "filters.dseq": str(lease.dseq),
            "filters.gseq": str(lease.gseq),
            "filters.oseq": str(lease.oseq),
            "filters.provider": lease.provider,
        }
        return next((found for found in self._leases(filters, height) if found.id == lease), None)

    def deployment(self, owner: str, dseq: int, height: int) -> Deployment | None:
        """A deployment with the replicas of its groups."""
        try:
            answer = self._client.get(_DEPLOYMENT, {"id.owner": owner, "id.dseq": str(dseq)}, height=height)
        except NotFound:
            return None
        deployment = _part(answer, "deployment", "")
        identity = _part(deployment, "id", "deployment")
        where = "deployment.id"
        if identity.get("owner") != owner or fields.decimal(identity.get("dseq"), f"{where}.dseq") != dseq:
            raise InvalidInput("is not the deployment that was asked for", where=where)
        groups = answer.get("groups")
        if not isinstance(groups, list):
            raise InvalidInput("must be a list", where="groups")
        state = deployment.get("state")
        if state not in ("active", "closed"):
            raise InvalidInput("must be active or closed", where="deployment.state")
        replicas = dict(_replicas(group, f"groups.{index}") for index, group in enumerate(groups))
        return Deployment(owner=owner, dseq=dseq, active=state == "active", replicas=replicas)

    def signed_attributes(self, account: str, height: int) -> tuple[tuple[str, str], ...] | None:
        """What an account signed about itself: auditor and owner both ``account``. None: it never did."""
        try:
            answer = self._client.get(f"{_AUDIT}/{account}/{account}", height=height)
        except NotFound:
            return None
        rows = answer.get("providers")
        if not isinstance(rows, list) or len(rows) > 1:
            raise InvalidInput("must be a list of at most one", where="providers")
        if not rows:
            return None
        row = rows[0]
        # Anyone may write under somebody else's owner; only the pair is the account's own word.
        if not isinstance(row, dict) or row.get("owner") != account or row.get("auditor") != account:
            raise InvalidInput("is not the pair that was asked for", where="providers.0")
        return _attributes(row.get("attributes"), "providers.0.attributes")

    def provider(self, account: str, height: int) -> ProviderRecord | None:
        """A provider's own record. None: the account is no provider."""
        try:
            answer = self._client.get(f"{_PROVIDERS}/{account}", height=height)
        except NotFound:
            return None
        row = _part(answer, "provider", "")
        if row.get("owner") != account:
            raise InvalidInput("is not the provider that was asked for", where="provider.owner")
        info = row.get("info") or {}
        if not isinstance(info, dict):
            raise InvalidInput("must be an object", where="provider.info")
        return ProviderRecord(
            owner=account,
            host_uri=_string(row.get("host_uri"), "provider.host_uri"),
            attributes=_attributes(row.get("attributes"), "provider.attributes"),
            email=_string(info.get("email", ""), "provider.info.email"),
            website=_string(info.get("website", ""), "provider.info.website"),
        )

    def _leases(self, filters: Mapping[str, str], height: int, most_pages: int = MAX_PAGES) -> list[Lease]:
        def page(parameters: Mapping[str, str]) -> Mapping[str, Any]:
            return self._client.get(_LEASES, parameters, height=height)

        def row(value: Any, where: str) -> Lease:
            lease = parse_lease(value, where)
            _check_filters(lease, filters, where)
            return lease

        return read_pages(page, filters, "leases", row, lambda lease: lease.id, most_pages=most_pages)


def parse_lease(value: Any, where: str) -> Lease:
    """A row of the lease list."""
    lease = _part(value, "lease", where)
    where = f"{where}.lease"
    identity = lease.get("id", lease.get("lease_id"))  # lease_id: nodes before market v1beta5
    if not isinstance(identity, dict):
        raise InvalidInput("must be an object", where=f"{where}.id")
    state = _STATES.get(lease["state"]) if isinstance(lease.get("state"), str) else None
    if state is None:
        raise InvalidInput(f"is not a lease state: {fields.printable(lease.get('state'))}", where=f"{where}.state")
    created_at = fields.decimal(lease.get("created_at"), f"{where}.created_at")
    closed_at = fields.decimal(lease.get("closed_on", "0"), f"{where}.closed_on")
    if state not in RUNNING_STATES and closed_at == 0:
        # Closed before the chain kept the height: it must never count as open, so it counts as closed at once.
        closed_at = max(created_at, 1)
    return Lease(
        id=LeaseId(
            owner=fields.account(identity.get("owner"), f"{where}.id.owner"),
            dseq=fields.decimal(identity.get("dseq"), f"{where}.id.dseq"),
            gseq=fields.integer(identity.get("gseq"), f"{where}.id.gseq"),
            oseq=fields.integer(identity.get("oseq"), f"{where}.id.oseq"),
            provider=fields.account(identity.get("provider"), f"{where}.id.provider"),
        ),
        state=state,
        created_at=created_at,
        closed_at=closed_at,
    )


def _check_filters(lease: Lease, filters: Mapping[str, str], where: str) -> None:
    """A node that answers rows nobody asked for is not to be used: some list routes did."""
    actual = {
        "filters.owner": lease.id.owner,
        "filters.dseq": str(lease.id.dseq),
        "filters.gseq": str(lease.id.gseq),
        "filters.oseq": str(lease.id.oseq),
        "filters.provider": lease.id.provider,
        "filters.state": lease.state.value,
    }
    for name, wanted in filters.items():
        if actual[name] != wanted:
            raise InvalidInput(f"doesn't match {name}", where=where)


def _replicas(group: Any, where: str) -> tuple[int, int]:
    gseq = fields.integer(_part(group, "id", where).get("gseq"), f"{where}.id.gseq", least=1)
    resources = _part(group, "group_spec", where).get("resources")
    if not isinstance(resources, list):
        raise InvalidInput("must be a list", where=f"{where}.group_spec.resources")
    total = 0
    for index, resource in enumerate(resources):
        at = f"{where}.group_spec.resources.{index}"
        if not isinstance(resource, dict):
            raise InvalidInput("must be an object", where=at)
        total += fields.integer(resource.get("count"), f"{at}.count", most=_MOST_REPLICAS)
    return gseq, total


def _attributes(value: Any, where: str) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidInput("must be a list", where=where)
    pairs = []
    for index, item in enumerate(value):
        at = f"{where}.{index}"
        if not isinstance(item, dict):
            raise InvalidInput("must be an object", where=at)
        pairs.append((_string(item.get("key"), f"{at}.key"), _string(item.get("value"), f"{at}.value")))
    return tuple(pairs)


def _part(value: Any, key: str, where: str) -> dict[str, Any]:
    part = value.get(key) if isinstance(value, dict) else None
    if not isinstance(part, dict):
        raise InvalidInput("must be an object", where=f"{where}.{key}" if where else key)
    return part


def _string(value: Any, where: str) -> str:
    """Free text: of any content, so nothing is done with it but to hand it on or parse it."""
    if not isinstance(value, str):
        raise InvalidInput(f"must be text, not {fields.kind(value)}", where=where)
    return value


def _unix(value: Any, where: str) -> int:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidInput("must be a time in UTC (RFC 3339)", where=where)
    try:
        moment = datetime.datetime.fromisoformat(found[1])
    except ValueError as error:
        raise InvalidInput("must be a time in UTC (RFC 3339)", where=where) from error
    return int(moment.replace(tzinfo=datetime.UTC).timestamp())


def _sorted(leases: Mapping[LeaseId, Lease]) -> tuple[Lease, ...]:
    return tuple(leases[identity] for identity in sorted(leases))
