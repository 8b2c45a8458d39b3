# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What voters answer, as values. On the wire each is one JSON object whose field names the kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

from .._common import fields
from .._common.canonical import Json
from .._common.errors import InvalidInput
from .._common.ids import NodeId
from . import entry_codec
from .contradiction import Vote, vote_from_json, vote_json
from .evidence import Statement, ready_from_json
from .messages import Acceptance, Ballot, Link, Promise
from .requests import Update, parse_have, parse_links
from .survey import Shown, Surveyed, surveyed_from_json

_MAX_WAIT = 3_600_000
MOST_RECALLED = 16
_MOST_DRAFTS = 64


@dataclass(frozen=True)
class Promised:
    """A promise; ``change`` is the one of the accepted ballot it shows, as JSON, to be finished."""

    promise: Promise
    change: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Json]:
        return {"promise": self.promise.to_json(), "change": self.change}


@dataclass(frozen=True)
class Refused:
    """Something higher, or somebody's hold, is in the way for ``wait`` milliseconds."""

    highest: Ballot
    holder: NodeId
    wait: int
    shown: Promise | None = None  # the signed promise of ``highest``, if there is one

    def to_json(self) -> dict[str, Json]:
        return {
            "refused": {
                "highest": self.highest.to_json(),
                "holder": str(self.holder),
                "wait": self.wait,
                "shown": None if self.shown is None else self.shown.to_json(),
            }
        }


@dataclass(frozen=True)
class Newer:
    """The version is certified already."""

    update: Update

    def to_json(self) -> dict[str, Json]:
        return {"newer": self.update.to_json()}


@dataclass(frozen=True)
class Lacking:
    """The voter doesn't hold the parent; it has ``have`` (generation, version), or nothing."""

    have: tuple[int, int] | None

    def to_json(self) -> dict[str, Json]:
        return {"lacking": None if self.have is None else list(self.have)}


@dataclass(frozen=True)
class Accepted:
    """The value is accepted."""

    acceptance: Acceptance

    def to_json(self) -> dict[str, Json]:
        return {"acceptance": self.acceptance.to_json()}


@dataclass(frozen=True)
class RejectedBy:
    """The value breaks a rule; asking again won't help."""

    rule: str
    what: str

    def to_json(self) -> dict[str, Json]:
        return {"rejected": {"rule": self.rule, "what": self.what}}

    def __str__(self) -> str:
        """The reason with the rule's name, which voters of this software say themselves."""
        name = f"(rule:{self.rule})"
        return self.what if name in self.what else f"{self.what} {name}"


@dataclass(frozen=True)
class NotSeen:
    """The voter's view of the chain isn't good enough yet; ``height`` and above would do."""

    what: str
    height: int

    def to_json(self) -> dict[str, Json]:
        return {"unseen": {"what": self.what, "height": self.height}}


@dataclass(frozen=True)
class NotYet:
    """The voter makes sure first that it has forgotten nothing; ask again in a moment."""

    what: str

    def to_json(self) -> dict[str, Json]:
        return {"recalling": {"what": self.what}}


@dataclass(frozen=True)
class Recalled:
    """What was seen of the asking voter: its newest promises and acceptances."""

    votes: tuple[Vote, ...]

    def to_json(self) -> dict[str, Json]:
        return {"recalled": [vote_json(vote) for vote in self.votes]}


@dataclass(frozen=True)
class Learned:
    """The voter holds this version, or a later one."""

    version: int

    def to_json(self) -> dict[str, Json]:
        return {"learned": self.version}


@dataclass(frozen=True)
class Fetched:
    """The newest certified value, or None if there is nothing above what was named."""

    update: Update | None

    def to_json(self) -> dict[str, Json]:
        return {"fetched": None if self.update is None else self.update.to_json()}


@dataclass(frozen=True)
class Waited:
    """The newest certified value, if it is news; ``turn``: propose now, with the ``drafts`` of others (changes)."""

    update: Update | None
    drafts: tuple[dict[str, Any], ...] = ()
    turn: bool = False

    def to_json(self) -> dict[str, Json]:
        update = None if self.update is None else self.update.to_json()
        return {"waited": {"update": update, "drafts": list(self.drafts), "turn": self.turn}}


@dataclass(frozen=True)
class Ready:
    """A host's signed word that it holds the value."""

    statement: Statement

    def to_json(self) -> dict[str, Json]:
        return {"ready": self.statement.to_json()}


@dataclass(frozen=True)
class Left:
    """This host doesn't vote any more and holds nothing; the links lead to the voters after it."""

    links: tuple[Link, ...]

    def to_json(self) -> dict[str, Json]:
        return {"left": [link.to_json() for link in self.links]}


Answer = Union[
    Promised,
    Refused,
    Newer,
    Lacking,
    Accepted,
    RejectedBy,
    NotSeen,
    Learned,
    Fetched,
    Waited,
    Ready,
    Left,
    Surveyed,
    Shown,
    NotYet,
    Recalled,
]


def parse_answer(document: Any, where: str) -> Answer:
    """A voter's answer; InvalidInput if it isn't one. ``where`` names the voter."""
    kinds = {"promise", "refused", "newer", "lacking", "acceptance", "rejected", "unseen"}
    kinds |= {"learned", "fetched", "waited", "ready", "left", "surveyed", "recalling", "recalled"}
    raw = fields.obj(document, where, required=set(), optional=kinds | {"change"})
    (kind, *others) = sorted(raw.keys() - {"change"}) or [""]
    if others or not kind or ("change" in raw) != (kind == "promise"):
        raise InvalidInput("is not an answer of a voter", where=where)
    body, at = raw[kind], f"{where}.{kind}"
    if kind == "promise":
        change = raw["change"]
        if change is not None and not isinstance(change, dict):
            raise InvalidInput("must be an object or null", where=f"{where}.change")
        return Promised(Promise.from_json(body, at), change)
    if kind == "refused":
        fields.obj(body, at, required={"highest", "holder", "wait", "shown"})
        return Refused(
            highest=Ballot.from_json(body["highest"], f"{at}.highest"),
            holder=entry_codec.parse_node(body["holder"], f"{at}.holder"),
            wait=fields.integer(body["wait"], f"{at}.wait", most=_MAX_WAIT),
            shown=None if body["shown"] is None else Promise.from_json(body["shown"], f"{at}.shown"),
        )
    if kind == "newer":
        return Newer(Update.from_json(body, at))
    if kind == "lacking":
        return Lacking(parse_have(body, at))
    if kind == "acceptance":
        return Accepted(Acceptance.from_json(body, at))
    if kind == "rejected":
        fields.obj(body, at, required={"rule", "what"})
        rule = fields.name(body["rule"], f"{at}.rule")
        return RejectedBy(rule, fields.text(body["what"], f"{at}.what", most=1000))
    if kind == "unseen":
        fields.obj(body, at, required={"what", "height"})
        return NotSeen(
            fields.text(body["what"], f"{at}.what", most=1000), fields.integer(body["height"], f"{at}.height")
        )
    if kind == "recalling":
        fields.obj(body, at, required={"what"})
        return NotYet(fields.text(body["what"], f"{at}.what", most=1000))
    if kind == "recalled":
        return Recalled(tuple(fields.items(body, at, vote_from_json, most=MOST_RECALLED)))
    if kind == "left":
        return Left(parse_links(body, at))
    if kind == "surveyed":
        return surveyed_from_json(body, at)
    if kind == "ready":
        return Ready(ready_from_json(body, at))
    if kind == "waited":
        fields.obj(body, at, required={"update", "drafts", "turn"})
        if not isinstance(body["turn"], bool):
            raise InvalidInput("must be true or false", where=f"{at}.turn")
        update = None if body["update"] is None else Update.from_json(body["update"], f"{at}.update")
        drafts = fields.items(body["drafts"], f"{at}.drafts", _object, most=_MOST_DRAFTS)
        return Waited(update, tuple(drafts), body["turn"])
    if kind == "learned":
        return Learned(fields.integer(body, at))
    return Fetched(None if body is None else Update.from_json(body, at))


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"must be an object, not {fields.kind(value)}", where=where)
    return value
