# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about version 0 of a generation with a base: it keeps the newest that its founders hold (R25).

``check`` needs only the change and the record; ``check_promised`` needs the founders' promises, which say what each
holds of the generations before. Nobody who has promised votes there any more, so that doesn't change afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .._chain.model import NetworkRecord
from .._common.checked import present
from . import codec
from .authorship import verify_authorship
from .change import Change, apply_change, change_from_json
from .constants import usable
from .errors import BadProof
from .header import Header
from .messages import Ballot, Certified, Held, Promise
from .recovery import Recovery
from .rule_context import refuse
from .value import Value

_WHERE = "recovery"


def check(record: NetworkRecord, recovery: Recovery | None) -> tuple[Value, Change | None, Value]:
    """The value that is proven, the change that was accepted above it, and what the two make; RuleBroken if not."""
    refuse(recovery is None, "recovery-missing", "the record names a base, and the change none", _WHERE)
    recovery = present(recovery, "a recovery")
    base, value = recovery.base, recovery.value
    refuse(base.hash != record.base, "recovery-base", "is not the base that the record names", _WHERE)
    refuse({base.network, value.network} != {record.id}, "recovery-network", "is of another network", _WHERE)
    lower = base.generation == value.generation < record.generation
    refuse(not lower, "recovery-generation", "base and value are not of one lower generation", _WHERE)
    _check_value(recovery)
    change, newest = None, value
    if recovery.accepted is not None:
        change = change_from_json(recovery.accepted, f"{_WHERE}.accepted", record.owner)
        newest = apply_change(value, codec.value_hash(value), change)
    numbers = usable(record.cidr)
    addresses = [int(entry.address) for entry in newest.hosts.values()]
    addresses += [int(slot.address) for slot in newest.slots.values() if slot.address is not None]
    outside = any(address not in numbers for address in addresses)
    refuse(outside, "recovery-range", "holds addresses outside of the record's range", _WHERE)
    try:
        verify_authorship(newest)
    except BadProof as error:
        refuse(True, "recovery-signature", str(error), _WHERE)
    return value, change, newest


def _check_value(recovery: Recovery) -> None:
    base, value, certificate = recovery.base, recovery.value, recovery.certificate
    if certificate is None:
        same = codec.value_hash(value) == base.hash and not recovery.links
        refuse(not same, "recovery-value", "is not the base, and has no certificate", _WHERE)
        return
    refuse(value.version <= base.version, "recovery-value", "is not above the base", _WHERE)
    try:
        Certified(certificate, value, recovery.links).verify(base.voters, base.network, seated=base.seated)
    except BadProof as error:
        refuse(True, "recovery-value", str(error), _WHERE)


def newest_held(base: Header, held: Iterable[Held]) -> tuple[int, str, Ballot | None]:
    """Version and hash of the newest certified value at or above the base, and the highest accepted ballot after it."""
    found = [one for one in held if one.generation == base.generation]
    certified = [(one.version, one.hash) for one in found if one.hash is not None and one.version >= base.version]
    version, hash_ = max(certified, default=(base.version, base.hash))
    ballots = [
        one.accepted for one in found if one.accepted is not None and (one.version, one.hash) == (version, hash_)
    ]
    return version, hash_, max(ballots, default=None)


def check_promised(record: NetworkRecord, recovery: Recovery, promises: Sequence[Promise], newest: Value) -> None:
    """All founders have promised, and hold nothing newer than what is begun with. The promises are verified."""
    missing = {voter.node for voter in record.founders} - {promise.voter for promise in promises}
    names = ", ".join(map(str, sorted(missing)))
    refuse(bool(missing), "recovery-all", f"not all founders have promised: {names} is missing", _WHERE)
    silent = any(promise.held is None for promise in promises)
    refuse(silent, "recovery-held", "a promise doesn't say what its voter holds", _WHERE)
    held = [one for promise in promises for one in promise.held or ()]
    base = recovery.base
    between = [one for one in held if base.generation < one.generation < record.generation and one.hash is not None]
    refuse(bool(between), "recovery-between", "a founder holds a later generation than the base's", _WHERE)
    version, hash_, accepted = newest_held(base, held)
    shown = (recovery.value.version, codec.value_hash(recovery.value))
    refuse(shown != (version, hash_), "recovery-newest", f"a founder holds version {version}, {hash_[:12]}", _WHERE)
    wanted = hash_ if accepted is None else accepted.hash
    what = "is not what the highest accepted ballot makes of it"
    refuse(codec.value_hash(newest) != wanted, "recovery-accepted", what, _WHERE)
