# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network some of whose hosts are gone, as its tenant asks it: real voters behind the tenant's channel."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ledger_world import OWNER, Chain, Direct, Voters, allocate, node

from ansible_collections.akash.avpn.plugins.module_utils._common import canonical
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._recovery.candidates import Found
from ansible_collections.akash.avpn.plugins.module_utils._recovery.collect import Survey
from ansible_collections.akash.avpn.plugins.module_utils._recovery.proposal import (
    Proposal,
    Standing,
    Wanted,
    propose,
    standing,
)

# Changes what a host answers: of the request and its good answer makes another.
Lie = Callable[[dict[str, Any], Any], Any]


class Ruins:
    """Voters with an endpoint each; whoever is in ``voters.down`` doesn't answer, ``lies`` change what others say."""

    def __init__(self, directory: Path, voters: int = 3, hosts: int | None = None) -> None:
        self.chain = Chain(voters=voters, hosts=voters)
        self.members = ("web", "api", "db", "more", "last")
        for number in range(1, voters + 1):
            self.chain.deploy(self.members[number - 1], 10 + number, number)
        self.voters = Voters(directory, self.chain)
        for number in range(voters + 1, (hosts or voters) + 1):
            self.voters.add(number)
        self.lies: dict[int, Lie] = {}
        self.calls: list[tuple[int, Any]] = []

    def allocate(self, *numbers: int) -> None:
        for number in numbers:
            allocate(self.voters, number)

    def half(self, number: int) -> None:
        """A version that a host proposes and only it accepts, since the others vanish meanwhile."""

        class Lonely(Direct):
            def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
                if request["op"] in ("accept", "learn") and self.voters.number(node) != number:
                    raise Unavailable("is down", where=str(node))
                return super().call(node, request)

        for attempt in range(1, 15):  # on a busy machine it may not come that far in time
            with pytest.raises(NoMajority):
                allocate(self.voters, number, Lonely(self.voters, node(number)), deadline=0.3 * attempt)
            answer = self.voters.acceptors[number].handle(
                {"op": "survey", "network": self.chain.record().id, "generation": None, "as": OWNER}, [OWNER]
            )
            if any(one["accepted"] for one in answer["surveyed"]["holdings"]):
                return
        raise AssertionError("nothing was accepted")

    def call_each(
        self, requests: Mapping[NodeId, Mapping[str, Any]], *, seconds: float = 60, most: int | None = None
    ) -> Iterator[tuple[NodeId, Any]]:
        """As ``PeerClient.call_each``."""
        for at, request in requests.items():
            number = self.voters.number(at)
            self.calls.append((number, request.get("generation", request["op"])))
            try:
                if number in self.voters.down or number not in self.voters.acceptors:
                    raise Unavailable("can't be reached", where=str(at))
                answer = self.voters.acceptors[number].handle({**request, "as": OWNER}, [OWNER])
                if number in self.lies:
                    answer = self.lies[number](dict(request), copy.deepcopy(answer))
                line = canonical.dumps(answer)
                assert most is None or len(line) <= most
                yield at, canonical.loads(line, where="answer", limit=32 << 20)
            except AvpnError as error:
                yield at, error

    def survey(self, named: str | None = None) -> tuple[Survey, Found]:
        survey = Survey(self, self.chain.record(), 5)
        survey.ask(self.chain.view().hosts)
        return survey, survey.show(named)

    def standing(self) -> Standing:
        survey, found = self.survey()
        return standing(self.chain.record(), found, survey.surveyed)

    def propose(self, **wanted: Any) -> Proposal:
        named = wanted.get("base")
        survey, found = self.survey(None if named == "none" else named)
        view = self.chain.view()
        return propose(view.networks[self.chain.record().id], view.hosts, found, survey.surveyed, Wanted(**wanted))
