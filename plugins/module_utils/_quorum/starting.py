# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what the founders of a generation hold to the change that begins it: a proposer's part of version 0."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from .._chain.model import NetworkRecord
from .._common.errors import InvalidInput, Unavailable
from .._common.ids import NodeId
from . import codec
from .change import apply_change
from .fanout import Fanout, Question
from .header import Header
from .messages import Certified, Held, Promise
from .recovery import Recovery
from .requests import Survey
from .rules_recovery import newest_held
from .survey import Content, Shown, Surveyed
from .value import Value

_SECONDS = 15.0  # for contents, which may be megabytes


class Holders(Protocol):
    """Those who may hold something of former generations."""

    def generations(self) -> set[int]:
        """Of which anybody holds something."""

    def contents(self, generation: int, *, widely: bool) -> Sequence[Content]:
        """What those who answer show of a generation, unverified: the founders, or ``widely`` the others as well."""


class Asked:
    """Hosts that are asked over the network."""

    def __init__(self, fanout: Fanout, network: str, founders: Iterable[NodeId], others: Iterable[NodeId]) -> None:
        self._fanout, self._network, self._founders = fanout, network, tuple(founders)
        self._all = tuple(dict.fromkeys((*self._founders, *others)))

    def generations(self) -> set[int]:
        told = [one for one in self._ask(None, self._all) if isinstance(one, Surveyed)]
        return {position.generation for one in told for position in one.positions}

    def contents(self, generation: int, *, widely: bool) -> Sequence[Content]:
        shown = self._ask(generation, self._all if widely else self._founders)
        return [one.content for one in shown if isinstance(one, Shown) and one.content is not None]

    def _ask(self, generation: int | None, nodes: Sequence[NodeId]) -> list[object]:
        request = Survey(self._network, generation).to_json()
        return [answer for _node, answer in self._fanout.ask(request, question=Question(_SECONDS), nodes=nodes)]


def recover(record: NetworkRecord, promises: Sequence[Promise], holders: Holders) -> Recovery:
    """What version 0 begins with. ``promises``: of all founders, verified.

    Unavailable: nobody shows the base, or what a founder says it holds.
    """
    held = {one.generation for promise in promises for one in promise.held or ()}
    # Contents may be megabytes each, and whoever holds something must have promised: others only help out.
    try:
        found = _search(record, promises, holders, held, widely=False)
    except Unavailable:
        found = None
    found = found or _search(record, promises, holders, held | holders.generations(), widely=True)
    if found is not None:
        return found
    newest = max(((one, promise.voter) for promise in promises for one in promise.held or ()), default=None, key=_newer)
    what = f"nobody who answers shows the base {record.base} of generation {record.generation}"
    if newest is not None:
        what += f"; {newest[1]} holds version {newest[0].version} of generation {newest[0].generation}"
    remedy = "Raise the generation again, with a base that its founders hold (playbooks/recover.yml)"
    raise Unavailable(what, where=record.name, remedy=remedy)


def _search(
    record: NetworkRecord, promises: Sequence[Promise], holders: Holders, generations: Iterable[int], *, widely: bool
) -> Recovery | None:
    """None: nobody shows the base. Unavailable: somebody does, but not what a founder says it holds."""
    for generation in sorted(set(generations), reverse=True):
        if generation < record.generation:
            contents = holders.contents(generation, widely=widely)
            base = next((one for one in _headers(contents, record.owner) if one.hash == record.base), None)
            if base is not None:
                return _recovery(record, base, tuple(promises), contents)
    return None


def _recovery(
    record: NetworkRecord, base: Header, promises: tuple[Promise, ...], contents: Sequence[Content]
) -> Recovery:
    held = [one for promise in promises for one in promise.held or ()]
    version, hash_, ballot = newest_held(base, held)
    found = _of_hash(record, base, hash_, promises, contents)
    if found is not None and ballot is None:
        return found
    for content in contents:
        accepted = content.accepted
        if found is None or accepted is None or accepted.ballot != ballot:
            continue
        with contextlib.suppress(InvalidInput):
            change = accepted.parsed(record.owner)
            if codec.value_hash(apply_change(found.value, hash_, change)) == accepted.ballot.hash:
                return replace(found, accepted=accepted.change)
    names = sorted({str(one.voter) for one in promises if _says(one.held or (), base.generation, version)})
    what = f"{', '.join(names) or 'nobody'} says to hold version {version} and doesn't show all of it"
    remedy = "Run again; if it stays so, raise the generation again with other founders (playbooks/recover.yml)"
    raise Unavailable(what, where=record.name, remedy=remedy)


def _newer(one: tuple[Held, NodeId]) -> tuple[int, int]:
    return one[0].generation, one[0].version


def _says(held: Iterable[Held], generation: int, version: int) -> bool:
    return any((one.generation, one.version) == (generation, version) for one in held)


def _of_hash(
    record: NetworkRecord, base: Header, hash_: str, promises: tuple[Promise, ...], contents: Sequence[Content]
) -> Recovery | None:
    """Begin with the value of this hash, if somebody shows it: as the base, or with what proves it from the base on."""
    if hash_ == base.hash:
        values = (value for content in contents for value in _values(content, record.owner))
        return next((Recovery(base, one, promises) for one in values if codec.value_hash(one) == hash_), None)
    for content in contents:
        shown = content.certified
        if shown is None or codec.value_hash(shown.value) != hash_:
            continue
        links = tuple(link for link in shown.links if link.version > base.version)
        with contextlib.suppress(InvalidInput):
            Certified(shown.certificate, shown.value, links).verify(base.voters, base.network, seated=base.seated)
            return Recovery(base, shown.value, promises, shown.certificate, links)
    return None


def _headers(contents: Iterable[Content], owner: str) -> Iterator[Header]:
    for content in contents:
        if content.base is not None:
            yield content.base
        yield from (codec.header_of(value) for value in _values(content, owner))


def _values(content: Content, owner: str) -> Iterator[Value]:
    """Certified and accepted; whoever shows what is no value is passed by."""
    certified: Certified | None = content.certified
    if certified is not None:
        yield certified.value
    if content.accepted is None:
        return
    parent = None if certified is None else certified.value
    try:
        hash_ = "" if parent is None else codec.value_hash(parent)
        yield apply_change(parent, hash_, content.accepted.parsed(owner))
    except InvalidInput:
        return
