# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures as a table of Markdown, kept in a guide between two marks: written by the benchmark, held by a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .figure import Figure


def table(figures: Iterable[Figure]) -> str:
    """A table for each name: a row a size, a column a peer. Medians, in brackets the lowest and the highest run."""
    by_name: dict[str, list[Figure]] = {}
    for one in figures:
        by_name.setdefault(one.name, []).append(one)
    return "\n".join(_section(name, rows) for name, rows in by_name.items())


def plain(figures: Sequence[Figure]) -> str:
    """One table of many figures that have no peers: a row each."""
    lines = ["| figure | size | ours |", "|---|---|---|"]
    for one in figures:
        lines.append(f"| `{one.name}` | {_size(one.size)} | {_value(one.value, one.spread, one.unit)} |")
    return "\n".join(lines) + "\n"


def rendered(part: str, figures: Sequence[Figure]) -> str:
    """As it is shown in the guide."""
    return plain(figures) if part == "steps" else table(figures)


def _section(name: str, figures: Sequence[Figure]) -> str:
    peers = list(dict.fromkeys(one.peer for one in figures if one.peer is not None))
    sizes = list(dict.fromkeys(tuple(one.size.items()) for one in figures))
    load = max(one.load for one in figures)
    told = f"{figures[0].unit}, {figures[0].better} is better; {figures[0].runs} runs, load of the machine {load:.0f}"
    lines = [f"`{name}` ({told})", ""]
    lines += [f"| {' | '.join(['size', 'ours', *peers])} |", f"|{'---|' * (2 + len(peers))}"]
    for size in sizes:
        rows = [one for one in figures if tuple(one.size.items()) == size]
        by_peer = {one.peer: one for one in rows}
        cells = [_size(rows[0].size), _value(rows[0].value, rows[0].spread, rows[0].unit)]
        cells += [_peer(by_peer[peer]) if peer in by_peer else "" for peer in peers]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _peer(one: Figure) -> str:
    """The peer's value, why it isn't what it seems, and how ours compares."""
    if one.peer_value is None:
        return ""
    told = _value(one.peer_value, one.peer_spread, one.unit)
    if one.note:
        told += f" ({one.note})"
    return told if one.ratio is None else f"{told}; ours {_ratio(one.ratio)}"


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
    scale = 1.0
    if unit == "seconds":
        scale, unit = (1000, "ms") if value < 1 else (1, "s")
    elif unit == "bytes" and value >= 10_000:
        scale, unit = (1e-6, "MB") if value >= 1_000_000 else (1e-3, "kB")
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
