# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Published figures: the tables of the guide are made of the files beside it, and of nothing else."""

from __future__ import annotations

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
if str(ROOT / "tests" / "bench") not in sys.path:
    sys.path.append(str(ROOT / "tests" / "bench"))

from figures import figure, table  # noqa: E402

GUIDE = ROOT / "docs" / "benchmarks.md"
PUBLISHED = sorted((ROOT / "docs" / "benchmarks").glob("*.json"))


def test_something_is_published() -> None:
    assert PUBLISHED


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_the_tables_are_those_of_the_figures(path: pathlib.Path) -> None:
    assert table.shown(GUIDE, path.stem) == table.rendered(path.stem, figure.read(path)), (
        "run the benchmark with --publish"
    )


def test_a_figure_is_the_same_after_writing(tmp_path: pathlib.Path) -> None:
    made = [
        figure.figure("a.b", "seconds", "lower", {"endpoints": 1}, [0.3, 0.1, 0.2], ("other", [0.5, 0.4, 0.9])),
        figure.figure("a.c", "per second", "higher", {}, [7.0], note="once"),
    ]
    figure.write(tmp_path / "x.json", made)
    read = figure.read(tmp_path / "x.json")
    assert table.table(read) == table.table(made)
    assert (read[0].value, read[0].spread, read[0].peer_value, read[0].ratio) == (0.2, [0.1, 0.3], 0.5, 2.5)
    assert read[1].ratio is None


def test_a_table_goes_between_its_marks(tmp_path: pathlib.Path) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text("before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n", encoding="utf-8")
    table.replace(guide, "x", "new\n")
    assert guide.read_text(encoding="utf-8") == "before\n<!-- x: begin -->\nnew\n<!-- x: end -->\nafter\n"
    assert table.shown(guide, "x") == "new\n"
    with pytest.raises(ValueError, match="no marks for y"):
        table.replace(guide, "y", "new\n")
