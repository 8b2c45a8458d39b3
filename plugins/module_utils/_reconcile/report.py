# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of the last runs, ``/var/lib/avpn-host/reconcile.json``: for status, metrics and people.

``{"v": 1, "runs": [run, …], "last_good": {"revision", "finished"} | null}``, newest run first, at most 20.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .._peer import files

KEPT = 20
OUTCOMES = ("ok", "failed", "broken-revision", "error")


@dataclass(frozen=True)
class Run:
    """One run. Times are Unix seconds.

    ``outcome``: ``ok``; ``failed`` (a task failed; ``failures`` says which); ``broken-revision`` (the commit
    couldn't even start, and the last good one ran instead if there is one); ``error`` (no playbook was run).
    ``stale`` says why the newest revision wasn't used; ``changed`` is the number of changed tasks; ``problems`` is
    what couldn't be done for single networks while the run as a whole went on.
    """

    started: int
    finished: int
    outcome: str
    revision: str | None = None
    stale: str | None = None
    problem: str | None = None
    changed: int = 0
    check: bool = False
    requests: tuple[str, ...] = ()
    failures: tuple[dict[str, str], ...] = ()  # {"task", "message"}
    problems: tuple[dict[str, str], ...] = ()  # {"task", "where", "what"}


def read(path: Path) -> dict[str, Any]:
    """The file's document; an empty one if there is none or it is damaged (it is only a report)."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("runs"), list):
        return {"v": 1, "runs": [], "last_good": None}
    return document


def last_good(path: Path) -> str | None:
    """The commit of the last run that ended well."""
    found = read(path).get("last_good")
    return str(found["revision"]) if isinstance(found, dict) and "revision" in found else None


def add(path: Path, run: Run) -> None:
    """Put ``run`` before the others."""
    document = read(path)
    entry = asdict(run)
    document["runs"] = [entry, *document["runs"]][:KEPT]
    if run.outcome == "ok" and not run.check:
        document["last_good"] = {"revision": run.revision, "finished": run.finished}
    files.write(path, json.dumps(document, indent=1).encode() + b"\n", durable=False)
