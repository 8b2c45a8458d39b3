# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The peer channel's messages: one JSON object a line each way (docs/architecture.md, "The peer channel").

Request: ``op``, ``as``, ``network`` where the operation has one, and the operation's own fields.
Answer: ``{"ok": …}`` or ``{"error": {"code", "what", "where", "remedy"}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._common import canonical, fields
from .._common.errors import AvpnError, InvalidInput, NotPermitted, Unavailable, Unsupported
from .identities import Role, parse_network, parse_role

MAX_REQUEST = 12 << 20  # bytes: a full ledger with its certificate and links fits
MAX_ANSWER = 32 << 20  # bytes: a full ledger with its certificate fits
_SHORT_ANSWER = 4 << 20  # bytes: of operations that carry no ledger

TENANT = frozenset({"tenant"})
PROVIDER = frozenset({"provider"})
EITHER = TENANT | PROVIDER


@dataclass(frozen=True)
class Operation:
    """Who may ask for it, whether it is about one network, and its fields (None: the quorum checks them)."""

    who: frozenset[str]
    about_network: bool = True
    required: frozenset[str] | None = frozenset()

    @property
    def answer_bytes(self) -> int:
        """How long an answer the caller takes."""
        return MAX_ANSWER if self.required is None else _SHORT_ANSWER


OPERATIONS: Mapping[str, Operation] = {
    "hello": Operation(EITHER, about_network=False),
    "versions": Operation(PROVIDER, about_network=False),
    "ring": Operation(PROVIDER, about_network=False),
    "prepare": Operation(PROVIDER, required=None),
    "accept": Operation(PROVIDER, required=None),
    "learn": Operation(PROVIDER, required=None),
    "fetch": Operation(PROVIDER, required=None),
    "wait": Operation(PROVIDER, required=None),
    "ready": Operation(PROVIDER, required=None),
    "leave": Operation(PROVIDER, required=None),
    "recall": Operation(PROVIDER, required=None),
    "survey": Operation(EITHER, required=None),
    "manifest-put": Operation(EITHER, required=frozenset({"manifest"})),
    "manifest-get": Operation(EITHER),
    "hint": Operation(PROVIDER, required=frozenset({"kind", "version"})),
    "reconcile": Operation(TENANT),
    "status": Operation(TENANT),
}


@dataclass(frozen=True)
class Request:
    """A request of good form. Whether it is permitted is another question."""

    op: str
    role: Role
    network: str  # "" where the operation is about none
    body: Mapping[str, Any] = field(default_factory=dict)


def parse_request(line: bytes) -> Request:
    """A request from its line. Raises InvalidInput naming the field."""
    document = canonical.loads(line, where="request", limit=MAX_REQUEST, sparse=True)
    if not isinstance(document, dict):
        raise InvalidInput(f"must be an object, not {fields.kind(document)}", where="request")
    name = document.get("op")
    operation = OPERATIONS.get(name) if isinstance(name, str) else None
    if operation is None:
        raise InvalidInput("is not a known operation", where="op")
    common = {"op", "as"} | ({"network"} if operation.about_network else set())
    if operation.required is not None:
        fields.obj(document, "", required=common | operation.required)
    return Request(
        op=str(name),
        role=parse_role(document.get("as")),
        network=parse_network(document.get("network")) if operation.about_network else "",
        body={key: value for key, value in document.items() if key not in common},
    )


_CODES: Mapping[str, type[AvpnError]] = {
    "not-permitted": NotPermitted,
    "invalid": InvalidInput,
    "unavailable": Unavailable,
    "unsupported": Unsupported,
}


def answer(result: Any) -> bytes:
    """The line of a good answer."""
    return canonical.dumps({"ok": result}) + b"\n"


def error_answer(error: AvpnError) -> bytes:
    """The line of a refusal or failure."""
    code = next((code for code, family in _CODES.items() if isinstance(error, family)), "failed")
    document = {"code": code, "what": error.what, "where": error.where, "remedy": error.remedy}
    # Errors may quote foreign text; what has no UTF-8 must not turn an error into a crash.
    clean: dict[str, canonical.Json] = {
        key: value.encode("utf-8", "replace").decode()[:500] for key, value in document.items()
    }
    return canonical.dumps({"error": dict(clean)}) + b"\n"


def parse_answer(line: bytes, where: str) -> Any:
    """The ``ok`` part of an answer; an error of the peer is raised as the AvpnError it names, ``where`` in front."""
    document = fields.obj(
        canonical.loads(line, where=f"answer of {where}", limit=MAX_ANSWER, sparse=True),
        f"answer of {where}",
        required=set(),
        optional={"ok", "error"},
    )
    if len(document) != 1:
        raise InvalidInput("must have either ok or error", where=f"answer of {where}")
    if "ok" in document:
        return document["ok"]
    error = fields.obj(document["error"], f"answer of {where}", required={"code", "what", "where", "remedy"})
    texts = {key: fields.text(value, f"answer of {where}.{key}", most=500) for key, value in error.items()}
    family = _CODES.get(texts["code"], AvpnError)
    place = f"{where} says: {texts['where']}" if texts["where"] else where
    raise family(texts["what"], where=place, remedy=texts["remedy"])
