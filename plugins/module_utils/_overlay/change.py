# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an apply did, or would do: for people, diffs and tests. Never holds a secret."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Change:
    """One thing of one network: what it was (None: not there) and what it is now (None: removed)."""

    network: str  # the tenant's name for it with the start of its id, or the short name when that is all there is
    what: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.network}: {self.what}: {self.before or 'absent'} -> {self.after or 'absent'}"


@dataclass
class Outcome:
    """What an apply did. ``problems``: by network id, what couldn't be done there; ``waiting``: endpoints whose
    workload isn't there yet."""

    changes: list[Change] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)


def as_diff(changes: Iterable[Change]) -> dict[str, str]:
    """Changes as Ansible's ``diff``: one line each side, sorted."""
    listed = sorted(changes, key=lambda change: (change.network, change.what))

    def side(values: Iterable[tuple[Change, str | None]]) -> str:
        return "".join(f"{change.network}: {change.what}: {value}\n" for change, value in values if value is not None)

    return {
        "before": side((change, change.before) for change in listed),
        "after": side((change, change.after) for change in listed),
    }
