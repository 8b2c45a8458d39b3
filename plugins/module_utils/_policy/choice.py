# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pairs of a matrix or difference are asked for, by ends and port. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .._common.errors import InvalidInput
from .._manifest.model import Manifest, Port
from .ends import End, end_of
from .matrix import Chosen, Grants, Pair
from .portline import port_span
from .portsets import intersect
from .subjects import Network, Subject, apart


@dataclass(frozen=True)
class Choice:
    """What is asked for; None: whoever, whatever."""

    source: str | None = None
    target: str | None = None
    port: Port | None = None


def chosen(text: str | None, manifests: Sequence[Manifest], network: Network, where: str) -> Chosen:
    """Whether a subject is, or holds, what ``text`` means. Raises InvalidInput if none of the manifests knows it."""
    if text is None:
        return _everybody
    end = _end(text, manifests, network, where)
    one = end.subjects[0]
    if one.member is None:
        return lambda subject: subject.member is None and _overlap(subject, one)
    member, told = one.member, apart(manifests).get(one.member, frozenset())
    if end.peer == member:
        return lambda subject: subject.member == member
    lease = f"{member}/{one.gseq}"
    names = {text, str(one.name), lease} if one.gseq in told else {text, str(one.name), f"{member}/*", member}
    whole = text == lease
    return lambda subject: (
        subject.member == member and (subject.name in names or (whole and subject.name.startswith(f"{lease}/")))
    )


def narrowed(pairs: Iterator[Pair], port: Port | None) -> Iterator[Pair]:
    """The same pairs, as far as they are about a port."""
    if port is None:
        yield from pairs
        return
    ports = (port_span(port),)

    def within(grants: Grants) -> Grants:
        cut = (replace(grant, ports=intersect(grant.ports, ports)) for grant in grants)
        return tuple(grant for grant in cut if grant.ports)

    for pair in pairs:
        kept = replace(pair, permitted=within(pair.permitted), gained=within(pair.gained), lost=within(pair.lost))
        if kept.permitted or kept.gained or kept.lost:
            yield kept


def _everybody(subject: Subject) -> bool:
    return bool(subject.name)


def _end(text: str, manifests: Sequence[Manifest], network: Network, where: str) -> End:
    for manifest in manifests[:-1]:
        try:
            return end_of(manifest, network, text, where)
        except InvalidInput:
            continue  # another one may know it
    return end_of(manifests[-1], network, text, where)


def _overlap(one: Subject, two: Subject) -> bool:
    return any(
        first <= end and start <= last
        for version in one.addresses.keys() & two.addresses.keys()
        for first, last in one.addresses[version]
        for start, end in two.addresses[version]
    )
