# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulation message by message of rounds in whose midst the tenant raises the generation, once or twice.

Voters are real acceptors on real databases, each with a view of the chain of its own age; the proposers' part of the
start is the real ``starting.recover``. Messages come late, twice, or never; voters restart.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ledger_world import OWNER, Chain, Voters, allocate, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import View, Voter
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.acceptor import Acceptor
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import (
    Change,
    apply_change,
    change_from_json,
    genesis,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft, sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Acceptance,
    Ballot,
    Certificate,
    Certified,
    Instance,
    majority,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Accept, Fetch, Learn, Prepare, Survey
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Request as VoterRequest
from ansible_collections.akash.avpn.plugins.module_utils._quorum.starting import recover
from ansible_collections.akash.avpn.plugins.module_utils._quorum.survey import Content, Shown
from ansible_collections.akash.avpn.plugins.module_utils._quorum.updates import verified_update

HOSTS = (1, 2, 3, 4, 5)
BLOCK_SECONDS = 5  # the fastest blocks that the fence is made for
_START = 1_700_000_000


class Broken(AssertionError):
    """What must never happen: ``two values``, ``fence`` or ``kept``."""


class SlowChain(Chain):
    """A chain whose blocks take their time."""

    def view(self) -> View:
        return replace(super().view(), time=_START + BLOCK_SECONDS * self.height)


class Town(Voters):
    """Voters whose clocks go with the chain. ``max_age``: seconds; the oldest view that they vote on."""

    max_age = 900

    def refresh(self, number: int) -> bool:
        """A host reads the chain when it is told something newer; not at all where it is cut off from it."""
        return False

    def start(self, number: int) -> None:
        def view() -> View:
            return self.views.get(number, self.chain.view)()

        self.acceptors[number] = Acceptor(
            self.directory / f"voter{number}.db",
            signer(number),
            node(number),
            view,
            max_age=self.max_age,
            refresh=lambda: self.refresh(number),
            clock=lambda: _START + BLOCK_SECONDS * self.chain.height,
        )


@dataclass
class Round:
    """An attempt. ``needed``: promises before it goes on; ``change`` None: it has to find out what to begin with."""

    proposer: int
    instance: Instance
    parent: Certified | None
    ballot: Ballot
    change: Change | None
    founders: tuple[Voter, ...]
    needed: int
    promises: dict[int, answers.Promised] = field(default_factory=dict)
    acceptances: dict[int, Acceptance] = field(default_factory=dict)
    went_on: bool = False


@dataclass
class Message:
    request: VoterRequest
    round: Round | None
    proposer: int


class Simulation:
    """One run with a seed. ``all_founders``: whether a start hears all of them, as it must."""

    def __init__(self, directory: Path, seed: int, *, max_age: int = 900, all_founders: bool = True) -> None:
        self.random = random.Random(seed)
        self.chain = SlowChain(hosts=5)
        for number, member in ((1, "web"), (2, "api"), (3, "db"), (4, "four"), (5, "five")):
            self.chain.deploy(member, 10 + number, number)
        directory.mkdir(parents=True)
        self.voters = Town(directory, self.chain)
        self.voters.max_age = max_age
        self.voters.refresh = self.look  # type: ignore[method-assign]
        self.blind: set[int] = set()  # hosts that are cut off from the chain
        for number in (4, 5):
            self.voters.add(number)
        for number in HOSTS:
            allocate(self.voters, number)
        self.all_founders = all_founders
        self.network = self.chain.record().id
        self.known: dict[tuple[int, int], Certified] = {}  # by proposer and generation
        self.counters: dict[tuple[int, Instance], int] = {}
        self.half_done: dict[tuple[int, Instance], Change] = {}
        self.pool: list[Message] = []
        self.accepted: dict[tuple[int, int, Ballot], set[int]] = {}
        self.decided: dict[tuple[int, int], str] = {}
        self.acceptors_of: dict[tuple[int, int], set[int]] = {}
        self.begun: dict[int, int] = {}  # by generation: the newest version of the lower one that its start kept
        self.founders: dict[int, tuple[Voter, ...]] = {0: self.chain.record().founders}
        self.base_of: dict[int, int] = {}
        self.over = -1  # generations up to this one are over, for a higher one has given something out
        for number in HOSTS:
            self.look(number)
            self.ask_newest(number, 1)

    def run(self, steps: int) -> dict[int, int]:
        """Returns, by generation, how many versions were decided."""
        raises = sorted(self.random.sample(range(steps // 4, steps // 2), self.random.choice((1, 1, 2))))
        for step in range(steps):
            kind = self.random.random()
            if step in raises:
                self.raise_generation()
            if kind < 0.05 or not self.pool:
                self.start(self.random.choice(HOSTS))
            elif kind < 0.07:
                number = self.random.choice(HOSTS)
                self.voters.acceptors[number].store.close()
                self.voters.start(number)
            elif kind < 0.20:
                self.look(self.random.choice(HOSTS))
            elif kind < 0.24:
                self.chain.height += self.random.choice((1, 1, 2, 5)) if kind < 0.234 else self.random.randint(50, 250)
            elif kind < 0.28:
                self.ask_newest(self.random.choice(HOSTS), self.random.choice(HOSTS))
            elif kind < 0.2815:
                self.blind.clear()
            else:
                self.deliver_something()
        for acceptor in self.voters.acceptors.values():
            acceptor.store.close()
        return {
            generation: sum(1 for key in self.decided if key[0] == generation) for generation in sorted(self.founders)
        }

    def look(self, number: int) -> bool:
        """A host reads the chain, if it can."""
        if number in self.blind:
            return False
        view = self.chain.view()
        self.voters.views[number] = lambda: view
        return True

    def raise_generation(self) -> None:
        """The tenant takes hosts for lost, asks the others, and names what it saw; the lost ones go on all the same."""
        record = self.chain.record()
        survivors = self.random.sample(HOSTS, self.random.randint(3, 4))
        shown = [content for number in survivors for content in self.contents(number, record.generation)]
        certified = [content.certified for content in shown if content.certified is not None]
        if not certified:
            return
        base = max(certified, key=lambda one: one.certificate.position)
        founders = sorted(self.random.sample(survivors, 3))
        named = tuple(Voter(node(one), self.chain.incarnations[one], signer(one).public_key) for one in founders)
        self.chain.height += 1
        generation = record.generation + 1
        self.chain.changes = {"generation": generation, "base": base.certificate.hash, "founders": named}
        self.founders[generation], self.base_of[generation] = named, base.value.version
        # Whom the tenant took for lost is often cut off from the chain as well, and goes on all the same.
        self.blind = {one for one in HOSTS if self.random.random() < (0.2 if one in founders else 0.7)}

    def contents(self, number: int, generation: int) -> Sequence[Content]:
        request = {**Survey(self.network, generation).to_json(), "as": OWNER}
        answer = answers.parse_answer(self.voters.acceptors[number].handle(request, [OWNER]), "voter")
        return [answer.content] if isinstance(answer, Shown) and answer.content is not None else []

    # --- proposers

    def ask_newest(self, number: int, of: int) -> None:
        record = self.voters.views[number]().networks[self.network].record
        known = self.known.get((number, record.generation))
        have = None if known is None else known.certificate.position
        document = {**Fetch(self.network, have).to_json(), "as": str(node(number))}
        try:
            answer = answers.parse_answer(self.voters.acceptors[of].handle(document, [node(number)]), "voter")
            if isinstance(answer, answers.Fetched) and answer.update is not None:
                self.learn_of(number, verified_update(answer.update, known, record))
        except AvpnError:
            return

    def learn_of(self, number: int, certified: Certified) -> None:
        key = (number, certified.value.generation)
        if key not in self.known or certified.certificate.position > self.known[key].certificate.position:
            self.known[key] = certified

    def start(self, number: int) -> None:
        """A proposer begins a round upon what it knows of the generation that its view shows."""
        view = self.voters.views[number]()
        record = view.networks[self.network].record
        parent = self.known.get((number, record.generation))
        founders = self.founders[record.generation]
        if parent is not None:
            change = self.half_done.pop((number, self.after(parent)), None) or self.wanted(number, parent, view)
            if change:
                child = apply_change(parent.value, parent.certificate.hash, change)
                self.prepare(number, Instance.of(child), parent, change, value_hash(child), founders)
            return
        instance = Instance.of(genesis(record, view.height))
        half = self.half_done.pop((number, instance), None)
        if half is not None:
            hash_ = value_hash(apply_change(None, "", half))
            self.prepare(number, instance, None, half, hash_, founders)
        else:
            needed = len(founders) if self.all_founders else majority(founders)
            self.prepare(number, instance, None, None, instance.parent, founders, needed)

    def after(self, parent: Certified) -> Instance:
        value = parent.value
        return Instance(value.network, value.generation, value.version + 1, parent.certificate.hash)

    def prepare(
        self,
        number: int,
        instance: Instance,
        parent: Certified | None,
        change: Change | None,
        hash_: str,
        founders: tuple[Voter, ...],
        needed: int = 2,
    ) -> None:
        counter = self.counters.get((number, instance), 0) + self.random.randint(1, 2)
        self.counters[number, instance] = counter
        ballot = Ballot(counter, node(number), f"{number:032x}", hash_)
        attempt = Round(number, instance, parent, ballot, change, founders, needed)
        request = Prepare(instance, ballot, 0, None if parent is None else parent.certificate)
        self.pool.append(Message(request, attempt, number))

    def wanted(self, number: int, parent: Certified, view: View) -> Change | None:
        """Something small of its own, whether or not the generation rests still."""
        value, here = parent.value, node(number)
        if here not in value.hosts:
            return None
        entry = replace(value.hosts[here], mtu=self.random.randint(1300, 1400), height=view.height, batch="")
        return sign(Draft(hosts={here: entry}), value, here, signer(number))

    # --- messages

    def deliver_something(self) -> None:
        """Mostly what is new, sometimes what is old, mostly to a founder; a message stays and may come again."""
        message = self.random.choice(self.pool[-4:] if self.random.random() < 0.85 else self.pool)
        founders = HOSTS
        if message.round is not None and self.random.random() < 0.9:
            founders = tuple(self.voters.number(voter.node) for voter in message.round.founders)
        self.deliver(message, self.random.choice(founders))

    def deliver(self, message: Message, voter: int) -> None:
        number = message.proposer
        request = {**message.request.to_json(), "as": str(node(number))}
        try:
            answer = answers.parse_answer(self.voters.acceptors[voter].handle(request, [node(number)]), "voter")
        except AvpnError:
            return
        if isinstance(answer, answers.Accepted):
            self.note(answer.acceptance, voter, message.round)
        if self.random.random() < 0.2:
            return  # the answer is lost, though it was carried out
        self.answered(message, voter, answer)

    def note(self, acceptance: Acceptance, voter: int, attempt: Round | None) -> None:
        """A version is decided in the moment in which the last voter of a majority accepts it."""
        instance = acceptance.instance
        position = (instance.generation, instance.version)
        by = self.accepted.setdefault((*position, acceptance.ballot), set())
        fresh = voter not in by
        by.add(voter)
        if len(by) < 2 or not fresh:
            return
        if self.decided.setdefault(position, acceptance.ballot.hash) != acceptance.ballot.hash:
            raise Broken(f"two values: version {position}")
        self.acceptors_of.setdefault(position, set()).update(by)
        if len(by) > 2:
            return
        if instance.generation <= self.over:
            raise Broken(f"fence: version {position} is agreed, and generation {self.over + 1} gives out already")
        if instance.version > 0:
            self.over = max(self.over, instance.generation - 1)
        elif instance.generation > 0:
            assert attempt is not None and attempt.change is not None and attempt.change.recovery is not None
            recovery = attempt.change.recovery
            self.check_kept(instance.generation, recovery.value.version + (recovery.accepted is not None))

    def check_kept(self, generation: int, kept: int) -> None:
        founders = {self.voters.number(voter.node) for voter in self.founders[generation]}
        for (of, version), by in self.acceptors_of.items():
            if of == generation - 1 and by & founders and version > kept and version > self.base_of[generation]:
                raise Broken(f"kept: version {version} of generation {of} is lost, {by & founders} accepted it")

    def answered(self, message: Message, voter: int, answer: answers.Answer) -> None:
        number, attempt = message.proposer, message.round
        if isinstance(answer, answers.Newer) and attempt is not None:
            record = replace(
                self.chain.record(),
                generation=attempt.instance.generation,
                founders=self.founders[attempt.instance.generation],
            )
            self.learn_of(number, verified_update(answer.update, attempt.parent, record))
        elif isinstance(answer, answers.Refused) and attempt is not None:
            key = (number, attempt.instance)
            self.counters[key] = max(self.counters.get(key, 0), answer.highest.counter)
        elif attempt is not None and isinstance(answer, answers.Promised):
            if answer.promise.accepted is None or answer.change is not None:
                attempt.promises[voter] = answer
                self.proceed(attempt)
        elif attempt is not None and isinstance(answer, answers.Accepted):
            attempt.acceptances[voter] = answer.acceptance
            if len(attempt.acceptances) == majority(attempt.founders):
                self.finished(attempt)

    def proceed(self, attempt: Round) -> None:
        if attempt.went_on or len(attempt.promises) < majority(attempt.founders):
            return
        number, instance = attempt.proposer, attempt.instance
        shown = [one for one in attempt.promises.values() if one.promise.accepted is not None]
        if shown:
            highest = max(shown, key=lambda one: one.promise.accepted)  # type: ignore[arg-type,return-value]
            assert highest.promise.accepted is not None
            if highest.promise.accepted.hash != attempt.ballot.hash:
                self.half_done[number, instance] = change_from_json(highest.change, "change", OWNER)
                attempt.went_on = True
                return
        if attempt.change is None:
            if len(attempt.promises) >= attempt.needed:
                attempt.went_on = True
                self.begin(attempt)
            return
        attempt.went_on = True
        promises = tuple(one.promise for one in attempt.promises.values())
        certificate = None if attempt.parent is None else attempt.parent.certificate
        self.pool.append(
            Message(Accept(instance, attempt.ballot, promises, attempt.change, certificate), attempt, number)
        )

    def begin(self, attempt: Round) -> None:
        """All founders have said what they hold: a round with what follows from it."""
        view = self.voters.views[attempt.proposer]()
        record = view.networks[self.network].record
        if record.generation != attempt.instance.generation:
            return
        promises = [one.promise for one in attempt.promises.values()]
        try:
            recovery = recover(record, promises, Everybody(self))
        except Unavailable:
            return
        start = genesis(record, view.height)
        change = Change(record=(start.record, start.record_height), recovery=recovery)
        hash_ = value_hash(apply_change(None, "", change))
        self.prepare(attempt.proposer, attempt.instance, None, change, hash_, attempt.founders)

    def finished(self, attempt: Round) -> None:
        assert attempt.change is not None
        certificate = Certificate.of(list(attempt.acceptances.values()))
        parent = attempt.parent
        value = apply_change(None if parent is None else parent.value, attempt.instance.parent, attempt.change)
        certified = Certified(certificate, value)
        certified.verify(attempt.founders, value.network)
        self.pool.append(Message(Learn(certificate), None, attempt.proposer))
        self.pool.append(Message(Learn(certificate, value), None, attempt.proposer))
        self.learn_of(attempt.proposer, certified)


class Everybody:
    """What all hosts show, for a start."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def generations(self) -> set[int]:
        return set(range(max(self._simulation.founders)))

    def contents(self, generation: int, *, widely: bool) -> Sequence[Content]:
        asked = HOSTS if widely else HOSTS[:3]  # whoever is asked: it only takes longer
        return [content for number in asked for content in self._simulation.contents(number, generation)]
