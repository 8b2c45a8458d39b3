# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host says it holds of a network's ledger, in every generation that it knows: for recovery.

By its form only: nothing of it is proven here. Positions first, contents (which may be megabytes) on demand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .._common import fields
from .._common.canonical import Json
from .._common.errors import InvalidInput
from .._common.ids import NodeId
from . import codec
from .cache import certified_from_json
from .change import Change, change_from_json
from .entry_codec import parse_node
from .header import Header
from .messages import Ballot, Certified

MOST_HOLDINGS = 16


@dataclass(frozen=True)
class Position:
    """What a host holds of a generation. ``version`` -1 and no ``hash``: nothing certified.

    ``accepted`` and ``promised``: the highest ballots for the version after it, if any. What was promised names a
    value that others may have agreed on.
    """

    generation: int
    version: int
    hash: str | None
    accepted: Ballot | None = None
    promised: Ballot | None = None

    def to_json(self) -> dict[str, Json]:
        return {
            "generation": self.generation,
            "version": self.version,
            "hash": self.hash,
            "accepted": None if self.accepted is None else self.accepted.to_json(),
            "promised": None if self.promised is None else self.promised.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any, where: str) -> Position:
        raw = fields.obj(value, where, required={"generation", "version", "hash", "accepted", "promised"})
        version = fields.integer(raw["version"], f"{where}.version", least=-1)
        if (version < 0) != (raw["hash"] is None):
            raise InvalidInput("must be there with a certified version and only then", where=f"{where}.hash")
        ballots = {
            name: None if raw[name] is None else Ballot.from_json(raw[name], f"{where}.{name}")
            for name in ("accepted", "promised")
        }
        return cls(
            generation=fields.integer(raw["generation"], f"{where}.generation"),
            version=version,
            hash=None if raw["hash"] is None else fields.hex64(raw["hash"], f"{where}.hash"),
            **ballots,
        )


@dataclass(frozen=True)
class Accepted:
    """A version that a host accepted and that isn't certified, as far as it knows. ``change``: as JSON."""

    ballot: Ballot
    change: dict[str, Any]

    def parsed(self, owner: str) -> Change:
        """The change, of a network of ``owner``; InvalidInput if it isn't one."""
        return change_from_json(self.change, "accepted.change", owner)

    def to_json(self) -> dict[str, Json]:
        return {"ballot": self.ballot.to_json(), "change": self.change}

    @classmethod
    def from_json(cls, value: Any, where: str) -> Accepted:
        raw = fields.obj(value, where, required={"ballot", "change"})
        if not isinstance(raw["change"], dict):
            raise InvalidInput(f"must be an object, not {fields.kind(raw['change'])}", where=f"{where}.change")
        return cls(Ballot.from_json(raw["ballot"], f"{where}.ballot"), raw["change"])


@dataclass(frozen=True)
class Content:
    """What a host shows of a generation. ``accepted`` is a child of ``certified``, or version 0 if there is none.

    ``base``: the header of the value that the network's record names as the base, if that is of this generation.
    """

    generation: int
    certified: Certified | None = None
    accepted: Accepted | None = None
    base: Header | None = None

    def to_json(self) -> dict[str, Json]:
        certified = self.certified
        return {
            "generation": self.generation,
            "certified": None if certified is None else _certified_json(certified),
            "accepted": None if self.accepted is None else self.accepted.to_json(),
            "base": None if self.base is None else self.base.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any, where: str) -> Content:
        raw = fields.obj(value, where, required={"generation", "certified", "accepted", "base"})
        certified, accepted, base = raw["certified"], raw["accepted"], raw["base"]
        return cls(
            generation=fields.integer(raw["generation"], f"{where}.generation"),
            certified=None if certified is None else certified_from_json(certified, f"{where}.certified"),
            accepted=None if accepted is None else Accepted.from_json(accepted, f"{where}.accepted"),
            base=None if base is None else Header.from_json(base, f"{where}.base"),
        )


@dataclass(frozen=True)
class Surveyed:
    """A host's positions, newest generation first, and the incarnation of its database."""

    node: NodeId
    incarnation: str
    positions: tuple[Position, ...] = ()

    def of(self, generation: int) -> Position | None:
        """Its position in a generation."""
        return next((one for one in self.positions if one.generation == generation), None)

    def to_json(self) -> dict[str, Json]:
        holdings: list[Json] = [one.to_json() for one in self.positions]
        return {"surveyed": {"node": str(self.node), "incarnation": self.incarnation, "holdings": holdings}}


@dataclass(frozen=True)
class Shown:
    """What a host shows of the generation it was asked for; None: it holds nothing of it."""

    node: NodeId
    incarnation: str
    content: Content | None

    def to_json(self) -> dict[str, Json]:
        content: Json = None if self.content is None else self.content.to_json()
        return {"surveyed": {"node": str(self.node), "incarnation": self.incarnation, "holding": content}}


def surveyed_from_json(value: Any, where: str) -> Surveyed | Shown:
    """What stands under ``surveyed``; InvalidInput names the field that breaks the grammar."""
    raw = fields.obj(value, where, required={"node", "incarnation"}, optional={"holdings", "holding"})
    node = parse_node(raw["node"], f"{where}.node")
    incarnation = fields.hex32(raw["incarnation"], f"{where}.incarnation")
    if ("holdings" in raw) == ("holding" in raw):
        raise InvalidInput("must have either holdings or holding", where=where)
    if "holding" in raw:
        found = None if raw["holding"] is None else Content.from_json(raw["holding"], f"{where}.holding")
        return Shown(node, incarnation, found)
    positions = tuple(fields.items(raw["holdings"], f"{where}.holdings", Position.from_json, most=MOST_HOLDINGS))
    generations = [one.generation for one in positions]
    if generations != sorted(set(generations), reverse=True):
        raise InvalidInput("must name each generation once, the newest first", where=f"{where}.holdings")
    return Surveyed(node, incarnation, positions)


def with_cached(positions: tuple[Position, ...], cached: Position) -> tuple[Position, ...]:
    """The positions with that of a certified value that stands in the cache, where it is newer."""
    found = {one.generation: one for one in positions}
    known = found.get(cached.generation)
    if known is None or known.version < cached.version:
        found[cached.generation] = cached
    return tuple(found[generation] for generation in sorted(found, reverse=True))


def show_cached(content: Content | None, cached: Certified) -> Content:
    """The content with a certified value that stands in the cache, if it is newer; what was accepted below is over."""
    content = content or Content(cached.value.generation)
    if content.certified is not None and content.certified.value.version >= cached.value.version:
        return content
    return replace(content, certified=cached, accepted=None)


def _certified_json(certified: Certified) -> dict[str, Json]:
    return {
        "certificate": certified.certificate.to_json(),
        "links": [link.to_json() for link in certified.links],
        "value": codec.value_json(certified.value),
    }
