# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's own keys: made here, never leaving; only the public parts are ever handed out.

Signing key: an Ed25519 seed, 32 bytes in base64. SSH client key: OpenSSH's private format.
"""

from __future__ import annotations

import base64
import hashlib
import os
from functools import lru_cache
from pathlib import Path

from .._common import fields
from .._common.errors import Unavailable, Unsupported
from . import files


@lru_cache(maxsize=4096)  # of the keys in a view, looked at with every request
def fingerprint(key: str) -> str:
    """OpenSSH's fingerprint of ``ssh-ed25519 <base64>``: ``SHA256:<43 characters>``."""
    digest = hashlib.sha256(base64.b64decode(key.split(" ")[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def read_signing_key(path: Path) -> bytes:
    """The 32-byte Ed25519 seed. Raises Unsupported when there is none."""
    return base64.b64decode(fields.key32(_read(path), str(path)))


def signing_public_key(seed: bytes) -> str:
    """The Ed25519 public key of a seed, base64."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PrivateKey.from_private_bytes(seed)
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def create_signing_key(path: Path) -> bool:
    """Make the key unless there is one; tells whether it did."""
    return not path.exists() and files.create(path, base64.b64encode(os.urandom(32)) + b"\n", mode=0o600)


def create_ssh_key(path: Path) -> bool:
    """Make an Ed25519 key in OpenSSH's format, with its public part beside it, unless there is one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    made = False
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        made = files.create(path, text, mode=0o600)
    public = path.with_name(path.name + ".pub")
    if made or not public.exists():
        files.write(public, derive_ssh_public_key(path).encode() + b"\n")
        made = True
    return made


def ssh_public_key(path: Path) -> str:
    """``ssh-ed25519 <base64>`` of the key at ``path``, from the public file beside it."""
    return fields.ssh_key(_read(path.with_name(path.name + ".pub")), f"{path}.pub")


def derive_ssh_public_key(path: Path) -> str:
    """``ssh-ed25519 <base64>`` computed from the private key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

    try:
        key = load_ssh_private_key(_read(path).encode() + b"\n", password=None)
    except ValueError as error:
        raise Unsupported("is not an SSH private key without a passphrase", where=str(path)) from error
    return fields.ssh_key(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(), str(path))


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError as error:
        raise Unsupported(
            "doesn't exist", where=str(path), remedy="Run the role akash.avpn.peer on this host"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"can't be read: {type(error).__name__}", where=str(path)) from error
