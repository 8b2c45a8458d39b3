# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that is killed at a step of its own: a process of its own, which sends itself SIGKILL.

``python dying.py WORK STEP < JSON``. Steps are counted from 0: before and after every script that nft is given, every
file that is replaced, every timer that is armed or called off. The last line it says is the step it came to; a run that
comes to no such step ends by itself.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.akash.avpn.plugins.module_utils._overlay import frames, trying
from ansible_collections.akash.avpn.plugins.module_utils._overlay.frames import Trial
from ansible_collections.akash.avpn.plugins.module_utils._overlay.trying import Place
from ansible_collections.akash.avpn.plugins.module_utils._policy import nft
from ansible_collections.akash.avpn.plugins.module_utils._policy.frame import Frame
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset

NOW = 1_700_000_000


class Timers:
    """Timers that are files; nobody runs what is in them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def arm(self, name: str, seconds: int, command: Sequence[str]) -> None:
        (self._directory / name).write_text(f"{seconds} {' '.join(command)}", encoding="utf-8")

    def disarm(self, name: str) -> None:
        (self._directory / name).unlink(missing_ok=True)

    def armed(self) -> list[str]:
        return sorted(path.name for path in self._directory.iterdir() if path.name.startswith("avpn-revert-"))


def trial(caller: bool = False) -> Trial:
    nothing = Frame({}, {})
    return Trial("0a0b0c0d", nothing, nothing, NOW, (), False, caller)


def upgrade(place: Place, ruleset: Ruleset, timers: Timers) -> None:
    """What a run does that has new rules and a new frame: rules, trial, confirmation."""
    put = trying.put(place, ruleset, NOW)
    if put.wanted is not None:
        begun = trying.begin(place, ruleset, trial(), timers, ["avpn-revert", "net"])
        assert begun is not None
        trying.confirm(place, begun, timers)


def late(place: Place, ruleset: Ruleset, _timers: Timers) -> None:
    """What a run does that comes when a trial is over."""
    trying.put(place, ruleset, NOW + frames.SECONDS)


WORK: dict[str, Callable[[Place, Ruleset, Timers], None]] = {"upgrade": upgrade, "late": late}


class Steps:
    """Counts steps, and dies at one."""

    def __init__(self, last: int) -> None:
        self._last = last
        self._count = 0

    def __call__(self, what: str) -> None:
        if self._count == self._last:
            sys.stdout.write(f"{what}\n")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1

    def around(self, owner: Any, name: str, *, only: Callable[..., bool] = lambda *_all: True) -> None:
        real = getattr(owner, name)

        @functools.wraps(real)
        def stepped(*arguments: Any, **named: Any) -> Any:
            counted = only(*arguments)
            if counted:
                self(f"before {name}")
            result = real(*arguments, **named)
            if counted:
                self(f"after {name}")
            return result

        setattr(owner, name, stepped)


def main() -> None:
    given = json.load(sys.stdin)
    directory = Path(given["directory"])
    place = Place(given["namespace"], Path(given["state"]), Path(given["record"]))
    timers = Timers(directory)
    steps = Steps(int(sys.argv[2]))
    steps.around(nft, "_nft", only=lambda _namespace, *words: words == ("-f", "-"))
    steps.around(nft, "_remember")
    steps.around(os, "replace")
    steps.around(timers, "arm")
    steps.around(timers, "disarm")
    WORK[sys.argv[1]](place, Ruleset.from_json(given["ruleset"]), timers)


if __name__ == "__main__":
    main()
