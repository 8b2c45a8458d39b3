# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rest of a generation that has just started, until nobody can vote in the one before it any more. Pure."""

from __future__ import annotations

from .constants import FENCE_BLOCKS
from .value import Value

_VERSION_BITS = 32  # of a lock's token; with 20 for the generation it stays a number that any JSON reader keeps


def rests_until(value: Value, height: int) -> int | None:
    """The chain height from which on something may be built upon ``value``; None: it may at ``height``.

    Only version 0 of a generation above 0 rests: whoever certified a later version had seen that the rest was over.
    """
    if value.generation == 0 or value.version > 0:
        return None
    until = value.record_height + FENCE_BLOCKS
    return until if height < until else None


def rest(until: int) -> str:
    """Why nothing is asked for now."""
    return f"block {until}: until then the new generation rests"


def token_of(generation: int, version: int) -> int:
    """The fencing token of a lock that a version grants: versions start anew with a generation, tokens only rise."""
    return generation << _VERSION_BITS | version
