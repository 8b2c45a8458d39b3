# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which frame of a network's firewall has proved itself on this host, which is on trial, which was rolled back.

``/var/lib/avpn-host/frames/<network id>.json``, readable by everybody. It survives a boot: a frame that was rolled back
isn't taken for good because nothing is loaded yet.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._peer import files
from .._policy.frame import Frame

SECONDS = 60  # a frame that isn't confirmed by then is rolled back
_FORMAT = 1


@dataclass(frozen=True)
class Trial:
    """A frame that is on trial. Times are Unix seconds.

    ``answered``: addresses of other hosts, each with the own address it was asked from, that answered before; whether
    ``served``: the host's own peer channel did. ``caller``: whoever began it has to come back by a new connection.
    ``verdict``: why it is being rolled back; empty until that is decided.
    """

    id: str  # 8 hexadecimal digits
    before: Frame
    after: Frame
    started: int
    answered: tuple[tuple[str, str], ...] = ()
    served: bool = False
    caller: bool = False
    verdict: str = ""

    def expired(self, now: float) -> bool:
        """Also when the clock was set back: it says nothing about the time since then."""
        return not self.started - 1 <= now < self.started + SECONDS


@dataclass(frozen=True)
class RolledBack:
    """A frame that didn't prove itself, and isn't tried again. ``time``: Unix seconds."""

    digest: str
    why: str
    time: int


@dataclass(frozen=True)
class Frames:
    """What is known of one network's frames; nothing before the first ruleset was loaded."""

    confirmed: Frame | None = None
    trial: Trial | None = None
    rolled_back: RolledBack | None = None

    def confirm(self, frame: Frame) -> Frames:
        return replace(self, confirmed=frame, trial=None, rolled_back=None)

    def shown(self) -> dict[str, Any] | None:
        """For status: what an operator has to know; None: nothing."""
        if self.trial is not None:
            return {"state": "trial", "since": self.trial.started, "why": ""}
        if self.rolled_back is not None:
            return {"state": "rolled-back", "since": self.rolled_back.time, "why": self.rolled_back.why}
        return None


def load(path: Path) -> Frames:
    """What was saved. A file that is missing, damaged or another version's says nothing: then what is loaded is taken
    as it is."""
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != _FORMAT:
            return Frames()
        confirmed, trial, rolled_back = (document[name] for name in ("confirmed", "trial", "rolled_back"))
        return Frames(
            Frame.from_json(confirmed) if confirmed is not None else None,
            _trial(trial) if trial is not None else None,
            RolledBack(**rolled_back) if rolled_back is not None else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Frames()


def save(path: Path, frames: Frames) -> None:
    """Write it, durably: what is on trial must be known after whatever happens next."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    document = {
        "format": _FORMAT,
        "confirmed": frames.confirmed.to_json() if frames.confirmed is not None else None,
        "trial": _trial_document(frames.trial) if frames.trial is not None else None,
        "rolled_back": vars(frames.rolled_back) if frames.rolled_back is not None else None,
    }
    files.write(path, json.dumps(document, separators=(",", ":")).encode() + b"\n")


def forget(path: Path) -> None:
    """Remove what ``save`` wrote."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _trial(document: Mapping[str, Any]) -> Trial:
    before, after = (Frame.from_json(document[name]) for name in ("before", "after"))
    pairs = tuple((str(other), str(own)) for other, own in document["answered"])
    return Trial(**{**document, "before": before, "after": after, "answered": pairs})


def _trial_document(trial: Trial) -> dict[str, Any]:
    return {**vars(trial), "before": trial.before.to_json(), "after": trial.after.to_json()}
