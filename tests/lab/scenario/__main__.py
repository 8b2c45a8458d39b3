# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make lab``: bring the lab up, play the story, probe every path, have each team check its own, print all of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path as File


def main() -> int:
    """Returns 0 if every path is as the policy predicts, to the lab's probes and to each team's own check."""
    root = File(__file__).resolve().parents[3]
    from lab import collection
    from lab.errors import LabError
    from lab.lab import Lab

    collection.copy()
    sys.path.insert(0, str(root / "build" / "collections"))
    from scenario import checking
    from scenario.matrix import render, summary
    from scenario.story import Story

    start = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - start:5.1f} s] {text}", flush=True)

    try:
        lab = Lab()
        lab.up(say=say)
        say(f"lab {lab.name} is up: {', '.join(lab.hosts)}")
        story = Story(lab, say)
        story.play()
        paths = story.probe()
        checks = checking.check(lab, story.providers)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    print()
    print(render(paths))
    print()
    print(checking.render(checks))
    checked, right = summary(paths)
    print(f"\nlab: {checked} paths checked, {right} as predicted")
    return 0 if checked and checked == right and all(each.as_predicted for each in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
