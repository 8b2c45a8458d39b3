# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chain account that signs: its key from a file (or a no_log option), its address.

The key lives in memory only; neither errors nor ``repr`` show it.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any

from .._common.errors import InvalidInput, Unsupported

PREFIX = "akash"
_MAX_FILE = 4096
_HEX_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{64}", re.ASCII)
_WORD = re.compile(r"[a-z]{3,8}", re.ASCII)


@dataclass(frozen=True)
class Account:
    """An account that can sign. ``wallet`` is cosmpy's."""

    address: str
    wallet: Any = field(repr=False)

    @property
    def private_key(self) -> bytes:
        """The secp256k1 private key, 32 bytes."""
        key: bytes = self.wallet.signer().private_key_bytes
        return key


def load_account(
    *,
    mnemonic_file: str | None = None,
    private_key_file: str | None = None,
    mnemonic: str | None = None,
    private_key: str | None = None,
) -> Account:
    """The account of exactly one of: a file with a mnemonic, a file with a key in hexadecimal, or these themselves.

    InvalidInput: none or several are given, a file can't be read or is open to others, or it holds no key.
    Unsupported: cosmpy is missing.
    """
    given = {
        name: value
        for name, value in (
            ("mnemonic_file", mnemonic_file),
            ("private_key_file", private_key_file),
            ("mnemonic", mnemonic),
            ("private_key", private_key),
        )
        if value
    }
    if len(given) != 1:
        raise InvalidInput(
            "exactly one of mnemonic_file, private_key_file, mnemonic and private_key must be given", where="account"
        )
    ((where, value),) = given.items()
    secret = _read_secret(value, where) if where.endswith("_file") else value.strip()
    return _from_mnemonic(secret, where) if where.startswith("mnemonic") else _from_hex(secret, where)


def _from_mnemonic(secret: str, where: str) -> Account:
    words = secret.split()
    if len(words) not in (12, 15, 18, 21, 24) or not all(_WORD.fullmatch(word) for word in words):
        raise InvalidInput("doesn't hold a mnemonic of 12 to 24 words", where=where)
    wallet = _cosmpy_wallet().from_mnemonic(" ".join(words), prefix=PREFIX)
    return Account(str(wallet.address()), wallet)


def _from_hex(secret: str, where: str) -> Account:
    if _HEX_KEY.fullmatch(secret) is None:
        raise InvalidInput("doesn't hold a private key of 64 hexadecimal digits", where=where)
    local_wallet = _cosmpy_wallet()
    from cosmpy.crypto.keypairs import PrivateKey

    try:
        wallet = local_wallet(PrivateKey(bytes.fromhex(secret.removeprefix("0x"))), prefix=PREFIX)
    except (ValueError, AssertionError) as error:
        raise InvalidInput("is not a key of secp256k1", where=where) from error.with_traceback(None)
    return Account(str(wallet.address()), wallet)


def _cosmpy_wallet() -> Any:
    try:
        from cosmpy.aerial.wallet import LocalWallet
    except ImportError as error:
        raise Unsupported(
            "cosmpy is missing", where="transactions", remedy="Install cosmpy 0.12 where transactions are signed"
        ) from error
    return LocalWallet


def _read_secret(path: str, where: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise InvalidInput(f"can't be read: {error.strerror}", where=f"{where} {path}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput("is not text", where=f"{where} {path}") from error.with_traceback(None)
    if mode & 0o077:
        raise InvalidInput(
            f"is open to others (mode {mode:04o})", where=f"{where} {path}", remedy="Make it readable by its owner only"
        )
    if len(text) > _MAX_FILE:
        raise InvalidInput("is too long for a key", where=f"{where} {path}")
    return text.strip()
