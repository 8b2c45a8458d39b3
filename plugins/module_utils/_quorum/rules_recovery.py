# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about version 0 of a generation with a base: it keeps the newest that its founders hold (R25).

The change carries the proof: the promises of all founders, each of which says what its voter holds of the generations
before. Nobody who has promised votes there any more, so the proof stays true, whoever finishes a half-done start.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._chain.model import NetworkRecord
from .._common.errors import InvalidInput
from . import codec
from .authorship import verify_authorship
from .change import Change, apply_change, change_from_json
from .constants import usable
from .errors import BadProof, RuleBroken
from .header import Header
from .messages import Ballot, Certified, Held, Instance, Promise, check_voter
from .recovery import Recovery
from .rule_context import refuse
from .value import Value

_WHERE = "recovery"


def check(record: NetworkRecord, recovery: Recovery | None) -> tuple[Value, Change | None, Value]:
    """The value that is proven, the change that was accepted after it, and what the two make; RuleBroken if not."""
    if recovery is None:
        raise RuleBroken("recovery-missing", "the record names a base, and nothing shows it", where=_WHERE)
    base, value = recovery.base, recovery.value
    refuse(base.hash != record.base, "recovery-base", "is not the base that the record names", _WHERE)
    refuse({base.network, value.network} != {record.id}, "recovery-network", "is of another network", _WHERE)
    lower = base.generation == value.generation < record.generation
    refuse(not lower, "recovery-generation", "base and value are not of one lower generation", _WHERE)
    _check_value(recovery)
    change, newest = None, value
    if recovery.accepted is not None:
        try:
            change = change_from_json(recovery.accepted, f"{_WHERE}.accepted", record.owner)
            newest = apply_change(value, codec.value_hash(value), change)
        except InvalidInput as error:
            raise RuleBroken("recovery-accepted", str(error), where=_WHERE) from error
    _check_promises(record, recovery.promises)
    _check_newest(record, recovery, codec.value_hash(newest))
    numbers = usable(record.cidr)
    addresses = [int(entry.address) for entry in newest.hosts.values()]
    addresses += [int(slot.address) for slot in newest.slots.values() if slot.address is not None]
    outside = any(address not in numbers for address in addresses)
    refuse(outside, "recovery-range", f"holds addresses outside of {record.cidr}", _WHERE)
    try:
        verify_authorship(newest)
    except BadProof as error:
        raise RuleBroken("recovery-signature", str(error), where=_WHERE) from error
    return value, change, newest


def newest_held(base: Header, held: Sequence[Held]) -> tuple[int, str, Ballot | None]:
    """Version and hash of the newest certified value from the base on, and the highest ballot accepted after it."""
    found = [one for one in held if one.generation == base.generation]
    certified = [(one.version, one.hash) for one in found if one.hash is not None and one.version >= base.version]
    version, hash_ = max(certified, default=(base.version, base.hash))
    after = [one.accepted for one in found if one.accepted is not None and (one.version, one.hash) == (version, hash_)]
    return version, hash_, max(after, default=None)


def _check_value(recovery: Recovery) -> None:
    """It is the base, or certified above it by those whom the base and the links name."""
    base, value, certificate = recovery.base, recovery.value, recovery.certificate
    if certificate is None:
        same = codec.value_hash(value) == base.hash and not recovery.links
        refuse(not same, "recovery-value", "is not the base, and has no certificate", _WHERE)
        return
    refuse(value.version <= base.version, "recovery-value", "is not above the base", _WHERE)
    early = any(link.version <= base.version for link in recovery.links)
    refuse(early, "recovery-value", "a link is not above the base", _WHERE)
    try:
        Certified(certificate, value, recovery.links).verify(base.voters, base.network, seated=base.seated)
    except BadProof as error:
        raise RuleBroken("recovery-value", str(error), where=_WHERE) from error


def _check_promises(record: NetworkRecord, promises: Sequence[Promise]) -> None:
    """They are of all founders, for this start, and each says what its voter holds."""
    parent = codec.genesis_parent(record.id, record.generation, record.base)
    instance = Instance(record.id, record.generation, 0, parent)
    for promise in promises:
        refuse(promise.instance != instance, "recovery-promise", "is for another version", _WHERE)
        refuse(promise.held is None, "recovery-promise", f"{promise.voter} doesn't say what it holds", _WHERE)
        try:
            check_voter(promise, record.founders, "promise")
        except BadProof as error:
            raise RuleBroken("recovery-promise", str(error), where=_WHERE) from error
    said = [promise.voter for promise in promises]
    missing = sorted({voter.node for voter in record.founders} - set(said))
    names = ", ".join(map(str, missing))
    refuse(bool(missing), "recovery-all", f"{names} didn't promise, and may hold something newer", _WHERE)
    refuse(len(said) != len(set(said)), "recovery-promise", "a founder's is there twice", _WHERE)


def _check_newest(record: NetworkRecord, recovery: Recovery, newest: str) -> None:
    """No founder holds anything newer, and what was accepted last goes on. The promises are verified."""
    base, value = recovery.base, recovery.value
    for promise in recovery.promises:
        for one in promise.held or ():
            later = base.generation < one.generation < record.generation
            what = f"{promise.voter} holds generation {one.generation}, the base is of {base.generation}"
            refuse(later, "recovery-between", what, _WHERE)
    held = [one for promise in recovery.promises for one in promise.held or ()]
    version, hash_, accepted = newest_held(base, held)
    shown = (value.version, codec.value_hash(value))
    refuse(shown != (version, hash_), "recovery-newest", f"a founder holds version {version}, {hash_[:12]}", _WHERE)
    if recovery.certificate is None:
        _check_beside(base, held)
    wanted = hash_ if accepted is None else accepted.hash
    what = "is not what the highest accepted ballot makes of it"
    refuse(newest != wanted, "recovery-accepted", what, _WHERE)


def _check_beside(base: Header, held: Sequence[Held]) -> None:
    """Where no founder holds the base as certified, no other value may have been agreed in its place."""
    of = [one for one in held if one.generation == base.generation]
    if any(one.version >= base.version for one in of):
        return
    beside = [one.accepted for one in of if one.accepted is not None and one.version == base.version - 1]
    other = max(beside, default=None)
    what = f"another value was accepted as version {base.version} under a higher ballot"
    refuse(other is not None and other.hash != base.hash, "recovery-beside", what, _WHERE)
