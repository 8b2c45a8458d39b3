# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What voters signed, and whether they could have done so honestly: ballots never go back.

Holds for each voter in each incarnation, whose memory is meant to survive whatever happens to its processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .events import Ballot, Statement

Place = tuple[int, int, str]  # generation, version, parent


def backward(statements: Iterable[Statement]) -> Iterator[str]:
    """Ballots and versions that went back from one statement to another that was asked for after it had come."""
    by_voter: dict[tuple[str, str], list[Statement]] = {}
    for one in statements:
        by_voter.setdefault((one.voter, one.incarnation), []).append(one)
    for (voter, _incarnation), own in by_voter.items():
        asked = sorted(own, key=lambda one: one.sent)
        came = sorted(own, key=lambda one: one.received)
        highest: Statement | None = None
        position = 0
        for one in asked:
            while position < len(came) and came[position].received < one.sent:
                if highest is None or _at(highest) < _at(came[position]):
                    highest = came[position]
                position += 1
            if highest is not None and _at(one) < _at(highest):
                yield (
                    f"{voter} signed {one.words} for version {one.version}, ballot {one.ballot.counter},"
                    f" after one for version {highest.version}, ballot {highest.ballot.counter}"
                )


def forgotten(statements: Iterable[Statement]) -> Iterator[str]:
    """Promises that don't show what the voter had accepted under a lower ballot: whenever they were signed.

    For after such a promise it could not have accepted the lower ballot any more.
    """
    accepted: dict[tuple[str, str, Place], list[Ballot]] = {}
    promises: dict[tuple[str, str, Place], dict[tuple[Ballot, Ballot | None], Statement]] = {}
    for one in statements:
        place = one.voter, one.incarnation, (one.generation, one.version, one.parent)
        if one.kind == "acceptance":
            accepted.setdefault(place, []).append(one.ballot)
        else:
            promises.setdefault(place, {})[one.ballot, one.accepted] = one
    for place, made in promises.items():
        for promise in made.values():
            if promise.accepted is not None and promise.ballot <= promise.accepted:
                yield f"{promise.voter} showed an accepted ballot that is not below its promise"
            below = [ballot for ballot in accepted.get(place, []) if ballot < promise.ballot]
            shown = promise.accepted
            if below and (shown is None or shown < max(below)):
                yield (
                    f"{promise.voter} promised ballot {promise.ballot.counter} of version {promise.version} without"
                    f" showing ballot {max(below).counter}, which it had accepted"
                )


def twofold(statements: Iterable[Statement]) -> Iterator[str]:
    """Voters that signed for two parents of one version."""
    parents: dict[tuple[str, str, int, int], str] = {}
    for one in statements:
        known = parents.setdefault((one.voter, one.incarnation, one.generation, one.version), one.parent)
        if known != one.parent:
            yield f"{one.voter} signed for two parents of version {one.version}"


def _at(one: Statement) -> tuple[int, int, Ballot]:
    return one.generation, one.version, one.ballot
