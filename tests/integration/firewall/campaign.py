# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make wire``: thousands of generated manifests on real packets, in several lanes; what came of it as a file.

Lanes don't share anything but the machine. The result, ``build/wire/seed-<n>.json``, has what was tried, what was
seen, and every disagreement in full. With --mutations every single rule
is taken out of a table at the end, one at a time, and must be missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
sys.path[:0] = [str(_HERE), str(_ROOT / "tests" / "unit" / "policy"), str(_ROOT / "build" / "import")]

from compare import Comparison, Disagreement  # noqa: E402
from mutations import swept  # noqa: E402
from passive import passive_wire  # noqa: E402
from shrink import shrunk  # noqa: E402
from walks import FLOWS, STEPS, Step, walk  # noqa: E402

_BATCH = 10  # walks that one set of namespaces sees
_MOST = 5  # disagreements, after which a batch is given up


def main() -> int:
    asked = _arguments()
    link = _ROOT / "build" / "import" / "ansible_collections" / "akash" / "avpn"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(_ROOT)
    walks = range(-(-asked.manifests // STEPS))
    batches = [list(walks[start : start + _BATCH]) for start in range(0, len(walks), _BATCH)]
    tally: Counter[str] = Counter()
    found: list[str] = []
    began = time.monotonic()
    commit = _said("git", "-C", str(_ROOT), "describe", "--always", "--dirty")
    with ProcessPoolExecutor(asked.lanes) as pool:
        for done in as_completed([pool.submit(_batch, asked.seed, numbers) for numbers in batches]):
            seen, disagreements = done.result()
            tally.update(seen)
            found += disagreements
            print(f"{tally['manifests']} manifests, {tally['packets']} packets, {len(found)} disagreements", flush=True)
    mutations, unnoticed = _sweep() if asked.mutations else (0, [])
    found += [f"nobody notices that this is missing: {name}" for name in unnoticed]
    result = {
        "seed": asked.seed,
        "manifests": tally["manifests"],
        "packets": tally["packets"],
        "flows_a_manifest": FLOWS,
        "seconds": round(time.monotonic() - began),
        "lanes": asked.lanes,
        "kernel": platform.release(),
        "nft": _said("nft", "--version"),
        "commit": commit,
        "mutations": mutations,
        "seen": dict(sorted(tally.items())),
        "disagreements": found,
    }
    path = _ROOT / "build" / "wire" / f"seed-{asked.seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{path.relative_to(_ROOT)}: {result['seconds']} s")
    print(*found, sep="\n\n")
    return 1 if found or tally["manifests"] < asked.manifests else 0


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="make wire", description=__doc__)
    parser.add_argument("--manifests", type=int, default=5000, help=f"how many, in walks of {STEPS}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--mutations", action="store_true", help="then take out every single rule of a table")
    return parser.parse_args()


def _batch(seed: int, numbers: list[int]) -> tuple[Counter[str], list[str]]:
    found: list[str] = []
    with tempfile.TemporaryDirectory() as directory, passive_wire(Path(directory)) as wire:
        comparison = Comparison(wire)
        for number in numbers:
            last: list[Step] = []
            try:
                comparison.walk(_noting(walk(seed, number), last))
            except Disagreement as error:
                found.append(str(error))
                counted = comparison.tally.copy()
                if error.flow is not None and (least := shrunk(comparison, last[-1], error.flow)) is not None:
                    found.append(f"the same, as small as it gets: {least}")
                comparison.tally = counted
            if len(found) >= _MOST:
                break
        return comparison.tally, found


def _sweep() -> tuple[int, list[str]]:
    """Every rule of a table taken out, one at a time: which of them nobody notices."""
    with tempfile.TemporaryDirectory() as directory, passive_wire(Path(directory)) as wire:
        return swept(Comparison(wire))


def _noting(steps: Iterable[Step], last: list[Step]) -> Iterator[Step]:
    for step in steps:
        last[:] = [step]
        yield step


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
