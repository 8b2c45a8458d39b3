# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of each message, as chain.md states them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from devchain import messages
from devchain.blocks import TxResult
from devchain.chain import Chain
from devchain.modules import audit, bank, deployment, market, provider
from devchain.operations import Operations
from devchain.records import Attributes
from devchain.signing import sign

MakeWallet = Callable[..., Any]
HASH = bytes(range(32))


def run(chain: Chain, wallet: Any, *given: Any) -> TxResult:
    """Deliver messages in a block; the result, whatever it is."""
    chain.begin_block()
    result = chain.deliver_tx(sign(chain, wallet, *given))
    chain.end_block()
    return result


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def signed(chain: Chain, owner: str, auditor: str) -> Attributes | None:
    entry = audit.entry(chain.view(), owner, auditor)
    return None if entry is None else entry.attributes


# -- audit ---------------------------------------------------------------------


def test_signing_replaces_named_keys_and_keeps_the_rest(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    me = str(tenant.address())

    def put(**values: str) -> int:
        message = messages.new(messages.SIGN_ATTRIBUTES, owner=me, auditor=me, attributes=pairs(**values))
        return run(chain, tenant, message).code

    assert put(b="1", a="1") == 0
    assert signed(chain, me, me) == (("a", "1"), ("b", "1"))
    assert put(b="2", c="2") == 0
    assert signed(chain, me, me) == (("a", "1"), ("b", "2"), ("c", "2"))
    assert put() == 0
    assert signed(chain, me, me) == (("a", "1"), ("b", "2"), ("c", "2"))


def test_first_signing_keeps_a_doubled_key_the_second_does_not(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    me = str(tenant.address())
    twice = [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]
    message = messages.new(messages.SIGN_ATTRIBUTES, owner=me, auditor=me, attributes=twice)
    assert run(chain, tenant, message).code == 0
    assert signed(chain, me, me) == (("k", "1"), ("k", "2"))
    assert run(chain, tenant, message).code == 0
    assert signed(chain, me, me) == (("k", "2"),)


def test_anyone_may_sign_about_anyone_under_their_own_name(chain: Chain, wallet: MakeWallet) -> None:
    tenant, stranger = wallet(), wallet()
    me, other = str(tenant.address()), str(stranger.address())
    about = messages.new(messages.SIGN_ATTRIBUTES, owner=me, auditor=other, attributes=pairs(k="forged"))
    assert run(chain, stranger, about).code == 0
    assert signed(chain, me, other) == (("k", "forged"),)
    assert signed(chain, me, me) is None
    as_tenant = messages.new(messages.SIGN_ATTRIBUTES, owner=me, auditor=me, attributes=pairs(k="forged"))
    assert run(chain, stranger, as_tenant).code == 8


def test_deleting_named_keys_needs_all_of_them(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    me = str(tenant.address())

    def delete(*keys: str) -> TxResult:
        return run(chain, tenant, messages.new(messages.DELETE_ATTRIBUTES, owner=me, auditor=me, keys=keys))

    nothing = delete()
    assert (nothing.codespace, nothing.code) == ("audit", 1)
    put = messages.new(messages.SIGN_ATTRIBUTES, owner=me, auditor=me, attributes=pairs(a="1", b="1", c="1"))
    run(chain, tenant, put)
    assert delete("a", "x").code == 3
    assert delete("a", "a").code == 3
    assert signed(chain, me, me) == (("a", "1"), ("b", "1"), ("c", "1"))
    assert delete("a").code == 0
    assert signed(chain, me, me) == (("b", "1"), ("c", "1"))
    assert delete("b", "c").code == 0
    assert signed(chain, me, me) is None
    run(chain, tenant, put)
    assert delete().code == 0
    assert signed(chain, me, me) is None


# -- provider ------------------------------------------------------------------


def provider_message(kind: str, owner: str, **fields: Any) -> Any:
    return messages.new(kind, owner=owner, **{"host_uri": "https://p.example:8443", **fields})


@pytest.mark.parametrize(
    "uri", ["https://p.example", "https://p.example:8443", "https://[2001:db8::1]:8443", "https://192.0.2.1"]
)
def test_host_uri_is_https_without_path(chain: Chain, wallet: MakeWallet, uri: str) -> None:
    team = wallet()
    message = provider_message(messages.CREATE_PROVIDER, str(team.address()), host_uri=uri)
    assert run(chain, team, message).code == 0


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("", 2),
        ("p.example", 2),
        ("http://p.example", 1),
        ("https://p.example/", 1),
        ("https://p.example/path", 1),
        ("https://p.example?x=1", 1),
        ("https://", 1),
        ("https://p.example:port", 1),
        ("ftp://p.example", 1),
    ],
)
def test_other_host_uris_are_refused(chain: Chain, wallet: MakeWallet, uri: str, code: int) -> None:
    team = wallet()
    result = chain.check_tx(
        sign(chain, team, provider_message(messages.CREATE_PROVIDER, str(team.address()), host_uri=uri))
    )
    assert (result.codespace, result.code) == ("provider", code)


@pytest.mark.parametrize("key", ["ab", "avpn/peer/node-1", "a" * 127, "Z_9.x-y/z"])
def test_attribute_keys_that_match(key: str) -> None:
    provider.check_attributes(((key, "anything at all: {} \n"),))


@pytest.mark.parametrize("key", ["", "a", "1ab", "a b", "ab\n", "a" * 128, "schlüssel", "ab:c", "/ab"])
def test_attribute_keys_that_do_not(chain: Chain, wallet: MakeWallet, key: str) -> None:
    team = wallet()
    message = provider_message(messages.CREATE_PROVIDER, str(team.address()), attributes=[{"key": key, "value": "v"}])
    result = chain.check_tx(sign(chain, team, message))
    assert (result.codespace, result.code) == ("provider", 6)


def test_provider_is_created_once_and_updated_as_a_whole(chain: Chain, wallet: MakeWallet) -> None:
    team = wallet()
    me = str(team.address())
    update = provider_message(messages.UPDATE_PROVIDER, me, attributes=pairs(kb="2"))
    assert run(chain, team, update).code == 3
    create = provider_message(
        messages.CREATE_PROVIDER,
        me,
        attributes=pairs(ka="1", kb="1"),
        info={"email": "ops@p.example", "website": "https://p.example"},
    )
    assert run(chain, team, create).code == 0
    again = run(chain, team, create)
    assert again.code == 4 and f"id: {me}: invalid provider: already exists" in again.log
    assert run(chain, team, update).code == 0
    record = provider.get(chain.view(), me)
    assert record is not None
    assert record.attributes == (("kb", "2"),)
    assert (record.email, record.website) == ("", "")


def test_provider_attributes_are_unique_and_website_is_a_url(chain: Chain, wallet: MakeWallet) -> None:
    team = wallet()
    me = str(team.address())
    doubled = [{"key": "ka", "value": "1"}, {"key": "ka", "value": "2"}]
    assert run(chain, team, provider_message(messages.CREATE_PROVIDER, me, attributes=doubled)).code == 6
    assert run(chain, team, provider_message(messages.CREATE_PROVIDER, me, info={"website": "no url"})).code == 8


def test_required_attributes_stay_while_the_lease_is_active(
    chain: Chain, operations: Operations, wallet: MakeWallet
) -> None:
    team, tenant = wallet(), str(wallet().address())
    me = str(team.address())
    operations.provider_set(me, attributes={"region": "lab", "tier": "a"})
    operations.deployment_create(tenant, [{"name": "g", "count": 1, "attributes": {"region": "lab"}}], dseq=5)
    operations.lease_create(tenant, 5, me)
    without = provider_message(messages.UPDATE_PROVIDER, me, attributes=pairs(tier="b"))
    refused = run(chain, team, without)
    assert (refused.codespace, refused.code) == ("provider", 7)
    keeps = provider_message(messages.UPDATE_PROVIDER, me, attributes=pairs(region="lab"))
    assert run(chain, team, keeps).code == 0
    operations.lease_close(tenant, 5)
    assert run(chain, team, without).code == 0


def test_providers_cannot_be_deleted(chain: Chain, operations: Operations, wallet: MakeWallet) -> None:
    team = wallet()
    me = str(team.address())
    delete = messages.new(messages.DELETE_PROVIDER, owner=me)
    assert run(chain, team, delete).code == 3
    operations.provider_set(me)
    refused = run(chain, team, delete)
    assert refused.code == 10 and "NOTIMPLEMENTED: internal error" in refused.log
    assert provider.get(chain.view(), me) is not None


# -- deployment ----------------------------------------------------------------


def create_message(owner: str, dseq: int = 7, **fields: Any) -> Any:
    groups = [
        {
            "name": "web",
            "requirements": {"attributes": pairs(region="lab")},
            "resources": [
                {
                    "resource": {"id": 1, "cpu": {"units": {"val": b"12345"}}},
                    "count": 2,
                    "price": {"denom": "uakt", "amount": "1500000000000000000"},
                },
                {"count": 3},
            ],
        },
        {"name": "db", "resources": [{"count": 1}]},
    ]
    return messages.new(
        messages.CREATE_DEPLOYMENT,
        **{"id": {"owner": owner, "dseq": dseq}, "groups": groups, "hash": HASH, **fields},
    )


def test_a_deployment_has_open_groups_with_their_counts(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    me = str(tenant.address())
    assert run(chain, tenant, create_message(me)).code == 0
    made = deployment.get(chain.view(), me, 7)
    assert made is not None
    assert (made.state, made.hash, made.created_at) == ("active", HASH.hex(), chain.height)
    assert [(group.gseq, group.state, group.name) for group in made.groups] == [(1, "open", "web"), (2, "open", "db")]
    web, db = (group.spec for group in made.groups)
    assert [unit["count"] for unit in web["resources"]] == [2, 3]
    assert web["resources"][0]["resource"]["cpu"]["units"]["val"] == "12345"
    assert web["resources"][0]["price"] == {"denom": "uakt", "amount": "1.500000000000000000"}
    assert db["requirements"] == {"signed_by": {"all_of": [], "any_of": []}, "attributes": []}
    assert run(chain, tenant, create_message(me)).code == 3


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"groups": []}, 7),
        ({"hash": b""}, 9),
        ({"hash": b"short"}, 10),
        ({"groups": [{"name": "", "resources": [{"count": 1}]}]}, 19),
        ({"groups": [{"name": "g", "resources": []}]}, 19),
        ({"groups": [{"name": "g", "resources": [{"count": 0}]}]}, 19),
        ({"groups": [{"name": "g", "resources": [{"count": 1}]}] * 2}, 25),
        ({"deposit": {"amount": {"denom": "uatom", "amount": "1"}}}, 20),
    ],
)
def test_deployments_that_are_refused(chain: Chain, wallet: MakeWallet, fields: dict[str, Any], code: int) -> None:
    tenant = wallet()
    result = chain.check_tx(sign(chain, tenant, create_message(str(tenant.address()), **fields)))
    assert (result.codespace, result.code) == ("deployment", code)


def test_dseq_zero_is_refused(chain: Chain, wallet: MakeWallet) -> None:
    tenant = wallet()
    assert chain.check_tx(sign(chain, tenant, create_message(str(tenant.address()), dseq=0))).code == 8


def test_update_changes_only_the_hash_and_close_ends_everything(
    chain: Chain, operations: Operations, wallet: MakeWallet
) -> None:
    tenant, team = wallet(10_000_000), str(wallet().address())
    me = str(tenant.address())
    operations.provider_set(team, attributes={"region": "lab"})
    deposit = {"amount": {"denom": "uakt", "amount": "5000000"}, "sources": [1]}
    assert run(chain, tenant, create_message(me, deposit=deposit)).code == 0
    assert bank.balance(chain.view(), me) == 5_000_000 - 1_001
    before = deployment.get(chain.view(), me, 7)
    operations.lease_create(me, 7, team)
    identity = {"owner": me, "dseq": 7}
    update = messages.new(messages.UPDATE_DEPLOYMENT, id=identity, hash=HASH[::-1])
    assert run(chain, tenant, update).code == 0
    after = deployment.get(chain.view(), me, 7)
    assert before is not None and after is not None
    assert after.hash == HASH[::-1].hex() and after.groups == before.groups
    close = messages.new(messages.CLOSE_DEPLOYMENT, id=identity)
    assert run(chain, tenant, close).code == 0
    closed = deployment.get(chain.view(), me, 7)
    assert closed is not None
    assert {closed.state, *(group.state for group in closed.groups)} == {"closed"}
    (lease,) = market.leases_of(chain.view(), me, 7)
    assert (lease.state, lease.closed_on, lease.reason) == ("closed", chain.height, "lease_closed_owner")
    assert bank.balance(chain.view(), me) == 10_000_000 - 3 * 1_001
    assert run(chain, tenant, close).code == 5
    assert run(chain, tenant, update).code == 5


def test_unknown_deployments_and_other_peoples(chain: Chain, wallet: MakeWallet) -> None:
    tenant, stranger = wallet(), wallet()
    me = str(tenant.address())
    close = messages.new(messages.CLOSE_DEPLOYMENT, id={"owner": me, "dseq": 7})
    assert run(chain, tenant, close).code == 4
    run(chain, tenant, create_message(me))
    assert run(chain, stranger, close).code == 8
    assert run(chain, tenant, close).code == 0


def test_deployment_and_record_in_one_transaction(chain: Chain, wallet: MakeWallet) -> None:
    """R2: a deployment joins in the transaction that creates it, or neither happens."""
    tenant = wallet()
    me = str(tenant.address())
    join = messages.new(messages.SIGN_ATTRIBUTES, owner=me, auditor=me, attributes=pairs(member="7"))
    assert run(chain, tenant, create_message(me), join).code == 0
    assert signed(chain, me, me) == (("member", "7"),)
    leave = messages.new(messages.DELETE_ATTRIBUTES, owner=me, auditor=me, keys=["absent"])
    close = messages.new(messages.CLOSE_DEPLOYMENT, id={"owner": me, "dseq": 7})
    assert run(chain, tenant, close, leave).code == 3
    still = deployment.get(chain.view(), me, 7)
    assert still is not None and still.state == "active"


# -- bank ----------------------------------------------------------------------


def test_send(chain: Chain, wallet: MakeWallet) -> None:
    sender, receiver = wallet(10_000), str(wallet(0).address())

    def send(amount: str, denom: str = "uakt") -> int:
        coins = [{"denom": denom, "amount": amount}]
        message = messages.new(messages.SEND, from_address=str(sender.address()), to_address=receiver, amount=coins)
        return run(chain, sender, message).code

    assert send("100") == 0
    assert bank.balance(chain.view(), receiver) == 100
    assert bank.account(chain.view(), receiver) is not None
    assert send("10000") == 5
    assert send("1", "uatom") == 10
    assert send("0") == 10
    assert send("-1") == 10
    assert bank.balance(chain.view(), receiver) == 100
