# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pytest fixture: a development chain of its own for every test.

Use it from a conftest with ``from devchain.pytest_plugin import devchain, pytest_configure``
(tests/lab is on the path; the second registers the marker). By default every accepted
transaction makes a block at once and nothing else does, so heights are predictable.
Otherwise mark the test::

    @pytest.mark.devchain(block_time=0.05)      # a timer
    @pytest.mark.devchain(block_time=None)      # by hand: devchain.block()
    @pytest.mark.devchain(chain_id="other-1", keep=50)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .blocks import Block
from .chain import Chain
from .faults import Faults
from .operations import Operations
from .routes import query
from .server import Endpoint, Served, serve


class Devchain:
    """A running chain: ``url`` for readers and cosmpy, ``admin`` for the operator's acts.

    ``chain`` is the state machine itself, ``faults`` are those of the first endpoint,
    ``admin_url`` is the admin interface over HTTP (for ``devchain.ctl``).
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self.chain = served.chain
        self.admin = Operations(served.chain)

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port`` of the first endpoint."""
        return self._served.url

    @property
    def cosmpy_url(self) -> str:
        """The same for cosmpy's ``NetworkConfig``."""
        return f"rest+{self.url}"

    @property
    def admin_url(self) -> str:
        """URL of the admin interface."""
        return self._served.admin_url

    @property
    def chain_id(self) -> str:
        """The chain id."""
        return self.chain.chain_id

    @property
    def height(self) -> int:
        """Height of the newest block."""
        return self.chain.height

    @property
    def faults(self) -> Faults:
        """What the first endpoint does wrong: ``faults.add("unavailable", count=2)``."""
        return self._served.endpoints[0].faults

    @property
    def endpoints(self) -> list[Endpoint]:
        """All endpoints of the chain, each with ``url`` and ``faults``."""
        return self._served.endpoints

    def add_endpoint(self) -> Endpoint:
        """One more endpoint for the same chain, with its own faults."""
        return self._served.add_endpoint()

    def fund(self, address: object, amount: int = 100_000_000) -> None:
        """Give an account coins (in a block of its own)."""
        self.admin.fund(str(address), amount)

    def block(self, count: int = 1) -> Block:
        """Make blocks now; says the newest."""
        self.chain.advance(count)
        return self.chain.block_at()

    def wallet(self, amount: int = 100_000_000) -> Any:
        """A new cosmpy ``LocalWallet`` with coins."""
        from cosmpy.aerial.wallet import LocalWallet

        wallet = LocalWallet.generate(prefix=self.chain.prefix)
        self.fund(wallet.address(), amount)
        return wallet

    def ledger(self) -> Any:
        """A cosmpy ``LedgerClient`` for this chain."""
        from cosmpy.aerial.client import LedgerClient
        from cosmpy.aerial.config import NetworkConfig

        denom = self.chain.denom
        price = float(self.chain.min_gas_price)
        return LedgerClient(NetworkConfig(self.chain_id, price, denom, denom, self.cosmpy_url))

    def query(self, path: str, parameters: dict[str, str] | None = None, height: int | None = None) -> Any:
        """What a healthy endpoint answers, without HTTP; raises ``QueryError``."""
        return query(self.chain, path, parameters, height)

    def broadcast(self, tx_bytes: bytes) -> Any:
        """CheckTx of raw bytes, without HTTP."""
        return self.chain.check_tx(tx_bytes)


def start(block_time: float | str | None = "on_tx", **options: Any) -> Devchain:
    """Start a chain outside of pytest; ``stop`` it afterwards. ``options`` are Chain's."""
    chain = Chain(block_on_tx=block_time == "on_tx", **options)
    timer = block_time if isinstance(block_time, (int, float)) else None
    return Devchain(serve(chain, block_time=timer, admin=("127.0.0.1", 0)))


def stop(running: Devchain) -> None:
    """Stop what ``start`` started."""
    running._served.close()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "devchain(block_time, **options): how the fixture's chain runs")


@pytest.fixture
def devchain(request: pytest.FixtureRequest) -> Iterator[Devchain]:
    """A running chain of the test's own."""
    marker = request.node.get_closest_marker("devchain")
    running = start(**(marker.kwargs if marker else {}))
    yield running
    stop(running)
