# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operator's acts: the life of deployments and leases."""

from __future__ import annotations

from typing import Any

import pytest
from cosmpy.aerial.wallet import LocalWallet
from devchain.chain import Chain
from devchain.errors import AdminError
from devchain.modules import bank, deployment, market
from devchain.operations import Operations
from devchain.records import Lease


def address() -> str:
    return str(LocalWallet.generate(prefix="akash").address())


@pytest.fixture
def tenant(operations: Operations) -> str:
    """A tenant with deployment 1: groups ``web`` (2) and ``db`` (1)."""
    made = address()
    operations.deployment_create(made, [{"name": "web", "count": 2}, {"name": "db"}], dseq=1)
    return made


@pytest.fixture
def provider(operations: Operations) -> str:
    made = address()
    operations.provider_set(made, attributes={"region": "lab"})
    return made


def leases(chain: Chain, owner: str, dseq: int = 1) -> list[tuple[int, int, str, int]]:
    return [(each.gseq, each.oseq, each.state, each.closed_on) for each in market.leases_of(chain.view(), owner, dseq)]


def group_state(chain: Chain, owner: str, gseq: int = 1) -> str:
    found = deployment.get(chain.view(), owner, 1)
    group = found.group(gseq) if found else None
    assert group is not None
    return group.state


def test_fund(chain: Chain, operations: Operations) -> None:
    account = address()
    before = chain.height
    assert operations.fund(account, 5) == {"address": account, "balance": 5}
    assert operations.fund(account, 6)["balance"] == 11
    assert (chain.height, bank.balance(chain.view(before + 1), account)) == (before + 2, 5)
    for wrong in (("cosmos1xyz", 5), (account, 0)):
        with pytest.raises(AdminError):
            operations.fund(*wrong)


def test_a_lease_and_the_next_order(chain: Chain, operations: Operations, tenant: str, provider: str) -> None:
    first = operations.lease_create(tenant, 1, provider)["lease"]
    assert (first["id"]["oseq"], first["id"]["bseq"], first["state"]) == (1, 1, "active")
    with pytest.raises(AdminError, match="already has a running lease"):
        operations.lease_create(tenant, 1, provider)
    operations.lease_create(tenant, 1, provider, gseq=2, oseq=3, bseq=2, price="0.5")
    closed = operations.lease_close(tenant, 1)["lease"]
    assert (closed["state"], closed["reason"], closed["closed_on"]) == (
        "closed",
        "lease_closed_owner",
        str(chain.height),
    )
    first_end = chain.height
    assert group_state(chain, tenant) == "open"
    with pytest.raises(AdminError, match="order 1 of group 1 was filled before; the next is 2"):
        operations.lease_create(tenant, 1, provider, oseq=1)
    operations.lease_create(tenant, 1, provider)
    assert leases(chain, tenant) == [(1, 1, "closed", first_end), (1, 2, "active", 0), (2, 3, "active", 0)]
    with pytest.raises(AdminError, match="is closed already"):
        operations.lease_close(tenant, 1, oseq=1)


def test_a_provider_that_closes_pauses_the_group(
    chain: Chain, operations: Operations, tenant: str, provider: str
) -> None:
    operations.lease_create(tenant, 1, provider)
    closed = operations.lease_close(tenant, 1, by="provider")["lease"]
    assert closed["reason"] == "lease_closed_reason_unspecified"
    assert group_state(chain, tenant) == "paused"
    with pytest.raises(AdminError, match="is paused, not open"):
        operations.lease_create(tenant, 1, provider)
    operations.group_start(tenant, 1)
    assert operations.lease_create(tenant, 1, provider)["lease"]["id"]["oseq"] == 2
    with pytest.raises(AdminError, match="owner or provider"):
        operations.lease_close(tenant, 1, by="nature")


def test_insufficient_funds(chain: Chain, operations: Operations, tenant: str, provider: str) -> None:
    operations.lease_create(tenant, 1, provider)
    ended = operations.lease_insufficient_funds(tenant, 1)
    assert ended["lease"]["state"] == "insufficient_funds"
    assert ended["lease"]["reason"] == "lease_closed_reason_insufficient_funds"
    assert ended["lease"]["closed_on"] == str(chain.height)
    assert ended["escrow_payment"]["state"]["state"] == "overdrawn"
    assert group_state(chain, tenant) == "insufficient_funds"


def test_reclaiming_runs_on(chain: Chain, operations: Operations, tenant: str, provider: str) -> None:
    made = operations.lease_create(tenant, 1, provider, reclamation_hours=24)["lease"]
    agreed = {"window": "86400s", "started_at": "0", "deadline": "0", "reason": "lease_closed_invalid"}
    assert made["reclamation"] == agreed
    running = operations.lease_reclaim(tenant, 1)["lease"]
    assert (running["state"], running["closed_on"]) == ("reclaiming", "0")
    now = chain.block_at().time // 10**9
    assert running["reclamation"] == {
        "window": "86400s",
        "started_at": str(chain.height),
        "deadline": str(now + 86400),
        "reason": "lease_closed_reason_decommission",
    }
    chain.advance(3, seconds_each=86400)
    assert leases(chain, tenant) == [(1, 1, "reclaiming", 0)]
    with pytest.raises(AdminError, match="is reclaiming, not active"):
        operations.lease_reclaim(tenant, 1)
    with pytest.raises(AdminError, match="already has a running lease"):
        operations.lease_create(tenant, 1, provider)
    assert operations.lease_close(tenant, 1)["lease"]["state"] == "closed"
    operations.lease_create(tenant, 1, provider)
    for hours in (0, 721):
        with pytest.raises(AdminError, match="a reclamation window is"):
            operations.lease_reclaim(tenant, 1, hours=hours)
    assert operations.lease_reclaim(tenant, 1, hours=720)["lease"]["reclamation"]["window"] == "2592000s"


def test_leases_that_cannot_be(operations: Operations, tenant: str, provider: str) -> None:
    other = address()
    for arguments, message in (
        ((tenant, 2, provider), "deployment .*/2 is not active"),
        ((other, 1, provider), "is not active"),
        ((tenant, 1, provider, 9), "has no group 9"),
        ((tenant, 1, other), "is not a registered provider"),
        (("nobody", 1, provider), "is not an address"),
    ):
        with pytest.raises(AdminError, match=message):
            operations.lease_create(*arguments)
    operations.deployment_create(tenant, [{"name": "g", "attributes": {"region": "moon"}}], dseq=3)
    with pytest.raises(AdminError, match="lacks attributes the group asks for: region"):
        operations.lease_create(tenant, 3, provider)
    with pytest.raises(AdminError, match="no lease"):
        operations.lease_close(tenant, 1)


def test_deployments(chain: Chain, operations: Operations, tenant: str, provider: str) -> None:
    made = operations.deployment_create(tenant)
    assert made["deployment"]["id"]["dseq"] == str(chain.height)
    with pytest.raises(AdminError, match="exists"):
        operations.deployment_create(tenant, dseq=1)
    for wrong in ([], [{"name": ""}], [{"name": "g", "count": 0}], [{"name": "g", "size": 1}], [{"name": "g"}] * 2):
        with pytest.raises(AdminError):
            operations.deployment_create(tenant, wrong)
    operations.lease_create(tenant, 1, provider)
    closed = operations.deployment_close(tenant, 1)
    assert closed["deployment"]["state"] == "closed"
    assert leases(chain, tenant) == [(1, 1, "closed", chain.height)]
    with pytest.raises(AdminError, match="Deployment closed"):
        operations.deployment_close(tenant, 1)


def test_replacing_a_deployment(chain: Chain, operations: Operations, tenant: str, provider: str) -> None:
    """R11 in the small: another dseq, the same groups, leases at the same providers, in one block."""
    operations.lease_create(tenant, 1, provider)
    operations.lease_create(tenant, 1, provider, gseq=2)
    operations.lease_reclaim(tenant, 1, gseq=2)
    made = operations.deployment_replace(tenant, 1, new_dseq=50)
    assert made["deployment"]["id"]["dseq"] == "50"
    assert [group["group_spec"]["name"] for group in made["groups"]] == ["web", "db"]
    assert [group["group_spec"]["resources"][0]["count"] for group in made["groups"]] == [2, 1]
    assert {each["lease"]["id"]["provider"] for each in made["leases"]} == {provider}
    assert leases(chain, tenant) == [(1, 1, "closed", chain.height), (2, 1, "closed", chain.height)]
    assert leases(chain, tenant, 50) == [(1, 1, "active", 0), (2, 1, "active", 0)]
    assert all(each["lease"]["created_at"] == str(chain.height) for each in made["leases"])
    with pytest.raises(AdminError, match="no deployment"):
        operations.deployment_replace(tenant, 2)


def test_a_refused_act_changes_nothing(chain: Chain, operations: Operations, tenant: str) -> None:
    before = chain.view()
    with pytest.raises(AdminError, match="invalid attribute key"):
        operations.provider_set(tenant, attributes={"no good": "x"})
    after = chain.view()
    for table in ("accounts", "balances", "providers", "deployments", "leases"):
        assert list(before.items(table)) == list(after.items(table))


def test_batch_is_one_block_or_nothing(chain: Chain, operations: Operations, tenant: str, provider: str) -> None:
    height = chain.height
    made = operations.batch(
        [
            lambda ops: ops.deployment_create(tenant, dseq=7),
            lambda ops: ops.lease_create(tenant, 7, provider),
        ]
    )
    assert (chain.height, made[1]["lease"]["created_at"]) == (height + 1, str(height + 1))
    with pytest.raises(AdminError, match="has no group 5"):
        operations.batch(
            [
                lambda ops: ops.deployment_create(tenant, dseq=8),
                lambda ops: ops.lease_create(tenant, 8, provider, gseq=5),
            ]
        )
    assert deployment.get(chain.view(), tenant, 8) is None


def test_advance_and_status(chain: Chain, operations: Operations, tenant: str, provider: str) -> None:
    height = chain.height
    assert operations.advance(10) == {"height": height + 10}
    with pytest.raises(AdminError):
        operations.advance(0)
    status: dict[str, Any] = operations.status()
    assert (status["chain_id"], status["height"], status["pending"]) == ("avpn-lab-1", height + 10, 0)
    assert (status["deployments"], status["providers"], status["leases"]) == (1, 1, 0)


def test_the_newest_of_several_leases_is_meant() -> None:
    chain = Chain()
    operations = Operations(chain)
    owner, team = address(), address()
    operations.provider_set(team)
    operations.deployment_create(owner, dseq=1)
    for _unused in range(3):
        operations.lease_create(owner, 1, team)
        operations.lease_close(owner, 1)
    found: Lease = market.find(chain.view(), owner, 1, 1, None, None)
    assert found.oseq == 3
    assert market.find(chain.view(), owner, 1, 1, 2, team).oseq == 2
