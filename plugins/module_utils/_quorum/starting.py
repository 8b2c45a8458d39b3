# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The start of a raised generation: from what its founders promise and show to a certified version 0.

All founders are heard, not just a majority: any of them may be the only one that holds what was agreed last. Two
rounds of prepare, for what version 0 is can't be known before they have said what they hold; then one of accept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._chain.model import NetworkRecord
from .._common.checked import present
from .._common.errors import AvpnError, InvalidInput
from .._common.ids import NodeId
from . import answers, codec
from .change import Change, Recovery, apply_change, genesis
from .errors import BadProof, NoMajority, OutcomeUnknown, Rejected
from .fanout import Fanout, Question
from .header import Header
from .messages import Acceptance, Ballot, Certificate, Certified, Held, Instance, check_voter, majority
from .requests import Accept, Learn, Prepare, Survey
from .survey import Content, Shown, Surveyed
from .updates import forced_by, holds, teaching, verified_update
from .value import Value

_PAUSE = 0.5  # seconds between attempts


@dataclass
class Start:
    """One host's attempt at version 0 of the record's generation. ``others``: hosts that may show what is missing."""

    fanout: Fanout
    node: NodeId
    run: str
    record: NetworkRecord
    height: int
    others: Sequence[NodeId] = ()
    pauses: float = 1.0
    trips: int = 0
    _counter: int = 0
    _excuses: dict[NodeId, str] = field(default_factory=dict)
    _rejections: dict[NodeId, str] = field(default_factory=dict)
    _newer: Certified | None = None
    _contents: list[tuple[NodeId, Content]] = field(default_factory=list)

    def agree(self, deadline: float) -> Certified:
        """Version 0, or something newer that is certified already. ``deadline``: monotonic.

        Raises NoMajority, OutcomeUnknown or Rejected, which say who is missing or what is refused.
        """
        base = self._base(deadline) if self.record.base is not None else None
        of = None if base is None else base.generation
        change, maybe = None, False
        while True:
            self._excuses, self._rejections = {}, {}
            child = None if change is None else apply_change(None, self._instance.parent, change)
            # Before it is known what version 0 is, nothing is proposed under the ballot.
            hash_ = self._instance.parent if child is None else codec.value_hash(child)
            ballot = Ballot(self._counter + 1, self.node, self.run, hash_)
            promised = self._prepare(ballot, of, deadline)
            if self._newer is not None:
                return self._newer
            forced = forced_by(promised.values(), self.record.owner)
            founders = self.record.founders
            enough = len(promised) >= (majority(founders) if forced is not None or base is None else len(founders))
            if enough and forced is not None and forced[1] != hash_:
                change = forced[0]
                continue
            if enough and forced is None:
                wanted = self._change(base, [one.promise.held for one in promised.values()])
                if wanted != change:
                    change = wanted
                    continue
            if enough and change is not None and child is not None:
                accepted, maybe = self._accept(ballot, promised, change, deadline), True
                if self._newer is not None:
                    return self._newer
                if len(accepted) >= majority(founders):
                    return self._certified(Certificate.of(accepted), child)
            if len(founders) - len(self._rejections) < majority(founders):
                told = "; ".join(f"{node}: {why}" for node, why in sorted(self._rejections.items()))
                raise Rejected(f"the founders refuse: {told}", where=self.record.name)
            if time.monotonic() + _PAUSE * self.pauses >= deadline:
                raise self._failed(len(promised), maybe)
            time.sleep(_PAUSE * self.pauses)

    @property
    def _instance(self) -> Instance:
        return Instance.of(genesis(self.record, self.height))

    def _base(self, deadline: float) -> Header:
        """The header of the base, from whoever shows it; all that is shown of its generation is kept for later."""
        asked = [*dict.fromkeys([*(voter.node for voter in self.record.founders), *self.others])]
        generations: set[int] = set()
        for _node, answer in self._ask(Survey(self.record.id).to_json(), deadline, asked):
            if isinstance(answer, Surveyed):
                generations |= {one.generation for one in answer.positions if one.generation < self.record.generation}
        for generation in sorted(generations, reverse=True):
            self._contents = []
            for node, answer in self._ask(Survey(self.record.id, generation).to_json(), deadline, asked):
                if isinstance(answer, Shown) and answer.content is not None and answer.content.generation == generation:
                    self._contents.append((node, answer.content))
            for _node, content in self._contents:
                found = _header_of(content, present(self.record.base, "the base"), self.record.owner)
                if found is not None:
                    return found
        told = "; ".join(f"{node}: {why}" for node, why in sorted(self._excuses.items()))
        raise NoMajority(
            f"nobody shows the value that the tenant named as base, {self.record.base} ({told})",
            where=self.record.name,
            remedy="Run again when those who hold it are back, or raise the generation with another base",
        )

    def _change(self, base: Header | None, helds: Sequence[Held | None]) -> Change:
        """Version 0 by what all founders hold. NoMajority names who claims what nobody can prove."""
        said = [present(one, "what a founder holds") for one in helds]
        height = max(self.height, min(one.since for one in said))
        record = (self.record, height)
        if base is None:
            return Change(record=record)
        recovery = self._certified_above(base, said)
        accepted = [one.accepted for one in said if one.version == recovery.value.version and one.accepted]
        if not accepted:
            return Change(record=record, recovery=recovery)
        highest = max(accepted)
        for _node, content in self._contents:
            if content.accepted is not None and content.accepted.ballot.hash == highest.hash:
                try:
                    change = content.accepted.parsed(self.record.owner)
                    child = apply_change(recovery.value, codec.value_hash(recovery.value), change)
                except InvalidInput:
                    continue
                if codec.value_hash(child) == highest.hash:
                    with_it = Recovery(recovery.base, recovery.value, recovery.certificate, recovery.links, change)
                    return Change(record=record, recovery=with_it)
        raise self._unproven(f"accepted the version after {recovery.value.version}", highest.hash)

    def _certified_above(self, base: Header, said: Sequence[Held]) -> Recovery:
        newest = max((one for one in said if one.hash is not None), key=lambda one: one.version, default=None)
        best: Recovery | None = None
        for _node, content in self._contents:
            for recovery in _recoveries(base, content, self.record.owner):
                if best is None or recovery.value.version > best.value.version:
                    best = recovery
        if best is None or (newest is not None and newest.version > best.value.version):
            version, hash_ = (base.version, base.hash) if newest is None else (newest.version, str(newest.hash))
            raise self._unproven(f"holds version {version}", hash_)
        return best

    def _unproven(self, what: str, hash_: str) -> NoMajority:
        shown = "; ".join(f"{node}: {why}" for node, why in sorted(self._excuses.items()))
        return NoMajority(
            f"a founder says that it {what} ({hash_}), and nobody proves it ({shown})",
            where=self.record.name,
            remedy="Run again, or raise the generation without that founder",
        )

    def _prepare(self, ballot: Ballot, of: int | None, deadline: float) -> dict[NodeId, answers.Promised]:
        promised: dict[NodeId, answers.Promised] = {}
        request = Prepare(self._instance, ballot, 0, base_generation=of).to_json()
        self._counter = max(self._counter, ballot.counter)
        for node, answer in self._ask(request, deadline):
            if not isinstance(answer, answers.Promised):
                self._note(node, answer)
                continue
            promise = answer.promise
            try:
                if (promise.voter, promise.instance, promise.ballot) != (node, self._instance, ballot):
                    raise BadProof("is not what was asked for", where="promise")
                if promise.held is None or promise.held.generation != of:
                    raise BadProof("doesn't say what is held of the base's generation", where="promise")
                if promise.accepted is not None and promise.accepted >= ballot:
                    raise BadProof("shows an accepted ballot that is not below", where="promise")
                check_voter(promise, self.record.founders, "promise")
            except BadProof as error:
                self._excuses[node] = str(error)
                continue
            if promise.accepted is not None and not holds(None, promise, answer.change, self.record.owner):
                self._excuses[node] = "shows an accepted value and doesn't send it"
                continue
            promised[node] = answer
        return promised

    def _accept(
        self, ballot: Ballot, promised: Mapping[NodeId, answers.Promised], change: Change, deadline: float
    ) -> list[Acceptance]:
        found = []
        promises = tuple(one.promise for one in promised.values())
        for node, answer in self._ask(Accept(self._instance, ballot, promises, change).to_json(), deadline):
            if not isinstance(answer, answers.Accepted):
                self._note(node, answer)
                continue
            acceptance = answer.acceptance
            try:
                if (acceptance.voter, acceptance.instance, acceptance.ballot) != (node, self._instance, ballot):
                    raise BadProof("is not what was asked for", where="acceptance")
                check_voter(acceptance, self.record.founders, "acceptance")
            except BadProof as error:
                self._excuses[node] = str(error)
                continue
            found.append(acceptance)
        return found

    def _certified(self, certificate: Certificate, value: Value) -> Certified:
        certified = Certified(certificate, value)
        nodes = [voter.node for voter in self.record.founders]
        self.fanout.tell(Learn(certificate).to_json(), catch_up=teaching(certified), nodes=nodes)
        return certified

    def _ask(
        self, request: Mapping[str, Any], deadline: float, nodes: Sequence[NodeId] | None = None
    ) -> Iterator[tuple[NodeId, answers.Answer]]:
        """Answers of all that come; who doesn't is noted."""
        self.trips += 1
        chosen = [voter.node for voter in self.record.founders] if nodes is None else nodes
        left = max(0.05, deadline - time.monotonic())
        silent = set(chosen)
        for node, answer in self.fanout.ask(request, question=Question(left), nodes=chosen):
            silent.discard(node)
            if isinstance(answer, AvpnError):
                self._excuses[node] = str(answer)
            else:
                yield node, answer
        self._excuses.update(dict.fromkeys(silent, "no answer in time"))

    def _note(self, node: NodeId, answer: answers.Answer) -> None:
        if isinstance(answer, answers.Newer):
            try:
                self._newer = verified_update(answer.update, None, self.record)
            except InvalidInput as error:
                self._excuses[node] = str(error)
        elif isinstance(answer, answers.Refused):
            self._counter = max(self._counter, answer.highest.counter)
            self._excuses[node] = f"has promised {answer.holder}"
        elif isinstance(answer, answers.RejectedBy):
            self._rejections[node] = f"{answer.what} (rule:{answer.rule})"
        elif isinstance(answer, answers.NotSeen):
            self._excuses[node] = answer.what
        else:
            self._excuses[node] = "gave an answer to another question"

    def _failed(self, answered: int, maybe: bool) -> NoMajority:
        reasons = {**self._rejections, **self._excuses}
        told = "; ".join(f"{node}: {why}" for node, why in sorted(reasons.items()))
        all_ = " of which all are needed," if self.record.base is not None else ""
        what = f"generation {self.record.generation} can't start: of {len(self.record.founders)} founders,{all_}"
        what += f" {answered} promised ({told})"
        if maybe:
            return OutcomeUnknown(what, where=self.record.name, remedy="Run again: it is finished or found undone")
        remedy = "Run again when they are back; or the tenant raises the generation again with other founders"
        return NoMajority(what, where=self.record.name, remedy=remedy)


def _header_of(content: Content, hash_: str, owner: str) -> Header | None:
    if content.base is not None and content.base.hash == hash_:
        return content.base
    return next((header for value in _values(content, owner) if (header := codec.header_of(value)).hash == hash_), None)


def _values(content: Content, owner: str) -> list[Value]:
    """The certified value and the accepted one."""
    certified = content.certified
    found = [] if certified is None else [certified.value]
    if content.accepted is not None:
        parent, parent_hash = (None, "") if certified is None else (certified.value, certified.certificate.hash)
        try:
            found.append(apply_change(parent, parent_hash, content.accepted.parsed(owner)))
        except InvalidInput:
            return found
    return found


def _recoveries(base: Header, content: Content, owner: str) -> Iterator[Recovery]:
    """What a content proves: the base itself, or a value certified above it."""
    for value in _values(content, owner):
        if codec.value_hash(value) == base.hash:
            yield Recovery(base, value)
    certified = content.certified
    if certified is None or certified.value.version <= base.version:
        return
    links = tuple(link for link in certified.links if link.version > base.version)
    proven = Certified(certified.certificate, certified.value, links)
    try:
        proven.verify(base.voters, base.network, seated=base.seated)
    except BadProof:
        return
    yield Recovery(base, proven.value, proven.certificate, links)
