# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bech32 account addresses: parse, check, and derive from a secp256k1 public key."""

from __future__ import annotations

import hashlib

import bech32
from Crypto.Hash import RIPEMD160

from .errors import INVALID_ADDRESS, TxError

_LENGTH = 20


def is_address(text: str, prefix: str) -> bool:
    """Whether ``text`` is a valid account address with this prefix."""
    if text != text.lower():
        return False
    found, words = bech32.bech32_decode(text)
    if found != prefix or words is None:
        return False
    data = bech32.convertbits(words, 5, 8, False)
    return data is not None and len(data) == _LENGTH


def check_address(text: str, prefix: str, what: str) -> None:
    """Raise ``TxError`` (sdk 7) unless ``text`` is an account address."""
    if not is_address(text, prefix):
        raise TxError(INVALID_ADDRESS, f"{what}: decoding bech32 failed: {text!r}")


def from_public_key(key: bytes, prefix: str) -> str:
    """Address of a compressed secp256k1 key: bech32 of RIPEMD-160 of SHA-256."""
    return encode(RIPEMD160.new(hashlib.sha256(key).digest()).digest(), prefix)


def encode(data: bytes, prefix: str) -> str:
    """Bytes as bech32 with this prefix."""
    words = bech32.convertbits(data, 8, 5)
    if words is None:
        raise ValueError(f"not bech32 data: {data!r}")
    return str(bech32.bech32_encode(prefix, words))
