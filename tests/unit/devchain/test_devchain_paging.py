# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pages: nothing lost, nothing twice, whatever the size, the direction or the filter."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from devchain.errors import QueryError
from devchain.paging import cut, page_request
from devchain.pytest_plugin import Devchain
from hypothesis import given
from hypothesis import strategies as st

Get = Callable[..., Any]
STATES = ("active", "closed")
LEASES = "/akash/market/v1beta5/leases/list"


class Row(NamedTuple):
    number: int
    state: str


def state_of(row: Row) -> str:
    return row.state


def walk(rows: list[Any], query: dict[str, str], null_key: str = "", states: tuple[str, ...] = STATES) -> list[Row]:
    """Follow next keys to the end."""
    seen: list[Row] = []
    asked = dict(query)
    while True:
        page, pagination = cut(rows, states, state_of, page_request(asked), null_key)
        assert pagination["total"] == str(len(page))
        seen += page
        if pagination["next_key"] is None:
            return seen
        assert len(page) == int(asked["pagination.limit"])
        base64.b64decode(pagination["next_key"], validate=True)
        asked = {**query, "pagination.key": pagination["next_key"]}


numbered = st.dictionaries(st.integers(0, 60), st.sampled_from(STATES), max_size=40).map(
    lambda found: [((number,), Row(number, state)) for number, state in sorted(found.items())]
)


@given(rows=numbered, limit=st.integers(1, 12), reverse=st.booleans())
def test_pages_add_up_to_the_list(rows: list[Any], limit: int, reverse: bool) -> None:
    query = {"pagination.limit": str(limit), "pagination.reverse": "true" if reverse else ""}
    expected = [row for state in STATES for _key, row in (rows[::-1] if reverse else rows) if row.state == state]
    assert walk(rows, query) == expected


@given(rows=numbered, limit=st.integers(1, 12), offset=st.integers(0, 50))
def test_offset_skips(rows: list[Any], limit: int, offset: int) -> None:
    asked = page_request({"pagination.limit": str(limit), "pagination.offset": str(offset)})
    page, _pagination = cut(rows, ("active",), state_of, asked)
    active = [row for _key, row in rows if row.state == "active"]
    assert page == active[offset : offset + limit]


@given(rows=numbered, limit=st.integers(1, 12))
def test_a_node_that_hides_the_rest(rows: list[Any], limit: int) -> None:
    """With ``always`` a full page is the last; with ``boundary`` only at the end of a state."""
    query = {"pagination.limit": str(limit)}
    whole = walk(rows, query)
    assert walk(rows, query, "always") == whole[:limit]
    active = sum(row.state == "active" for row in whole)
    hidden = 0 < active < len(whole) and active % limit == 0
    assert walk(rows, query, "boundary") == (whole[:active] if hidden else whole)


def test_a_row_that_goes_between_pages_moves_no_other() -> None:
    rows = [((number,), Row(number, "active")) for number in range(10)]
    page, pagination = cut(rows, STATES, state_of, page_request({"pagination.limit": "4"}))
    assert [row.number for row in page] == [0, 1, 2, 3]
    del rows[4]
    del rows[0]
    asked = page_request({"pagination.limit": "4", "pagination.key": pagination["next_key"]})
    assert [row.number for row in cut(rows, STATES, state_of, asked)[0]] == [5, 6, 7, 8]


def test_a_key_keeps_the_states_that_are_left() -> None:
    rows = [((number,), Row(number, STATES[number % 2])) for number in range(8)]
    first = page_request({"pagination.limit": "5"})
    _page, pagination = cut(rows, STATES, state_of, first)
    asked = page_request({"pagination.limit": "5", "pagination.key": pagination["next_key"]})
    page, pagination = cut(rows, STATES, state_of, asked)
    assert [row.number for row in page] == [3, 5, 7]
    assert pagination == {"next_key": None, "total": "3"}


@pytest.mark.parametrize("key", ["AAAA", "not base64!", "eJwDAAAAAAE="])
def test_keys_that_no_node_gave(key: str) -> None:
    with pytest.raises(QueryError) as refused:
        page_request({"pagination.key": key})
    assert refused.value.http_status == 500


def test_key_and_offset_exclude_each_other() -> None:
    with pytest.raises(QueryError, match="either offset or key"):
        page_request({"pagination.key": "AAAA", "pagination.offset": "1"})


def test_default_limit_and_url_safe_keys() -> None:
    rows = [((number,), Row(number, "active")) for number in range(250)]
    page, pagination = cut(rows, STATES, state_of, page_request({"pagination.limit": "0"}))
    assert len(page) == 100
    safe = pagination["next_key"].translate(str.maketrans("+/", "-_")).rstrip("=")
    assert cut(rows, STATES, state_of, page_request({"pagination.key": safe}))[0][0].number == 100


def leases(devchain: Devchain, count: int) -> tuple[str, str]:
    tenant, provider = str(devchain.wallet().address()), str(devchain.wallet().address())
    devchain.admin.provider_set(provider)
    devchain.admin.batch(
        [
            lambda ops, dseq=dseq: (ops.deployment_create(tenant, dseq=dseq), ops.lease_create(tenant, dseq, provider))  # type: ignore[misc]
            for dseq in range(1, count + 1)
        ]
    )
    return tenant, provider


def test_leases_over_http(devchain: Devchain, get: Get) -> None:
    tenant, _provider = leases(devchain, 7)
    for dseq in (2, 5):
        devchain.admin.lease_close(tenant, dseq)

    def dseqs(answer: Any) -> list[int]:
        return [int(row["lease"]["id"]["dseq"]) for row in answer.json["leases"]]

    query = {"filters.owner": tenant, "pagination.limit": 3, "pagination.count_total": "true"}
    first = get(LEASES, query)
    assert dseqs(first) == [1, 3, 4] and first.json["pagination"]["total"] == "3"
    second = get(LEASES, {**query, "pagination.key": first.json["pagination"]["next_key"]})
    assert dseqs(second) == [6, 7, 2]
    third = get(LEASES, {**query, "pagination.key": second.json["pagination"]["next_key"]})
    assert dseqs(third) == [5] and third.json["pagination"] == {"next_key": None, "total": "1"}
    backwards = {"filters.state": "active", "pagination.reverse": "true", "pagination.limit": 4}
    assert dseqs(get(LEASES, backwards)) == [7, 6, 4, 3]
    assert dseqs(get(LEASES, {**backwards, "pagination.offset": 4})) == [1]


def test_filters_are_not_in_the_key(devchain: Devchain, get: Get) -> None:
    """A client that forgets to repeat its filter gets other people's rows, as on chain."""
    tenant, _provider = leases(devchain, 3)
    other, _second = leases(devchain, 3)
    first = get(LEASES, {"filters.owner": min(tenant, other), "pagination.limit": 2}).json
    key = first["pagination"]["next_key"]
    rows = get(LEASES, {"pagination.key": key}).json["leases"]
    assert {row["lease"]["id"]["owner"] for row in rows} == {tenant, other}


def test_exactly_full_pages_of_an_old_node(devchain: Devchain, get: Get) -> None:
    leases(devchain, 5)
    devchain.faults.add("full-page", route="leases/list")
    page = get(LEASES, {"pagination.limit": 2}).json
    assert len(page["leases"]) == 2 and page["pagination"]["next_key"] is None
    devchain.faults.clear()
    assert get(LEASES, {"pagination.limit": 2}).json["pagination"]["next_key"] is not None


def test_providers_page_too(devchain: Devchain, get: Get) -> None:
    owners = sorted(str(devchain.wallet().address()) for _unused in range(5))
    for owner in owners:
        devchain.admin.provider_set(owner)
    path = "/akash/provider/v1beta4/providers"
    first = get(path, {"pagination.limit": 3}).json
    second = get(path, {"pagination.limit": 3, "pagination.key": first["pagination"]["next_key"]}).json
    assert [each["owner"] for each in first["providers"] + second["providers"]] == owners
    assert [each["owner"] for each in get(path, {"pagination.offset": 4}).json["providers"]] == owners[4:]
