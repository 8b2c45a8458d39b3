# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""All rows of a paged list of the chain, with a node's known slips worked around.

A page that is exactly full may carry no ``next_key`` on older nodes although more follows.
Then the rest is asked for by offset, which the chain allows only together with a state filter.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from .._common.errors import InvalidInput, Unavailable

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

PAGE_ROWS = 100  # the chain's default and, on some nodes, its ceiling
MAX_PAGES = 500


class NeedsState(Exception):
    """The list is longer than a page, the node lost its thread, and without a state filter nobody can go on."""


class TooMany(Unavailable):
    """The list is longer than what the caller wants to read."""


def read_pages(
    get: Callable[[Mapping[str, str]], Mapping[str, Any]],
    filters: Mapping[str, str],
    rows_in: str,
    parse: Callable[[Any, str], T],
    key_of: Callable[[T], K],
    *,
    most_pages: int = MAX_PAGES,
) -> list[T]:
    """Every row once, in the order it came. ``get`` asks for one page with the parameters it is given.

    Raises InvalidInput if an answer has not its shape, Unavailable if the list repeats itself,
    TooMany (an Unavailable) if it is longer than ``most_pages``, NeedsState if it can only be read
    with ``filters.state``.
    """
    rows: dict[K, T] = {}
    received = 0
    key: str | None = None
    by_offset = False
    for _page in range(most_pages):
        # Filters must be repeated: the key alone continues somewhere in the whole list.
        parameters = {**filters, "pagination.limit": str(PAGE_ROWS)}
        if by_offset:
            parameters["pagination.offset"] = str(received)
        elif key is not None:
            parameters["pagination.key"] = key
        page, following = _page_of(get(parameters), rows_in)
        received += len(page)
        for index, row in enumerate(page):
            parsed = parse(row, f"{rows_in}.{index}")
            rows.setdefault(key_of(parsed), parsed)
        if not by_offset and following is not None:
            if following == key:
                raise Unavailable("the list repeats itself: a page names itself as the next", where=rows_in)
            key = following
        elif len(page) < PAGE_ROWS:
            return list(rows.values())
        elif "filters.state" in filters:
            by_offset = True
        else:
            raise NeedsState
    raise TooMany(f"the list has more than {most_pages} pages", where=rows_in)


def _page_of(answer: Mapping[str, Any], rows_in: str) -> tuple[list[Any], str | None]:
    page = answer.get(rows_in)
    if page is None:  # an empty list may be left out or null
        page = []
    if not isinstance(page, list) or len(page) > 100 * PAGE_ROWS:
        raise InvalidInput("must be a list", where=rows_in)
    pagination = answer.get("pagination")
    following = pagination.get("next_key") if isinstance(pagination, dict) else None
    if following is not None and not (isinstance(following, str) and len(following) <= 1024):
        raise InvalidInput("must be text", where="pagination.next_key")
    return page, following or None
