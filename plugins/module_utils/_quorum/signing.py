# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ed25519 signatures of voters and of authors of entries (RFC 8032, through python3-cryptography).

Every signed text begins with ``akash.avpn/<kind>/1`` and a line feed, so that a signature made for
one purpose never counts for another. The library is imported when the first signature is needed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from .._common import canonical
from .._common.canonical import Json
from .._common.errors import InvalidInput, NotPermitted
from .._common.ids import NodeId
from .value import Batch


class Signer(Protocol):
    """Whoever signs for this host."""

    @property
    def public_key(self) -> str:
        """Ed25519 public key, base64."""

    def sign(self, text: bytes) -> str:
        """Signature of ``text``, 64 bytes in base64."""


class SeedSigner:
    """A signer from a 32-byte seed (RFC 8032, 5.1.5)."""

    def __init__(self, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._public = base64.b64encode(public).decode()

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> SeedSigner:
        """Read the base64 seed from a file that nobody but its owner (and group) may read or write."""
        where = os.fspath(path)
        try:
            mode = os.stat(where).st_mode
            text = Path(where).read_text(encoding="ascii").strip()
        except FileNotFoundError as error:
            raise InvalidInput("does not exist", where=where, remedy="The role peer makes it") from error
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput("can't be read", where=where) from error
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            raise NotPermitted("is open to everybody", where=where, remedy="Make it 0600 and replace the key")
        try:
            seed = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            seed = b""
        if len(seed) != 32:
            raise InvalidInput("must hold 32 bytes in base64", where=where)
        return cls(seed)

    @property
    def public_key(self) -> str:
        return self._public

    def sign(self, text: bytes) -> str:
        return base64.b64encode(self._key.sign(text)).decode()


class FileSigner:
    """The signer of a key file for whoever outlives a change of the key: ``refresh`` before each use."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._signer = SeedSigner.from_file(path)

    def refresh(self) -> None:
        """Read the file again if it is another one now."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._signer, self._stamp = SeedSigner.from_file(self._path), stamp

    @property
    def public_key(self) -> str:
        return self._signer.public_key

    def sign(self, text: bytes) -> str:
        return self._signer.sign(text)


def _stamp(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def signed_text(kind: str, document: Json) -> bytes:
    """What is signed: the purpose, then the canonical document."""
    return f"akash.avpn/{kind}/1\n".encode() + canonical.dumps(document)


_MAX_KNOWN = 65_536
_known: set[bytes] = set()  # digests of what verified in this process: a value's batches are seen again and again


def verify(key: str, text: bytes, signature: str) -> bool:
    """Whether ``signature`` is ``key``'s over ``text``. Key and signature are base64 and well-formed."""
    from cryptography.exceptions import InvalidSignature

    proof = hashlib.sha256(f"{key}\n{signature}\n".encode() + text).digest()
    if proof in _known:
        return True
    try:
        _public_key(key).verify(base64.b64decode(signature), text)
    except (InvalidSignature, ValueError):
        return False
    if len(_known) >= _MAX_KNOWN:
        _known.clear()
    _known.add(proof)
    return True


@lru_cache(maxsize=256)
def _public_key(key: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(base64.b64decode(key))


def entry_text(kind: str, key: str, entry: Json) -> bytes:
    """One entry as its author signs it, by its digest: without its batch; a removal is ``None``."""
    return canonical.dumps({"kind": kind, "key": key, "entry": entry})


def batch_text(network: str, batch: Batch) -> bytes:
    """What a batch's signature covers."""
    return _batch_text(network, batch.generation, batch.author, batch.serial, batch.digests)


def sign_batch(
    signer: Signer, network: str, generation: int, author: NodeId, serial: int, digests: Sequence[str]
) -> Batch:
    """One signature over entries of one author; digests are put into ascending order."""
    ordered = tuple(sorted(digests))
    signature = signer.sign(_batch_text(network, generation, author, serial, ordered))
    return Batch(author, generation, serial, signer.public_key, ordered, signature)


def verify_batch(network: str, batch: Batch) -> bool:
    """Whether the batch's signature is its key's. Whether the key is the author's is a rule's matter."""
    return verify(batch.key, batch_text(network, batch), batch.signature)


def _batch_text(network: str, generation: int, author: NodeId, serial: int, digests: tuple[str, ...]) -> bytes:
    document: dict[str, Json] = {
        "network": network,
        "generation": generation,
        "author": str(author),
        "serial": serial,
        "digests": list(digests),
    }
    return signed_text("batch", document)
