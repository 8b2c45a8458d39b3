# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make model``: the protocol within larger bounds, then every broken variant with its counterexample.

Figures go to build/model.json: of each search the states, transitions, depth, CPU seconds and megabytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from ledger_model.bounds import LONG
from ledger_model.explorer import BUILD, Fence, Result, search
from ledger_model.story import tell
from ledger_model.variants import RECOVERIES, VARIANTS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=8_000, help="memory that one search may take")
    arguments = parser.parse_args()
    bad: list[str] = []
    explored, variants = [], []
    for bound in LONG:
        result = bound.search(table=24, megabytes=arguments.megabytes)
        explored.append({"bounds": bound.name, **_figures(result)})
        _say(f"{result.verdict:8} {bound.name}: {_in_words(result)}")
        if result.steps:
            bad.append(bound.name)
            _say(*tell(result.steps))
    for skew in (0, 1):
        fence = Fence(skew=skew)
        result = search(fence)
        explored.append({"bounds": fence.name, **_figures(result)})
        _say(f"{result.verdict:8} {fence.name}: {_in_words(result)}")
        if result.steps:
            bad.append(fence.name)
            _say(*tell(result.steps))
    for variant in [*VARIANTS, *RECOVERIES]:
        result = variant.search()
        lines = tell(result.steps)
        told = [*([variant.note] if variant.note else []), *lines]
        variants.append({"variant": variant.name, **_figures(result), "counterexample": told})
        if result.verdict != variant.verdict:
            bad.append(variant.name)
        _say("", f"{result.verdict:8} {variant.name}: {_in_words(result)}", *told)
    document = {"explored": explored, "variants": variants, "unexpected": bad}
    (BUILD.parent / "model.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    _say("", f"unexpected: {', '.join(bad) or 'nothing'}; figures in build/model.json")
    return 1 if bad else 0


def _figures(result: Result) -> dict[str, object]:
    figures = asdict(result)
    del figures["steps"]
    return {"verdict": result.verdict, **figures}


def _in_words(result: Result) -> str:
    return (
        f"{result.states:,} states, {result.transitions:,} transitions, {result.depth} steps deep, "
        f"{result.seconds} s, {result.megabytes:.0f} MB"
    )


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
