# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host's reconciliation does about a network's voters. Runs as avpn, after claims and releases."""

from __future__ import annotations

from typing import Any

from .._chain.model import View
from .._common.checked import present
from .._common.errors import AvpnError
from .._common.ids import NodeId
from .._quorum import membership
from .._quorum.proposer import Proposer
from .._quorum.resigning import DRAINED, Resigning
from .._quorum.store import Store
from .._quorum.value import Value
from .._quorum.voting import Membership
from .._quorum.watching import Watch

_MOST_DISMISSED = 64


def reshape(
    store: Store, proposer: Proposer, view: View, here: NodeId, value: Value, resigning: Resigning | None = None
) -> dict[str, Any]:
    """Bring the voters to what they should be, and tell those who left that they may go.

    One host tries first; the others once they find the same change wanted in two runs, but for one that leaves by it:
    who stays has to tell it that it may go. One that resigns (``resigning``, this host's own voter) begins at once,
    for nobody else knows of it, and tells itself. What isn't done by this run is done by another, so a failure is told
    and is no error.
    """
    told: dict[str, Any] = {"voters_changed": [], "voters_waiting": {}}
    network, reshaping = value.network, Membership(proposer, view, resigning=resigning)
    me = None if resigning is None else resigning.voter
    step = membership.wanted(value, view, caught=proposer.watch.caught, resigns=me)
    word = "" if step is None else str(step)
    before = store.note("wanted", network)
    if word != before:
        store.write_note("wanted", network, word)
    goes = step is not None and me is not None and step.removed == me
    stays = step is not None and (step.removed is None or step.removed.node != here)
    turn = goes or (word == before and stays) or membership.has_turn(value, view.networks[network], here)
    if step is not None and turn:
        try:
            reshaping.run()
        except AvpnError as error:
            told["voters_waiting"][str(here)] = str(error)
        drained = " ".join(sorted(f"{voter.node}/{voter.incarnation}" for voter in reshaping.drained))
        if drained != store.note(DRAINED, network):
            store.write_note(DRAINED, network, drained)
    told["voters_changed"] = [str(one) for one in reshaping.steps]
    told["voters_waiting"] |= {str(node): why for node, why in reshaping.waiting.items()}
    known = present(proposer.known, "the newest value").value
    if me in known.voters:
        told["voters_waiting"].setdefault(str(here), "is drained, and votes until somebody can take its place")
    if goes or any(voter.node == here for voter in known.voters):
        heard = set(store.note("dismissed", network).split())
        gone = reshaping.dismiss(heard)
        if gone - heard:
            store.write_note("dismissed", network, " ".join(sorted(heard | gone)[-_MOST_DISMISSED:]))
    return {**told, "voters_frozen": frozen(proposer.watch)}


def frozen(watch: Watch) -> dict[str, str]:
    """Voters whose votes this host doesn't count, and what they did."""
    return {str(voter.node): proof.why for voter, proof in sorted(watch.caught.items())}
