# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every route: its shape to the letter, and its errors."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from devchain import messages
from devchain.chain import Chain
from devchain.errors import QueryError
from devchain.pytest_plugin import Devchain
from devchain.server import serve
from devchain.signing import sign

Get = Callable[..., Any]

LEASES = "/akash/market/v1beta5/leases/list"
DEPLOYMENTS = "/akash/deployment/v1beta4/deployments"
PROVIDERS = "/akash/provider/v1beta4/providers"
ATTRIBUTES = "/akash/audit/v1/audit/attributes"
TENDERMINT = "/cosmos/base/tendermint/v1beta1"
ZERO = "0.000000000000000000"


def setup(devchain: Devchain) -> tuple[Any, str, str]:
    """A tenant's wallet, its address, and a provider's address, with one lease (dseq 9)."""
    wallet = devchain.wallet()
    tenant, provider = str(wallet.address()), str(devchain.wallet().address())
    devchain.admin.provider_set(
        provider, "https://p.example:8443", {"avpn/peer/n1": "x"}, email="ops@p.example", website="https://p.example"
    )
    devchain.admin.deployment_create(tenant, [{"name": "web", "count": 2}], dseq=9)
    devchain.admin.lease_create(tenant, 9, provider, price="1.25")
    return wallet, tenant, provider


def test_lease(devchain: Devchain, get: Get) -> None:
    _wallet, tenant, provider = setup(devchain)
    answer = get(LEASES, {"filters.owner": tenant})
    assert (answer.status, answer.height) == (200, devchain.height)
    assert answer.headers["Content-Type"] == "application/json"
    price = {"denom": "uakt", "amount": "1.250000000000000000"}
    zero = {"denom": "uakt", "amount": ZERO}
    expected = {
        "lease": {
            "id": {"owner": tenant, "dseq": "9", "gseq": 1, "oseq": 1, "provider": provider, "bseq": 1},
            "state": "active",
            "price": price,
            "created_at": str(devchain.height),
            "closed_on": "0",
            "reason": "lease_closed_invalid",
            "reclamation": None,
        },
        "escrow_payment": {
            "id": {"aid": {"scope": "deployment", "xid": f"{tenant}/9"}, "xid": f"1/1/{provider}"},
            "state": {
                "owner": provider,
                "state": "open",
                "rate": price,
                "balance": zero,
                "unsettled": zero,
                "withdrawn": {"denom": "uakt", "amount": "0"},
            },
        },
    }
    assert answer.json == {"leases": [expected], "pagination": {"next_key": None, "total": "1"}}
    identity = {"id.owner": tenant, "id.dseq": 9, "id.gseq": 1, "id.oseq": 1, "id.provider": provider}
    info = "/akash/market/v1beta5/leases/info"
    assert get(info, identity).json == expected
    assert get(info, {**identity, "id.oseq": 2}).json == {"code": 5, "message": "lease not found", "details": []}
    assert get(info).status == 400


def test_lease_filters(devchain: Devchain, get: Get) -> None:
    _wallet, tenant, provider = setup(devchain)
    other, second = str(devchain.wallet().address()), str(devchain.wallet().address())
    devchain.admin.provider_set(second)
    devchain.admin.deployment_create(other, [{"name": "a"}, {"name": "b"}], dseq=9)
    devchain.admin.lease_create(other, 9, second, gseq=1)
    devchain.admin.lease_create(other, 9, provider, gseq=2, bseq=4)
    devchain.admin.lease_close(other, 9, gseq=1)
    devchain.admin.lease_create(other, 9, second, gseq=1)

    def found(**filters: object) -> set[str]:
        query = {f"filters.{name}": value for name, value in filters.items()}
        rows = get(LEASES, query).json["leases"]
        short = {tenant: "T", other: "O", provider: "P", second: "S"}
        ids = [(row["lease"]["id"], row["lease"]["state"]) for row in rows]
        return {
            f"{short[i['owner']]}{i['dseq']}.{i['gseq']}.{i['oseq']}{short[i['provider']]}{state[0]}"
            for i, state in ids
        }

    everything = {"T9.1.1Pa", "O9.1.1Sc", "O9.1.2Sa", "O9.2.1Pa"}
    assert found() == everything
    assert found(owner=tenant) == {"T9.1.1Pa"}
    assert found(provider=provider) == {"T9.1.1Pa", "O9.2.1Pa"}
    assert found(dseq=9) == everything
    assert found(dseq=8) == set()
    assert found(gseq=2) == {"O9.2.1Pa"}
    assert found(oseq=2) == {"O9.1.2Sa"}
    assert found(bseq=4) == {"O9.2.1Pa"}
    assert found(state="closed") == {"O9.1.1Sc"}
    assert found(state="active", owner=other, provider=second) == {"O9.1.2Sa"}
    assert found(dseq=0, gseq=0) == everything


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"filters.state": "open"}, "invalid state value"),
        ({"filters.owner": "akash1nonsense"}, "invalid owner address"),
        ({"filters.provider": "cosmos1xyz"}, "invalid provider address"),
        ({"filters.dseq": "x"}, 'type mismatch, parameter: filters.dseq, error: strconv.ParseUint: parsing "x"'),
        ({"filters.gseq": "-1"}, "type mismatch"),
        ({"pagination.offset": 1}, "if offset is set, filter.state must be provided"),
        ({"pagination.limit": "many"}, "type mismatch"),
        ({"pagination.reverse": "yes"}, "type mismatch"),
    ],
)
def test_wrong_parameters(devchain: Devchain, get: Get, query: dict[str, object], message: str) -> None:
    answer = get(LEASES, query)
    assert answer.status == 400
    assert answer.json["code"] == 3 and message in answer.json["message"] and answer.json["details"] == []


def test_deployment(devchain: Devchain, get: Get) -> None:
    wallet, tenant, _provider = setup(devchain)
    spec = {"name": "g1", "resources": [{"count": 4, "resource": {"id": 1, "memory": {"quantity": {"val": b"99"}}}}]}
    create = messages.new(
        messages.CREATE_DEPLOYMENT,
        id={"owner": tenant, "dseq": 18446744073709551615},
        groups=[spec],
        hash=bytes(32),
        deposit={"amount": {"denom": "uakt", "amount": "5000000"}, "sources": [1]},
    )
    assert devchain.broadcast(sign(devchain.chain, wallet, create)).code == 0
    height = str(devchain.height)
    answer = get(f"{DEPLOYMENTS}/info", {"id.owner": tenant, "id.dseq": 18446744073709551615})
    dseq = "18446744073709551615"
    funds = {"denom": "uakt", "amount": "5000000.000000000000000000"}
    resource = {
        "id": 1,
        "memory": {"quantity": {"val": "99"}, "attributes": []},
        "storage": [],
        "endpoints": [],
    }
    expected = {
        "deployment": {
            "id": {"owner": tenant, "dseq": dseq},
            "state": "active",
            "hash": base64.b64encode(bytes(32)).decode(),
            "created_at": height,
        },
        "groups": [
            {
                "id": {"owner": tenant, "dseq": dseq, "gseq": 1},
                "state": "open",
                "group_spec": {
                    "name": "g1",
                    "requirements": {"signed_by": {"all_of": [], "any_of": []}, "attributes": []},
                    "resources": [{"resource": resource, "count": 4, "price": {"denom": "", "amount": ZERO}}],
                },
                "created_at": height,
            }
        ],
        "escrow_account": {
            "id": {"scope": "deployment", "xid": f"{tenant}/{dseq}"},
            "state": {
                "owner": tenant,
                "state": "open",
                "transferred": [{"denom": "uakt", "amount": ZERO}],
                "settled_at": height,
                "funds": [funds],
                "deposits": [{"owner": tenant, "height": height, "source": "balance", "balance": funds}],
            },
        },
    }
    assert answer.json == expected
    listed = get(f"{DEPLOYMENTS}/list", {"filters.owner": tenant}).json
    assert [each["deployment"]["id"]["dseq"] for each in listed["deployments"]] == ["9", dseq]
    assert listed["deployments"][1] == expected
    devchain.admin.deployment_close(tenant, 9)
    for state, numbers in (("active", [dseq]), ("closed", ["9"])):
        rows = get(f"{DEPLOYMENTS}/list", {"filters.state": state}).json["deployments"]
        assert [each["deployment"]["id"]["dseq"] for each in rows] == numbers
    rows = get(f"{DEPLOYMENTS}/list", {"filters.owner": tenant, "filters.dseq": 9}).json["deployments"]
    assert [each["escrow_account"]["state"]["state"] for each in rows] == ["closed"]


def test_deployment_errors(devchain: Devchain, get: Get) -> None:
    tenant = str(devchain.wallet().address())
    missing = get(f"{DEPLOYMENTS}/info", {"id.owner": tenant, "id.dseq": 1})
    assert (missing.status, missing.json["code"], missing.json["message"]) == (404, 5, "Deployment not found")
    assert get(f"{DEPLOYMENTS}/info", {"id.dseq": 1}).json["message"] == "invalid owner address"
    assert get(f"{DEPLOYMENTS}/list", {"filters.state": "paused"}).status == 400


def test_provider(devchain: Devchain, get: Get) -> None:
    _wallet, tenant, provider = setup(devchain)
    record = {
        "owner": provider,
        "host_uri": "https://p.example:8443",
        "attributes": [{"key": "avpn/peer/n1", "value": "x"}],
        "info": {"email": "ops@p.example", "website": "https://p.example"},
    }
    assert get(f"{PROVIDERS}/{provider}").json == {"provider": record}
    assert get(PROVIDERS).json == {"providers": [record], "pagination": {"next_key": None, "total": "1"}}
    missing = get(f"{PROVIDERS}/{tenant}")
    assert (missing.status, missing.json["code"]) == (404, 5)
    assert get(f"{PROVIDERS}/nobody").status == 400


def test_signed_attributes_are_of_the_pair(devchain: Devchain, get: Get) -> None:
    """The route names the auditor first, the record the owner."""
    one, two = devchain.wallet(), devchain.wallet()
    owner, auditor = str(one.address()), str(two.address())
    message = messages.new(
        messages.SIGN_ATTRIBUTES, owner=owner, auditor=auditor, attributes=[{"key": "k", "value": '{"v":1}'}]
    )
    assert devchain.broadcast(sign(devchain.chain, two, message)).code == 0
    assert get(f"{ATTRIBUTES}/{auditor}/{owner}").json == {
        "providers": [{"owner": owner, "auditor": auditor, "attributes": [{"key": "k", "value": '{"v":1}'}]}],
        "pagination": None,
    }
    for pair in ((owner, auditor), (owner, owner), (auditor, auditor)):
        missing = get(f"{ATTRIBUTES}/{pair[0]}/{pair[1]}")
        assert missing.status == 404
        assert missing.json == {"code": 5, "message": "invalid provider: address not found", "details": []}
    assert get(f"{ATTRIBUTES}/{auditor}/nobody").json["code"] == 3


def test_accounts_and_balances(devchain: Devchain, get: Get) -> None:
    wallet = devchain.wallet(1_000_000)
    address = str(wallet.address())
    path = f"/cosmos/auth/v1beta1/accounts/{address}"
    account = get(path).json["account"]
    assert account == {
        "@type": "/cosmos.auth.v1beta1.BaseAccount",
        "address": address,
        "pub_key": None,
        "account_number": "0",
        "sequence": "0",
    }
    message = messages.new(messages.SIGN_ATTRIBUTES, owner=address, auditor=address)
    devchain.broadcast(sign(devchain.chain, wallet, message, fee=2_000))
    account = get(path).json["account"]
    assert account["sequence"] == "1"
    assert base64.b64decode(account["pub_key"]["key"]) == wallet.public_key().public_key_bytes
    coin = {"denom": "uakt", "amount": "998000"}
    bank = "/cosmos/bank/v1beta1"
    for kind in ("balances", "spendable_balances"):
        assert get(f"{bank}/{kind}/{address}").json == {
            "balances": [coin],
            "pagination": {"next_key": None, "total": "1"},
        }
    assert get(f"{bank}/balances/{address}/by_denom", {"denom": "uakt"}).json == {"balance": coin}
    other = get(f"{bank}/balances/{address}/by_denom", {"denom": "uatom"}).json
    assert other == {"balance": {"denom": "uatom", "amount": "0"}}
    assert get(f"{bank}/balances/{address}/by_denom").status == 400
    assert get("/cosmos/auth/v1beta1/accounts/nobody").status == 400
    from cosmpy.aerial.wallet import LocalWallet

    stranger = LocalWallet.generate(prefix="akash").address()
    assert get(f"/cosmos/auth/v1beta1/accounts/{stranger}").json["code"] == 5
    assert get(f"{bank}/balances/{stranger}").json["balances"] == []


def test_blocks(devchain: Devchain, get: Get) -> None:
    wallet = devchain.wallet()
    address = str(wallet.address())
    raw = sign(devchain.chain, wallet, messages.new(messages.SIGN_ATTRIBUTES, owner=address, auditor=address))
    devchain.broadcast(raw)
    latest = get(f"{TENDERMINT}/blocks/latest").json
    header = latest["block"]["header"]
    assert header["chain_id"] == "avpn-lab-1"
    assert header["height"] == str(devchain.height)
    moment = datetime.fromisoformat(header["time"][:26] + "+00:00")
    assert abs(moment.timestamp() - time.time()) < 60
    assert latest["block"]["data"]["txs"] == [base64.b64encode(raw).decode()]
    assert len(base64.b64decode(latest["block_id"]["hash"])) == 32
    assert latest["sdk_block"]["header"]["proposer_address"].startswith("akashvalcons1")
    assert get(f"{TENDERMINT}/blocks/{devchain.height}").json == latest
    parent = get(f"{TENDERMINT}/blocks/{devchain.height - 1}").json
    assert parent["block_id"] == header["last_block_id"]
    assert parent["block"]["header"]["time"] < header["time"]
    assert get(f"{TENDERMINT}/blocks/{devchain.height + 1}").json["code"] == 3
    assert get(f"{TENDERMINT}/blocks/newest").json["code"] == 3
    assert get(f"{TENDERMINT}/syncing").json == {"syncing": False}


def test_node_and_api_versions(devchain: Devchain, get: Get) -> None:
    node = get(f"{TENDERMINT}/node_info").json
    assert node["default_node_info"]["network"] == "avpn-lab-1"
    assert node["application_version"]["app_name"] == "akash"
    info = get("/akash/discovery/v1/info").json["info"]
    assert info["chain_id"] == "avpn-lab-1"
    assert [each["api_version"] for each in info["supported_versions"]] == ["v1beta4", "v1beta3"]
    modules = {each["module"]: each["version"] for each in info["supported_versions"][0]["modules"]}
    assert (modules["market"], modules["deployment"], modules["provider"]) == ("v1beta5", "v1beta4", "v1beta4")
    assert get("/cosmos/consensus/v1/params").json["params"]["block"]["max_gas"] == "-1"


def test_broadcast_and_result(devchain: Devchain, get: Get) -> None:
    wallet = devchain.wallet()
    address = str(wallet.address())
    message = messages.new(messages.SIGN_ATTRIBUTES, owner=address, auditor=address)
    raw = sign(devchain.chain, wallet, message, memo="hello")
    body = {"tx_bytes": base64.b64encode(raw).decode(), "mode": "BROADCAST_MODE_SYNC"}
    sent = get("/cosmos/tx/v1beta1/txs", body=body).json["tx_response"]
    tx_hash = hashlib.sha256(raw).hexdigest().upper()
    assert (sent["txhash"], sent["code"], sent["height"]) == (tx_hash, 0, "0")
    found = get(f"/cosmos/tx/v1beta1/txs/{tx_hash.lower()}").json
    response = found["tx_response"]
    assert (response["txhash"], response["code"], response["height"]) == (tx_hash, 0, str(devchain.height))
    assert response["gas_wanted"] == "400000" and int(response["gas_used"]) > 0
    assert found["tx"]["body"]["memo"] == "hello"
    assert found["tx"]["body"]["messages"] == [
        {"@type": f"/{messages.SIGN_ATTRIBUTES}", "owner": address, "auditor": address, "attributes": []}
    ]
    assert response["tx"] == {"@type": "/cosmos.tx.v1beta1.Tx", **found["tx"]}
    kinds = [each["type"] for each in response["events"]]
    assert kinds == ["tx", "message", "akash.audit.v1.EventTrustedAuditorCreated"]


def test_failed_transactions_stay_readable(devchain: Devchain, get: Get) -> None:
    wallet = devchain.wallet()
    address = str(wallet.address())
    message = messages.new(messages.DELETE_ATTRIBUTES, owner=address, auditor=address)
    sent = devchain.broadcast(sign(devchain.chain, wallet, message))
    assert sent.code == 0
    response = get(f"/cosmos/tx/v1beta1/txs/{sent.hash}").json["tx_response"]
    assert (response["codespace"], response["code"]) == ("audit", 1)
    assert response["raw_log"] == "failed to execute message; message index: 0: invalid provider: address not found"


def test_simulate_takes_bytes_and_json(devchain: Devchain, get: Get) -> None:
    wallet = devchain.wallet()
    address = str(wallet.address())
    message = messages.new(messages.SIGN_ATTRIBUTES, owner=address, auditor=address)
    raw = sign(devchain.chain, wallet, message, gas=0, fee=0)
    path = "/cosmos/tx/v1beta1/simulate"
    by_bytes = get(path, body={"tx_bytes": base64.b64encode(raw).decode()})
    assert int(by_bytes.json["gas_info"]["gas_used"]) > 50_000
    devchain.broadcast(sign(devchain.chain, wallet, message))
    stored = devchain.chain.transactions()[0]
    as_json = get(f"/cosmos/tx/v1beta1/txs/{stored.hash}").json["tx"]
    stale = get(path, body={"tx": as_json})
    assert stale.status == 500 and "account sequence mismatch, expected 1, got 0" in stale.json["message"]
    as_json["auth_info"]["signer_infos"][0]["sequence"] = "1"
    two_bytes_more = 20
    assert int(get(path, body={"tx": as_json}).json["gas_info"]["gas_used"]) == stored.gas_used + two_bytes_more
    as_json["body"]["messages"][0]["nonsense"] = 1
    assert get(path, body={"tx": as_json}).json["code"] == 3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"mode": "BROADCAST_MODE_SYNC"}, "invalid empty tx"),
        ({"tx_bytes": "!!", "mode": "BROADCAST_MODE_SYNC"}, "tx_bytes"),
        ({"tx_bytes": "AA==", "mode": "BROADCAST_MODE_BLOCK"}, "unsupported broadcast mode"),
        ([], "an object is expected"),
    ],
)
def test_broadcasts_that_are_no_transaction(devchain: Devchain, get: Get, body: object, message: str) -> None:
    answer = get("/cosmos/tx/v1beta1/txs", body=body)
    assert (answer.status, answer.json["code"]) == (400, 3) and message in answer.json["message"]


def test_unknown_routes_and_transactions(devchain: Devchain, get: Get) -> None:
    unknown = get("/akash/market/v1beta5/orders/list")
    assert (unknown.status, unknown.json["code"]) == (501, 12)
    assert get("/nowhere", body={}).status == 501
    missing = get(f"/cosmos/tx/v1beta1/txs/{'0' * 64}")
    assert (missing.status, missing.json["code"]) == (404, 5) and "tx not found" in missing.json["message"]
    assert get("/cosmos/tx/v1beta1/txs/zz").status == 400


def test_the_same_answers_without_http(devchain: Devchain, get: Get) -> None:
    _wallet, tenant, _provider = setup(devchain)
    query = {"filters.owner": tenant}
    assert devchain.query(LEASES, query) == get(LEASES, query).json
    assert devchain.query(LEASES, query, height=devchain.height - 1)["leases"] == []
    with pytest.raises(QueryError, match="Not Implemented"):
        devchain.query("/nowhere")


def test_an_ipv6_address() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with serve(Chain(), ("::1", 0)) as served:
        path = "/cosmos/base/tendermint/v1beta1/syncing"
        with urllib.request.urlopen(served.url + path) as answer:
            assert answer.status == 200
