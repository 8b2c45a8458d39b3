# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""cosmpy's own client, unchanged, over REST: build, simulate, sign, broadcast, follow."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import devchain as package
import pytest
from cosmpy.aerial.client.utils import prepare_and_broadcast_basic_transaction
from cosmpy.aerial.exceptions import BroadcastError, InsufficientFeesError, NotFoundError
from cosmpy.aerial.tx import SigningCfg, Transaction, TxFee
from devchain import messages
from devchain.modules import audit, bank
from devchain.pytest_plugin import Devchain

LAB = Path(package.__file__).resolve().parent.parent


def test_send_with_simulated_gas(devchain: Devchain) -> None:
    sender, receiver = devchain.wallet(1_000_000), devchain.wallet(1)
    client = devchain.ledger()
    sent = client.send_tokens(receiver.address(), 7, "uakt", sender).wait_to_complete()
    assert sent.response.height == devchain.height
    assert sent.response.events["transfer"]["amount"] == "7uakt"
    assert client.query_bank_balance(receiver.address(), "uakt") == 8
    assert client.query_account(sender.address()).sequence == 1
    block = client.query_block(sent.response.height)
    assert block.tx_hashes == [sent.tx_hash]
    assert (client.query_height(), client.query_chain_id()) == (devchain.height, "avpn-lab-1")
    assert client.query_latest_block().height == devchain.height


@pytest.mark.devchain(block_time=0.05)
def test_with_a_block_timer(devchain: Devchain) -> None:
    sender, receiver = devchain.wallet(), devchain.wallet(1)
    client = devchain.ledger()
    sent = client.send_tokens(receiver.address(), 7, "uakt", sender)
    sent.wait_to_complete(timeout=10, poll_period=0.05)
    height = devchain.height
    assert devchain.chain.wait_for(height + 3, timeout=10) >= height + 3


@pytest.mark.devchain(block_time=None)
def test_by_hand(devchain: Devchain) -> None:
    sender, receiver = devchain.wallet(), devchain.wallet(1)
    client = devchain.ledger()
    sent = client.send_tokens(receiver.address(), 7, "uakt", sender)
    with pytest.raises(NotFoundError):
        client.query_tx(sent.tx_hash)
    devchain.block()
    assert client.query_tx(sent.tx_hash).height == devchain.height


def test_two_messages_of_two_signers(devchain: Devchain) -> None:
    """What several parties sign with cosmpy is what the chain verifies."""
    wallets = [devchain.wallet(), devchain.wallet()]
    client = devchain.ledger()
    tx = Transaction()
    for wallet in wallets:
        me = str(wallet.address())
        tx.add_message(
            messages.new(messages.SIGN_ATTRIBUTES, owner=me, auditor=me, attributes=[{"key": "k", "value": me}])
        )
    accounts = [client.query_account(wallet.address()) for wallet in wallets]
    tx.seal(
        [
            SigningCfg.direct(wallet.public_key(), account.sequence)
            for wallet, account in zip(wallets, accounts, strict=True)
        ],
        fee=TxFee("5000uakt", 400_000),
    )
    for wallet, account in zip(wallets, accounts, strict=True):
        tx.sign(wallet.signer(), devchain.chain_id, account.number)
    client.broadcast_tx(tx.complete())
    for wallet in wallets:
        me = str(wallet.address())
        entry = audit.entry(devchain.chain.view(), me, me)
        assert entry is not None and entry.attributes == (("k", me),)


def test_refusals_as_cosmpy_sees_them(devchain: Devchain) -> None:
    sender, receiver = devchain.wallet(10_000), devchain.wallet(1)
    client = devchain.ledger()
    with pytest.raises(InsufficientFeesError, match="1000uakt"):
        client.send_tokens(receiver.address(), 7, "uakt", sender, fee=TxFee("999uakt", 400_000))
    with pytest.raises(BroadcastError, match="insufficient funds"):
        client.send_tokens(receiver.address(), 7, "uakt", sender, fee=TxFee("20000uakt", 400_000))
    with pytest.raises(RuntimeError, match="smaller than 20000uakt"):
        client.send_tokens(receiver.address(), 20_000, "uakt", sender)
    sent = client.send_tokens(receiver.address(), 20_000, "uakt", sender, fee=TxFee("1000uakt", 400_000))
    with pytest.raises(BroadcastError, match="failed to execute message; message index: 0"):
        sent.wait_to_complete()
    assert bank.balance(devchain.chain.view(), str(sender.address())) == 9_000


def test_many_clients_at_once(devchain: Devchain) -> None:
    wallets = [devchain.wallet() for _unused in range(6)]
    target = wallets[0].address()
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            client = devchain.ledger()
            for _unused in range(3):
                client.send_tokens(target, 1, "uakt", wallets[index], fee=TxFee("1000uakt", 400_000))
        except (RuntimeError, BroadcastError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert bank.balance(devchain.chain.view(), str(target)) == 100_000_000 + 15


def test_an_akash_message_signed_without_simulation(devchain: Devchain) -> None:
    wallet = devchain.wallet()
    me = str(wallet.address())
    message = messages.new(messages.CREATE_PROVIDER, owner=me, host_uri="https://p.example")
    sent = prepare_and_broadcast_basic_transaction(
        devchain.ledger(), Transaction().add_message(message), wallet, fee=TxFee("1000uakt", 400_000)
    )
    assert devchain.chain.result(sent.tx_hash).code == 0


# cosmpy turns messages into JSON and back through the default descriptor pool of the
# process. A process of its own registers the messages there, so that no other test's
# registration is in the way.
_CLIENT = """
import sys
from google.protobuf import descriptor_pool, message_factory
from devchain import messages
from cosmpy.aerial.client import LedgerClient
from cosmpy.aerial.client.utils import prepare_and_broadcast_basic_transaction
from cosmpy.aerial.config import NetworkConfig
from cosmpy.aerial.tx import Transaction
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.keypairs import PrivateKey

url, key = sys.argv[1:]
pool = descriptor_pool.Default()
for package, imports, fields, enums in messages._FILES:
    pool.AddSerializedFile(messages._describe(package, imports, fields, enums).SerializeToString())

def new(name, **given):
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))(**given)

wallet = LocalWallet(PrivateKey(key), prefix="akash")
me = str(wallet.address())
client = LedgerClient(NetworkConfig("avpn-lab-1", 0.0025, "uakt", "uakt", url))
tx = Transaction()
tx.add_message(new(
    messages.CREATE_DEPLOYMENT,
    id={"owner": me, "dseq": 11},
    groups=[{"name": "g", "resources": [{"count": 2, "resource": {"memory": {"quantity": {"val": b"1234"}}}}]}],
    hash=bytes(32),
    deposit={"amount": {"denom": "uakt", "amount": "500"}, "sources": [1]},
))
tx.add_message(new(messages.SIGN_ATTRIBUTES, owner=me, auditor=me, attributes=[{"key": "k", "value": "v"}]))
sent = prepare_and_broadcast_basic_transaction(client, tx, wallet).wait_to_complete()
print(sent.response.code, sent.response.gas_wanted > sent.response.gas_used)
"""


def test_simulate_and_follow_akash_messages(devchain: Devchain) -> None:
    wallet = devchain.wallet()
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, devchain.cosmpy_url, wallet.signer().private_key],
        env={**os.environ, "PYTHONPATH": str(LAB)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "0 True", done.stderr
    me = str(wallet.address())
    entry = audit.entry(devchain.chain.view(), me, me)
    assert entry is not None and entry.attributes == (("k", "v"),)


def test_broadcast_does_not_wait_for_slow_readers(devchain: Devchain) -> None:
    """A slow answer holds up nobody else."""
    devchain.faults.add("slow", seconds=1.5, route="leases", count=1)
    thread = threading.Thread(
        target=lambda: urllib.request.urlopen(f"{devchain.url}/akash/market/v1beta5/leases/list").close()
    )
    thread.start()
    sender = devchain.wallet()
    devchain.ledger().send_tokens(sender.address(), 1, "uakt", sender, fee=TxFee("1000uakt", 400_000))
    assert thread.is_alive()
    thread.join()
