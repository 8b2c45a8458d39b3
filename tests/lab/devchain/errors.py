# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of the chain, with the codes and the wording a real node uses.

Two families: ``TxError`` is what a transaction fails with (codespace and code as
registered by the Cosmos SDK and by the Akash modules), ``QueryError`` is what a
query answers with (a gRPC status code, mapped to HTTP the way grpc-gateway does).
"""

from __future__ import annotations

from dataclasses import dataclass

# gRPC status codes (google.rpc.Code) and the HTTP status grpc-gateway gives them.
UNKNOWN = 2
INVALID_ARGUMENT = 3
NOT_FOUND = 5
ALREADY_EXISTS = 6
FAILED_PRECONDITION = 9
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14

_HTTP_STATUS = {
    UNKNOWN: 500,
    INVALID_ARGUMENT: 400,
    NOT_FOUND: 404,
    ALREADY_EXISTS: 409,
    FAILED_PRECONDITION: 400,
    UNIMPLEMENTED: 501,
    INTERNAL: 500,
    UNAVAILABLE: 503,
}


class DevchainError(Exception):
    """Base of everything the development chain raises on purpose."""


class AdminError(DevchainError):
    """An act of the lab's operator that the chain can't carry out."""


class QueryError(DevchainError):
    """A query that is answered with an error: ``{"code","message","details":[]}``."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        """The HTTP status that goes with the gRPC code."""
        return _HTTP_STATUS.get(self.code, 500)

    def as_json(self) -> dict[str, object]:
        """The body of the answer."""
        return {"code": self.code, "message": self.message, "details": []}


class TxError(DevchainError):
    """A transaction that fails: codespace, code and raw log."""

    def __init__(self, kind: Kind, detail: str = "") -> None:
        log = f"{detail}: {kind.text}" if detail else kind.text
        super().__init__(log)
        self.kind = kind
        self.log = log

    def in_message(self, index: int) -> str:
        """The raw log of a failed message, as baseapp words it."""
        return f"failed to execute message; message index: {index}: {self.log}"


@dataclass(frozen=True)
class Kind:
    """A registered error: codespace, code, text."""

    codespace: str
    code: int
    text: str


# Cosmos SDK, types/errors/errors.go
TX_DECODE = Kind("sdk", 2, "tx parse error")
UNAUTHORIZED = Kind("sdk", 4, "unauthorized")
INSUFFICIENT_FUNDS = Kind("sdk", 5, "insufficient funds")
INVALID_ADDRESS = Kind("sdk", 7, "invalid address")
INVALID_PUBKEY = Kind("sdk", 8, "invalid pubkey")
UNKNOWN_ADDRESS = Kind("sdk", 9, "unknown address")
INVALID_COINS = Kind("sdk", 10, "invalid coins")
OUT_OF_GAS = Kind("sdk", 11, "out of gas")
MEMO_TOO_LARGE = Kind("sdk", 12, "memo too large")
INSUFFICIENT_FEE = Kind("sdk", 13, "insufficient fee")
NO_SIGNATURES = Kind("sdk", 15, "no signatures supplied")
INVALID_REQUEST = Kind("sdk", 18, "invalid request")
TX_IN_MEMPOOL = Kind("sdk", 19, "tx already in mempool")
TX_TOO_LARGE = Kind("sdk", 21, "tx too large")
UNKNOWN_EXTENSION = Kind("sdk", 29, "unknown extension options")
TX_TIMEOUT_HEIGHT = Kind("sdk", 30, "tx timeout height")
WRONG_SEQUENCE = Kind("sdk", 32, "incorrect account sequence")

# chain-sdk, go/node/audit/v1/errors.go
AUDIT_NOT_FOUND = Kind("audit", 1, "invalid provider: address not found")
AUDIT_ATTRIBUTE_NOT_FOUND = Kind("audit", 3, "attribute not found")

# chain-sdk, go/node/provider/v1beta4/errors.go
PROVIDER_URI = Kind("provider", 1, "invalid provider: invalid host uri")
PROVIDER_URI_NOT_ABSOLUTE = Kind("provider", 2, "invalid provider: not absolute host uri")
PROVIDER_NOT_FOUND = Kind("provider", 3, "invalid provider: address not found")
PROVIDER_EXISTS = Kind("provider", 4, "invalid provider: already exists")
PROVIDER_ATTRIBUTES = Kind("provider", 6, "attribute specification error")
PROVIDER_INCOMPATIBLE = Kind("provider", 7, "attributes cannot be changed")
PROVIDER_INTERNAL = Kind("provider", 10, "internal error")
PROVIDER_WEBSITE = Kind("provider", 8, "invalid provider: invalid info website")

# chain-sdk, go/node/deployment/v1/errors.go
DEPLOYMENT_EXISTS = Kind("deployment", 3, "Deployment exists")
DEPLOYMENT_NOT_FOUND = Kind("deployment", 4, "Deployment not found")
DEPLOYMENT_CLOSED = Kind("deployment", 5, "Deployment closed")
DEPLOYMENT_GROUPS = Kind("deployment", 7, "Invalid groups")
DEPLOYMENT_ID = Kind("deployment", 8, "Invalid: deployment id")
DEPLOYMENT_EMPTY_HASH = Kind("deployment", 9, "Invalid: empty hash")
DEPLOYMENT_HASH = Kind("deployment", 10, "Invalid: deployment hash")
DEPLOYMENT_GROUP_SPEC = Kind("deployment", 19, "GroupSpec invalid")
DEPLOYMENT_DEPOSIT = Kind("deployment", 20, "Deposit invalid")
DEPLOYMENT_DUPLICATE_GROUP = Kind("deployment", 25, "duplicate group name")
