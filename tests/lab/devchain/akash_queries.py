# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The queries of the Akash modules: deployment, market, provider, audit.

Routes and shapes: chain.md, "Reading".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import shapes
from .address import is_address
from .chain import Chain
from .errors import INVALID_ARGUMENT, NOT_FOUND, QueryError
from .modules import audit, provider
from .modules import deployment as deployments
from .paging import Query, cut, number, page_request
from .records import DEPLOYMENTS, LEASES, PROVIDERS, Deployment, Lease
from .shapes import Json
from .store import Row, View

LEASE_STATES = ("active", "insufficient_funds", "closed", "reclaiming")
DEPLOYMENT_STATES = ("active", "closed")

# What a node of today says it speaks (chain-sdk, go/node/client/registry.go).
MODULES = {
    "audit": "v1",
    "bme": "v1",
    "cert": "v1",
    "deployment": "v1beta4",
    "escrow": "v1",
    "market": "v1beta5",
    "oracle": "v2",
    "provider": "v1beta4",
    "take": "v1",
    "wasm": "v1",
}
API_VERSIONS = ("v1beta4", "v1beta3")


@dataclass(frozen=True)
class Request:
    """A query: the chain, the state it is answered from, path and query parameters.

    ``newest`` is the height the endpoint takes for the newest, ``null_key`` its paging
    fault, empty for a healthy one.
    """

    chain: Chain
    view: View
    path: tuple[str, ...]
    query: Query
    newest: int
    null_key: str = ""

    def address(self, name: str, what: str) -> str:
        """An address parameter; empty when it is missing."""
        text = self.query.get(name, "")
        if text and not is_address(text, self.chain.prefix):
            raise QueryError(INVALID_ARGUMENT, f"invalid {what} address")
        return text

    def state(self, name: str, states: tuple[str, ...]) -> str:
        """A state filter; it takes one state."""
        text = self.query.get(name, "")
        if text and text not in states:
            raise QueryError(INVALID_ARGUMENT, "invalid state value")
        return text


def _rows(request: Request, table: str, owner: str, dseq: int) -> list[Row]:
    if not owner:
        return [row for row in request.view.items(table) if not dseq or row[0][1] == dseq]
    prefix = (owner, dseq) if dseq else (owner,)
    return list(request.view.prefixed(table, prefix))


def _page(request: Request, rows: list[Row], states: tuple[str, ...], wanted: str) -> tuple[list[Any], Json]:
    asked = page_request(request.query)
    if asked.offset and not wanted:
        raise QueryError(
            INVALID_ARGUMENT, "invalid request parameters. if offset is set, filter.state must be provided"
        )
    return cut(rows, (wanted,) if wanted else states, lambda record: str(record.state), asked, request.null_key)


def deployment_list(request: Request) -> Json:
    """``/akash/deployment/v1beta4/deployments/list``."""
    owner = request.address("filters.owner", "owner")
    dseq = number(request.query, "filters.dseq")
    state = request.state("filters.state", DEPLOYMENT_STATES)
    page, pagination = _page(request, _rows(request, DEPLOYMENTS, owner, dseq), DEPLOYMENT_STATES, state)
    return {
        "deployments": [shapes.deployment(entry, request.chain.denom) for entry in page],
        "pagination": pagination,
    }


def deployment_info(request: Request) -> Json:
    """``/akash/deployment/v1beta4/deployments/info``."""
    owner = request.address("id.owner", "owner")
    if not owner:
        raise QueryError(INVALID_ARGUMENT, "invalid owner address")
    found: Deployment | None = deployments.get(request.view, owner, number(request.query, "id.dseq"))
    if found is None:
        raise QueryError(NOT_FOUND, "Deployment not found")
    return shapes.deployment(found, request.chain.denom)


def lease_list(request: Request) -> Json:
    """``/akash/market/v1beta5/leases/list``."""
    query = request.query
    owner = request.address("filters.owner", "owner")
    provider_filter = request.address("filters.provider", "provider")
    state = request.state("filters.state", LEASE_STATES)
    dseq = number(query, "filters.dseq")
    gseq, oseq, bseq = (number(query, f"filters.{name}") for name in ("gseq", "oseq", "bseq"))

    def accept(lease: Lease) -> bool:
        return (
            (not gseq or lease.gseq == gseq)
            and (not oseq or lease.oseq == oseq)
            and (not bseq or lease.bseq == bseq)
            and (not provider_filter or lease.provider == provider_filter)
        )

    rows = [row for row in _rows(request, LEASES, owner, dseq) if accept(row[1])]
    page, pagination = _page(request, rows, LEASE_STATES, state)
    return {"leases": [shapes.lease(entry, request.chain.denom) for entry in page], "pagination": pagination}


def lease_info(request: Request) -> Json:
    """``/akash/market/v1beta5/leases/info``."""
    query = request.query
    owner, provider_id = request.address("id.owner", "owner"), request.address("id.provider", "provider")
    if not owner or not provider_id:
        raise QueryError(INVALID_ARGUMENT, "invalid owner address")
    wanted = tuple(number(query, f"id.{name}") for name in ("dseq", "gseq", "oseq"))
    bseq = number(query, "id.bseq")
    for _key, lease in request.view.prefixed(LEASES, (owner, *wanted, provider_id)):
        if not bseq or lease.bseq == bseq:
            return shapes.lease(lease, request.chain.denom)
    raise QueryError(NOT_FOUND, "lease not found")


def provider_list(request: Request) -> Json:
    """``/akash/provider/v1beta4/providers``."""
    rows = list(request.view.items(PROVIDERS))
    page, pagination = cut(rows, ("",), lambda _record: "", page_request(request.query), request.null_key)
    return {"providers": [shapes.provider(entry) for entry in page], "pagination": pagination}


def provider_info(request: Request) -> Json:
    """``/akash/provider/v1beta4/providers/{owner}``."""
    (owner,) = request.path
    if not is_address(owner, request.chain.prefix):
        raise QueryError(INVALID_ARGUMENT, "invalid address")
    found = provider.get(request.view, owner)
    if found is None:
        raise QueryError(NOT_FOUND, "invalid provider: address not found")
    return {"provider": shapes.provider(found)}


def signed_attributes(request: Request) -> Json:
    """``/akash/audit/v1/audit/attributes/{auditor}/{owner}``."""
    auditor, owner = request.path
    for address in request.path:
        if not is_address(address, request.chain.prefix):
            raise QueryError(INVALID_ARGUMENT, "invalid address")
    found = audit.entry(request.view, owner, auditor)
    if found is None:
        raise QueryError(NOT_FOUND, "invalid provider: address not found")
    return {"providers": [shapes.signed_attributes(found)], "pagination": None}


def discovery(request: Request) -> Json:
    """``/akash/discovery/v1/info``: the API versions of the node."""
    modules = [{"module": name, "version": version} for name, version in sorted(MODULES.items())]
    return {
        "info": {
            "client_info": {"api_version": API_VERSIONS[-1]},
            "supported_versions": [
                {"api_version": version, "modules": modules, "features": []} for version in API_VERSIONS
            ],
            "chain_id": request.chain.chain_id,
            "node_version": "v2.1.0",
            "min_client_version": "",
        }
    }
