# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the chain checks before it runs a transaction, and what a failed one leaves."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from cosmpy.protos.cosmos.tx.v1beta1.tx_pb2 import AuthInfo, TxBody, TxRaw
from devchain import messages
from devchain.blocks import TxResult
from devchain.chain import Chain
from devchain.errors import QueryError
from devchain.modules import audit, bank
from devchain.operations import Operations
from devchain.signing import pack, sign
from google.protobuf.any_pb2 import Any as Packed

MakeWallet = Callable[..., Any]
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def attributes(wallet: Any, key: str = "avpn/network/n", value: str = "{}") -> Any:
    address = str(wallet.address())
    return messages.new(
        messages.SIGN_ATTRIBUTES, owner=address, auditor=address, attributes=[{"key": key, "value": value}]
    )


def send(sender: Any, receiver: str, amount: int = 5) -> Any:
    return messages.new(
        messages.SEND,
        from_address=str(sender.address()),
        to_address=receiver,
        amount=[{"denom": "uakt", "amount": str(amount)}],
    )


def deliver(chain: Chain, raw: bytes) -> TxResult:
    """A block with one transaction."""
    chain.begin_block()
    result = chain.deliver_tx(raw)
    chain.end_block()
    return result


def test_a_good_transaction_pays_counts_and_writes(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet(1_000_000)
    address = str(tenant.address())
    checked = chain.check_tx(sign(chain, tenant, attributes(tenant), fee=2_000))
    assert (checked.code, checked.height, chain.pending) == (0, 0, 1)
    assert audit.entry(chain.view(), address, address) is None
    block = chain.block()
    result = chain.result(checked.hash)
    assert (result.code, result.height, chain.pending) == (0, block.height, 0)
    assert bank.balance(chain.view(), address) == 1_000_000 - 2_000
    account = bank.account(chain.view(), address)
    assert account is not None and account.sequence == 1
    assert bytes.fromhex(account.public_key) == tenant.public_key().public_key_bytes
    entry = audit.entry(chain.view(), address, address)
    assert entry is not None and entry.attributes == (("avpn/network/n", "{}"),)


@pytest.mark.parametrize(
    ("wrong", "code", "log"),
    [
        ({"sequence": 3}, 32, "account sequence mismatch, expected 0, got 3: incorrect account sequence"),
        ({"chain_id": "akashnet-2"}, 4, "please verify account number"),
        ({"account_number": 77}, 4, "please verify account number"),
        ({"fee": 999}, 13, "insufficient fees; got: 999uakt required: 1000uakt: insufficient fee"),
        ({"fee": 0}, 13, "insufficient fees"),
        ({"fee_denom": "uatom"}, 13, "insufficient fees"),
        ({"fee": 2_000_000}, 5, "spendable balance 1000000uakt is smaller than 2000000uakt: insufficient funds"),
        ({"gas": 10}, 11, "out of gas"),
        ({"memo": "m" * 257}, 12, "maximum number of characters is 256 but received 257 characters"),
        ({"timeout_height": 1}, 30, "timeout height: 1: tx timeout height"),
        ({"mode": 127}, 4, "only SIGN_MODE_DIRECT"),
    ],
)
def test_refused_by_check_tx_and_by_deliver_tx(
    chain: Chain, wallet: MakeWallet, wrong: dict[str, Any], code: int, log: str
) -> None:
    tenant = wallet(1_000_000)
    address = str(tenant.address())
    raw = sign(chain, tenant, attributes(tenant), **wrong)
    checked = chain.check_tx(raw)
    assert checked.code == code and log in checked.log and chain.pending == 0
    delivered = deliver(chain, raw)
    assert (delivered.code, delivered.codespace) == (code, "sdk")
    account = bank.account(chain.view(), address)
    assert account is not None and account.sequence == 0
    assert bank.balance(chain.view(), address) == 1_000_000


def test_signature_must_be_the_signers(chain: Chain, wallet: MakeWallet) -> None:
    tenant, other = wallet(), wallet()
    by_other = chain.check_tx(sign(chain, other, attributes(tenant)))
    assert by_other.code == 8 and "pubKey does not match signer address" in by_other.log


def altered(raw: bytes, **changes: Any) -> bytes:
    envelope = TxRaw.FromString(raw)
    for name, value in changes.items():
        if name == "signatures":
            del envelope.signatures[:]
            envelope.signatures.extend(value)
        else:
            setattr(envelope, name, value)
    changed: bytes = envelope.SerializeToString()
    return changed


def test_every_signed_byte_counts(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    raw = sign(chain, tenant, attributes(tenant))
    body = TxBody.FromString(TxRaw.FromString(raw).body_bytes)
    body.memo = "altered"
    assert chain.check_tx(altered(raw, body_bytes=body.SerializeToString())).code == 4


def test_high_s_and_odd_lengths_are_refused(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    raw = sign(chain, tenant, attributes(tenant))
    (signature,) = TxRaw.FromString(raw).signatures
    high = _ORDER - int.from_bytes(signature[32:], "big")
    assert chain.check_tx(altered(raw, signatures=[signature[:32] + high.to_bytes(32, "big")])).code == 4
    assert chain.check_tx(altered(raw, signatures=[signature + b"\0"])).code == 4
    assert chain.check_tx(altered(raw, signatures=[bytes(64)])).code == 4
    assert chain.check_tx(altered(raw, signatures=[])).code == 15
    assert chain.check_tx(altered(raw, signatures=[signature, signature])).code == 4
    assert chain.check_tx(raw).code == 0


def test_every_signature_needs_its_signer_info(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    raw = sign(chain, tenant, attributes(tenant))
    auth_info = AuthInfo.FromString(TxRaw.FromString(raw).auth_info_bytes)
    del auth_info.signer_infos[:]
    refused = chain.check_tx(altered(raw, auth_info_bytes=auth_info.SerializeToString()))
    assert refused.code == 4 and "wrong number of signers" in refused.log


def test_unknown_account_and_foreign_prefix(chain: Chain, wallet: MakeWallet) -> None:
    poor = wallet(0)
    assert chain.check_tx(sign(chain, poor, attributes(poor))).code == 9
    foreign = messages.new(messages.SIGN_ATTRIBUTES, owner="cosmos1xyz", auditor=str(poor.address()))
    assert chain.check_tx(sign(chain, poor, foreign)).code == 7


@pytest.mark.parametrize("raw", [b"", b"\xff\xff", b"not a transaction"])
def test_garbage_is_refused(chain: Chain, raw: bytes) -> None:
    assert chain.check_tx(raw).code in (2, 18)


def test_unknown_messages_and_fields_are_refused(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    unknown = Packed(type_url="/akash.market.v1beta5.MsgCreateBid", value=b"")
    refused = chain.check_tx(sign(chain, tenant, unknown))
    assert refused.code == 2 and "unable to resolve type URL" in refused.log
    more = pack(attributes(tenant))
    more.value += b"\x4a\x01x"
    refused = chain.check_tx(sign(chain, tenant, more))
    assert refused.code == 2 and "TagNum: 9" in refused.log
    assert chain.check_tx(sign(chain, tenant)).log == "must contain at least one message: invalid request"
    assert chain.check_tx(sign(chain, tenant, attributes(tenant), memo="x" * 2_000_000)).code == 21


def test_same_transaction_twice(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    raw = sign(chain, tenant, attributes(tenant))
    assert chain.check_tx(raw).code == 0
    assert chain.check_tx(raw).code == 19
    chain.block()
    assert chain.check_tx(raw).code == 19
    assert deliver(chain, raw).code == 32


def test_pending_transactions_raise_the_expected_sequence(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    first = sign(chain, tenant, attributes(tenant, "a"))
    second = sign(chain, tenant, attributes(tenant, "b"), sequence=1)
    assert chain.check_tx(second).code == 32
    assert [chain.check_tx(raw).code for raw in (first, second)] == [0, 0]
    block = chain.block()
    assert block.txs == (first, second)
    entry = audit.entry(chain.view(), str(tenant.address()), str(tenant.address()))
    assert entry is not None and [key for key, _unused in entry.attributes] == ["a", "b"]


def test_messages_succeed_or_fail_together(chain: Chain, wallet: MakeWallet) -> None:
    tenant, address = wallet(1_000_000), "akash1" + "q" * 32
    address = str(wallet(0).address())
    me = str(tenant.address())
    missing = messages.new(messages.DELETE_ATTRIBUTES, owner=me, auditor=me, keys=["nope"])
    raw = sign(chain, tenant, send(tenant, address), attributes(tenant), missing, fee=2_000)
    assert chain.check_tx(raw).code == 0
    chain.block()
    (result,) = chain.transactions()
    assert (result.codespace, result.code) == ("audit", 3)
    assert result.log == (
        'failed to execute message; message index: 2: trying to delete non-existing attribute "nope" '
        f'for auditor/provider "{me}/{me}": attribute not found'
    )
    assert audit.entry(chain.view(), me, me) is None
    assert bank.account(chain.view(), address) is None
    assert bank.balance(chain.view(), me) == 1_000_000 - 2_000
    account = bank.account(chain.view(), me)
    assert account is not None and account.sequence == 1


def test_out_of_gas_in_a_message_costs_the_fee(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet(1_000_000)
    raw = sign(chain, tenant, attributes(tenant, value="x" * 5_000), gas=150_000, fee=1_000)
    assert chain.check_tx(raw).code == 0
    chain.block()
    (result,) = chain.transactions()
    assert result.code == 11 and "gasWanted: 150000, gasUsed: " in result.log
    assert bank.balance(chain.view(), str(tenant.address())) == 999_000


def test_all_signers_of_all_messages_must_sign(chain: Chain, wallet: MakeWallet) -> None:
    one, two = wallet(), wallet()
    both = (attributes(one), attributes(two))
    alone = chain.check_tx(sign(chain, one, *both))
    assert alone.code == 4 and "wrong number of signers; expected 2, got 1" in alone.log
    assert chain.check_tx(sign(chain, [two, one], *both)).code == 8
    assert chain.check_tx(sign(chain, [one, two], *both)).code == 0
    chain.block()
    for each in (one, two):
        account = bank.account(chain.view(), str(each.address()))
        assert account is not None and account.sequence == 1


def test_a_named_fee_payer_must_sign_and_pays(chain: Chain, wallet: MakeWallet) -> None:
    tenant, payer = wallet(1_000), wallet(1_000_000)
    name = str(payer.address())
    assert chain.check_tx(sign(chain, tenant, attributes(tenant), payer=name)).code == 4
    assert chain.check_tx(sign(chain, [tenant, payer], attributes(tenant), payer=name, fee=2_000)).code == 0
    chain.block()
    assert bank.balance(chain.view(), name) == 998_000
    assert bank.balance(chain.view(), str(tenant.address())) == 1_000


def test_time_out_height_is_inclusive(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    next_height = chain.height + 1
    assert chain.check_tx(sign(chain, tenant, attributes(tenant), timeout_height=next_height)).code == 0


def test_simulation_says_the_gas_that_is_then_used(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    raw = sign(chain, tenant, attributes(tenant))
    simulated = chain.simulate(raw)
    assert deliver(chain, raw).gas_used == simulated.gas_used
    me = str(tenant.address())
    missing = messages.new(messages.DELETE_ATTRIBUTES, owner=me, auditor=me, keys=["nope"])
    with pytest.raises(QueryError, match="attribute not found"):
        chain.simulate(sign(chain, tenant, missing))
    with pytest.raises(QueryError, match="account sequence mismatch"):
        chain.simulate(raw)
    entry = audit.entry(chain.view(), me, me)
    assert entry is not None and len(entry.attributes) == 1


def test_prices_and_names_of_the_chain_are_parameters(wallet: MakeWallet) -> None:
    other = Chain("other-1", min_gas_price=Decimal(1), denom="uother", prefix="other")
    from cosmpy.aerial.wallet import LocalWallet

    tenant = LocalWallet.generate(prefix="other")
    Operations(other).fund(str(tenant.address()))
    assert other.check_tx(sign(other, tenant, attributes(tenant), fee=399_999)).code == 13
    assert other.check_tx(sign(other, tenant, attributes(tenant), fee=400_000)).code == 0
