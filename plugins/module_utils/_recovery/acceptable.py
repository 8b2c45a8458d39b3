# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether founders would start a generation from a value, by what they say they hold. Pure.

They check more (``_quorum.rules_recovery``); this is what would stop them though the value itself is good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._common.errors import InvalidInput
from .._common.ids import NodeId
from .._quorum.survey import Position, Surveyed
from .candidates import Candidate, Found, Proof

_OTHERS = "Choose {0}, or founders that hold nothing of it"


def accepted_by(
    founders: Sequence[NodeId], candidate: Candidate, found: Found, surveyed: Mapping[NodeId, Surveyed]
) -> Candidate:
    """The candidate, or the first version that they have accepted in its place, which keeps the same.

    InvalidInput: they would refuse it.
    """
    held = [(node, one) for node in founders if node in surveyed for one in surveyed[node].positions]
    for node, one in held:
        if one.generation > candidate.generation:
            _refuse_later(candidate, node, one)
    own = [(node, one) for node, one in held if one.generation == candidate.generation]
    if any(one.version >= candidate.version for _node, one in own):
        return candidate
    # Where none of them holds it as certified, what was accepted in its place last may have been agreed.
    beside = [
        (one.accepted, node) for node, one in own if one.accepted is not None and one.version == candidate.version - 1
    ]
    if not beside:
        return candidate
    ballot, node = max(beside)
    if ballot.hash == candidate.hash:
        return candidate
    other = found.named(ballot.hash)
    if other is not None and (other.proof, candidate.proof) == (Proof.BEGUN, Proof.BEGUN):
        return other
    raise InvalidInput(
        f"isn't what {node} has accepted as version {candidate.version}, so it would refuse the start",
        where="base",
        remedy=_OTHERS.format(f"{ballot.hash}, if it is shown"),
    )


def _refuse_later(candidate: Candidate, node: NodeId, one: Position) -> None:
    if one.version < 0 and one.accepted is None:
        return
    what = "holds a certified version" if one.version >= 0 else "has accepted the first version"
    raise InvalidInput(
        f"is of generation {candidate.generation}, and {node} {what} of a later one, so it would refuse the start",
        where="base",
        remedy=_OTHERS.format("the later one"),
    )
