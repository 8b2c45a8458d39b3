# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Queries at a height: the state as it was, for as long as it is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from devchain.chain import Chain
from devchain.errors import DevchainError, QueryError
from devchain.modules import bank
from devchain.operations import Operations
from devchain.pytest_plugin import Devchain
from devchain.store import Cache, Store, View
from hypothesis import given
from hypothesis import strategies as st

Get = Callable[..., Any]
LEASES = "/akash/market/v1beta5/leases/list"

writes = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.one_of(st.none(), st.integers(1, 9))), max_size=4),
    max_size=12,
)


@given(blocks=writes, floor=st.integers(0, 12))
def test_the_store_answers_as_a_list_of_copies_would(
    blocks: list[list[tuple[int, int, int | None]]], floor: int
) -> None:
    """Every height reads as a full copy of that height, before and after pruning."""
    store, copies, now = Store(), [{}], {}  # type: ignore[var-annotated]
    for height, block in enumerate(blocks, start=1):
        cache = Cache(View(store, height - 1), height)
        for first, second, value in block:
            key = (first, second)
            branch = cache.branch()
            branch.set("t", key, value)
            cache.merge(branch)
            now = {**now, key: value}
            now = {each: held for each, held in now.items() if held is not None}
            assert dict(cache.items("t")) == now
            assert dict(cache.prefixed("t", (first,))) == {k: v for k, v in now.items() if k[0] == first}
        store.apply(cache.changes(), height)
        copies.append(now)
    for oldest in (0, min(floor, len(blocks))):
        store.prune(oldest)
        for height in range(oldest, len(blocks) + 1):
            view = View(store, height)
            assert list(view.items("t")) == sorted(copies[height].items())
            assert list(view.prefixed("t", (2,))) == sorted(i for i in copies[height].items() if i[0][0] == 2)
            assert all(view.get("t", (a, b)) == copies[height].get((a, b)) for a in range(6) for b in range(4))


def test_a_dropped_branch_leaves_nothing() -> None:
    store = Store()
    cache = Cache(View(store, 0), 1)
    branch = cache.branch()
    branch.set("t", (1,), "x")
    assert cache.get("t", (1,)) is None and cache.changes() == []


def test_heights_over_http(devchain: Devchain, get: Get) -> None:
    tenant, provider = str(devchain.wallet().address()), str(devchain.wallet().address())
    devchain.admin.provider_set(provider)
    devchain.admin.deployment_create(tenant, dseq=1)
    before = devchain.height
    devchain.admin.lease_create(tenant, 1, provider)
    active = devchain.height
    devchain.block(3)
    devchain.admin.lease_close(tenant, 1)
    closed = devchain.height

    def states(height: int) -> list[str]:
        answer = get(LEASES, height=height)
        assert answer.height == height
        return [row["lease"]["state"] for row in answer.json["leases"]]

    assert [states(each) for each in (before, active, closed - 1, closed)] == [[], ["active"], ["active"], ["closed"]]
    newest = get(LEASES, height=0)
    assert newest.height == closed
    (row,) = newest.json["leases"]
    assert (row["lease"]["created_at"], row["lease"]["closed_on"]) == (str(active), str(closed))
    pair = f"/akash/audit/v1/audit/attributes/{tenant}/{tenant}"
    assert get(pair, height=active).status == 404
    latest = get("/cosmos/base/tendermint/v1beta1/blocks/latest", height=before).json
    assert latest["block"]["header"]["height"] == str(closed)


@pytest.mark.devchain(keep=20)
def test_heights_that_cannot_be_had(devchain: Devchain, get: Get) -> None:
    devchain.block(300)
    future = get(LEASES, height=devchain.height + 1)
    assert (future.status, future.json["code"]) == (400, 3) and "height in the future" in future.json["message"]
    assert get(LEASES, height=devchain.height - 20).status == 200
    pruned = get(LEASES, height=devchain.height - 21)
    assert (pruned.status, pruned.json["code"]) == (400, 3)
    assert f"version does not exist (latest height: {devchain.height})" in pruned.json["message"]
    for wrong in (-1, "x", "1.5"):
        answer = get(LEASES, height=wrong)
        assert (answer.status, answer.json["code"]) == (400, 3)
    oldest = get("/cosmos/base/tendermint/v1beta1/blocks/2")
    assert oldest.status == 500 and "lowest height is" in oldest.json["message"]


def test_two_thousand_blocks_are_kept_and_cheap() -> None:
    chain = Chain()
    operations = Operations(chain)
    from cosmpy.aerial.wallet import LocalWallet

    address = str(LocalWallet.generate(prefix="akash").address())
    operations.fund(address, 1)
    start = chain.height
    for _unused in range(5):
        chain.advance(500)
        operations.fund(address, 1)
    assert chain.oldest == chain.height - 2000
    for kept, height in enumerate(range(chain.height, chain.oldest - 1, -501)):
        assert bank.balance(chain.view(height), address) == 6 - kept
    with pytest.raises(QueryError):
        chain.view(start)


def test_blocks_by_hand_and_time_never_goes_back() -> None:
    times = iter([10, 10, 5, 30])
    chain = Chain(clock=lambda: next(times, 40))
    assert [chain.block_at(1).time, chain.block().time] == [10, 11]
    assert chain.begin_block() == 3
    with pytest.raises(DevchainError, match="being built already"):
        chain.begin_block()
    assert chain.end_block().time > 11
    with pytest.raises(DevchainError, match="call begin_block first"):
        chain.deliver_tx(b"")
    with pytest.raises(DevchainError, match="call begin_block first"):
        chain.end_block()


def test_advance_moves_height_and_time() -> None:
    chain = Chain()
    before = chain.block_at()
    chain.advance(1200, seconds_each=1)
    after = chain.block_at()
    assert after.height - before.height == 1200
    assert after.time - before.time == 1200 * 10**9
    assert chain.block().time > after.time


def test_hashes_chain_up() -> None:
    one, two = Chain(clock=lambda: 7), Chain(clock=lambda: 7)
    one.advance(3)
    two.advance(3)
    assert one.block_at().hash == two.block_at().hash
    assert one.block_at(3).parent == one.block_at(2).hash
