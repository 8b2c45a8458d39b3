# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transactions: decoding, and the checks a node makes before it runs the messages.

Sources: cosmos-sdk ``x/auth/ante`` (order and wording of the checks), ``x/auth/tx``
(decoding, signing bytes of SIGN_MODE_DIRECT).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from cosmpy.protos.cosmos.crypto.secp256k1.keys_pb2 import PubKey
from cosmpy.protos.cosmos.tx.signing.v1beta1.signing_pb2 import SIGN_MODE_DIRECT
from cosmpy.protos.cosmos.tx.v1beta1.tx_pb2 import AuthInfo, SignDoc, TxBody, TxRaw
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from .address import from_public_key
from .errors import (
    INSUFFICIENT_FEE,
    INVALID_COINS,
    INVALID_PUBKEY,
    INVALID_REQUEST,
    MEMO_TOO_LARGE,
    NO_SIGNATURES,
    OUT_OF_GAS,
    TX_DECODE,
    TX_TIMEOUT_HEIGHT,
    TX_TOO_LARGE,
    UNAUTHORIZED,
    UNKNOWN_ADDRESS,
    UNKNOWN_EXTENSION,
    WRONG_SEQUENCE,
    TxError,
)
from .messages import COMPLETE, message_class
from .modules import HANDLERS, Context, bank
from .records import ACCOUNTS, Account

MAX_TX_BYTES = 1_048_576
MAX_MEMO = 256
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

# What things cost. The numbers only have to be plausible and to grow with the size.
_GAS_BASE = 40_000
_GAS_PER_BYTE = 10
_GAS_PER_SIGNATURE = 1_000
_GAS_PER_MESSAGE = 20_000
_GAS_PER_MESSAGE_BYTE = 30


@dataclass(frozen=True)
class Rules:
    """The parameters a transaction is checked against."""

    chain_id: str
    min_gas_price: Decimal


@dataclass(frozen=True)
class Tx:
    """A decoded transaction; ``signers`` are unique and in the order they must sign."""

    raw: bytes
    hash: str
    body_bytes: bytes
    auth_info_bytes: bytes
    body: Any
    auth_info: Any
    signatures: tuple[bytes, ...]
    messages: tuple[Any, ...]
    signers: tuple[str, ...]

    @property
    def gas_wanted(self) -> int:
        """The gas limit of the transaction."""
        return int(self.auth_info.fee.gas_limit)

    @property
    def fee_payer(self) -> str:
        """Who pays: the named payer, or the first signer."""
        return str(self.auth_info.fee.payer or self.signers[0])

    @property
    def gas_before_messages(self) -> int:
        """Gas the checks use."""
        return _GAS_BASE + _GAS_PER_BYTE * len(self.raw) + _GAS_PER_SIGNATURE * len(self.signatures)

    def gas_of_message(self, index: int) -> int:
        """Gas one message uses."""
        return _GAS_PER_MESSAGE + _GAS_PER_MESSAGE_BYTE * len(self.body.messages[index].value)


def hash_of(raw: bytes) -> str:
    """The hash a transaction is known by: SHA-256 of its bytes, upper-case hex."""
    return hashlib.sha256(raw).hexdigest().upper()


def _parse(kind: type[Any], data: bytes, what: str) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise TxError(TX_DECODE, f"{what}: {error}") from error


def _refuse_unknown(message: Any, name: str) -> None:
    unknown = UnknownFieldSet(message)
    if len(unknown):
        raise TxError(TX_DECODE, f'errUnknownField "/{name}": {{TagNum: {unknown[0].field_number}}}')


def _decode_message(packed: Any) -> Any:
    name = packed.type_url.removeprefix("/")
    if not packed.type_url.startswith("/") or name not in HANDLERS:
        raise TxError(TX_DECODE, f"unable to resolve type URL {packed.type_url}")
    message = _parse(message_class(name), packed.value, packed.type_url)
    if name in COMPLETE:
        _refuse_unknown(message, name)
    return message


def decode(raw: bytes) -> Tx:
    """Decode the bytes of a transaction, or raise ``TxError`` (sdk 2 and others)."""
    if len(raw) > MAX_TX_BYTES:
        raise TxError(TX_TOO_LARGE, f"{len(raw)} bytes")
    envelope = _parse(TxRaw, raw, "TxRaw")
    _refuse_unknown(envelope, "cosmos.tx.v1beta1.TxRaw")
    body = _parse(TxBody, envelope.body_bytes, "TxBody")
    auth_info = _parse(AuthInfo, envelope.auth_info_bytes, "AuthInfo")
    _refuse_unknown(auth_info, "cosmos.tx.v1beta1.AuthInfo")
    if not body.messages:
        raise TxError(INVALID_REQUEST, "must contain at least one message")
    messages = tuple(_decode_message(packed) for packed in body.messages)
    signers = [HANDLERS[message.DESCRIPTOR.full_name].signer(message) for message in messages]
    if auth_info.fee.payer:
        signers.append(auth_info.fee.payer)
    return Tx(
        raw=raw,
        hash=hash_of(raw),
        body_bytes=envelope.body_bytes,
        auth_info_bytes=envelope.auth_info_bytes,
        body=body,
        auth_info=auth_info,
        signatures=tuple(envelope.signatures),
        messages=messages,
        signers=tuple(dict.fromkeys(signers)),
    )


def check_messages(ctx: Context, tx: Tx) -> None:
    """The stateless checks of every message."""
    for message in tx.messages:
        HANDLERS[message.DESCRIPTOR.full_name].check(ctx, message)


def admit(ctx: Context, tx: Tx, rules: Rules, *, simulate: bool = False) -> None:
    """The ante handler: check everything, take the fee, raise the sequences.

    Raises ``TxError`` and then ``ctx.state`` must be thrown away. A simulation has no
    fee, and its signatures are not verified; its sequence is.
    """
    _check_body(ctx, tx)
    check_messages(ctx, tx)
    if not simulate:
        _check_gas(tx)
        _pay(ctx, tx, rules)
    _check_signers(ctx, tx, rules, simulate=simulate)


def _check_body(ctx: Context, tx: Tx) -> None:
    if tx.body.extension_options or tx.body.unordered:
        raise TxError(UNKNOWN_EXTENSION)
    timeout = tx.body.timeout_height
    if timeout and ctx.height > timeout:
        raise TxError(TX_TIMEOUT_HEIGHT, f"block height: {ctx.height}, timeout height: {timeout}")
    if len(tx.body.memo) > MAX_MEMO:
        raise TxError(
            MEMO_TOO_LARGE, f"maximum number of characters is {MAX_MEMO} but received {len(tx.body.memo)} characters"
        )
    if not tx.signatures:
        raise TxError(NO_SIGNATURES)
    if len(tx.signatures) != len(tx.signers) or len(tx.auth_info.signer_infos) != len(tx.signers):
        raise TxError(UNAUTHORIZED, f"wrong number of signers; expected {len(tx.signers)}, got {len(tx.signatures)}")


def out_of_gas(where: str, wanted: int, used: int) -> TxError:
    """The error of a transaction that ran out of gas."""
    return TxError(OUT_OF_GAS, f"out of gas in location: {where}; gasWanted: {wanted}, gasUsed: {used}")


def _check_gas(tx: Tx) -> None:
    if tx.gas_wanted < tx.gas_before_messages:
        raise out_of_gas("txSize", tx.gas_wanted, tx.gas_before_messages)


def _pay(ctx: Context, tx: Tx, rules: Rules) -> None:
    fee = tx.auth_info.fee
    if fee.granter:
        raise TxError(UNAUTHORIZED, "fee grants are not enabled")
    required = int((rules.min_gas_price * tx.gas_wanted).to_integral_value(ROUND_CEILING))
    try:
        offered = bank.amount_of(fee.amount, ctx.denom)
    except TxError as error:
        if error.kind is not INVALID_COINS:
            raise
        offered = 0
    if offered < required:
        got = ",".join(f"{coin.amount}{coin.denom}" for coin in fee.amount)
        raise TxError(INSUFFICIENT_FEE, f"insufficient fees; got: {got} required: {required}{ctx.denom}")
    if bank.account(ctx.state, tx.fee_payer) is None:
        raise TxError(UNKNOWN_ADDRESS, f"fee payer address: {tx.fee_payer} does not exist")
    bank.take(ctx.state, tx.fee_payer, offered, ctx.denom)


def _check_signers(ctx: Context, tx: Tx, rules: Rules, *, simulate: bool) -> None:
    for index, address in enumerate(tx.signers):
        account = bank.account(ctx.state, address)
        if account is None:
            raise TxError(UNKNOWN_ADDRESS, f"account {address} does not exist")
        info = tx.auth_info.signer_infos[index]
        key = _public_key(info, account, index, ctx.prefix)
        if info.mode_info.single.mode != SIGN_MODE_DIRECT:
            raise TxError(UNAUTHORIZED, "only SIGN_MODE_DIRECT signatures are supported")
        if info.sequence != account.sequence:
            raise TxError(
                WRONG_SEQUENCE, f"account sequence mismatch, expected {account.sequence}, got {info.sequence}"
            )
        if not simulate and not _verify(tx, index, key, account, rules):
            raise TxError(
                UNAUTHORIZED,
                "signature verification failed; please verify account number "
                f"({account.number}), sequence ({account.sequence}) and chain-id ({rules.chain_id}): "
                "(unable to verify single signer signature)",
            )
        raised = Account(address, account.number, account.sequence + 1, key.hex())
        ctx.state.set(ACCOUNTS, (address,), raised)


def _public_key(info: Any, account: Account, index: int, prefix: str) -> bytes:
    if not info.HasField("public_key"):
        if not account.public_key:
            raise TxError(INVALID_PUBKEY, "public key is not set for the account")
        return bytes.fromhex(account.public_key)
    if info.public_key.type_url != "/cosmos.crypto.secp256k1.PubKey":
        raise TxError(INVALID_PUBKEY, f"key type {info.public_key.type_url} is not supported")
    key: bytes = _parse(PubKey, info.public_key.value, "PubKey").key
    if from_public_key(key, prefix) != account.address:
        raise TxError(
            INVALID_PUBKEY, f"pubKey does not match signer address {account.address} with signer index: {index}"
        )
    return key


def _verify(tx: Tx, index: int, key: bytes, account: Account, rules: Rules) -> bool:
    signature = tx.signatures[index]
    if len(signature) != 64:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if s > _ORDER // 2:
        return False
    document = SignDoc(
        body_bytes=tx.body_bytes,
        auth_info_bytes=tx.auth_info_bytes,
        chain_id=rules.chain_id,
        account_number=account.number,
    ).SerializeToString()
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), key)
        public.verify(encode_dss_signature(r, s), document, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
