# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line of the campaign: bring the lab up, run, judge what was recorded, report."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab import collection
from lab.errors import LabError
from lab.lab import Lab
from lab.topology import ROOT

BUILD = ROOT / "build"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if the recorded history is a good one."""
    options = _parser().parse_args(arguments)
    sys.path.insert(0, str(collection.copy().parents[2]))
    from history.events import Recording
    from history.verdict import judge

    from . import report
    from .run import Told, run
    from .schedule import plan
    from .site import Site, lab_name

    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    history = BUILD / f"{options.output}-history.jsonl"
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - start:6.1f} s] {text}", flush=True)

    # Ended from outside, it mends what it has broken as it does after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    told = Told()
    if options.judge is None:
        schedule = plan(
            seed,
            options.operations,
            options.faults,
            hosts=options.hosts,
            workers=options.workers,
            replicas=options.replicas,
            brisk=options.brisk,
        )
        lab = Lab(options.lab or lab_name())
        site = Site(lab, options.hosts, say)
        try:
            site.up()
            site.begin(dict(schedule.members), options.replicas)
            say(
                f"seed {seed}: {len(schedule.operations)} operations of {options.hosts * options.workers} clients,"
                f" {len(schedule.faults)} faults, {len(schedule.acts)} acts on chain; network {site.network[:12]}"
            )
            told = run(site, schedule, options.workers, history, say)
        except LabError as error:
            print(f"faults: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(
                f"faults: interrupted; everything is mended. What was recorded until then: {history}", file=sys.stderr
            )
            return 130
        finally:
            if options.down:
                lab.down()
    path = options.judge or history
    recording = Recording.load(path)
    verdict = judge(recording)
    figures = report.document(recording.start["seed"], verdict, told, recording, path)
    if not verdict.good and options.judge is None:
        kept = BUILD / f"{options.output}-history-{seed}.jsonl"
        shutil.copy(path, kept)
        figures["history"] = str(kept)
        say(f"the history is kept: {kept}")
    if options.judge is None:
        report.write(figures, BUILD / f"{options.output}.json")
    print("\n".join(report.lines(figures, told)))
    complete = options.judge is not None or (
        verdict.counts["operations"] >= options.operations and verdict.counts["faults"] >= options.faults
    )
    if not complete:
        print("the campaign is not complete: see what couldn't be done")
    return 0 if verdict.good and complete else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="default: one by chance, which is printed")
    parser.add_argument("--operations", type=int, default=5000)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--hosts", type=int, default=5, help="providers, all of them voters")
    parser.add_argument("--workers", type=int, default=2, help="clients on each host")
    parser.add_argument("--replicas", type=int, default=20, help="endpoints of each member; a host runs two members")
    parser.add_argument("--brisk", type=float, default=1.0, help="a factor on how long faults last")
    parser.add_argument("--lab", help="the lab's name (default: beside the one of $AVPN_LAB)")
    parser.add_argument("--output", default="faults", metavar="NAME", help="build/NAME.json, build/NAME-history.jsonl")
    parser.add_argument("--down", action="store_true", help="take the lab down afterwards")
    parser.add_argument("--judge", type=Path, metavar="FILE", help="judge a recording again; no campaign")
    return parser
