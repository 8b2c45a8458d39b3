# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign transactions by hand, right or wrong, for tests.

What cosmpy signs is always well formed; a test of a verifier needs to get every part
wrong on purpose as well.
"""

from __future__ import annotations

from typing import Any

from cosmpy.protos.cosmos.base.v1beta1.coin_pb2 import Coin
from cosmpy.protos.cosmos.crypto.secp256k1.keys_pb2 import PubKey
from cosmpy.protos.cosmos.tx.signing.v1beta1.signing_pb2 import SIGN_MODE_DIRECT
from cosmpy.protos.cosmos.tx.v1beta1.tx_pb2 import AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw
from google.protobuf.any_pb2 import Any as Packed

from .chain import Chain
from .modules import bank


def pack(message: Any) -> Packed:
    """A message as ``Any``; one that is packed already stays as it is."""
    if isinstance(message, Packed):
        return message
    return Packed(type_url=f"/{message.DESCRIPTOR.full_name}", value=message.SerializeToString())


def sign(
    chain: Chain,
    wallets: Any,
    *messages: Any,
    gas: int = 400_000,
    fee: int | None = None,
    fee_denom: str | None = None,
    payer: str = "",
    memo: str = "",
    timeout_height: int = 0,
    sequence: int | None = None,
    account_number: int | None = None,
    chain_id: str | None = None,
    mode: int = SIGN_MODE_DIRECT,
) -> bytes:
    """The bytes of a transaction signed by a cosmpy wallet or a list of them, first signer first.

    What is not given is what the chain expects. Sequences are those of the newest
    block: sign again after a block.
    """
    signers: list[Any] = list(wallets) if isinstance(wallets, (list, tuple)) else [wallets]
    view = chain.view()
    accounts = [bank.account(view, str(wallet.address())) for wallet in signers]
    amount = int(chain.min_gas_price * gas) + 1 if fee is None else fee
    coins = [Coin(denom=fee_denom or chain.denom, amount=str(amount))] if amount else []
    body = TxBody(messages=[pack(message) for message in messages], memo=memo, timeout_height=timeout_height)
    infos = []
    for wallet, account in zip(signers, accounts, strict=True):
        key = PubKey(key=wallet.public_key().public_key_bytes)
        number = account.sequence if account else 0
        infos.append(
            SignerInfo(
                public_key=pack(key),
                mode_info=ModeInfo(single=ModeInfo.Single(mode=mode)),
                sequence=number if sequence is None else sequence,
            )
        )
    auth_info = AuthInfo(signer_infos=infos, fee=Fee(amount=coins, gas_limit=gas, payer=payer))
    raw = TxRaw(body_bytes=body.SerializeToString(), auth_info_bytes=auth_info.SerializeToString())
    for wallet, account in zip(signers, accounts, strict=True):
        number = account.number if account else 0
        document = SignDoc(
            body_bytes=raw.body_bytes,
            auth_info_bytes=raw.auth_info_bytes,
            chain_id=chain.chain_id if chain_id is None else chain_id,
            account_number=number if account_number is None else account_number,
        )
        raw.signatures.append(wallet.signer().sign(document.SerializeToString(), canonicalise=True))
    signed: bytes = raw.SerializeToString()
    return signed
