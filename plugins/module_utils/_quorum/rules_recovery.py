# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about version 0 of a raised generation: nothing that a founder holds is lost, and nothing else comes in.

The record names the hash of a base. What is certified above it, and what a founder has accepted after that, goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import codec
from .authorship import verify_authorship
from .change import Recovery, started
from .constants import usable
from .errors import BadProof, RuleBroken
from .messages import Certified, Held, Instance, Promise
from .rule_context import refuse
from .value import Value

_WHERE = "recovery"


def check(child: Value, recovery: Recovery | None, promises: Sequence[Promise], vouched: bool) -> None:
    """Raise RuleBroken unless ``child`` is what version 0 must be. ``vouched``: a voter accepted it already, which
    had the promises of all founders then; so that a founder that is lost since doesn't stop it."""
    base = child.record.base
    if not vouched:
        _check_heights(child, promises)
    if base is None:
        refuse(recovery is not None, "recovery-none", "the record names no base", _WHERE)
        return
    if recovery is None:
        raise RuleBroken("recovery-missing", "the record names a base, and nothing shows it", where=_WHERE)
    _check_base(child, recovery, base)
    _check_value(child, recovery)
    founders = {voter.node for voter in child.record.founders}
    missing = founders - {promise.voter for promise in promises}
    if not vouched:
        names = ", ".join(map(str, sorted(missing)))
        refuse(bool(missing), "recovery-founders", f"{names} didn't promise, and may hold something newer", _WHERE)
    if not missing:
        _check_newest(recovery, promises)
    _check_kept(child, recovery)


def _check_heights(child: Value, promises: Sequence[Promise]) -> None:
    """The record was there at the height that the rest is counted from, which must not lie before the raising."""
    sinces = [promise.held.since for promise in promises if promise.held is not None]
    refuse(len(sinces) < len(promises) or not sinces, "recovery-held", "a promise doesn't say what is held", _WHERE)
    lowest = min(sinces)
    refuse(
        child.record_height < lowest,
        "recovery-height",
        f"height {child.record_height} is below {lowest}, at which the first founder saw the generation",
        "record.height",
    )


def _check_base(child: Value, recovery: Recovery, base: str) -> None:
    header = recovery.base
    refuse(header.hash != base, "recovery-base", "the header is not that of the record's base", _WHERE)
    wrong = header.network != child.network or header.generation >= child.generation
    refuse(wrong, "recovery-base", "the base is of another network, or of no lower generation", _WHERE)


def _check_value(child: Value, recovery: Recovery) -> None:
    """It is the base itself, or certified above it by those whom the base and the links name."""
    base, value, certificate = recovery.base, recovery.value, recovery.certificate
    if certificate is None:
        refuse(codec.value_hash(value) != base.hash, "recovery-value", "is neither the base nor certified", _WHERE)
        refuse(bool(recovery.links), "recovery-value", "the base needs no links", _WHERE)
        return
    same = (value.network, value.generation) == (child.network, base.generation)
    refuse(not same or value.version <= base.version, "recovery-value", "doesn't descend from the base", _WHERE)
    refuse(Instance.of(value) != certificate.instance, "recovery-value", "has another value's certificate", _WHERE)
    early = any(link.version <= base.version for link in recovery.links)
    refuse(early, "recovery-value", "a link isn't above the base", _WHERE)
    try:
        Certified(certificate, value, recovery.links).verify(base.voters, child.network, seated=base.seated)
    except BadProof as error:
        raise RuleBroken("recovery-value", str(error), where=_WHERE) from error


def _check_newest(recovery: Recovery, promises: Sequence[Promise]) -> None:
    """No founder holds anything newer, and what was accepted after it goes on."""
    value, hash_ = recovery.value, codec.value_hash(recovery.value)
    shown: list[tuple[Promise, Held]] = []
    for promise in promises:
        held = promise.held
        if held is None or held.generation != recovery.base.generation:
            raise RuleBroken("recovery-held", f"{promise.voter} says nothing of the base's generation", where=_WHERE)
        what = f"{promise.voter} holds version {held.version}, the value is version {value.version}"
        refuse(held.version > value.version, "recovery-older", what, _WHERE)
        forked = held.version == value.version and held.hash != hash_
        refuse(forked, "recovery-fork", f"{promise.voter} holds another version {value.version}", _WHERE)
        shown.append((promise, held))
    if recovery.certificate is None and all(held.version < value.version for _promise, held in shown):
        beside = [held.accepted for _promise, held in shown if held.version == value.version - 1 and held.accepted]
        other = bool(beside) and max(beside).hash != hash_
        refuse(other, "recovery-accepted", "another value than the base may have been agreed at its version", _WHERE)
    after = [held.accepted for _promise, held in shown if held.version == value.version and held.accepted]
    if not after:
        refuse(recovery.accepted is not None, "recovery-accepted", "nobody has accepted anything after it", _WHERE)
        return
    refuse(recovery.accepted is None, "recovery-accepted", "what was accepted after it is left out", _WHERE)
    other = codec.value_hash(recovery.kept()) != max(after).hash
    refuse(other, "recovery-accepted", "another value than the newest accepted one comes after it", _WHERE)


def _check_kept(child: Value, recovery: Recovery) -> None:
    """The child is exactly what is kept, and its entries are signed by their authors."""
    wanted = started(child.record, child.record_height, recovery)
    for name in ("hosts", "slots", "locks", "batches", "serials"):
        changed = dict(getattr(child, name)) != dict(getattr(wanted, name))
        refuse(changed, f"recovery-{name}", f"the {name} are not those that are kept", name)
    numbers = usable(child.record.cidr)
    addresses = [entry.address for entry in child.hosts.values()]
    addresses += [slot.address for slot in child.slots.values() if slot.address is not None]
    outside = [address for address in addresses if int(address) not in numbers]
    refuse(bool(outside), "recovery-range", f"{len(outside)} addresses are not in {child.record.cidr}", "record.cidr")
    try:
        verify_authorship(child)
    except BadProof as error:
        raise RuleBroken("recovery-signatures", str(error), where=_WHERE) from error
