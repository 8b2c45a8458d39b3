# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""cosmpy's own client builds, simulates, broadcasts and follows a transaction."""

from __future__ import annotations

from cosmpy.aerial.client import LedgerClient
from cosmpy.aerial.config import NetworkConfig
from cosmpy.aerial.wallet import LocalWallet
from devchain.pytest_plugin import Devchain


def test_send_with_cosmpy(devchain: Devchain) -> None:
    sender, receiver = LocalWallet.generate(prefix="akash"), LocalWallet.generate(prefix="akash")
    devchain.fund(sender.address(), 1_000_000)
    client = LedgerClient(NetworkConfig(devchain.chain_id, 0.0025, "uakt", "uakt", devchain.cosmpy_url))
    sent = client.send_tokens(receiver.address(), 7, "uakt", sender).wait_to_complete()
    assert sent.response is not None and sent.response.height == devchain.height
    assert client.query_bank_balance(receiver.address(), "uakt") == 7
