# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Canonical JSON: the one byte string of a document, for hashing and signing.

Sorted keys, no white space, UTF-8, integers only. Two equal documents have equal
bytes in every version of the collection; floats, duplicate keys and integers
beyond 2**63 are refused so that no two parsers can disagree about a document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Union

from .errors import InvalidInput

Json = Union[None, bool, int, str, "list[Json]", "dict[str, Json]"]

_MAX_INTEGER = 2**63 - 1
_MAX_DEPTH = 32
_MANY, _BYTES_PER_VALUE = 4096, 12  # a ledger has more than 20 bytes per value


# Made once: json.dumps makes one for every call, which takes longer than writing a small document.
_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode


def dumps(document: Json) -> bytes:
    """The canonical bytes of ``document``."""
    return _encode(document).encode()


def digest(document: Json) -> str:
    """SHA-256 of the canonical bytes, 64 hexadecimal digits."""
    return hashlib.sha256(dumps(document)).hexdigest()


class Encoded(dict[str, Any]):
    """A document that stays as it is, with its canonical bytes: made once, however many it is sent to."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)
        self.data = dumps(dict(self))


def dumps_with(document: Mapping[str, Any], key: str, value: Json) -> bytes:
    """The canonical bytes of ``document`` with one field more."""
    if isinstance(document, Encoded) and document and key < min(document):
        return b"{" + dumps(key) + b":" + dumps(value) + b"," + document.data[1:]
    return dumps({**document, key: value})


def loads(text: str | bytes, *, where: str, limit: int, sparse: bool = False) -> Json:
    """Parse JSON of at most ``limit`` bytes, refusing whatever has no canonical form.

    Raises InvalidInput naming ``where``: not JSON, not UTF-8, too long, too deep,
    a duplicate key, a float, NaN, an integer outside 64 bits, a lone surrogate.
    ``sparse``: also what has more values than honest documents of its length. Parsed, ``[[],[],…`` takes
    twenty times its bytes of memory, so a peer could exhaust a host with a message of permitted length.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > limit:
        raise InvalidInput(f"is {len(data)} bytes long, at most {limit} are allowed", where=where)
    # Every value but the first follows a comma or an opening bracket; those inside texts are counted as well.
    if sparse and data.count(b",") + data.count(b"[") + data.count(b"{") > _MANY + len(data) // _BYTES_PER_VALUE:
        raise InvalidInput(f"holds too many values for its {len(data)} bytes", where=where)

    def refuse(kind: str) -> Any:
        raise InvalidInput(f"holds {kind}, which has no canonical form", where=where)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(items)
        if len(mapping) != len(items):
            refuse("a duplicate key")
        return mapping

    def integer(digits: str) -> int:
        if len(digits) > 18 and (len(digits) > 20 or abs(int(digits)) > _MAX_INTEGER):
            refuse("an integer outside 64 bits")
        return int(digits)

    try:
        document = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=pairs,
            parse_float=lambda _digits: refuse("a fraction"),
            parse_constant=refuse,
            parse_int=integer,
        )
    except (ValueError, RecursionError) as error:
        raise InvalidInput("is not JSON in UTF-8", where=where) from error
    _check_depth(document, where)
    # Surrogates in UTF-8 were refused above, so only an escape can have made one.
    if b"\\u" in data:
        _check_text(document, where)
    return document  # type: ignore[no-any-return]


def _check_depth(document: Any, where: str) -> None:
    """Level by level: nothing is called for a value, of which a ledger has a hundred thousand."""
    level = [document] if isinstance(document, (dict, list)) else []
    for _unused in range(_MAX_DEPTH):
        if not level:
            return
        values = (one.values() if isinstance(one, dict) else one for one in level)
        level = [value for inside in values for value in inside if isinstance(value, (dict, list))]
    if any(level):
        raise InvalidInput(f"is nested deeper than {_MAX_DEPTH} levels", where=where)


def _check_text(document: Json, where: str) -> None:
    try:
        dumps(document)
    except UnicodeEncodeError as error:
        raise InvalidInput("holds a lone surrogate, which has no canonical form", where=where) from error
