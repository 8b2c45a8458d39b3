# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an endpoint can be made to do wrong, and that only it does."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from devchain.errors import AdminError
from devchain.faults import Faults
from devchain.pytest_plugin import Devchain

Get = Callable[..., Any]
LEASES = "/akash/market/v1beta5/leases/list"
LATEST = "/cosmos/base/tendermint/v1beta1/blocks/latest"


@pytest.fixture
def lease(devchain: Devchain) -> tuple[str, str]:
    tenant, provider = str(devchain.wallet().address()), str(devchain.wallet().address())
    devchain.admin.provider_set(provider)
    devchain.admin.deployment_create(tenant, dseq=1)
    devchain.admin.lease_create(tenant, 1, provider)
    return tenant, provider


def test_unavailable_a_number_of_times(devchain: Devchain, get: Get) -> None:
    devchain.faults.add("unavailable", count=2)
    for _unused in range(2):
        answer = get(LEASES)
        assert (answer.status, answer.json["code"], answer.json["details"]) == (503, 14, [])
    assert get(LEASES).status == 200
    devchain.faults.add("unavailable", status=502, route="leases")
    assert (get(LEASES).status, get(LATEST).status) == (502, 200)


def test_slow(devchain: Devchain, get: Get) -> None:
    devchain.faults.add("slow", seconds=0.3, count=1)
    began = time.monotonic()
    assert get(LEASES).status == 200
    assert time.monotonic() - began >= 0.3
    devchain.faults.add("slow", seconds=5, count=1)
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(devchain.url + LEASES, timeout=0.2)
    assert get(LEASES).status == 200


def test_stale_answers_from_the_past(devchain: Devchain, get: Get, lease: tuple[str, str]) -> None:
    devchain.block(20)
    old = devchain.height
    devchain.admin.lease_close(lease[0], 1)
    devchain.block(4)
    fault = devchain.faults.add("stale", blocks=5)
    answer = get(LEASES)
    assert (answer.height, answer.json["leases"][0]["lease"]["state"]) == (old, "active")
    assert get(LATEST).json["block"]["header"]["height"] == str(old)
    beyond = get(LEASES, height=devchain.height)
    assert (beyond.status, beyond.json["code"]) == (400, 3) and "in the future" in beyond.json["message"]
    devchain.faults.clear(fault.number)
    devchain.faults.add("stale", height=old - 18, hide=True)
    answer = get(LEASES)
    assert (answer.height, answer.json["leases"][0]["lease"]["state"]) == (devchain.height, "active")
    devchain.faults.clear()
    assert get(LEASES).json["leases"][0]["lease"]["state"] == "closed"


def test_one_node_lies_the_other_does_not(devchain: Devchain, get: Get, lease: tuple[str, str]) -> None:
    liar = devchain.add_endpoint()
    liar.faults.add("lie", route="leases/list", path="leases.*.lease.id.provider", value="akash1forged")
    assert get(LEASES, url=liar.url).json["leases"][0]["lease"]["id"]["provider"] == "akash1forged"
    assert get(LEASES).json["leases"][0]["lease"]["id"]["provider"] == lease[1]
    liar.faults.clear()
    liar.faults.add("lie", route="leases/list", path="leases.0", drop=True)
    assert get(LEASES, url=liar.url).json["leases"] == []
    liar.faults.clear()
    liar.faults.add("lie", path="leases.7.lease.state", value="closed")
    assert get(LEASES, url=liar.url).json == get(LEASES).json


def test_not_found_for_what_is_there(devchain: Devchain, get: Get, lease: tuple[str, str]) -> None:
    path = f"/akash/provider/v1beta4/providers/{lease[1]}"
    devchain.faults.add("not-found", route="/providers/", count=1)
    answer = get(path)
    assert (answer.status, answer.json["code"]) == (404, 5)
    assert get(path).status == 200


def test_garbage_and_disconnect(devchain: Devchain, get: Get) -> None:
    devchain.faults.add("garbage", count=1)
    answer = get(LEASES)
    assert answer.status == 200 and answer.body.startswith(b"<html>")
    devchain.faults.add("disconnect", count=1)
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        get(LEASES)
    assert get(LEASES).status == 200


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("meteorite", {}, "no such fault"),
        ("slow", {}, "needs seconds"),
        ("slow", {"seconds": "long"}, "does not take"),
        ("lie", {"value": 1}, "needs path"),
        ("not-found", {"seconds": 1}, "does not take"),
        ("full-page", {"mode": "sometimes"}, "mode is"),
        ("slow", {"seconds": 1, "route": "("}, "is not a pattern"),
    ],
)
def test_faults_that_make_no_sense(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AdminError, match=message):
        Faults().add(kind, **options)


def test_list_and_clear() -> None:
    faults = Faults()
    first = faults.add("unavailable", route="leases")
    faults.add("slow", seconds=1, count=3)
    assert [fault.as_json() for fault in faults.list()] == [
        {"number": 1, "kind": "unavailable", "route": "leases", "count": None},
        {"number": 2, "kind": "slow", "route": "", "count": 3, "seconds": 1},
    ]
    assert set(faults.take("/leases")) == {"unavailable", "slow"}
    assert faults.clear(first.number) == 1
    assert faults.clear() == 1
    assert faults.take("/leases") == {}


def test_an_endpoint_that_is_gone(devchain: Devchain, get: Get) -> None:
    second = devchain.add_endpoint()
    assert get(LATEST, url=second.url).status == 200
    second.close()
    devchain.endpoints.remove(second)
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        get(LATEST, url=second.url)
    assert get(LATEST).status == 200
