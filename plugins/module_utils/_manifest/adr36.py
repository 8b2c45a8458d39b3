# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures of a chain account over arbitrary data, in the form of Cosmos SDK's ADR-036.

What is signed is the amino JSON sign-doc of an empty transaction (no chain, account number and sequence 0, no
fee) with one ``sign/MsgSignData`` message of signer and data: so it can never be taken for a transaction.
SHA-256, ECDSA on secp256k1, 64 bytes r‖s with the low s. Wallets that know ADR-036 make the same signature.
"""

from __future__ import annotations

import base64
import hashlib

from .._common import canonical, fields
from .._common.errors import InvalidInput
from .ripemd160 import ripemd160

PREFIX = "akash"
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1 (SEC 2, 2.4.1)
_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def sign_doc(signer: str, data: bytes) -> bytes:
    """The bytes that are hashed and signed. ``signer``: account address."""
    return canonical.dumps(
        {
            "account_number": "0",
            "chain_id": "",
            "fee": {"amount": [], "gas": "0"},
            "memo": "",
            "msgs": [
                {
                    "type": "sign/MsgSignData",
                    "value": {"data": base64.b64encode(data).decode(), "signer": signer},
                }
            ],
            "sequence": "0",
        }
    )


def account_of(public_key: bytes) -> str:
    """The account address of a compressed secp256k1 public key (33 bytes)."""
    return _bech32(PREFIX, ripemd160(hashlib.sha256(public_key).digest()))


def verify(public_key: str, signature: str, signer: str, data: bytes) -> None:
    """Check that ``signer`` (an account address) signed ``data``.

    ``public_key``: 33 bytes compressed, base64; ``signature``: 64 bytes r‖s, base64. Raises InvalidInput naming
    ``public_key`` or ``signature``.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    key_bytes = base64.b64decode(fields.base64_bytes(public_key, "public_key", length=33))
    pair = base64.b64decode(fields.base64_bytes(signature, "signature", length=64))
    r, s = int.from_bytes(pair[:32], "big"), int.from_bytes(pair[32:], "big")
    if not 0 < r < _ORDER or not 0 < s <= _ORDER // 2:
        # The other s verifies as well: two signatures of one text would be possible without the key.
        raise InvalidInput("is not in the low-s form", where="signature")
    if key_bytes[0] not in (2, 3):
        raise InvalidInput("is not a compressed key", where="public_key")
    if account_of(key_bytes) != signer:
        raise InvalidInput("is not the key of the network's owner", where="public_key")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), key_bytes)
    except ValueError as error:
        raise InvalidInput("is not a point of secp256k1", where="public_key") from error
    try:
        key.verify(utils.encode_dss_signature(r, s), sign_doc(signer, data), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise InvalidInput("is not the owner's signature of this text", where="signature") from error


def sign(secret: bytes, data: bytes) -> tuple[str, str]:
    """Sign with an account's private key (32 bytes): (public key, signature), in base64 as ``verify`` takes them."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    number = int.from_bytes(secret, "big")
    if len(secret) != 32 or not 0 < number < _ORDER:
        raise InvalidInput("is not a secp256k1 private key of 32 bytes", where="account key")
    key = ec.derive_private_key(number, ec.SECP256K1())
    public = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    der = key.sign(sign_doc(account_of(public), data), ec.ECDSA(hashes.SHA256()))
    r, s = utils.decode_dss_signature(der)
    pair = r.to_bytes(32, "big") + min(s, _ORDER - s).to_bytes(32, "big")
    return base64.b64encode(public).decode(), base64.b64encode(pair).decode()


def _bech32(human: str, data: bytes) -> str:
    """Bech32 (BIP 173) of ``data``, whose bits are regrouped by five."""
    bits = int.from_bytes(data, "big") << (-8 * len(data) % 5)
    count = -(-8 * len(data) // 5)
    values = [(bits >> (5 * (count - 1 - index))) & 31 for index in range(count)]
    checked = [ord(char) >> 5 for char in human] + [0] + [ord(char) & 31 for char in human] + values
    polymod = _polymod([*checked, 0, 0, 0, 0, 0, 0]) ^ 1
    values += [(polymod >> (5 * (5 - index))) & 31 for index in range(6)]
    return human + "1" + "".join(_CHARSET[value] for value in values)


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if (top >> bit) & 1 else 0
    return checksum
