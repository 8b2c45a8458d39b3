# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rest of a new generation: what the old one may still agree on is over before the new one gives anything out.

Nobody votes on a view older than T (900 s), and whoever has seen the higher generation votes in no lower one. So twice
T after the tenant raised it nobody does; counted in blocks, which take 5 s at least. docs/ledger.md ("Recovery").
Only version 1 has to wait: whoever holds it certified knows that a majority saw a height behind the fence.
"""

from __future__ import annotations

from .constants import FENCE_BLOCKS
from .errors import Unseen
from .value import Value


def rests_until(parent: Value, height: int) -> int | None:
    """The height at which a child of ``parent`` may be voted for, if a view of ``height`` is below it."""
    if parent.generation == 0 or parent.version > 0:
        return None
    least = parent.record_height + FENCE_BLOCKS
    return least if height < least else None


def why(block: int) -> str:
    """For those who wait."""
    return f"the new generation rests until block {block}"


def check(parent: Value | None, height: int) -> None:
    """Raise Unseen, with the height to wait for, while the generation rests."""
    block = None if parent is None else rests_until(parent, height)
    if block is not None:
        raise Unseen(why(block), height=block)
