# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A town whose majority is lost: what tests of recovery begin with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ledger_world import OWNER, Chain, Direct, Voters, allocate, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import Voter
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Certified,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Request, Survey
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value

RUN = "ab" * 16


class Town:
    """Voters 1 to 3 with addresses; 4 and 5 hold leases and don't vote."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.chain = Chain()
        for number, member in ((1, "web"), (2, "api"), (3, "db"), (4, "four"), (5, "five")):
            self.chain.deploy(member, 10 + number, number)
        self.voters = Voters(directory, self.chain)
        for number in (4, 5):
            self.voters.add(number)
        for number in (1, 2, 3):
            allocate(self.voters, number)

    def content(self, number: int, generation: int = 0) -> Any:
        request = {**Survey(self.chain.record().id, generation).to_json(), "as": OWNER}
        answer = answers.parse_answer(self.voters.acceptors[number].handle(request, [OWNER]), "voter")
        assert isinstance(answer, answers.Shown)
        return answer.content

    def certified(self, number: int, generation: int = 0) -> Certified:
        found: Certified = self.content(number, generation).certified
        return found

    def ask(self, number: int, request: Request, caller: NodeId) -> answers.Answer:
        document = {**request.to_json(), "as": str(caller)}
        return answers.parse_answer(self.voters.acceptors[number].handle(document, [caller]), "voter")

    def raise_to(self, generation: int, base: str | None, founders: tuple[int, ...]) -> None:
        voters = tuple(
            Voter(node(one), self.chain.incarnations[one], signer(one).public_key) for one in sorted(founders)
        )
        self.chain.height += 1
        self.chain.changes = {"generation": generation, "base": base, "founders": voters}

    def start(self, number: int, **options: Any) -> Value:
        """Version 0, without building upon it."""
        return allocate(self.voters, number, **options).value

    def half_do(self, number: int, member: str, heard: tuple[int, ...]) -> None:
        """Host ``number`` proposes one endpoint more; only those named accept it, nobody learns of a certificate."""
        self.chain.deploy(member, 50 + number, number)
        allocate(self.voters, next(one for one in (1, 2, 3) if one != number))  # the record goes in alone
        for deadline in (0.5, 2, 8):
            with pytest.raises(NoMajority):
                allocate(self.voters, number, Choosy(self.voters, node(number), heard), deadline=deadline)
            if all(self.content(one).accepted is not None for one in heard):
                return
        raise AssertionError("a busy machine: nobody was asked to accept in time")


class Choosy(Direct):
    """Accepts reach some voters only, and certificates nobody."""

    def __init__(self, voters: Voters, caller: NodeId, heard: tuple[int, ...]) -> None:
        super().__init__(voters, caller)
        self.heard = heard
        self.deaf: set[NodeId] = set()

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        if request["op"] == "learn" or node in self.deaf:
            raise Unavailable("cut off", where=str(node))
        if request["op"] == "accept":
            self.deaf.add(node)
            if self.voters.number(node) not in self.heard:
                raise Unavailable("cut off", where=str(node))
            super().call(node, request)
            raise Unavailable("answer lost", where=str(node))
        return super().call(node, request)
