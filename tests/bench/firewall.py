# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the firewall costs, by endpoints and rules: make bench PART=firewall [ARGS='--runs 9 …'].

Real packets through a namespace that holds the compiled table, beside one without rules, one that only tracks
connections, and one with a plain list of rules that says the same; by turns, in one run. Needs root.

Writes build/bench/firewall.json; with --publish also docs/benchmarks/firewall.json and docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]

import conftest  # noqa: E402, F401 - makes the collection importable; pylint: disable=unused-import
from figures import figure as keeping  # noqa: E402
from figures import table  # noqa: E402
from filtering.measuring import Bench  # noqa: E402

SIZES = ((10, 10), *((endpoints, rules) for endpoints in (100, 1_000, 10_000) for rules in (10, 100, 1_000)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--sizes", nargs="+", help="endpoints/rules; all by default")
    parser.add_argument("--publish", action="store_true", help="put the figures into the docs")
    options = parser.parse_args()
    sizes = SIZES
    if options.sizes:
        sizes = tuple(
            (int(endpoints), int(rules)) for endpoints, _slash, rules in (one.partition("/") for one in options.sizes)
        )
    with tempfile.TemporaryDirectory(prefix="avpn-bench-") as directory:
        bench = Bench(sizes, pathlib.Path(directory))
        bench.measure(options.runs)
    figures = bench.figures()
    keeping.write(ROOT / "build" / "bench" / "firewall.json", figures)
    sys.stdout.write(table.table(figures))
    if options.publish:
        keeping.write(ROOT / "docs" / "benchmarks" / "firewall.json", figures)
        kept = keeping.read(ROOT / "docs" / "benchmarks" / "firewall.json")
        table.replace(ROOT / "docs" / "benchmarks.md", "firewall", table.rendered("firewall", kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
