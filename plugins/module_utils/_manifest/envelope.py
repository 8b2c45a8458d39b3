# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A signed manifest as it travels and is stored, and what exactly is signed.

The envelope is a JSON object ``{network, version, content, public_key, signature}`` of at most 256 KiB. The
signed text is short, so that a wallet can show it; it names the content by the SHA-256 of its canonical JSON::

    akash.avpn/manifest/1
    {"network":"<network id>","sha256":"<content>","version":<number>}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._common import canonical, fields
from .._common.errors import InvalidInput
from . import adr36, content
from .model import SignedManifest

MAX_BYTES = 256 * 1024
MAX_VERSION = 2**53 - 1  # what every JSON parser can hold


def signed_text(network: str, version: int, sha256: str) -> bytes:
    """The text that the tenant's account signs (as ADR-036 data)."""
    body = canonical.dumps({"network": network, "sha256": sha256, "version": version})
    return b"akash.avpn/manifest/1\n" + body


def sign(network: str, version: int, document: Mapping[str, Any], secret: bytes) -> SignedManifest:
    """Sign a manifest's content with the account's private key (32 bytes)."""
    public_key, signature = adr36.sign(secret, signed_text(network, version, content.sha256(document)))
    return SignedManifest(network, version, document, public_key, signature)


def verify(signed: SignedManifest, owner: str) -> None:
    """Check that the account ``owner`` signed it. Raises InvalidInput."""
    text = signed_text(signed.network, signed.version, content.sha256(dict(signed.content)))
    adr36.verify(signed.public_key, signed.signature, owner, text)


def to_document(signed: SignedManifest) -> dict[str, Any]:
    """The envelope as a JSON object."""
    return {
        "network": signed.network,
        "version": signed.version,
        "content": dict(signed.content),
        "public_key": signed.public_key,
        "signature": signed.signature,
    }


def from_document(document: Any, where: str = "manifest") -> SignedManifest:
    """Parse an envelope strictly. The content's own fields are not looked at (``content.check`` does that)."""
    given = fields.obj(document, where, required={"network", "version", "content", "public_key", "signature"})
    if not isinstance(given["content"], dict):
        raise InvalidInput(f"must be an object, not {fields.kind(given['content'])}", where=f"{where}.content")
    # Re-read from canonical bytes: whatever the caller's parser let pass has a canonical form afterwards.
    try:
        data = canonical.dumps(document)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput("has no canonical JSON form", where=where) from error
    given = canonical.loads(data, where=where, limit=MAX_BYTES)  # type: ignore[assignment]
    return SignedManifest(
        network=fields.hex64(given["network"], f"{where}.network"),
        version=fields.integer(given["version"], f"{where}.version", least=1, most=MAX_VERSION),
        content=given["content"],
        public_key=fields.base64_bytes(given["public_key"], f"{where}.public_key", length=33),
        signature=fields.base64_bytes(given["signature"], f"{where}.signature", length=64),
    )


def dumps(signed: SignedManifest) -> bytes:
    """The envelope's canonical bytes."""
    return canonical.dumps(to_document(signed))


def loads(data: str | bytes, *, where: str = "manifest") -> SignedManifest:
    """Parse the bytes of an envelope of at most 256 KiB."""
    return from_document(canonical.loads(data, where=where, limit=MAX_BYTES), where)
