# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the development chain's tests."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from devchain.chain import Chain
from devchain.operations import Operations
from devchain.pytest_plugin import Devchain, devchain, pytest_configure

__all__ = ["chain", "devchain", "get", "operations", "pytest_configure", "wallet"]


class Answer:
    """An HTTP answer: status, headers, JSON body."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def height(self) -> int:
        return int(self.headers["Grpc-Metadata-X-Cosmos-Block-Height"])


@pytest.fixture
def get(devchain: Devchain) -> Callable[..., Answer]:
    """Ask the chain: ``get(path, {"filters.owner": …}, height=5, url=…)``."""

    def ask(
        path: str,
        query: dict[str, Any] | None = None,
        *,
        height: object = None,
        url: str | None = None,
        body: Any = None,
    ) -> Answer:
        encoded = f"?{urllib.parse.urlencode(query)}" if query else ""
        request = urllib.request.Request(
            f"{url or devchain.url}{path}{encoded}", data=None if body is None else json.dumps(body).encode()
        )
        if height is not None:
            request.add_header("x-cosmos-block-height", str(height))
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    return ask


@pytest.fixture
def chain() -> Chain:
    """The state machine alone; blocks by hand."""
    return Chain()


@pytest.fixture
def operations(chain: Chain) -> Operations:
    """The operator's acts on ``chain``."""
    return Operations(chain)


@pytest.fixture
def wallet(operations: Operations) -> Callable[..., Any]:
    """Make wallets with coins on ``chain``."""
    from cosmpy.aerial.wallet import LocalWallet

    def make(amount: int = 10_000_000) -> Any:
        made = LocalWallet.generate(prefix="akash")
        if amount:
            operations.fund(str(made.address()), amount)
        return made

    return make
