# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a campaign is: what operations, acts on chain and faults wait for each other by."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable


class Progress:
    """Shared by all threads of a campaign. ``stop`` ends every wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._through: set[int] = set()
        self._heights: dict[int, int] = {}
        self._faults = 0
        self.outcomes: Counter[str] = Counter()
        self.stopped = False

    @property
    def through(self) -> int:
        """How many operations have ended."""
        return len(self._through)

    def stop(self) -> None:
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def ended(self, operation: int, outcome: str) -> None:
        with self._changed:
            self._through.add(operation)
            self.outcomes[outcome] += 1
            self._changed.notify_all()

    def acted(self, act: int, height: int) -> None:
        with self._changed:
            self._heights[act] = height
            self._changed.notify_all()

    def height(self, act: int) -> int:
        """The height at which an act can be seen, once it can."""
        if act < 0:
            return 0
        self._wait(lambda: act in self._heights)
        return self._heights.get(act, 0)

    def wait_for(self, operations: tuple[int, ...]) -> None:
        """Until all of these have ended."""
        self._wait(lambda: self._through.issuperset(operations))

    def wait_until(self, count: int) -> None:
        """Until so many have ended."""
        self._wait(lambda: len(self._through) >= count)

    def begun(self, faults: int) -> None:
        """So many faults have begun."""
        with self._changed:
            self._faults = faults
            self._changed.notify_all()

    def wait_for_faults(self, count: int) -> None:
        """Until so many have begun."""
        self._wait(lambda: self._faults >= count)

    def pause(self, seconds: float) -> None:
        """Sleep, unless everything stops."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopped, seconds)

    def _wait(self, so: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.stopped or so())
