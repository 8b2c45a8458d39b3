# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures as a table of Markdown, kept in a guide between two marks: written by the benchmark, held by a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from .figure import Figure

_HEADING = ("figure", "size", "runs", "ours", "peer", "its", "ours against it")


def table(figures: Iterable[Figure]) -> str:
    """One row a figure. Medians, with the lowest and the highest run in brackets."""
    lines = [f"| {' | '.join(_HEADING)} |", f"|{'---|' * len(_HEADING)}"]
    for one in figures:
        cells = (
            f"`{one.name}`",
            _size(one.size),
            str(one.runs),
            _value(one.value, one.spread, one.unit),
            (one.peer or "") + (f" ({one.note})" if one.note else ""),
            "" if one.peer_value is None else _value(one.peer_value, one.peer_spread, one.unit),
            "" if one.ratio is None else _ratio(one.ratio),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def replace(path: Path, part: str, text: str) -> None:
    """Put ``text`` between the marks of ``part``."""
    head, begin, rest = path.read_text(encoding="utf-8").partition(_mark(part, "begin"))
    _old, end, tail = rest.partition(_mark(part, "end"))
    if not begin or not end:
        raise ValueError(f"{path} has no marks for {part}")
    path.write_text(f"{head}{begin}\n{text}{end}{tail}", encoding="utf-8")


def shown(path: Path, part: str) -> str:
    """What stands between the marks of ``part``."""
    _head, _begin, rest = path.read_text(encoding="utf-8").partition(_mark(part, "begin") + "\n")
    return rest.partition(_mark(part, "end"))[0]


def _mark(part: str, which: str) -> str:
    return f"<!-- {part}: {which} -->"


def _size(size: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in size.items())


def _value(value: float, spread: tuple[float, float] | None, unit: str) -> str:
    low, high = spread or (value, value)
    if unit == "seconds":
        scale, unit = (1000, "ms") if value < 1 else (1, "s")
    elif unit == "bytes" and value >= 10_000:
        scale, unit = (1e-6, "MB") if value >= 1_000_000 else (1e-3, "kB")
    else:
        scale = 1
    numbers = _plain(value * scale)
    if high > low:
        numbers += f" [{_plain(low * scale)} … {_plain(high * scale)}]"
    return numbers if unit in ("messages", "round trips") else f"{numbers} {unit}"


def _plain(value: float) -> str:
    if value == int(value) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.3g} times better" if ratio >= 1 else f"{1 / ratio:.3g} times worse"
