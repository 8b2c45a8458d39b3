# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulation of rounds message by message: any message may come late, twice, or never; voters restart.

Voters are real acceptors on real databases; proposers are a few lines that follow the protocol and nothing else,
so that what is tested is the voters' half: whatever order things come in, a version is decided once.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ledger_world import OWNER, Chain, Voters, allocate, cache, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change, apply_change, change_from_json
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.contradiction import Vote
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft, sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire, Release
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Acceptance,
    Ballot,
    Certificate,
    Certified,
    Instance,
    Promise,
    majority,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import verified_update
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import (
    Accept,
    Learn,
    Prepare,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import (
    Request as VoterRequest,
)


class TwoValues(AssertionError):
    """One version was certified with two hashes."""


@dataclass
class Round:
    """A proposer's attempt: who promised and who accepted so far."""

    proposer: int
    parent: Certified
    change: Change
    ballot: Ballot
    promises: dict[int, answers.Promised] = field(default_factory=dict)
    acceptances: dict[int, Acceptance] = field(default_factory=dict)


@dataclass
class Message:
    request: VoterRequest
    round: Round | None
    proposer: int


class Base:
    """Three hosts with entries and addresses, prepared once and copied for each run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.chain = Chain()
        for number, member in ((1, "web"), (2, "api"), (3, "db")):
            self.chain.deploy(member, 10 + number, number)
        voters = Voters(directory, self.chain)
        kept = cache(directory / "cache")
        for number in (1, 2, 3):
            allocate(voters, number, cache=kept)
        for acceptor in voters.acceptors.values():
            acceptor.store.close()
        record = self.chain.record()
        certified = kept.load(record.id, record.generation, record.founders)
        assert certified is not None
        self.start = certified

    def copy(self, directory: Path) -> Voters:
        directory.mkdir()
        for file in self.directory.glob("voter*.db*"):
            shutil.copy(file, directory / file.name)
        return Voters(directory, self.chain)


class Simulation:
    """One run with a seed. ``broken``: called with the voters and the number of one that restarts."""

    def __init__(
        self, base: Base, directory: Path, seed: int, broken: Callable[[Voters, int], None] | None = None
    ) -> None:
        self.random = random.Random(seed)
        self.chain = base.chain
        self.voters = base.copy(directory)
        self.known = dict.fromkeys((1, 2, 3), base.start)
        self.counters = dict.fromkeys((1, 2, 3), 0)
        self.half_done: dict[int, Change] = {}
        self.signed: dict[int, set[Vote]] = {1: set(), 2: set(), 3: set()}
        self.pool: list[Message] = []
        self.certified: dict[int, str] = {base.start.value.version: base.start.certificate.hash}
        self.broken = broken
        self.height = base.chain.height

    def run(self, steps: int) -> int:
        """Returns how many versions were certified."""
        for _unused in range(steps):
            kind = self.random.random()
            if kind < 0.07 or not self.pool:
                self.start(self.random.randint(1, 3))
            elif kind < (0.11 if self.broken is None else 0.25):
                number = self.random.randint(1, 3)
                self.voters.acceptors[number].store.close()
                if self.broken is not None:
                    self.broken(self.voters, number)
                self.voters.start(number)
            else:
                # Mostly what is new, sometimes what is old; a message stays and may come again.
                newest = self.pool[-6:] if self.random.random() < 0.8 else self.pool
                self.deliver(self.random.choice(newest), self.random.randint(1, 3))
        for acceptor in self.voters.acceptors.values():
            acceptor.store.close()
        return len(self.certified) - 1

    def start(self, number: int) -> None:
        """A proposer begins a round: a half-done one it has seen, or one of its own."""
        parent = self.known[number]
        change = self.half_done.pop(number, None) or self.wanted(number, parent)
        child = apply_change(parent.value, parent.certificate.hash, change)
        self.counters[number] += self.random.randint(1, 2)
        ballot = Ballot(self.counters[number], node(number), f"{number:032x}", value_hash(child))
        instance = Instance.of(child)
        prepare = Prepare(instance, ballot, 0, parent.certificate)
        self.pool.append(Message(prepare, Round(number, parent, change, ballot), number))

    def wanted(self, number: int, parent: Certified) -> Change:
        value, name = parent.value, "shared"
        try:
            draft = Acquire(name, self.random.randint(1, 500), self.chain.height).draft(value, node(number))
        except Unavailable:
            draft = Draft()
        if self.random.random() < 0.4 or not draft:
            draft = Release(name).draft(value, node(number)) or draft
        if not draft:
            draft = Acquire(f"own-{number}", self.random.randint(1, 9999), self.chain.height).draft(value, node(number))
            draft = draft or Release(f"own-{number}").draft(value, node(number))
        return sign(draft, value, node(number), signer(number))

    def deliver(self, message: Message, voter: int) -> None:
        number = message.proposer
        try:
            document = self.voters.acceptors[voter].handle(
                {**message.request.to_json(), "as": str(node(number))}, [node(number)]
            )
        except AvpnError:
            return
        answer = answers.parse_answer(document, "voter")
        for part in ("promise", "acceptance", "shown"):
            if (vote := getattr(answer, part, None)) is not None:
                self.signed[voter].add(vote)
        if self.random.random() < 0.2:
            return  # the answer is lost, though it was carried out
        self.answered(message, voter, answer)

    def answered(self, message: Message, voter: int, answer: answers.Answer) -> None:
        number, attempt = message.proposer, message.round
        if isinstance(answer, answers.Newer):
            assert attempt is not None
            newest = verified_update(answer.update, attempt.parent, self.chain.record())
            if newest.certificate.position > self.known[number].certificate.position:
                self.known[number] = newest
                self.half_done.pop(number, None)
                self.counters[number] = 0
        elif isinstance(answer, answers.Refused):
            self.counters[number] = max(self.counters[number], answer.highest.counter)
        elif attempt is not None and isinstance(answer, answers.Promised):
            if answer.promise.accepted is not None and answer.change is None:
                return
            attempt.promises[voter] = answer
            if len(attempt.promises) == majority(self.chain.record().founders):
                self.proceed(attempt)
        elif attempt is not None and isinstance(answer, answers.Accepted):
            attempt.acceptances[voter] = answer.acceptance
            if len(attempt.acceptances) == majority(self.chain.record().founders):
                self.finished(attempt)

    def proceed(self, attempt: Round) -> None:
        shown = [one for one in attempt.promises.values() if one.promise.accepted is not None]
        if shown:
            highest = max(shown, key=lambda one: one.promise.accepted)  # type: ignore[arg-type,return-value]
            assert highest.promise.accepted is not None
            if highest.promise.accepted.hash != attempt.ballot.hash:
                if self.known[attempt.proposer] is attempt.parent:
                    self.half_done[attempt.proposer] = change_from_json(highest.change, "change", OWNER)
                return
        promises: tuple[Promise, ...] = tuple(one.promise for one in attempt.promises.values())
        instance = promises[0].instance
        accept = Accept(instance, attempt.ballot, promises, attempt.change, attempt.parent.certificate)
        self.pool.append(Message(accept, attempt, attempt.proposer))

    def finished(self, attempt: Round) -> None:
        certificate = Certificate.of(list(attempt.acceptances.values()))
        version = certificate.instance.version
        if self.certified.setdefault(version, certificate.hash) != certificate.hash:
            raise TwoValues(f"version {version}")
        value = apply_change(attempt.parent.value, attempt.parent.certificate.hash, attempt.change)
        certified = Certified(certificate, value)
        certified.verify(self.chain.record().founders, value.network)
        self.pool.append(Message(Learn(certificate), None, attempt.proposer))
        self.pool.append(Message(Learn(certificate, value), None, attempt.proposer))
        if certificate.position > self.known[attempt.proposer].certificate.position:
            self.known[attempt.proposer] = certified
            self.counters[attempt.proposer] = 0
