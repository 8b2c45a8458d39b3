# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""After the generation was raised: waiting until version 0 of it is certified, and what it kept.

The founders make it by themselves when they reconcile; asking them to only saves time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .._chain.model import NetworkRecord
from .._common.ids import NodeId
from .._quorum.constants import FENCE_BLOCKS
from .._quorum.survey import Surveyed
from .._quorum.value import Value
from .candidates import Candidate, Proof
from .collect import Channel, Survey
from .keeping import addresses, gained, lost
from .picture import Started

_PAUSE = 2.0  # seconds between looks
_ASK_AGAIN = 60.0  # seconds between requests to reconcile: hosts take few of them


class Following:
    """Looks at the founders of a record until they have begun its generation."""

    def __init__(self, channel: Channel, record: NetworkRecord, base: Value | None, seconds: float) -> None:
        """``seconds``: for one host to answer. ``base``: what was chosen to start from, if it's known here."""
        self._channel = channel
        self._record = record
        self._base = base
        self._seconds = seconds
        self._founders = [voter.node for voter in record.founders]
        self.missing: list[tuple[NodeId, str]] = []  # founders that haven't begun, and how far they are
        self.silent: list[NodeId] = []  # those of them that don't answer

    def wait(self, patience: float) -> Started | None:
        """What the generation began with; None if it hasn't within ``patience`` seconds, and ``missing`` says more."""
        deadline = time.monotonic() + patience
        asked = -_ASK_AGAIN
        while True:
            started = self.look()
            if started is not None:
                return started
            if time.monotonic() - asked >= _ASK_AGAIN and time.monotonic() < deadline:
                self._reconcile()
                asked = time.monotonic()
            if time.monotonic() + _PAUSE > deadline:
                return None
            time.sleep(_PAUSE)

    def look(self) -> Started | None:
        """One look at all founders."""
        survey = Survey(self._channel, self._record, self._seconds)
        survey.ask(self._founders)
        generation = self._record.generation
        self.silent = sorted(survey.silent)
        self.missing = sorted(survey.silent.items())
        self.missing += [
            (node, _progress(one, generation))
            for node, one in sorted(survey.surveyed.items())
            if not _has(one, generation)
        ]
        if not any(_has(one, generation) for one in survey.surveyed.values()):
            return None
        best = survey.show().best
        if best is None or best.proof is not Proof.CERTIFIED or best.generation != generation:
            return None
        return started_with(best, self._base)

    def _reconcile(self) -> None:
        """Ask the founders to reconcile now; whether they do is theirs."""
        request: Mapping[str, Any] = {"op": "reconcile", "network": self._record.id}
        for _answer in self._channel.call_each(dict.fromkeys(self._founders, request), seconds=self._seconds):
            pass  # a host that doesn't want to does it in its own time


def started_with(best: Candidate, base: Value | None) -> Started:
    """What a generation began with, beside its base (None: unknown, or empty)."""
    value = best.value
    away = {} if base is None else lost(base, value)
    return Started(
        version=value.version,
        hash=best.hash,
        held_by=best.holders,
        hosts=len(value.hosts),
        addresses=len(value.bound()),
        # Whoever voted for a later version has waited.
        rests_until=value.record_height + FENCE_BLOCKS if value.version == 0 else None,
        kept=None if base is None else len(addresses(base)) - len(away),
        lost={str(endpoint): str(address) for endpoint, address in away.items()},
        gained={} if base is None else {str(endpoint): str(at) for endpoint, at in gained(base, value).items()},
    )


def _has(surveyed: Surveyed, generation: int) -> bool:
    position = surveyed.of(generation)
    return position is not None and position.version >= 0


def _progress(surveyed: Surveyed, generation: int) -> str:
    position = surveyed.of(generation)
    if position is None:
        return f"answers, and hasn't read generation {generation} on chain yet"
    if position.accepted is not None:
        return "has accepted version 0, which isn't certified yet"
    return "answers, and takes part; others are missing"
