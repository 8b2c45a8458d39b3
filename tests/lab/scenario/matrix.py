# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Predicted and seen, path by path, as people read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .cast import KINDS

FAMILIES = (4, 6)


@dataclass(frozen=True)
class Place:
    """An endpoint of a network in the lab: where it runs and which addresses the ledger gave it."""

    network: str
    label: str  # "web/1/0"
    name: str  # "0.web.shop.avpn.internal"
    host: str
    namespace: str
    ipv4: str
    ipv6: str

    @property
    def identity(self) -> str:
        return f"{self.network}:{self.label}"

    def address(self, family: int) -> str:
        return self.ipv4 if family == 4 else self.ipv6


@dataclass(frozen=True)
class Path:
    """One probe: from an endpoint to another, what the policy predicts and what was seen."""

    source: str
    target: str
    kind: str  # "8080", "9090" or "ping"
    family: int
    predicted: bool
    seen: bool
    how: str

    @property
    def as_predicted(self) -> bool:
        return self.predicted == self.seen


def render(paths: Sequence[Path]) -> str:
    """Two tables, and a line for each path that is not as predicted."""
    legend = (
        "rows send, columns receive; each cell: "
        + ", ".join(f"{'ping' if kind == 'ping' else 'tcp/' + kind} over IPv4 and IPv6" for kind in KINDS)
        + "; + passes, - does not"
    )
    parts = [
        "predicted by the policy",
        _table(paths, lambda path: path.predicted),
        "seen on the wire",
        _table(paths, lambda path: path.seen),
        legend,
    ]
    for path in paths:
        if not path.as_predicted:
            parts.append(
                f"NOT AS PREDICTED: {path.source} -> {path.target} {path.kind} IPv{path.family}: "
                f"predicted {'pass' if path.predicted else 'no'}, seen {'pass' if path.seen else 'no'} ({path.how})"
            )
    return "\n\n".join(parts[:5]) + "".join(f"\n{line}" for line in parts[5:])


def summary(paths: Iterable[Path]) -> tuple[int, int]:
    """How many paths were checked, how many were as predicted."""
    listed = list(paths)
    return len(listed), sum(path.as_predicted for path in listed)


def _table(paths: Sequence[Path], told: Callable[[Path], bool]) -> str:
    names = list(dict.fromkeys(path.source for path in paths))
    cells = {(path.source, path.target, path.kind, path.family): told(path) for path in paths}

    def cell(source: str, target: str) -> str:
        if source == target:
            return ""
        return " ".join(
            "".join("+" if cells[source, target, kind, family] else "-" for family in FAMILIES) for kind in KINDS
        )

    rows = [["", *names]] + [[source, *(cell(source, target) for target in names)] for source in names]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
