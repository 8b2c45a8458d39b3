# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transactions against the development chain, which checks every signature, sequence and fee."""

from __future__ import annotations

import base64
import json
import pathlib

import pytest
from devchain.pytest_plugin import Devchain, start, stop

from ansible_collections.akash.avpn.plugins.module_utils._chain import messages as chain_messages
from ansible_collections.akash.avpn.plugins.module_utils._chain.account import Account, load_account
from ansible_collections.akash.avpn.plugins.module_utils._chain.nodes import Refused, connect
from ansible_collections.akash.avpn.plugins.module_utils._chain.transactions import Fees, send
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, Unavailable

MNEMONIC = "abandon " * 11 + "about"


def attributes(world: Devchain, account: Account) -> dict[str, str]:
    url = f"/akash/audit/v1/audit/attributes/{account.address}/{account.address}"
    import urllib.request

    with urllib.request.urlopen(world.url + url) as answer:
        return {row["key"]: row["value"] for row in json.load(answer)["providers"][0]["attributes"]}


def test_several_messages_are_one_transaction(devchain: Devchain, tenant: Account) -> None:
    devchain.fund(tenant.address)
    me = tenant.address
    sent = send(
        [devchain.url], devchain.chain_id, tenant, [chain_messages.sign_attributes(me, me, {"a": "1", "b": "2"})]
    )
    assert sent.height == devchain.height
    both = [
        chain_messages.sign_attributes(me, me, {"c": "ü\n{"}),
        chain_messages.delete_attributes(me, me, ["a"]),
    ]
    send([devchain.url], devchain.chain_id, tenant, both)
    assert attributes(devchain, tenant) == {"b": "2", "c": "ü\n{"}
    fails = [
        chain_messages.sign_attributes(me, me, {"d": "4"}),
        chain_messages.delete_attributes(me, me, ["missing"]),
    ]
    with pytest.raises(Refused, match="missing"):
        send([devchain.url], devchain.chain_id, tenant, fails)
    with pytest.raises(Refused, match="missing"):
        send([devchain.url], devchain.chain_id, tenant, fails, fees=Fees(gas=400_000))
    assert "d" not in attributes(devchain, tenant), "half of a transaction"


def test_foreign_message_travels_in_the_same_transaction(devchain: Devchain, tenant: Account) -> None:
    """R2: what another tool built (here: the closing of a deployment) goes with a record of ours."""
    devchain.fund(tenant.address)
    dseq = int(devchain.admin.deployment_create(tenant.address)["deployment"]["id"]["dseq"])
    from cosmpy.protos.cosmos.bank.v1beta1.tx_pb2 import MsgSend  # any encoder will do to write two nested fields

    inner = MsgSend(from_address=tenant.address).SerializeToString()
    identity = inner + b"\x10" + _varint(dseq)
    close = b"\x0a" + _varint(len(identity)) + identity
    foreign = chain_messages.foreign_message(
        {
            "type_url": "/akash.deployment.v1beta4.MsgCloseDeployment",
            "value": base64.b64encode(close).decode(),
        },
        "extra_messages.0",
    )
    record = chain_messages.sign_attributes(tenant.address, tenant.address, {"avpn/network/prod": "{}"})
    send([devchain.url], devchain.chain_id, tenant, [foreign, record])
    import urllib.request

    route = f"/akash/deployment/v1beta4/deployments/info?id.owner={tenant.address}&id.dseq={dseq}"
    with urllib.request.urlopen(devchain.url + route) as answer:
        assert json.load(answer)["deployment"]["state"] == "closed"
    assert "avpn/network/prod" in attributes(devchain, tenant)
    with pytest.raises(Refused):  # it is closed already, so nothing of this happens
        again = chain_messages.sign_attributes(tenant.address, tenant.address, {"avpn/network/two": "{}"})
        send([devchain.url], devchain.chain_id, tenant, [again, foreign])
    assert "avpn/network/two" not in attributes(devchain, tenant)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


@pytest.mark.parametrize(
    "document",
    [
        {"type_url": "akash.x.Msg", "value": ""},
        {"type_url": "/x", "value": ""},
        {"type_url": "/akash.x.Msg\n", "value": ""},
        {"type_url": "/akash.x.Msg", "value": "*"},
        {"type_url": "/akash.x.Msg", "value": 1},
        {"type_url": "/akash.x.Msg"},
        {"type_url": "/akash.x.Msg", "value": "", "more": 1},
        "text",
    ],
)
def test_foreign_message_is_checked(document: object) -> None:
    with pytest.raises(InvalidInput, match=r"extra_messages.3"):
        chain_messages.foreign_message(document, "extra_messages.3")


def test_provider_messages(devchain: Devchain, tenant: Account) -> None:
    devchain.fund(tenant.address)
    rows = [("region", "eu"), ("avpn/peer/node1", '{"v":1}')]
    make = chain_messages.create_provider(tenant.address, "https://p.example:8443", rows, "me@example.com", "https://e")
    send([devchain.url], devchain.chain_id, tenant, [make])
    change = chain_messages.update_provider(tenant.address, "https://q.example:8443", rows[:1], "me@example.com")
    send([devchain.url], devchain.chain_id, tenant, [change])
    import urllib.request

    with urllib.request.urlopen(f"{devchain.url}/akash/provider/v1beta4/providers/{tenant.address}") as answer:
        record = json.load(answer)["provider"]
    assert record["host_uri"] == "https://q.example:8443"
    assert record["attributes"] == [{"key": "region", "value": "eu"}]
    assert record["info"] == {"email": "me@example.com", "website": ""}


def test_clear_errors(devchain: Devchain, tenant: Account) -> None:
    message = [chain_messages.sign_attributes(tenant.address, tenant.address, {"a": "1"})]
    with pytest.raises(Refused, match=r"is not known to the chain.*received coins"):
        send([devchain.url], devchain.chain_id, tenant, message)
    devchain.fund(tenant.address, 10)
    with pytest.raises(Refused, match=r"has not enough coins.*Send coins"):
        send([devchain.url], devchain.chain_id, tenant, message)
    devchain.fund(tenant.address)
    with pytest.raises(Refused, match=r"fee is too low.*Raise gas_price"):
        send([devchain.url], devchain.chain_id, tenant, message, fees=Fees(gas_price="0.0001"))
    with pytest.raises(Refused, match=r"signature|chain"):
        send([devchain.url], "another-1", tenant, message, fees=Fees(gas=300_000))
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1:? doesn't answer"):
        send(["http://127.0.0.1:1"], devchain.chain_id, tenant, message)
    with pytest.raises(InvalidInput, match="must be 1 to"):
        send([devchain.url], devchain.chain_id, tenant, [])


def test_next_endpoint_takes_over(devchain: Devchain, tenant: Account) -> None:
    devchain.fund(tenant.address)
    message = [chain_messages.sign_attributes(tenant.address, tenant.address, {"a": "1"})]
    send(["http://127.0.0.1:1", devchain.url], devchain.chain_id, tenant, message)
    devchain.faults.add("unavailable")
    other = devchain.add_endpoint()
    send([devchain.url, other.url], devchain.chain_id, tenant, message)


def test_broadcast_whose_answer_is_lost(tenant: Account) -> None:
    """The transaction arrived, the answer didn't: it is found by its hash, and isn't sent anew."""
    running = start(block_time=0.3)
    try:
        running.fund(tenant.address)
        proxy = running.add_endpoint()
        proxy.faults.add("disconnect", route="/cosmos/tx/v1beta1/txs$")
        message = [chain_messages.sign_attributes(tenant.address, tenant.address, {"a": "1"})]
        # First endpoint loses the broadcast, the second takes the same bytes.
        send([proxy.url, running.url], running.chain_id, tenant, message)
        with pytest.raises(Unavailable, match="outcome is unknown"):
            send([proxy.url], running.chain_id, tenant, message, inclusion_timeout=1)
        assert len(running.chain.transactions()) == 1
    finally:
        stop(running)


def test_time_outs_bound_every_call(devchain: Devchain, tenant: Account) -> None:
    import time

    devchain.fund(tenant.address)
    devchain.faults.add("slow", seconds=30)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="doesn't answer"):
        send(
            [devchain.url], devchain.chain_id, tenant, [chain_messages.delete_attributes("a", "b", ["c"])], timeout=0.5
        )
    assert time.monotonic() - began < 5


def test_wrong_sequence_is_retried(devchain: Devchain, tenant: Account) -> None:
    devchain.fund(tenant.address)
    devchain.faults.add("lie", route="/accounts/", count=1, path="account.sequence", value="7")
    me = tenant.address
    send([devchain.url], devchain.chain_id, tenant, [chain_messages.sign_attributes(me, me, {"a": "1"})])
    devchain.faults.add("lie", route="/accounts/", path="account.sequence", value="7")
    with pytest.raises(Unavailable, match="used by others"):
        send([devchain.url], devchain.chain_id, tenant, [chain_messages.sign_attributes(me, me, {"a": "2"})])


def test_keys(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "key"
    file.write_text(MNEMONIC + "\n")
    file.chmod(0o600)
    by_file = load_account(mnemonic_file=str(file))
    # BIP 39/32 test mnemonic on the Cosmos path; the same key under another prefix is widely published.
    assert by_file.address == load_account(mnemonic=MNEMONIC).address
    assert by_file.address.startswith("akash1")
    assert "abandon" not in repr(by_file) and by_file.private_key.hex() not in repr(by_file)
    file.write_text(by_file.private_key.hex())
    assert load_account(private_key_file=str(file)).address == by_file.address
    file.chmod(0o640)
    with pytest.raises(InvalidInput, match="open to others"):
        load_account(private_key_file=str(file))
    for wrong in ({}, {"mnemonic": MNEMONIC, "private_key": "11" * 32}, {"private_key": "x"}, {"mnemonic": "a b"}):
        with pytest.raises(InvalidInput) as refusal:
            load_account(**wrong)
        assert "abandon" not in str(refusal.value)
    with pytest.raises(InvalidInput, match="not a key"):
        load_account(private_key="00" * 32)
    with pytest.raises(InvalidInput, match="No such file"):
        load_account(private_key_file=str(tmp_path / "none"))


def test_grpc_node_against_the_same_chain(devchain: Devchain, tenant: Account) -> None:
    """The gRPC way, served here by cosmpy's own stubs over the development chain's state machine."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from cosmpy.protos.cosmos.auth.v1beta1 import auth_pb2, query_pb2, query_pb2_grpc
    from cosmpy.protos.cosmos.tx.v1beta1 import service_pb2, service_pb2_grpc

    rest = connect(devchain.url, ca_file=None, timeout=5)

    class Auth(query_pb2_grpc.QueryServicer):  # type: ignore[misc, unused-ignore]
        def Account(self, request, context):  # type: ignore[no-untyped-def]
            known = rest.account(request.address)
            if known is None:
                context.abort(grpc.StatusCode.NOT_FOUND, f"account {request.address} not found")
            answer = query_pb2.QueryAccountResponse()
            answer.account.Pack(
                auth_pb2.BaseAccount(address=request.address, account_number=known[0], sequence=known[1])
            )
            return answer

    class Txs(service_pb2_grpc.ServiceServicer):  # type: ignore[misc, unused-ignore]
        def Simulate(self, request, context):  # type: ignore[no-untyped-def]
            answer = service_pb2.SimulateResponse()
            answer.gas_info.gas_used = rest.simulate(request.tx_bytes)
            return answer

        def BroadcastTx(self, request, context):  # type: ignore[no-untyped-def]
            return service_pb2.BroadcastTxResponse(tx_response=_response(rest.broadcast(request.tx_bytes)))

        def GetTx(self, request, context):  # type: ignore[no-untyped-def]
            found = rest.result(request.hash)
            if found is None:
                context.abort(grpc.StatusCode.NOT_FOUND, "tx not found")
            return service_pb2.GetTxResponse(tx_response=_response(found))

    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    query_pb2_grpc.add_QueryServicer_to_server(Auth(), server)
    service_pb2_grpc.add_ServiceServicer_to_server(Txs(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        url = f"grpc+http://127.0.0.1:{port}"
        me = tenant.address
        message = [chain_messages.sign_attributes(me, me, {"a": "1"})]
        with pytest.raises(Refused, match="not known"):
            send([url], devchain.chain_id, tenant, message)
        devchain.fund(me)
        assert send([url], devchain.chain_id, tenant, message).height == devchain.height
    finally:
        server.stop(None)
    with pytest.raises(Unavailable):
        send([url], devchain.chain_id, tenant, message, timeout=1)


def _response(answer):  # type: ignore[no-untyped-def]
    from cosmpy.protos.cosmos.base.abci.v1beta1 import abci_pb2

    return abci_pb2.TxResponse(code=answer.code, codespace=answer.codespace, raw_log=answer.log, height=answer.height)
