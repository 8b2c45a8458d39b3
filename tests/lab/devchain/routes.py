# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which path is which query."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import akash_queries as akash
from . import cosmos_queries as cosmos
from .akash_queries import Request
from .chain import Chain
from .errors import UNIMPLEMENTED, QueryError
from .paging import Query
from .shapes import Json

_DEPLOYMENT = "/akash/deployment/v1beta4/deployments"
_MARKET = "/akash/market/v1beta5/leases"
_PROVIDER = "/akash/provider/v1beta4/providers"
_AUDIT = "/akash/audit/v1/audit/attributes"
_TENDERMINT = "/cosmos/base/tendermint/v1beta1"
_BANK = "/cosmos/bank/v1beta1"
_TX = "/cosmos/tx/v1beta1"
_PART = "([^/]+)"


@dataclass(frozen=True)
class Route:
    """A path pattern and the function that answers it."""

    pattern: re.Pattern[str]
    answer: Callable[[Request], Json]


def _get(path: str, answer: Callable[[Request], Json]) -> Route:
    return Route(re.compile(path), answer)


GET: tuple[Route, ...] = (
    _get(f"{_DEPLOYMENT}/list", akash.deployment_list),
    _get(f"{_DEPLOYMENT}/info", akash.deployment_info),
    _get(f"{_MARKET}/list", akash.lease_list),
    _get(f"{_MARKET}/info", akash.lease_info),
    _get(_PROVIDER, akash.provider_list),
    _get(f"{_PROVIDER}/{_PART}", akash.provider_info),
    _get(f"{_AUDIT}/{_PART}/{_PART}", akash.signed_attributes),
    _get("/akash/discovery/v1/info", akash.discovery),
    _get(f"/cosmos/auth/v1beta1/accounts/{_PART}", cosmos.account),
    _get(f"{_BANK}/balances/{_PART}", cosmos.balances),
    _get(f"{_BANK}/spendable_balances/{_PART}", cosmos.balances),
    _get(f"{_BANK}/balances/{_PART}/by_denom", cosmos.balance),
    _get("/cosmos/consensus/v1/params", cosmos.consensus_params),
    _get(f"{_TENDERMINT}/blocks/latest", cosmos.latest_block),
    _get(f"{_TENDERMINT}/blocks/{_PART}", cosmos.block_at),
    _get(f"{_TENDERMINT}/node_info", cosmos.node_info),
    _get(f"{_TENDERMINT}/syncing", cosmos.syncing),
    _get(f"{_TX}/txs/{_PART}", cosmos.transaction),
)

POST: dict[str, Callable[[Request, Json], Json]] = {
    f"{_TX}/txs": cosmos.broadcast,
    f"{_TX}/simulate": cosmos.simulate,
}


def find_get(path: str) -> tuple[Callable[[Request], Json], tuple[str, ...]]:
    """The query of a path and the parts of the path it takes."""
    for route in GET:
        match = route.pattern.fullmatch(path)
        if match is not None:
            return route.answer, match.groups()
    raise QueryError(UNIMPLEMENTED, "Not Implemented")


def query(chain: Chain, path: str, parameters: Query | None = None, height: int | None = None) -> Json:
    """Ask the chain without HTTP; ``QueryError`` where HTTP would answer an error."""
    answer, groups = find_get(path)
    with chain.lock:
        return answer(Request(chain, chain.view(height), groups, parameters or {}, chain.height))


def find_post(path: str) -> Callable[[Request, Json], Json]:
    """The action of a path."""
    found = POST.get(path)
    if found is None:
        raise QueryError(UNIMPLEMENTED, "Not Implemented")
    return found
