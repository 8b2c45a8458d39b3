# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others send of the ledger, verified, and what is sent to those who lack something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .._chain.model import NetworkRecord, Voter
from .._common.checked import present
from .._common.errors import InvalidInput
from .._common.ids import NodeId
from . import answers, codec
from .change import Change, apply_change, change_from_json
from .errors import BadProof
from .fanout import CatchUp
from .messages import Ballot, Certified, Instance, Promise, check_voter
from .requests import Learn, Update


def verified_update(update: Update, known: Certified | None, record: NetworkRecord) -> Certified:
    """The certified value an update leads to, checked from the founders on chain. BadProof or InvalidInput if not."""
    value = update.value
    if value is None:
        # Only the last value's hash is proven and only its parent's hash is part of it, so those between need none.
        value, parent = None if known is None else known.value, update.certificate.instance.parent
        for change in update.changes:
            value = apply_change(value, parent, change_from_json(change, "changes", record.owner))
    if value is None or value.generation != record.generation:
        raise BadProof("is not of this generation", where="update")
    links = update.links
    if known is not None and known.value.generation == value.generation and known.value.version < value.version:
        since = known.value.version
        links = (*known.trail(), *(link for link in links if link.version > since))
    certified = Certified(update.certificate, value, links)
    certified.verify(record.founders, record.id)
    return certified


def teaching(certified: Certified) -> CatchUp:
    """What brings a voter up to this version, given what it has."""
    return lambda have: Learn.of(certified, have).to_json()


def forced_by(promised: Iterable[answers.Promised], owner: str) -> tuple[Change, str] | None:
    """The change and hash of the highest accepted ballot that the promises show, if any."""
    shown = [one for one in promised if one.promise.accepted is not None]
    if not shown:
        return None
    highest = max(shown, key=_accepted)
    return change_from_json(highest.change, "change", owner), _accepted(highest).hash


def _accepted(answer: answers.Promised) -> Ballot:
    return present(answer.promise.accepted, "the accepted ballot")


def fault(
    answer: answers.Promised,
    asked: tuple[NodeId, Instance, Ballot],
    voters: Sequence[Voter],
    parent: Certified | None,
    owner: str,
) -> str | None:
    """What is wrong with a promise that ``asked`` was to give, or with the change that it comes with; None: nothing."""
    promise = answer.promise
    if (promise.voter, promise.instance, promise.ballot) != asked:
        return "promise: is not what was asked for"
    if promise.accepted is not None and promise.accepted >= promise.ballot:
        return "promise: shows an accepted ballot that is not below"
    try:
        check_voter(promise, voters, "promise")
    except BadProof as error:
        return str(error)
    if promise.accepted is not None and not holds(parent, promise, answer.change, owner):
        return "shows an accepted value and doesn't send it"
    return None


def holds(parent: Certified | None, promise: Promise, change: object, owner: str) -> bool:
    """Whether the change sent along is that of the accepted ballot."""
    accepted = present(promise.accepted, "the accepted ballot")
    try:
        child = apply_change(
            parent.value if parent else None, promise.instance.parent, change_from_json(change, "change", owner)
        )
        return codec.value_hash(child) == accepted.hash
    except InvalidInput:
        return False
