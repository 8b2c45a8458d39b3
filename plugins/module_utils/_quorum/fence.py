# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rest of a raised generation: what the old one may still agree on is over before the new one gives anything out.

Nobody votes on a view older than T (900 s), and whoever has seen the raised generation votes in no lower one. So twice
T after the raising nobody does; counted in blocks, which take 5 s at least. Only version 1 has to wait, for whoever
holds it certified knows that a majority has waited. Voters count from what they saw themselves (``raising``); this is
what everybody else can tell from the value, so that nobody asks in vain.
"""

from __future__ import annotations

from .constants import FENCE_BLOCKS
from .value import Value


def rests_until(parent: Value, height: int) -> int | None:
    """The height from which a child of ``parent`` may be agreed; None if ``height`` is there already."""
    if parent.generation == 0 or parent.version > 0:
        return None
    least = parent.record_height + FENCE_BLOCKS
    return least if height < least else None


def why(block: int) -> str:
    """For those who wait."""
    return f"the new generation rests until block {block}"
