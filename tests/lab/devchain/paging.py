# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pages of a list, the way the Akash keepers cut them (x/market and x/deployment, keeper/grpc_query.go).

Rows are grouped by state and ordered by key inside a state. The next key names where
to go on (the states left and the first row of the next page); it holds no filter and
no direction, so both must be repeated with it. ``total`` counts the page only.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import INTERNAL, INVALID_ARGUMENT, QueryError
from .store import Key, Row

DEFAULT_LIMIT = 100
NULL_KEY_NEVER = ""
NULL_KEY_BOUNDARY = "boundary"
NULL_KEY_ALWAYS = "always"

Query = Mapping[str, str]


@dataclass(frozen=True)
class PageRequest:
    """What the client asked for; ``key`` is the decoded next key."""

    key: tuple[tuple[str, ...], Key] | None
    offset: int
    limit: int
    reverse: bool


def number(query: Query, name: str) -> int:
    """An unsigned parameter; 0 when it is missing."""
    text = query.get(name, "")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise QueryError(
            INVALID_ARGUMENT,
            f'type mismatch, parameter: {name}, error: strconv.ParseUint: parsing "{text}": invalid syntax',
        )
    return int(text)


def flag(query: Query, name: str) -> bool:
    """A boolean parameter, as Go's strconv.ParseBool reads it."""
    text = query.get(name, "")
    if text in ("", "0", "f", "F", "false", "FALSE", "False"):
        return False
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    raise QueryError(
        INVALID_ARGUMENT,
        f'type mismatch, parameter: {name}, error: strconv.ParseBool: parsing "{text}": invalid syntax',
    )


def page_request(query: Query) -> PageRequest:
    """The ``pagination.*`` parameters of a request."""
    encoded = query.get("pagination.key", "")
    offset = number(query, "pagination.offset")
    if encoded and offset:
        raise QueryError(INVALID_ARGUMENT, "invalid request, either offset or key is expected, got both")
    flag(query, "pagination.count_total")
    return PageRequest(
        key=_decode(encoded) if encoded else None,
        offset=offset,
        limit=number(query, "pagination.limit") or DEFAULT_LIMIT,
        reverse=flag(query, "pagination.reverse"),
    )


def _encode(states: Sequence[str], key: Key) -> str:
    return base64.b64encode(zlib.compress(json.dumps([list(states), list(key)]).encode())).decode()


def _decode(encoded: str) -> tuple[tuple[str, ...], Key]:
    padded = encoded.replace("-", "+").replace("_", "/") + "=" * (-len(encoded) % 4)
    try:
        states, key = json.loads(zlib.decompress(base64.b64decode(padded, validate=True)))
        return tuple(map(str, states)), tuple(key)
    except (binascii.Error, zlib.error, ValueError, TypeError) as error:
        raise QueryError(INTERNAL, f"invalid pagination key: {error}") from error


def cut(
    rows: Sequence[Row],
    states: Sequence[str],
    state_of: Callable[[Any], str],
    request: PageRequest,
    null_key: str = NULL_KEY_NEVER,
) -> tuple[list[Any], dict[str, Any]]:
    """One page of rows that passed the filters, and its ``pagination``.

    ``null_key`` is how the node treats a page that is exactly full: with ``boundary``
    (a real fault of older nodes) the key is null where the page ends together with the
    rows of one state, with ``always`` it is null for every full page.
    """
    left = [state for state in states if request.key is None or state in request.key[0]]
    ordered: list[tuple[str, Row]] = []
    for state in left:
        of_state = [row for row in rows if state_of(row[1]) == state]
        if request.reverse:
            of_state.reverse()
        ordered += [(state, row) for row in of_state]
    start = _start(ordered, request)
    page = ordered[start : start + request.limit]
    rest = ordered[start + request.limit :]
    next_key = None
    if rest:
        state, (key, _value) = rest[0]
        at_boundary = bool(page) and page[-1][0] != state
        hidden = null_key == NULL_KEY_ALWAYS or (null_key == NULL_KEY_BOUNDARY and at_boundary)
        if not hidden:
            next_key = _encode(left[left.index(state) :], key)
    return [value for _state, (_key, value) in page], {"next_key": next_key, "total": str(len(page))}


def _start(ordered: Sequence[tuple[str, Row]], request: PageRequest) -> int:
    if request.key is None:
        return request.offset
    states, wanted = request.key
    for index, (state, (key, _value)) in enumerate(ordered):
        if state not in states[:1] or ((key <= wanted) if request.reverse else (key >= wanted)):
            return index
    return len(ordered)
