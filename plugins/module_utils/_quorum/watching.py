# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one proposer sees voters sign: it leaves out whoever contradicts itself, and keeps the proof.

A voter that is left out counts as one that doesn't answer: for how many are needed it still counts. So what one host
knows and another doesn't can stop nothing that the loss of that voter wouldn't stop, and never makes two majorities.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from .._chain.model import Voter
from .._common.errors import Unavailable
from .contradiction import Contradiction, Vote, conflict
from .messages import Certificate
from .sightings import acceptances_of, caught, proofs, see, signed_by
from .store import Store

_REMEMBERED = 16  # statements of one voter, in memory


class Watch:
    """``store``: the host's database, where it has one; without, only this run's statements are compared."""

    def __init__(self, network: str, generation: int, store: Store | None = None) -> None:
        self._network = network
        self._store = store
        found: Mapping[Voter, Contradiction] = {}
        if store is not None:
            found = proofs(caught(store.reading(), network), generation)
        self.caught: dict[Voter, Contradiction] = dict(found)
        self._known: dict[Voter, list[Vote]] = {}
        self._new: list[tuple[Vote, Voter]] = []

    def counts(self, vote: Vote, voters: Sequence[Voter]) -> bool:
        """Note a verified statement of one of ``voters``; tells whether its vote counts, as far as is known here."""
        voter = next(
            (one for one in voters if (one.node, one.incarnation) == (vote.voter, vote.incarnation)),
            None,
        )
        if voter is None:
            return False
        known = self._known.get(voter)
        if known is None:
            known = [] if self._store is None else self._remembered(voter, self._store)
            self._known[voter] = known
        if vote not in known:
            self._new.append((vote, voter))
            for one in (vote, *known):
                if voter not in self.caught and conflict(one, vote) is not None:
                    proof = Contradiction(one, vote)
                    if proof.by(voter, self._network, vote.instance.generation):
                        self.caught[voter] = proof
            known.append(vote)
            del known[:-_REMEMBERED]
        return voter not in self.caught

    def saw(self, certificate: Certificate, voters: Sequence[Voter]) -> None:
        """Note a verified certificate: a fact, whoever signed it."""
        for vote in acceptances_of(certificate):
            self.counts(vote, voters)

    def flush(self) -> None:
        """Write down what is new, in one transaction. Best effort: what isn't kept is seen again, or not."""
        if self._store is None or not self._new:
            return
        new, self._new = self._new, []
        with contextlib.suppress(Unavailable), self._store.transaction() as database:
            for vote, voter in new:
                see(database, [vote], [voter])

    def _remembered(self, voter: Voter, store: Store) -> list[Vote]:
        return signed_by(store.reading(), self._network, voter.node, voter.incarnation)[-_REMEMBERED:]
