# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking hosts what they hold: positions from all at once, contents from as few as it takes to prove each.

Thin: what the answers mean is ``candidates``'. Every call is bounded in time and size; a host that says nonsense counts
as one that doesn't answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, TypeVar

from .._chain.model import NetworkRecord
from .._common import fields
from .._common.errors import AvpnError, InvalidInput
from .._common.ids import NodeId
from .._quorum.messages import Ballot
from .._quorum.survey import Content, Position, Shown, Surveyed, surveyed_from_json
from .candidates import Found, Proof, Said
from .weighing import generations_to_ask, weigh

T = TypeVar("T")

_AT_ONCE = 32  # hosts that are asked for positions
_SHOWN_AT_ONCE = 4  # hosts that are asked for contents, each of which may be megabytes
_POSITIONS_BYTES = 64 << 10
_CONTENT_SECONDS = 60.0


class Channel(Protocol):
    """What is needed of ``_peer.client.PeerClient``."""

    def call_each(
        self, requests: Mapping[NodeId, Mapping[str, Any]], *, seconds: float = ..., most: int | None = ...
    ) -> Iterator[tuple[NodeId, Any | AvpnError]]: ...


@dataclass
class Survey:
    """What has been asked and answered so far. ``silent``: hosts that didn't answer, or nonsense, and why."""

    channel: Channel
    record: NetworkRecord
    seconds: float  # for one host to answer where it stands
    surveyed: dict[NodeId, Surveyed] = field(default_factory=dict)
    silent: dict[NodeId, str] = field(default_factory=dict)
    contents: dict[NodeId, tuple[Content, ...]] = field(default_factory=dict)

    def ask(self, nodes: Iterable[NodeId]) -> None:
        """Ask hosts that weren't asked yet where they stand."""
        new = sorted(set(nodes) - self.surveyed.keys() - self.silent.keys())
        request = {"op": "survey", "network": self.record.id, "generation": None}
        for some in _portions(new, _AT_ONCE):
            answers = self.channel.call_each(dict.fromkeys(some, request), seconds=self.seconds, most=_POSITIONS_BYTES)
            for node, answer in answers:
                try:
                    self.surveyed[node] = _positions(answer, node)
                except AvpnError as error:
                    self.silent[node] = _short(error, node)

    def show(self, named: str | None = None) -> Found:
        """Have contents shown, generation by generation, until what is the newest is proven; what was found."""
        found = self._weighed(named)
        for generation in generations_to_ask(self.record, self.surveyed.values(), named):
            found = self._show(generation, named)
            begun = (
                found.best is not None and found.best.proof is Proof.CERTIFIED and generation == self.record.generation
            )
            if begun and (named is None or found.named(named) is not None):
                break
        return found

    def _show(self, generation: int, named: str | None) -> Found:
        asked: set[NodeId] = set()
        found = self._weighed(named)
        # Each round asks others for what the ones before didn't prove: liars can't hide what an honest host shows.
        while wanted := self._unproven(generation, found, asked):
            for some in _portions(wanted, _SHOWN_AT_ONCE):
                self._fetch(some, generation)
                asked.update(some)
            found = self._weighed(named)
        return found

    def _unproven(self, generation: int, found: Found, asked: set[NodeId]) -> list[NodeId]:
        """One host for each position that nobody has proven yet, the newest first."""
        wanted: dict[tuple[int, str | None, Ballot | None], NodeId] = {}
        for node, one in sorted(self.surveyed.items()):
            position = one.of(generation)
            if position is not None and node not in asked and not _is_proven(position, found):
                wanted.setdefault((position.version, position.hash, position.accepted), node)
        return [node for _position, node in sorted(wanted.items(), key=lambda item: (-item[0][0], item[1]))]

    def _fetch(self, nodes: list[NodeId], generation: int) -> None:
        request = {"op": "survey", "network": self.record.id, "generation": generation}
        for node, answer in self.channel.call_each(dict.fromkeys(nodes, request), seconds=_CONTENT_SECONDS):
            try:
                content = _content(answer, node, generation)
            except AvpnError:
                continue  # its position stays as something that it says and doesn't show
            if content is not None:
                self.contents[node] = (*self.contents.get(node, ()), content)

    def _weighed(self, named: str | None) -> Found:
        said = [Said(one, self.contents.get(node, ())) for node, one in sorted(self.surveyed.items())]
        return weigh(self.record, said, named)


def _is_proven(position: Position, found: Found) -> bool:
    if position.hash is None:
        # One that shows it without the proof doesn't keep others from being asked for it.
        first = None if position.accepted is None else found.named(position.accepted.hash)
        return position.accepted is None or (first is not None and first.proof is not Proof.ACCEPTED)
    candidate = found.named(position.hash)
    if candidate is None or candidate.proof is Proof.ACCEPTED:
        return False
    return position.accepted is None or any(half.ballot == position.accepted for half in candidate.halves)


def _positions(answer: Any | AvpnError, node: NodeId) -> Surveyed:
    found = _answered(answer, node)
    if not isinstance(found, Surveyed):
        raise InvalidInput("are contents, and not positions as asked for", where="surveyed")
    return found


def _content(answer: Any | AvpnError, node: NodeId, generation: int) -> Content | None:
    found = _answered(answer, node)
    if not isinstance(found, Shown):
        raise InvalidInput("are positions, and not contents as asked for", where="surveyed")
    if found.content is not None and found.content.generation != generation:
        raise InvalidInput(f"is of another generation than {generation}", where="surveyed")
    return found.content


def _answered(answer: Any | AvpnError, node: NodeId) -> Surveyed | Shown:
    """What a host said. The AvpnError that came instead; InvalidInput if it's no answer, or for another host."""
    if isinstance(answer, AvpnError):
        raise answer
    found = surveyed_from_json(fields.obj(answer, "answer", required={"surveyed"})["surveyed"], "surveyed")
    if found.node != node:
        raise InvalidInput(f"speaks for {found.node}", where="surveyed")
    return found


def _short(error: AvpnError, node: NodeId) -> str:
    """Why a host didn't answer, without its name, which stands in front."""
    text = str(error).removeprefix(str(node)).lstrip(": ")
    prefix = "answers nonsense: " if isinstance(error, InvalidInput) else ""
    return f"{prefix}{text}"[:300]


def _portions(items: list[T], size: int) -> Iterator[list[T]]:
    """Lists of at most ``size``."""
    remaining = iter(items)
    while portion := list(islice(remaining, size)):
        yield portion
