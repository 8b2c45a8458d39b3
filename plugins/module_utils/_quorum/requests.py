# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What proposers ask voters, as values: prepare, accept, learn, fetch, ready, leave; and what anybody may survey.

On the wire each is one JSON object with ``op``, ``network`` and ``as`` beside the fields here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

from .._common import fields
from .._common.canonical import Json
from .._common.errors import InvalidInput
from .._common.ids import NodeId
from .change import Change, change_from_json, change_json
from .codec import value_from_json, value_json
from .constants import MAX_LINKS
from .entry_codec import parse_node
from .evidence import Statement, ready_from_json
from .messages import Ballot, Certificate, Certified, Instance, Link, Promise
from .value import MAX_VOTERS, Value

MAX_HOLD = 10_000  # milliseconds
MAX_CHANGES = 64  # in one update


@dataclass(frozen=True)
class Update:
    """The newest certified value for one who knows an older: whole, or as the changes since a version.

    The changes lead from the value the receiver said it has to the certified one; each value names its
    parent's hash, so the last one's certificate proves them all. ``links``: the changes of voters between.
    """

    certificate: Certificate
    value: Value | None = None
    changes: tuple[dict[str, Any], ...] = ()
    links: tuple[Link, ...] = ()

    def to_json(self) -> dict[str, Json]:
        document: dict[str, Json] = {"certificate": self.certificate.to_json(), "links": _links_json(self.links)}
        if self.value is not None:
            document["value"] = value_json(self.value)
        else:
            document["changes"] = list(self.changes)
        return document

    @classmethod
    def from_json(cls, value: Any, where: str) -> Update:
        raw = fields.obj(value, where, required={"certificate", "links"}, optional={"value", "changes"})
        changes = fields.items(raw.get("changes", []), f"{where}.changes", _object, most=MAX_CHANGES)
        return cls(
            certificate=Certificate.from_json(raw["certificate"], f"{where}.certificate"),
            value=value_from_json(raw["value"], f"{where}.value") if "value" in raw else None,
            changes=tuple(changes),
            links=parse_links(raw["links"], f"{where}.links"),
        )


@dataclass(frozen=True)
class Prepare:
    """Asks for a promise. ``certificate`` proves the parent to a voter that has only accepted it so far."""

    instance: Instance
    ballot: Ballot
    hold: int  # milliseconds for which nobody else should be promised; 0 gives a hold up
    certificate: Certificate | None = None  # of the parent; None for version 0
    shown: Promise | None = None  # justifies a high counter
    base_generation: int | None = None  # of version 0 of a generation with a base: the one that the base is of

    def to_json(self) -> dict[str, Json]:
        return {
            "op": "prepare",
            **({} if self.base_generation is None else {"base_generation": self.base_generation}),
            **self.instance.to_json(),
            "ballot": self.ballot.to_json(),
            "hold": self.hold,
            "certificate": None if self.certificate is None else self.certificate.to_json(),
            "shown": None if self.shown is None else self.shown.to_json(),
        }


@dataclass(frozen=True)
class Accept:
    """Asks to accept the child that ``change`` makes of the parent, on the proof of a majority's promises."""

    instance: Instance
    ballot: Ballot
    promises: tuple[Promise, ...]
    change: Change
    certificate: Certificate | None = None  # of the parent; None for version 0

    def to_json(self) -> dict[str, Json]:
        return {
            "op": "accept",
            **self.instance.to_json(),
            "ballot": self.ballot.to_json(),
            "promises": [promise.to_json() for promise in self.promises],
            "change": change_json(self.change),
            "certificate": None if self.certificate is None else self.certificate.to_json(),
        }


@dataclass(frozen=True)
class Learn:
    """Tells a certified value. Without ``value`` it is for a voter that has accepted it and holds it."""

    certificate: Certificate
    value: Value | None = None
    links: tuple[Link, ...] = ()  # changes of voters between what the voter has and this version

    @classmethod
    def of(cls, certified: Certified, have: tuple[int, int] | None) -> Learn:
        """All that somebody who holds ``have`` needs."""
        return cls(certified.certificate, certified.value, certified.links_since(have))

    def to_json(self) -> dict[str, Json]:
        return {
            "op": "learn",
            "network": self.certificate.instance.network,
            "certificate": self.certificate.to_json(),
            "value": None if self.value is None else value_json(self.value),
            "links": _links_json(self.links),
        }


@dataclass(frozen=True)
class Fetch:
    """Asks for the newest certified value above ``have`` (generation, version); null: from the beginning."""

    network: str
    have: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Json]:
        return {"op": "fetch", "network": self.network, "have": None if self.have is None else list(self.have)}


@dataclass(frozen=True)
class ReadyRequest:
    """Asks a host to say that it holds the certified value and is willing to vote from there on."""

    certificate: Certificate

    def to_json(self) -> dict[str, Json]:
        network = self.certificate.instance.network
        return {"op": "ready", "network": network, "certificate": self.certificate.to_json()}


@dataclass(frozen=True)
class Leave:
    """Shows a host that it doesn't vote any more and that the voters after it hold the value.

    ``links`` lead to them from the founders. Either ``certificate``, of a version that they decided, or ``ready``,
    statements of a majority of them, proves it.
    """

    network: str
    links: tuple[Link, ...]
    certificate: Certificate | None = None
    ready: tuple[Statement, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return {
            "op": "leave",
            "network": self.network,
            "links": _links_json(self.links),
            "certificate": None if self.certificate is None else self.certificate.to_json(),
            "ready": [one.to_json() for one in self.ready],
        }


@dataclass(frozen=True)
class Survey:
    """Asks what a host holds of each generation: positions, or the content of one ``generation``."""

    network: str
    generation: int | None = None

    def to_json(self) -> dict[str, Json]:
        return {"op": "survey", "network": self.network, "generation": self.generation}


@dataclass(frozen=True)
class Recall:
    """Asks what was seen of the caller's own voter, which has this incarnation."""

    network: str
    incarnation: str

    def to_json(self) -> dict[str, Json]:
        return {"op": "recall", "network": self.network, "incarnation": self.incarnation}


Request = Union[Prepare, Accept, Learn, Fetch, ReadyRequest, Leave, Recall]

_COMMON = {"op", "network", "as"}
_FIELDS = {
    "prepare": {"generation", "version", "parent", "ballot", "hold", "certificate", "shown"},
    "accept": {"generation", "version", "parent", "ballot", "promises", "change", "certificate"},
    "learn": {"certificate", "value", "links"},
    "fetch": {"have"},
    "ready": {"certificate"},
    "leave": {"links", "certificate", "ready"},
    "recall": {"incarnation"},
}

_OPTIONAL = {"prepare": {"base_generation"}}


def parse_request(document: Any, owner: str) -> tuple[Request, NodeId]:
    """The request and whom it is made as. ``owner`` is the network's; InvalidInput names the field."""
    if not isinstance(document, dict):
        raise InvalidInput(f"must be an object, not {fields.kind(document)}", where="request")
    op = document.get("op")
    if not isinstance(op, str) or op not in _FIELDS:
        raise InvalidInput("must be prepare, accept, learn, fetch, ready, leave or recall", where="op")
    raw = fields.obj(document, "", required=_COMMON | _FIELDS[op], optional=_OPTIONAL.get(op, set()))
    network = fields.hex64(raw["network"], "network")
    caller = parse_node(raw["as"], "as")
    if op == "fetch":
        return Fetch(network, parse_have(raw["have"], "have")), caller
    if op == "recall":
        return Recall(network, fields.hex32(raw["incarnation"], "incarnation")), caller
    certificate = None if raw["certificate"] is None else Certificate.from_json(raw["certificate"], "certificate")
    if certificate is not None and certificate.instance.network != network:
        raise InvalidInput("is of another network", where="certificate.network")
    if op == "leave":
        ready = tuple(fields.items(raw["ready"], "ready", ready_from_json, most=MAX_VOTERS))
        return Leave(network, parse_links(raw["links"], "links"), certificate, ready), caller
    if op in ("learn", "ready"):
        if certificate is None:
            raise InvalidInput("is missing", where="certificate")
        if op == "ready":
            return ReadyRequest(certificate), caller
        value = None if raw["value"] is None else value_from_json(raw["value"], "value")
        return Learn(certificate, value, parse_links(raw["links"], "links")), caller
    instance = Instance.from_fields(raw, "request")
    ballot = Ballot.from_json(raw["ballot"], "ballot")
    if op == "prepare":
        shown = None if raw["shown"] is None else Promise.from_json(raw["shown"], "shown")
        hold = fields.integer(raw["hold"], "hold", most=MAX_HOLD)
        of_base = raw.get("base_generation")
        base_generation = None if of_base is None else fields.integer(of_base, "base_generation")
        return Prepare(instance, ballot, hold, certificate, shown, base_generation), caller
    promises = tuple(fields.items(raw["promises"], "promises", Promise.from_json, most=MAX_VOTERS))
    change = change_from_json(raw["change"], "change", owner)
    return Accept(instance, ballot, promises, change, certificate), caller


def parse_survey(document: Any) -> tuple[Survey, NodeId | str]:
    """A survey and whom it is made as: a host, or the tenant's account."""
    raw = fields.obj(document, "", required=_COMMON | {"generation"})
    named = raw["as"]
    node = isinstance(named, str) and "/" in named
    caller = parse_node(named, "as") if node else fields.account(named, "as")
    generation = None if raw["generation"] is None else fields.integer(raw["generation"], "generation")
    return Survey(fields.hex64(raw["network"], "network"), generation), caller


def parse_have(value: Any, where: str) -> tuple[int, int] | None:
    """``[generation, version]`` or null."""
    if value is None:
        return None
    pair = fields.items(value, where, fields.integer, most=2)
    if len(pair) != 2:
        raise InvalidInput("must be [generation, version]", where=where)
    return pair[0], pair[1]


def parse_links(value: Any, where: str) -> tuple[Link, ...]:
    """Changes of voters, oldest first."""
    return tuple(fields.items(value, where, Link.from_json, most=MAX_LINKS))


def _links_json(links: tuple[Link, ...]) -> list[Json]:
    return [link.to_json() for link in links]


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"must be an object, not {fields.kind(value)}", where=where)
    return value
