# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a campaign came to, for people and as build/faults.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from history.events import Recording
from history.verdict import Verdict

from .run import Told


def document(seed: int, verdict: Verdict, told: Told, recording: Recording, path: Path) -> dict[str, Any]:
    """The figures. What is checked comes from the recording alone; seconds and faults are the run's own."""
    return {
        "seed": seed,
        **verdict.to_json(),
        "hosts": len(recording.start["voters"]),
        "seconds": round(told.seconds, 1),
        "seconds_without_majority": round(told.without_majority, 1),
        "faults_by_kind": {kind: count for kind, (count, _seconds) in told.faults.items()},
        "answer_seconds": latencies(recording),
        "errors": told.errors,
        "history": str(path),
    }


def latencies(recording: Recording) -> dict[str, float]:
    """Seconds from invocation to answer of what was answered."""
    seconds = sorted(one.ended - one.began for one in recording.operations.values() if one.outcome == "ok")
    if not seconds:
        return {}
    shares = {"median": 0.5, "p95": 0.95, "p99": 0.99}
    return {
        **{name: round(seconds[int(share * (len(seconds) - 1))], 3) for name, share in shares.items()},
        "most": round(seconds[-1], 3),
    }


def lines(figures: dict[str, Any], told: Told) -> list[str]:
    """The last lines of a run: what happened, how many were answered, what was found."""
    text = ["", "kind of fault       times  seconds"]
    text += [f"{kind:18} {count:6} {seconds:8.0f}" for kind, (count, seconds) in told.faults.items()]
    text += ["", "operation      answered  failed unknown"]
    for kind, outcomes in figures["outcomes"].items():
        counts = [outcomes.get(outcome, 0) for outcome in ("ok", "failed", "unknown")]
        text.append(f"{kind:14} {counts[0]:8} {counts[1]:7} {counts[2]:7}")
    latency = figures["answer_seconds"]
    if latency:
        text.append("")
        text.append("seconds to an answer: " + ", ".join(f"{name} {value:g}" for name, value in latency.items()))
    text += [f"couldn't be done: {error}" for error in told.errors]
    for kind, problems in figures["problems"].items():
        text += [f"WRONG ({kind}): {problem}" for problem in problems[:10]]
    verdict = "linearizable" if figures["linearizable"] else "NOT linearizable"
    text.append(
        f"\nseed {figures['seed']}: {figures['operations']} operations ({figures['acknowledged']} answered,"
        f" {figures['failed']} failed, {figures['unknown']} unknown) in {figures['versions']} versions"
        f" under {figures['faults']} faults, {figures['seconds']:.0f} s,"
        f" {figures['seconds_without_majority']:.0f} s of them without a majority"
    )
    text.append(
        f"{figures['duplicates']} duplicate, {figures['lost']} lost, {verdict};"
        f" {figures['statements']} statements of voters, {'nothing' if figures['good'] else 'SOMETHING'} wrong"
    )
    return text


def write(figures: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
