# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes as a transaction needs them, through cosmpy's clients, REST or gRPC, every call bounded in time.

cosmpy's own calls have no time-out, its REST client drops a path in the URL, and it turns answers into
messages of types it must know; hence plain JSON on REST, and bytes on gRPC.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .._common import fields
from .._common.errors import AvpnError, InvalidInput, Unavailable

_ACCOUNTS = "/cosmos/auth/v1beta1/accounts"
_TXS = "/cosmos/tx/v1beta1"
_OK = 200
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_PASSING = (4, 8, 14)  # google.rpc.Code: deadline exceeded, resource exhausted, unavailable


@dataclass(frozen=True)
class TxAnswer:
    """What a node says of a transaction. ``height`` 0: not in a block yet."""

    code: int
    codespace: str
    log: str
    height: int


class Refused(AvpnError):
    """The node answered, and the answer is no."""


class Node(Protocol):
    """One node that takes transactions."""

    url: str

    def account(self, address: str) -> tuple[int, int] | None:
        """Account number and sequence; None: the chain doesn't know the account."""

    def simulate(self, tx: bytes) -> int:
        """Gas used; Refused with the node's reason if it would fail."""

    def broadcast(self, tx: bytes) -> TxAnswer:
        """Hand it in; the answer is the check before the mempool."""

    def result(self, tx_hash: str) -> TxAnswer | None:
        """What became of it; None: not in a block (yet)."""


def connect(url: str, *, ca_file: str | None, timeout: float) -> Node:
    """A node by URL: ``http(s)://`` or ``rest+http(s)://`` for REST, ``grpc+http(s)://`` for gRPC."""
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme in ("grpc+http", "grpc+https"):
        return _GrpcNode(url, ca_file, timeout)
    if scheme in ("http", "https", "rest+http", "rest+https"):
        return _RestNode(url.removeprefix("rest+").rstrip("/"), ca_file, timeout)
    raise InvalidInput("must be an http, https, grpc+http or grpc+https URL", where=f"endpoint {fields.printable(url)}")


class _RestNode:
    def __init__(self, url: str, ca_file: str | None, timeout: float) -> None:
        from cosmpy.common.rest_client import RestClient
        from requests.adapters import HTTPAdapter

        class Bounded(HTTPAdapter):
            def send(self, request: Any, **options: Any) -> Any:  # type: ignore[override, unused-ignore]
                return super().send(request, **{**options, "timeout": timeout})

        class BoundedRestClient(RestClient):  # type: ignore[misc, unused-ignore]
            def __init__(self, address: str) -> None:
                super().__init__(address)
                self._session.mount("https://", Bounded())
                self._session.mount("http://", Bounded())
                self._session.max_redirects = 0
                self._session.hooks["response"].append(_check_status)
                if ca_file:
                    self._session.verify = ca_file

        self.url = url
        self._rest = BoundedRestClient(url)

    def account(self, address: str) -> tuple[int, int] | None:
        try:
            answer = self._json(lambda: self._rest.get(f"{_ACCOUNTS}/{address}"))
        except Refused as error:
            if "not found" in error.what:
                return None
            raise
        account = answer.get("account")
        # A vesting account wraps its base account, once or twice.
        for _depth in range(3):
            if isinstance(account, dict) and "sequence" not in account:
                account = account.get("base_account") or account.get("base_vesting_account")
        if not isinstance(account, dict):
            raise Unavailable("answered no account", where=self.url)
        return (
            fields.decimal(account.get("account_number"), "account.account_number"),
            fields.decimal(account.get("sequence"), "account.sequence"),
        )

    def simulate(self, tx: bytes) -> int:
        from cosmpy.protos.cosmos.tx.v1beta1.service_pb2 import SimulateRequest

        answer = self._json(lambda: self._rest.post(f"{_TXS}/simulate", SimulateRequest(tx_bytes=tx)))
        info = answer.get("gas_info")
        return fields.decimal(info.get("gas_used") if isinstance(info, dict) else None, "gas_info.gas_used")

    def broadcast(self, tx: bytes) -> TxAnswer:
        from cosmpy.protos.cosmos.tx.v1beta1.service_pb2 import BroadcastMode, BroadcastTxRequest

        request = BroadcastTxRequest(tx_bytes=tx, mode=BroadcastMode.BROADCAST_MODE_SYNC)
        return self._answer(self._json(lambda: self._rest.post(f"{_TXS}/txs", request)))

    def result(self, tx_hash: str) -> TxAnswer | None:
        try:
            return self._answer(self._json(lambda: self._rest.get(f"{_TXS}/txs/{tx_hash}")))
        except Refused as error:
            if "not found" in error.what:
                return None
            raise

    def _answer(self, document: dict[str, Any]) -> TxAnswer:
        answer = document.get("tx_response")
        if not isinstance(answer, dict):
            raise Unavailable("answered no tx_response", where=self.url)
        return TxAnswer(
            code=fields.integer(answer.get("code"), "tx_response.code"),
            codespace=str(answer.get("codespace", "")),
            log=str(answer.get("raw_log", "")),
            height=fields.decimal(answer.get("height", "0"), "tx_response.height"),
        )

    def _json(self, call: Callable[[], bytes]) -> dict[str, Any]:
        import requests

        try:
            document = json.loads(call())
        except requests.RequestException as error:
            raise Unavailable(f"doesn't answer: {type(error).__name__}", where=self.url) from error
        except ValueError as error:
            raise Unavailable("answered without JSON", where=self.url) from error
        except _Status as error:
            raise self._refusal(error) from error
        if not isinstance(document, dict):
            raise Unavailable("answered without a JSON object", where=self.url)
        return document

    def _refusal(self, error: _Status) -> AvpnError:
        try:
            document = json.loads(error.body)
        except ValueError:
            document = None
        code = document.get("code") if isinstance(document, dict) else None
        message = ascii(document.get("message", "") if isinstance(document, dict) else "")[1:-1][:600]
        busy = error.status == _TOO_MANY_REQUESTS or (error.status >= _SERVER_ERROR and not isinstance(code, int))
        if busy or code in _PASSING:
            return Unavailable(f"answered HTTP {error.status}: {message}", where=self.url)
        return Refused(message or f"answered HTTP {error.status}", where=self.url)


class _Status(Exception):
    """An HTTP status other than 200. cosmpy would only leave a text of it."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def _check_status(response: Any, *_arguments: Any, **_options: Any) -> None:
    if response.status_code != _OK:
        raise _Status(response.status_code, response.content)


class _GrpcNode:
    def __init__(self, url: str, ca_file: str | None, timeout: float) -> None:
        import grpc  # type: ignore[import-untyped, unused-ignore]
        from cosmpy.protos.cosmos.auth.v1beta1.query_pb2_grpc import QueryStub
        from cosmpy.protos.cosmos.tx.v1beta1.service_pb2_grpc import ServiceStub

        parts = urllib.parse.urlsplit(url)
        target = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'grpc+https' else 80)}"
        if parts.scheme == "grpc+https":
            roots = None
            if ca_file:
                with open(ca_file, "rb") as file:
                    roots = file.read()
            channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(root_certificates=roots))
        else:
            channel = grpc.insecure_channel(target)
        self.url = url
        self._timeout = timeout
        self._auth = QueryStub(channel)
        self._txs = ServiceStub(channel)

    def account(self, address: str) -> tuple[int, int] | None:
        from cosmpy.protos.cosmos.auth.v1beta1.auth_pb2 import BaseAccount
        from cosmpy.protos.cosmos.auth.v1beta1.query_pb2 import QueryAccountRequest

        try:
            answer = self._call(self._auth.Account, QueryAccountRequest(address=address))
        except Refused as error:
            if "not found" in error.what:
                return None
            raise
        account = BaseAccount()
        if not answer.account.Unpack(account):
            raise Unavailable("answered an account of an unknown kind; use its REST endpoint", where=self.url)
        return int(account.account_number), int(account.sequence)

    def simulate(self, tx: bytes) -> int:
        from cosmpy.protos.cosmos.tx.v1beta1.service_pb2 import SimulateRequest

        return int(self._call(self._txs.Simulate, SimulateRequest(tx_bytes=tx)).gas_info.gas_used)

    def broadcast(self, tx: bytes) -> TxAnswer:
        from cosmpy.protos.cosmos.tx.v1beta1.service_pb2 import BroadcastMode, BroadcastTxRequest

        request = BroadcastTxRequest(tx_bytes=tx, mode=BroadcastMode.BROADCAST_MODE_SYNC)
        return self._answer(self._call(self._txs.BroadcastTx, request).tx_response)

    def result(self, tx_hash: str) -> TxAnswer | None:
        from cosmpy.protos.cosmos.tx.v1beta1.service_pb2 import GetTxRequest

        try:
            return self._answer(self._call(self._txs.GetTx, GetTxRequest(hash=tx_hash)).tx_response)
        except Refused as error:
            if "not found" in error.what:
                return None
            raise

    def _answer(self, answer: Any) -> TxAnswer:
        return TxAnswer(int(answer.code), str(answer.codespace), str(answer.raw_log), int(answer.height))

    def _call(self, method: Any, request: Any) -> Any:
        import grpc  # type: ignore[import-untyped, unused-ignore]

        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            details = str(error.details() or "")[:600]
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise Unavailable(f"doesn't answer: {details}", where=self.url) from error
            raise Refused(details, where=self.url) from error
