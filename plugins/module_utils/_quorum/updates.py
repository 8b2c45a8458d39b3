# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others send of the ledger, verified, and what is sent to those who lack something."""

from __future__ import annotations

from collections.abc import Iterable

from .._chain.model import NetworkRecord
from .._common.checked import present
from .._common.errors import InvalidInput
from . import answers, codec
from .change import Change, apply_change, change_from_json
from .errors import BadProof
from .fanout import CatchUp
from .messages import Ballot, Certified, Promise
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
