# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The queries of the Cosmos SDK that a client needs to build, send and follow transactions."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from cosmpy.protos.cosmos.tx.v1beta1.tx_pb2 import AuthInfo, TxBody, TxRaw
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from .address import encode, is_address
from .akash_queries import Request
from .blocks import PROPOSER, Block, TxResult
from .errors import INVALID_ARGUMENT, NOT_FOUND, QueryError
from .messages import POOL, message_class
from .modules import bank
from .shapes import Json, message_json

_SDK_VERSION = "v0.53.4"


def _account_address(request: Request) -> str:
    address = request.path[0]
    if not is_address(address, request.chain.prefix):
        raise QueryError(INVALID_ARGUMENT, f"decoding bech32 failed: invalid address {address}")
    return address


def account(request: Request) -> Json:
    """``/cosmos/auth/v1beta1/accounts/{address}``."""
    address = _account_address(request)
    found = bank.account(request.view, address)
    if found is None:
        raise QueryError(NOT_FOUND, f"account {address} not found")
    key = None
    if found.public_key:
        encoded = base64.b64encode(bytes.fromhex(found.public_key)).decode()
        key = {"@type": "/cosmos.crypto.secp256k1.PubKey", "key": encoded}
    return {
        "account": {
            "@type": "/cosmos.auth.v1beta1.BaseAccount",
            "address": address,
            "pub_key": key,
            "account_number": str(found.number),
            "sequence": str(found.sequence),
        }
    }


def _coin(request: Request, amount: int) -> Json:
    return {"denom": request.chain.denom, "amount": str(amount)}


def balances(request: Request) -> Json:
    """``/cosmos/bank/v1beta1/balances/{address}`` and ``spendable_balances``."""
    amount = bank.balance(request.view, _account_address(request))
    coins = [_coin(request, amount)] if amount else []
    return {"balances": coins, "pagination": {"next_key": None, "total": str(len(coins))}}


def balance(request: Request) -> Json:
    """``/cosmos/bank/v1beta1/balances/{address}/by_denom``."""
    denom = request.query.get("denom", "")
    if not denom:
        raise QueryError(INVALID_ARGUMENT, "empty denom")
    amount = bank.balance(request.view, _account_address(request))
    return {"balance": {"denom": denom, "amount": str(amount if denom == request.chain.denom else 0)}}


def consensus_params(request: Request) -> Json:
    """``/cosmos/consensus/v1/params``: no limit on gas, as cosmpy asks for it."""
    return {
        "params": {
            "block": {"max_bytes": "22020096", "max_gas": "-1"},
            "evidence": {"max_age_num_blocks": "100000", "max_age_duration": "172800s", "max_bytes": "1048576"},
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": "1"},
            "abci": {"vote_extensions_enable_height": "0"},
        }
    }


def block_json(prefix: str, block: Block) -> Json:
    """A block as the node answers it."""
    return block.as_json(encode(PROPOSER, f"{prefix}valcons"))


def latest_block(request: Request) -> Json:
    """``/cosmos/base/tendermint/v1beta1/blocks/latest``; older only where an endpoint is stale."""
    return block_json(request.chain.prefix, request.chain.block_at(request.newest))


def block_at(request: Request) -> Json:
    """``/cosmos/base/tendermint/v1beta1/blocks/{height}``."""
    text = request.path[0]
    if not (text.isascii() and text.isdigit()):
        raise QueryError(
            INVALID_ARGUMENT,
            f'type mismatch, parameter: height, error: strconv.ParseInt: parsing "{text}": invalid syntax',
        )
    return block_json(request.chain.prefix, request.chain.block_at(int(text)))


def node_info(request: Request) -> Json:
    """``/cosmos/base/tendermint/v1beta1/node_info``."""
    return {
        "default_node_info": {
            "protocol_version": {"p2p": "8", "block": "11", "app": "0"},
            "default_node_id": PROPOSER.hex(),
            "listen_addr": "tcp://0.0.0.0:26656",
            "network": request.chain.chain_id,
            "version": "0.38.17",
            "channels": "QCAhIiMwOGBhAA==",
            "moniker": "devchain",
            "other": {"tx_index": "on", "rpc_address": "tcp://127.0.0.1:26657"},
        },
        "application_version": {
            "name": "akash",
            "app_name": "akash",
            "version": "v2.1.0",
            "git_commit": "",
            "build_tags": "",
            "go_version": "",
            "build_deps": [],
            "cosmos_sdk_version": _SDK_VERSION,
        },
    }


def syncing(_request: Request) -> Json:
    """``/cosmos/base/tendermint/v1beta1/syncing``."""
    return {"syncing": False}


def _tx_json(raw: bytes) -> Json:
    envelope = TxRaw.FromString(raw)
    signed = message_class("cosmos.tx.v1beta1.Tx")(
        body=_same("TxBody", envelope.body_bytes),
        auth_info=_same("AuthInfo", envelope.auth_info_bytes),
        signatures=list(envelope.signatures),
    )
    return message_json(signed)


def _same(name: str, data: bytes) -> Any:
    return message_class(f"cosmos.tx.v1beta1.{name}").FromString(data)


def _result_json(result: TxResult) -> Json:
    try:
        signed = _tx_json(result.raw)
    except (DecodeError, TypeError):
        return {"tx": None, "tx_response": result.as_json()}
    return {
        "tx": signed,
        "tx_response": {**result.as_json(), "tx": {"@type": "/cosmos.tx.v1beta1.Tx", **signed}},
    }


def transaction(request: Request) -> Json:
    """``/cosmos/tx/v1beta1/txs/{hash}``."""
    tx_hash = request.path[0]
    if len(tx_hash) != 64 or any(digit not in "0123456789abcdefABCDEF" for digit in tx_hash):
        raise QueryError(INVALID_ARGUMENT, f"invalid tx hash: {tx_hash}")
    return _result_json(request.chain.result(tx_hash))


def _field(body: Json, camel: str, snake: str) -> Any:
    return body.get(camel, body.get(snake))


def _tx_bytes(body: Json) -> bytes:
    encoded = _field(body, "txBytes", "tx_bytes")
    if not isinstance(encoded, str) or not encoded:
        raise QueryError(INVALID_ARGUMENT, "invalid empty tx")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise QueryError(INVALID_ARGUMENT, f"tx_bytes: {error}") from error


def broadcast(request: Request, body: Json) -> Json:
    """POST ``/cosmos/tx/v1beta1/txs``: CheckTx, and into the mempool."""
    mode = body.get("mode", "BROADCAST_MODE_UNSPECIFIED")
    if mode not in ("BROADCAST_MODE_SYNC", "BROADCAST_MODE_ASYNC", 2, 3):
        raise QueryError(
            INVALID_ARGUMENT, f"unsupported broadcast mode {mode}; supported types: sync, async: invalid request"
        )
    result = request.chain.check_tx(_tx_bytes(body))
    return {"tx_response": result.as_json()}


def simulate(request: Request, body: Json) -> Json:
    """POST ``/cosmos/tx/v1beta1/simulate``: by bytes, or by the transaction as JSON."""
    signed = body.get("tx")
    raw = _tx_from_json(signed) if signed is not None else _tx_bytes(body)
    result = request.chain.simulate(raw)
    return {
        "gas_info": {"gas_wanted": str(result.gas_wanted), "gas_used": str(result.gas_used)},
        "result": {"data": "", "log": "", "events": list(result.events), "msg_responses": []},
    }


def _tx_from_json(data: Any) -> bytes:
    try:
        signed = json_format.ParseDict(data, message_class("cosmos.tx.v1beta1.Tx")(), descriptor_pool=POOL)
    except json_format.ParseError as error:
        raise QueryError(INVALID_ARGUMENT, str(error)) from error
    raw: bytes = TxRaw(
        body_bytes=TxBody.FromString(signed.body.SerializeToString()).SerializeToString(),
        auth_info_bytes=AuthInfo.FromString(signed.auth_info.SerializeToString()).SerializeToString(),
        signatures=list(signed.signatures),
    ).SerializeToString()
    return raw
