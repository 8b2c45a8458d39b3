# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blocks and the results of transactions, as the node reports them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .modules.context import Event

_SECOND = 1_000_000_000
_EMPTY = hashlib.sha256(b"").digest()
PROPOSER = hashlib.sha256(b"devchain validator").digest()[:20]


def timestamp(time_ns: int) -> str:
    """RFC 3339 with nanoseconds, in UTC."""
    seconds, nanos = divmod(time_ns, _SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Block:
    """A committed block. ``time`` is nanoseconds since the epoch, hashes are hex."""

    chain_id: str
    height: int
    time: int
    parent: str
    app_hash: str
    txs: tuple[bytes, ...] = ()

    @property
    def data_hash(self) -> bytes:
        """Hash over the hashes of the transactions."""
        return hashlib.sha256(b"".join(hashlib.sha256(raw).digest() for raw in self.txs)).digest()

    @property
    def hash(self) -> str:
        """The block's hash: over everything the header says."""
        parts = (self.chain_id, self.height, self.time, self.parent, self.app_hash, self.data_hash.hex())
        return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()

    def _header(self, proposer: str) -> dict[str, Any]:
        parent = bytes.fromhex(self.parent)
        return {
            "version": {"block": "11", "app": "1"},
            "chain_id": self.chain_id,
            "height": str(self.height),
            "time": timestamp(self.time),
            "last_block_id": _block_id(parent),
            "last_commit_hash": _b64(hashlib.sha256(parent).digest()),
            "data_hash": _b64(self.data_hash),
            "validators_hash": _b64(hashlib.sha256(PROPOSER).digest()),
            "next_validators_hash": _b64(hashlib.sha256(PROPOSER).digest()),
            "consensus_hash": _b64(_EMPTY),
            "app_hash": _b64(bytes.fromhex(self.app_hash)),
            "last_results_hash": _b64(_EMPTY),
            "evidence_hash": _b64(_EMPTY),
            "proposer_address": proposer,
        }

    def as_json(self, valcons: str) -> dict[str, Any]:
        """The answer of ``/blocks/{height}``; ``valcons`` is the proposer in bech32."""
        rest = {
            "data": {"txs": [_b64(raw) for raw in self.txs]},
            "evidence": {"evidence": []},
            "last_commit": {
                "height": str(self.height - 1),
                "round": 0,
                "block_id": _block_id(bytes.fromhex(self.parent)),
                "signatures": [],
            },
        }
        return {
            "block_id": _block_id(bytes.fromhex(self.hash)),
            "block": {"header": self._header(_b64(PROPOSER)), **rest},
            "sdk_block": {"header": self._header(valcons), **rest},
        }


def _block_id(block_hash: bytes) -> dict[str, Any]:
    return {
        "hash": _b64(block_hash),
        "part_set_header": {"total": 1, "hash": _b64(hashlib.sha256(block_hash).digest())},
    }


@dataclass(frozen=True)
class TxResult:
    """What became of a transaction. ``height`` 0: not in a block (CheckTx only)."""

    hash: str
    height: int = 0
    code: int = 0
    codespace: str = ""
    log: str = ""
    gas_wanted: int = 0
    gas_used: int = 0
    time: int = 0
    raw: bytes = b""
    events: tuple[Event, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """A TxResponse without the transaction itself."""
        return {
            "height": str(self.height),
            "txhash": self.hash,
            "codespace": self.codespace,
            "code": self.code,
            "data": "",
            "raw_log": self.log,
            "logs": [],
            "info": "",
            "gas_wanted": str(self.gas_wanted),
            "gas_used": str(self.gas_used),
            "tx": None,
            "timestamp": timestamp(self.time) if self.height else "",
            "events": list(self.events),
        }
