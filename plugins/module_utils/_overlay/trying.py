# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commit and confirm: rules come into force at once, inside a frame that has proved itself; a new frame goes on trial.

Every step leaves the kernel with the old frame or the new one, and on disk what it takes to go back: first what is
tried is written down, then its end is armed, which needs no process of ours, then it is loaded. Whatever runs next
finishes what was begun: a trial that is over is rolled back before anything else.

Only the frame is taken back, never the rules: a peer that stops answering must not be able to undo a revocation.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from .._common.errors import AvpnError, Unsupported
from .._policy import nft
from .._policy.frame import Frame, frame_of, framed
from .._policy.ruleset import Ruleset
from . import frames as records
from .frames import SECONDS, Frames, RolledBack, Trial

EXPIRED = f"it wasn't confirmed within {SECONDS} s"


class Timers(Protocol):
    """What is needed of a ``Supervisor``."""

    def arm(self, name: str, seconds: int, command: Sequence[str]) -> None: ...
    def disarm(self, name: str) -> None: ...


@dataclass(frozen=True)
class Place:
    """Where a network's firewall is on this host: its namespace's name, what was loaded, what is known of frames."""

    namespace: str
    state: Path
    record: Path


@dataclass(frozen=True)
class Put:
    """What putting rules into force took. ``wanted``: a frame that waits for its trial; None: there is none.
    ``refused``: why the frame that is wanted was rolled back; empty if it wasn't."""

    change: nft.Change
    wanted: Frame | None = None
    refused: str = ""


def timer(namespace: str, trial: Trial) -> str:
    """The name of the timer that ends a trial."""
    return f"avpn-revert-{namespace}-{trial.id}"


def put(place: Place, desired: Ruleset, now: float, *, check: bool = False, again: bool = False) -> Put:
    """Bring rules into force, inside the frame that is in force. ``again``: forget that a frame was rolled back.

    Where there is no frame yet, or where the rules don't fit into it, they come with their own.
    """
    act = nft.plan_ruleset if check else nft.apply_ruleset
    wanted, known = frame_of(desired), records.load(place.record)
    if known.trial is None and known.confirmed is not None and known.confirmed.digest == wanted.digest:
        if known.rolled_back is not None and not check:
            records.save(place.record, replace(known, rolled_back=None))
        return Put(act(place.namespace, desired, place.state))  # as nearly always
    loaded = nft.loaded(place.state)
    frames = _settled(known, wanted, loaded, again=again)
    if frames.trial is not None and not check and (frames.trial.verdict or frames.trial.expired(now)):
        frames = roll_back(place, frames, frames.trial.verdict or EXPIRED, now)
        loaded = nft.loaded(place.state)
    in_force = _in_force(frames, loaded)
    ruleset = desired if in_force is None else framed(desired, wanted, in_force)
    try:
        change = act(place.namespace, ruleset, place.state)
    except Unsupported:
        if ruleset is desired:
            raise
        # What is permitted matters more: rules that need their own frame bring it along.
        frames, in_force = Frames(), None
        change = act(place.namespace, desired, place.state)
    if in_force is None:
        frames, in_force = frames.confirm(wanted), wanted
    if not check and frames != records.load(place.record):
        records.save(place.record, frames)
    if in_force.digest == wanted.digest or frames.trial is not None:
        return Put(change)
    if frames.rolled_back is not None:
        return Put(change, refused=frames.rolled_back.why)
    return Put(change, wanted=wanted)


def _settled(frames: Frames, wanted: Frame, loaded: Ruleset | None, *, again: bool) -> Frames:
    """Without what is of no account any more."""
    if frames.confirmed is None and loaded is not None:
        frames = replace(frames, confirmed=frame_of(loaded))
    # Whoever began a trial may not have got as far as loading the frame; then there is nothing to be taken back.
    if frames.trial is not None and not frames.trial.verdict and not _has(loaded, frames.trial.after):
        frames = replace(frames, trial=None)
    if frames.rolled_back is not None and (again or frames.rolled_back.digest != wanted.digest):
        frames = replace(frames, rolled_back=None)
    return frames


def _has(loaded: Ruleset | None, frame: Frame) -> bool:
    return loaded is not None and frame_of(loaded, frame).digest == frame.digest


def _in_force(frames: Frames, loaded: Ruleset | None) -> Frame | None:
    """The frame that rules are put into, with the elements that it has now."""
    frame = frames.trial.after if frames.trial is not None else frames.confirmed
    if frame is None or loaded is None:
        return frame
    return frame_of(loaded, frame) if _has(loaded, frame) else frame


def begin(place: Place, desired: Ruleset, trial: Trial, timers: Timers, command: Sequence[str]) -> Trial | None:
    """Put the frame of ``desired`` around the rules that are loaded, and let it be taken back unless it is confirmed.
    ``command`` does that. None: there is nothing any more to be tried."""
    frames = records.load(place.record)
    loaded = nft.loaded(place.state)
    if frames.trial is not None or loaded is None or frames.confirmed is None:
        return None
    trial = replace(trial, before=frame_of(loaded, frames.confirmed), after=frame_of(desired))
    if trial.before.digest != frames.confirmed.digest:
        return None
    target = framed(loaded, trial.before, trial.after)
    records.save(place.record, replace(frames, trial=trial))
    try:
        timers.arm(timer(place.namespace, trial), SECONDS, [*command, trial.id])
        nft.apply_ruleset(place.namespace, target, place.state)
    except AvpnError:
        records.save(place.record, frames)
        timers.disarm(timer(place.namespace, trial))
        raise
    return trial


def confirm(place: Place, trial: Trial, timers: Timers) -> bool:
    """The frame has proved itself; False: it was rolled back meanwhile."""
    frames = records.load(place.record)
    if frames.trial is None or frames.trial.id != trial.id or frames.trial.verdict:
        return False
    records.save(place.record, frames.confirm(trial.after))
    timers.disarm(timer(place.namespace, trial))
    return True


def roll_back(place: Place, frames: Frames, why: str, now: float, *, alone: bool = True) -> Frames:
    """Put the frame of before around the rules that are loaded now; what is known after that.

    ``alone``: whether nobody else applies; if somebody might, be it a process that hangs, the table is loaded without
    waiting for anybody, and the next run finds that it isn't what was remembered.
    """
    trial = frames.trial
    if trial is None:
        return frames
    # The verdict first: whoever finds half of this done must not take the frame for one that was never loaded.
    records.save(place.record, replace(frames, trial=replace(trial, verdict=why)))
    loaded = nft.loaded(place.state)
    there = os.path.exists(f"/run/netns/{place.namespace}")
    if loaded is not None and there:
        target = framed(loaded, trial.after, trial.before) if _has(loaded, trial.after) else loaded
        if alone:
            nft.apply_ruleset(place.namespace, target, place.state)
        else:
            nft.reload(place.namespace, target)
    after = replace(
        frames, confirmed=trial.before, trial=None, rolled_back=RolledBack(trial.after.digest, why, int(now))
    )
    records.save(place.record, after)
    return after
