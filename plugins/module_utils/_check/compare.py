# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From probes to what was seen of each: repeating what was silent, and reading the firewall's counters around that.

Silence after TCP or a ping is a drop. After UDP it is nothing by itself, for many services don't answer; there the
counters of this host's firewall tell, which every refused packet moves. They tell as well on whose word, or that it
was not this host, where something was dropped that should have passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .._manifest.model import Manifest
from .probes import Probe, counters_of
from .probing import Answer

PASSED, DROPPED, UNKNOWN = "passed", "dropped", "unknown"
_SINGLES = 24  # probes that are repeated one by one, to see whose counter moves
_SINGLE_SECONDS = 0.5
_SIDES = {"e_": "egress", "i_": "ingress"}


class Sender(Protocol):
    """Sends probes and waits for each at most so long."""

    def send(self, probes: Sequence[Probe], seconds: float) -> Mapping[Probe, Answer]: ...


@dataclass(frozen=True)
class Path:
    """One probe and what was seen of it: ``passed``, ``dropped``, ``unknown``."""

    probe: Probe
    seen: str
    how: str

    @property
    def as_predicted(self) -> bool | None:
        """None: nothing was seen that tells."""
        if self.seen == UNKNOWN:
            return None
        return (self.seen == PASSED) == self.probe.permitted


def look(
    manifest: Manifest,
    probes: Sequence[Probe],
    sender: Sender,
    counters: Callable[[], Mapping[str, int]],
    seconds: float,
) -> list[Path]:
    """Try all probes. What is silent is tried twice, so that one lost packet, or a tunnel that has to be begun, isn't
    taken for a drop. ``counters``: the firewall's, now."""
    answers = dict(sender.send(probes, seconds))
    loud = [probe for probe in probes if answers[probe].silent and probe.packet.protocol != "udp"]
    answers.update(sender.send(loud, seconds))
    quiet = [probe for probe in probes if answers[probe].silent and probe.packet.protocol == "udp"]
    before = counters()
    answers.update(sender.send(quiet, seconds))
    moved = _moved(before, counters())
    quiet = [probe for probe in quiet if answers[probe].silent]
    expected = Counter(probe.counter for probe in quiet if probe.counter is not None)
    alone = _Alone(manifest, sender, counters)
    found = {}
    for probe in probes:
        answer = answers[probe]
        udp = probe.packet.protocol == "udp"
        if not answer.silent:
            seen = UNKNOWN if answer.passed is None else PASSED if answer.passed else DROPPED
            found[probe] = Path(probe, seen, answer.how)
        elif probe.counter is None:
            suspected = not udp or any(moved[name] > expected[name] for name in counters_of(manifest, probe))
            found[probe] = _shut(probe, alone.refused_by(probe) if suspected else None)
        elif udp and moved[probe.counter] < expected[probe.counter]:
            found[probe] = _uncounted(probe, alone.refused_by(probe))
        else:
            found[probe] = Path(probe, DROPPED, "silence, and counted" if udp else "silence")
    return [found[probe] for probe in probes]


def _shut(probe: Probe, by: str | None) -> Path:
    """A probe that should pass, and met silence. ``by``: whose side refuses it on this host; "": nobody's; None: that
    wasn't tried."""
    if by:
        return Path(probe, DROPPED, f"silence: refused on this host, by the {by}")
    if probe.packet.protocol == "udp":
        return Path(probe, UNKNOWN, "silence: a service that doesn't answer, or a drop elsewhere")
    return Path(probe, DROPPED, "silence" if by is None else "silence: not refused on this host")


def _uncounted(probe: Probe, by: str | None) -> Path:
    """A datagram that should be refused, met silence, and may not have been counted as refused."""
    if by is None:
        return Path(probe, UNKNOWN, "silence: too many are in doubt to tell")
    if by:
        return Path(probe, DROPPED, "silence, and counted")
    return Path(probe, PASSED, "silence, but this host's firewall didn't refuse it")


class _Alone:
    """Tries probes one by one, between two readings of the counters; only so many."""

    def __init__(self, manifest: Manifest, sender: Sender, counters: Callable[[], Mapping[str, int]]) -> None:
        self._manifest = manifest
        self._sender = sender
        self._counters = counters
        self._left = _SINGLES

    def refused_by(self, probe: Probe) -> str | None:
        """Whose side refuses a probe on this host; "": nobody's; None: too many were tried."""
        if self._left == 0:
            return None
        self._left -= 1
        before = self._counters()
        self._sender.send([probe], _SINGLE_SECONDS)
        moved = _moved(before, self._counters())
        members = (probe.source.id.member, probe.target.id.member)
        for name, member in zip(counters_of(self._manifest, probe), members, strict=True):
            if moved[name]:
                return f"{_SIDES[name[:2]]} of {member}"
        return ""


def _moved(before: Mapping[str, int], after: Mapping[str, int]) -> Counter[str]:
    return Counter({name: number - before.get(name, 0) for name, number in after.items()})
