# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

HEADINGS = ("host", "organisation", "role", "address", "state", "systemd", "workloads")


def table(rows: Sequence[Sequence[str]], cuts: Sequence[str]) -> str:
    """Rows under the headings, then the links that are not whole."""
    if not rows:
        return "no lab"
    every = [HEADINGS, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in every]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in [*lines, *cuts])
