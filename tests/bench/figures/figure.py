# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A figure: what was measured in several runs, and the peer's in the same runs; as JSON and back."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """``value``: the median of the runs, ``spread`` their lowest and highest; likewise the peer's, if there is one.

    size: what it was measured at. note: what somebody who reads it has to know.
    """

    name: str
    value: float
    unit: str
    better: str  # "lower" or "higher"
    size: Mapping[str, int]
    spread: tuple[float, float]
    runs: int
    peer: str | None = None
    peer_value: float | None = None
    peer_spread: tuple[float, float] | None = None
    note: str = ""
    load: float = field(default_factory=lambda: round(os.getloadavg()[0], 1))  # of the machine, when it was made

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer."""
        if not self.value or not self.peer_value:
            return None
        return self.peer_value / self.value if self.better == "lower" else self.value / self.peer_value

    def to_json(self) -> dict[str, Any]:
        document = {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "better": self.better,
            "size": dict(self.size),
            "spread": [_rounded(one) for one in self.spread],
            "runs": self.runs,
            "load": round(self.load, 1),
        }
        if self.peer is not None and self.peer_value is not None and self.peer_spread is not None:
            document["peer"] = self.peer
            document["peer_value"] = _rounded(self.peer_value)
            document["peer_spread"] = [_rounded(one) for one in self.peer_spread]
        if self.note:
            document["note"] = self.note
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Figure:
        return cls(**document)


def figure(
    name: str,
    unit: str,
    better: str,
    size: Mapping[str, int],
    runs: Sequence[float],
    peer: tuple[str, Sequence[float]] | None = None,
    *,
    note: str = "",
) -> Figure:
    """From the runs' values, and the peer's name with its own."""
    low_high = min(runs), max(runs)
    if peer is None:
        return Figure(name, statistics.median(runs), unit, better, size, low_high, len(runs), note=note)
    called, theirs = peer
    return Figure(
        name,
        statistics.median(runs),
        unit,
        better,
        size,
        low_high,
        len(runs),
        called,
        statistics.median(theirs),
        (min(theirs), max(theirs)),
        note,
    )


def write(path: Path, figures: Iterable[Figure]) -> None:
    """One figure a line, so that differences can be read."""
    lines = ",\n".join(json.dumps(one.to_json()) for one in figures)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def read(path: Path) -> list[Figure]:
    return [Figure.from_json(document) for document in json.loads(path.read_text(encoding="utf-8"))]


def _rounded(value: float) -> float:
    """Four digits that mean something."""
    return float(f"{value:.4g}")
