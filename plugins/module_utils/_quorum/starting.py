# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what the founders of a generation hold to the change that begins it: what the proposer does for version 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from .._chain.model import NetworkRecord
from .._common.errors import AvpnError, Unavailable
from . import codec
from .change import apply_change
from .header import Header
from .messages import Promise
from .recovery import Recovery
from .requests import Survey
from .rules_recovery import newest_held
from .survey import Content
from .value import Value

Ask = Callable[[Survey], Iterable[Content]]  # what those who answer show, in any order


def recover(record: NetworkRecord, promises: Sequence[Promise], ask: Ask, known: Iterable[int]) -> Recovery:
    """What version 0 begins with. ``known``: further generations that somebody holds.

    Unavailable: nobody shows the base, or what a founder says it holds.
    """
    held = [one for promise in promises for one in promise.held or ()]
    for generation in sorted({one.generation for one in held} | set(known), reverse=True):
        if generation >= record.generation:
            continue
        contents = list(ask(Survey(record.id, generation)))
        base = next((one for one in _headers(contents, record.owner) if one.hash == record.base), None)
        if base is not None:
            return _recovery(record, base, promises, contents)
    what = f"nobody who answers shows the base {record.base} of generation {record.generation}"
    raise Unavailable(what, where=record.name, remedy="Raise the generation with a base that is held, or with none")


def _recovery(
    record: NetworkRecord, base: Header, promises: Sequence[Promise], contents: Sequence[Content]
) -> Recovery:
    held = [one for promise in promises for one in promise.held or ()]
    version, hash_, ballot = newest_held(base, held)
    found = None
    for content in contents:
        certified = content.certified
        if certified is not None and codec.value_hash(certified.value) == hash_:
            links = tuple(link for link in certified.links if link.version > base.version)
            is_base = hash_ == base.hash
            found = Recovery(
                base, certified.value, None if is_base else certified.certificate, () if is_base else links
            )
            break
    if found is None and hash_ == base.hash:
        values = (value for content in contents for value in _accepted(content, record.owner))
        found = next((Recovery(base, value) for value in values if codec.value_hash(value) == hash_), None)
    if found is not None and ballot is None:
        return found
    for content in contents:
        accepted = content.accepted
        if found is not None and accepted is not None and accepted.ballot == ballot:
            return Recovery(found.base, found.value, found.certificate, found.links, accepted.change)
    names = {
        str(promise.voter)
        for promise in promises
        for one in promise.held or ()
        if one.generation == base.generation and one.version == version
    }
    what = f"{', '.join(sorted(names)) or 'nobody'} says to hold version {version} and doesn't show it"
    raise Unavailable(what, where=record.name, remedy="Raise the generation again, with other founders")


def _headers(contents: Iterable[Content], owner: str) -> Iterator[Header]:
    for content in contents:
        if content.base is not None:
            yield content.base
        if content.certified is not None:
            yield codec.header_of(content.certified.value)
        yield from (codec.header_of(value) for value in _accepted(content, owner))


def _accepted(content: Content, owner: str) -> Iterator[Value]:
    if content.accepted is None:
        return
    parent = None if content.certified is None else content.certified.value
    try:
        yield apply_change(parent, "" if parent is None else codec.value_hash(parent), content.accepted.parsed(owner))
    except AvpnError:
        return
