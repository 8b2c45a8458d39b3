# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A manifest's content as one byte string: canonical JSON, its size limit and its SHA-256."""

from __future__ import annotations

from typing import Any

from .._common import canonical
from .._common.errors import InvalidInput
from .model import Manifest
from .schema import parse
from .source import load

MAX_BYTES = 192 * 1024  # leaves room for the envelope within its 256 KiB


def sha256(document: Any) -> str:
    """The SHA-256 of the document's canonical JSON, 64 hexadecimal digits: what the chain's floor names."""
    return canonical.digest(document)


def check(document: Any) -> Manifest:
    """Parse the content of a manifest, its size included. Raises InvalidInput naming the field."""
    manifest = parse(document)
    size = len(canonical.dumps(document))
    if size > MAX_BYTES:
        raise InvalidInput(f"is {size} bytes long in canonical JSON, at most {MAX_BYTES} are allowed", where="manifest")
    return manifest


def load_yaml(text: str | bytes, *, where: str) -> Any:
    """The document that the YAML of a person says; see ``source`` for its lines."""
    return load(text, where=where).document
