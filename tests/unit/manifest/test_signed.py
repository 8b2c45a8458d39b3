# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures and envelopes: what is signed, and that nothing else passes."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import replace
from typing import Any

import pytest
from tenant import SECRET, owner_of

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._manifest import adr36, envelope, ripemd160
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import SignedManifest

NETWORK = "ab" * 32
DOCUMENT: dict[str, Any] = {"members": {"web": {"egress": {"allow": [{"peers": "any", "ports": "any"}]}}}}


@pytest.mark.parametrize(
    ("text", "digest"),
    [  # from the algorithm's publication
        (b"", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
        (b"a", "0bdc9d2d256b3ee9daae347be6f4dc835a467ffe"),
        (b"abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        (b"message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"),
        (b"1234567890" * 8, "9b752e45573d4b39f4dbd3323cab82bf63326bfb"),
        (b"a" * 1_000_000, "52783243c1697bdbe16d37f97f68f08325dc1528"),
    ],
)
def test_ripemd160(text: bytes, digest: str) -> None:
    assert ripemd160._ripemd160(text).hex() == digest
    assert ripemd160.ripemd160(text).hex() == digest


def test_ripemd160_where_openssl_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_arguments: Any) -> None:
        raise ValueError("unsupported hash type")

    monkeypatch.setattr(hashlib, "new", lacking)
    assert ripemd160.ripemd160(b"abc").hex() == "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"


def test_address_of_a_known_key() -> None:
    """The public key of BIP 173's and ADR documents' examples: secp256k1's generator."""
    generator = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    digest = "751e76e8199196d454941c45d1b3a323f1433bd6"  # BIP 173 gives its hash
    assert ripemd160.ripemd160(hashlib.sha256(generator).digest()).hex() == digest
    assert adr36._bech32("bc", b"")[:3] == "bc1"
    assert adr36.account_of(generator).startswith("akash1w508d6qejxtdg4y5r3zarvary0c5xw7k")


def test_the_sign_doc_is_adr36s() -> None:
    doc = json.loads(adr36.sign_doc("akash1x", b"text"))
    assert doc == {
        "chain_id": "",
        "account_number": "0",
        "sequence": "0",
        "fee": {"gas": "0", "amount": []},
        "memo": "",
        "msgs": [{"type": "sign/MsgSignData", "value": {"signer": "akash1x", "data": "dGV4dA=="}}],
    }
    assert b" " not in adr36.sign_doc("akash1x", b"text")


def test_the_signed_text_names_network_version_and_content() -> None:
    assert envelope.signed_text(NETWORK, 7, "cd" * 32) == (
        b'akash.avpn/manifest/1\n{"network":"' + NETWORK.encode() + b'","sha256":"' + b"cd" * 32 + b'","version":7}'
    )


def test_cosmpy_signs_alike() -> None:
    from cosmpy.aerial.wallet import LocalWallet
    from cosmpy.crypto.keypairs import PrivateKey

    for _unused in range(5):
        key = PrivateKey(os.urandom(32))
        wallet = LocalWallet(key, prefix="akash")
        address = str(wallet.address())
        public_key, signature = adr36.sign(key.private_key_bytes, b"a text")
        assert adr36.account_of(base64.b64decode(public_key)) == address
        adr36.verify(public_key, signature, address, b"a text")
        theirs = key.sign(adr36.sign_doc(address, b"a text"), deterministic=True, canonicalise=True)
        adr36.verify(public_key, base64.b64encode(theirs).decode(), address, b"a text")


def test_a_signed_manifest_verifies_and_travels() -> None:
    signed = envelope.sign(NETWORK, 3, DOCUMENT, SECRET)
    envelope.verify(signed, owner_of(SECRET))
    assert envelope.loads(envelope.dumps(signed)) == signed
    envelope.verify(envelope.from_document(json.loads(envelope.dumps(signed))), owner_of(SECRET))


@pytest.mark.parametrize(
    "change",
    [
        {"network": "ba" * 32},
        {"version": 4},
        {"content": {}},
        {"content": {"members": {}}},
        {"public_key": adr36.sign(bytes(range(2, 34)), b"")[0]},
        {"signature": adr36.sign(SECRET, b"something else")[1]},
    ],
    ids=["network", "version", "content", "other content", "key", "signature"],
)
def test_nothing_signed_can_be_changed(change: dict[str, Any]) -> None:
    signed = replace(envelope.sign(NETWORK, 3, DOCUMENT, SECRET), **change)
    with pytest.raises(InvalidInput) as refused:
        envelope.verify(signed, owner_of(SECRET))
    assert refused.value.where in ("signature", "public_key")


def test_another_account_is_not_the_owner() -> None:
    other = bytes(range(2, 34))
    with pytest.raises(InvalidInput, match="not the key of the network's owner"):
        envelope.verify(envelope.sign(NETWORK, 3, DOCUMENT, other), owner_of(SECRET))


def test_the_high_s_is_refused() -> None:
    signed = envelope.sign(NETWORK, 3, DOCUMENT, SECRET)
    pair = base64.b64decode(signed.signature)
    high = adr36._ORDER - int.from_bytes(pair[32:], "big")
    again = base64.b64encode(pair[:32] + high.to_bytes(32, "big")).decode()
    with pytest.raises(InvalidInput, match="low-s"):
        envelope.verify(replace(signed, signature=again), owner_of(SECRET))


@pytest.mark.parametrize("pair", [bytes(64), b"\xff" * 64, bytes(32) + b"\x01" * 32, b"\x01" * 32 + bytes(32)])
def test_numbers_outside_the_curve_are_refused(pair: bytes) -> None:
    signed = replace(envelope.sign(NETWORK, 3, DOCUMENT, SECRET), signature=base64.b64encode(pair).decode())
    with pytest.raises(InvalidInput, match="low-s"):
        envelope.verify(signed, owner_of(SECRET))


@pytest.mark.parametrize("key", [b"\x02" + b"\xff" * 32, b"\x04" + b"\x01" * 32, b"\x00" * 33])
def test_keys_that_are_no_points_are_refused(key: bytes) -> None:
    signed = replace(envelope.sign(NETWORK, 3, DOCUMENT, SECRET), public_key=base64.b64encode(key).decode())
    with pytest.raises(InvalidInput) as refused:
        envelope.verify(signed, adr36.account_of(key))
    assert refused.value.where == "public_key"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"network": "AB" * 32}, "manifest.network"),
        ({"network": "../" + "a" * 61}, "manifest.network"),
        ({"version": 0}, "manifest.version"),
        ({"version": True}, "manifest.version"),
        ({"version": "3"}, "manifest.version"),
        ({"version": 2**53}, "manifest.version"),
        ({"content": []}, "manifest.content"),
        ({"content": None}, "manifest.content"),
        ({"content": {"a": 1.5}}, "manifest"),
        ({"public_key": "x"}, "manifest.public_key"),
        ({"public_key": 5}, "manifest.public_key"),
        ({"signature": "AA==\n"}, "manifest.signature"),
        ({"extra": 1}, "manifest.extra"),
        ({"content": {"x": "y" * envelope.MAX_BYTES}}, "manifest"),
    ],
)
def test_envelopes_are_strict(change: dict[str, Any], where: str) -> None:
    document = {**envelope.to_document(envelope.sign(NETWORK, 3, DOCUMENT, SECRET)), **change}
    with pytest.raises(InvalidInput) as refused:
        envelope.from_document(document)
    assert refused.value.where == where


@pytest.mark.parametrize("name", ["network", "version", "content", "public_key", "signature"])
def test_every_field_is_needed(name: str) -> None:
    document = envelope.to_document(envelope.sign(NETWORK, 3, DOCUMENT, SECRET))
    del document[name]
    with pytest.raises(InvalidInput, match="is missing"):
        envelope.from_document(document)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b'{"a":1,"a":2}', b"\xff", b"x" * (envelope.MAX_BYTES + 1)])
def test_bytes_that_are_no_envelope(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        envelope.loads(data)


def test_a_secret_that_is_none_is_refused() -> None:
    for secret in (bytes(32), b"\xff" * 32, b"short"):
        with pytest.raises(InvalidInput, match="not a secp256k1 private key"):
            envelope.sign(NETWORK, 1, DOCUMENT, secret)


def test_the_type_is_what_others_use() -> None:
    assert isinstance(envelope.sign(NETWORK, 1, DOCUMENT, SECRET), SignedManifest)
