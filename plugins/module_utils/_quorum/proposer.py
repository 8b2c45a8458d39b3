# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running rounds: from what a caller wants to a certified value.

Two round trips (prepare, accept) when the newest version is known and nobody is in the way. A half-done
round of somebody else is finished first, byte for byte, and then built upon.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._chain.model import NetworkRecord, Voter
from .._common.checked import present
from .._common.errors import AvpnError, InvalidInput, Unavailable
from .._common.ids import NodeId
from . import answers, codec
from .attempt import Attempt, Outcome
from .cache import LedgerCache
from .change import Change, apply_change, genesis
from .errors import BadProof, NoMajority
from .fanout import Fanout, Question, Transport
from .messages import Ballot, Certificate, Certified, Instance, Link, Promise, check_voter, follow, majority
from .requests import Accept, Fetch, Learn, Prepare, Update
from .sharing import Sharing
from .starting import Asked, recover
from .turns import Turns
from .updates import fault, forced_by, teaching, verified_update
from .value import Value
from .watching import Watch

Build = Callable[[Value], "Change | None"]
Nodes = Collection[NodeId]
Complete = Callable[[Certified, Change], "Change | None"]

HOLD = 3_000  # milliseconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds, before jitter
_LEAST_LEFT = 0.3  # seconds before a deadline: who is asked later seems silent, and hides what was said before
_LOOK_SECONDS = 1.0  # for one voter to say what is newest
_SPARE_SECONDS = 5.0  # before those who are spared a large change are asked as well
_FROZEN = "has contradicted itself, so its vote isn't counted"


class Proposer:
    """Proposes for one network as ``node``.

    record, height: the network's record on chain and the height it was read at.
    cache: where the newest certified value is kept, if anywhere.
    others: hosts that may know the newest value when none of the voters known here answers, such as lease holders.
    watch: who is known to contradict itself, and where more of that is kept.
    deadline: seconds for one proposal; pauses: a factor on waiting between attempts (tests).
    """

    def __init__(
        self,
        transport: Transport,
        node: NodeId,
        record: NetworkRecord,
        height: int,
        *,
        cache: LedgerCache | None = None,
        deadline: float = 30.0,
        hold: int = HOLD,
        pauses: float = 1.0,
        run: str | None = None,
        others: Sequence[NodeId] = (),
        watch: Watch | None = None,
    ) -> None:
        if not record.founders:
            raise Unavailable(
                "the network has no ledger yet: its record names no founders",
                where=record.name,
                remedy="The tenant's module network names them once the first leases exist",
            )
        self._node, self._record, self._height = node, record, height
        self._cache = cache
        self._deadline = deadline
        self._hold = hold
        self._pauses = pauses
        self._run = run or secrets.token_hex(16)
        self._others = tuple(others)
        self.watch = watch or Watch(record.id, record.generation)
        self._known = None if cache is None else cache.load(record.id, record.generation, record.founders)
        self._voters: tuple[Voter, ...] = record.founders if self._known is None else self._known.value.voters
        self._seated = -1 if self._known is None else self._known.value.seated
        self._astray = False  # the voters known here have left
        self._fanout = Fanout(transport, [voter.node for voter in self._voters])
        self._round_trips = 0
        self._pause = 0.0
        self._round_trip = 0.0  # seconds until voters answer, a moving average
        self._quickest = self._voters[0].node  # answered first lately
        self._counter = 0
        self._shown: Promise | None = None
        self._about: Instance | None = None  # what those two are about
        self._turns = Turns(record.id, self._fanout)
        self._saved = self._known
        self._complete: Complete | None = None
        self._asked: dict[int, str] = {}  # own values by version that may be agreed, for their acceptance was asked
        self._latest = Attempt()  # that others were in the way of
        self._answered = False  # somebody has said what is newest, or that this is

    def __enter__(self) -> Proposer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def known(self) -> Certified | None:
        """The newest certified value known here."""
        return self._known

    def close(self, seconds: float = 5.0) -> None:
        """Give the voters that are behind a moment to be brought up to date."""
        self._fanout.close(seconds)
        self.watch.flush()

    def fetch(self, seconds: float = 10.0) -> Certified | None:
        """Ask for the newest certified value, until a majority has answered; None if there is none yet.

        NoMajority if nobody could be asked at all; what a minority says is as true, though maybe not the newest.
        """
        until, answered, attempt = time.monotonic() + seconds, False, Attempt()
        while True:
            voters = self._voters
            left = max(_FIRST_PAUSE, until - time.monotonic())
            found = self._fetch(attempt, left / 2 if self._others else left)
            if not found and self._others and self._voters == voters:
                found = self._fetch(attempt, max(_FIRST_PAUSE, until - time.monotonic()), self._others)
            answered = found or answered
            # Whoever votes now knows best what is newest.
            if self._voters == voters or time.monotonic() >= until:
                break
        self._save()
        if not answered:
            raise self._no_majority(attempt)
        self._answered = True
        return self._known

    def ask(
        self, request: Mapping[str, object], question: Question, nodes: Collection[NodeId], *, teach: bool = False
    ) -> Iterator[tuple[NodeId, answers.Answer | AvpnError]]:
        """Ask hosts about the newest known value, until one shows a newer. ``teach``: who lacks it is sent it first."""
        known = present(self._known, f"a value of {self._record.name}")
        self._round_trips += 1
        catch_up = teaching(known) if teach else None
        for node, answer in self._fanout.ask(request, catch_up=catch_up, question=question, nodes=nodes):
            if isinstance(answer, answers.Newer):
                self._take(answer.update, known)
                if self._known is not known:
                    return
            yield node, answer

    def _fetch(self, attempt: Attempt, seconds: float, others: Sequence[NodeId] | None = None) -> bool:
        """Ask the voters (or ``others``) once, until a majority has answered; tells whether anybody has."""
        base, voters = self._known, self._voters
        have = None if base is None else base.certificate.position
        answered = 0
        self._round_trips += 1
        for node, answer in self._fanout.ask(
            Fetch(self._record.id, have).to_json(), question=Question(seconds), nodes=others
        ):
            if isinstance(answer, answers.Fetched):
                # The answers' changes begin with ``base``, though a newer one may have come meanwhile.
                if answer.update is not None and not self._take(answer.update, base):
                    attempt.excuses[node] = "sent a value that proves nothing"
                    continue
                answered += 1
                if answered >= majority(voters):
                    break
            else:
                self._note(attempt, node, answer, base)
        return answered > 0

    def confirm(self) -> Certified:
        """The newest value, for sure: nothing that was acknowledged before this was called is missing in it.

        ``fetch`` may be one version behind, for voters learn of a certificate after its proposer has it. Here a
        majority promises to take no part in anything older; what is half done is finished first. Raises NoMajority.
        """
        deadline = time.monotonic() + self._deadline
        self._pause = 0.0
        try:
            while True:
                known = self._known or self.fetch(max(0.1, min(10.0, self._deadline)))
                if known is None:
                    raise NoMajority(
                        "the ledger has no version yet", where=self._record.name, remedy="Reconcile a host"
                    )
                if self._is_newest(known, deadline):
                    return known
        finally:
            self._save()

    def _is_newest(self, known: Certified, deadline: float) -> bool:
        """Whether a majority promises that nothing is accepted for the next version; what is, is finished."""
        value, hash_ = known.value, known.certificate.hash
        instance = Instance(value.network, value.generation, value.version + 1, hash_)
        self._counter, self._shown = 0, None
        while self._known is known:
            # Nothing is proposed under this ballot. That it names the parent's hash means nothing.
            ballot = Ballot(self._counter + 1, self._node, self._run, hash_)
            attempt = self._prepare(instance, ballot, known, deadline, hold=0)
            if attempt.newer:
                break
            if len(attempt.promises) >= majority(self._voters):
                forced = forced_by(attempt.promises.values(), self._record.owner)
                if forced is None:
                    return True
                self._decide(known, forced[0], apply_change(value, hash_, forced[0]), deadline)
                self._asked.clear()  # it is somebody else's
                break
            attempt.refuse_hopeless(self._voters, self._record.name)
            if not self._back_off(attempt.wait / 1000, deadline):
                raise self._no_majority(attempt)
        return False

    def propose(self, build: Build, sharing: Sharing | None = None, *, complete: Complete | None = None) -> Outcome:
        """Get ``build``'s change of the newest value agreed; it is asked again whenever the newest is another.

        ``build`` returns None (or an empty change) when nothing is left to be done, such as after an earlier
        request whose outcome was unknown. ``sharing``: others may bring this host's entries along, and it theirs.
        ``complete`` is given that change with its parent once a majority has promised, and so holds back others for
        a while: it adds what takes time to get and is no part of the value, or returns None if that can't be had.
        Raises Rejected, NoMajority or OutcomeUnknown.
        """
        self._complete, self._asked, self._latest = complete, {}, Attempt()
        self._turns.begin(sharing)
        try:
            return self._propose(build)
        finally:
            self._complete = None
            self._save()

    def _propose(self, build: Build) -> Outcome:
        deadline = time.monotonic() + self._deadline
        trips, messages, sent = self._round_trips, self._fanout.messages, self._fanout.sent
        if self._known is None:
            self.fetch(max(0.1, min(10.0, self._deadline)))
        changed = False
        self._pause, losses = 0.0, 0
        while True:
            if self._astray and time.monotonic() < deadline:
                self._astray = False
                self.fetch(max(_FIRST_PAUSE, min(10.0, deadline - time.monotonic())))
            known = self._known
            if known is None:
                if time.monotonic() > deadline or self._seated >= 0:
                    what = "the founders have left, and nobody was found who has the ledger"
                    raise NoMajority(what, where=self._record.name, remedy="Run again when its voters are back")
                if self._turns.waits and time.monotonic() < deadline:
                    self._wait(None, deadline)
                    continue
                self._turns.end()
                change = self._beginning(deadline)
                if change is not None:
                    self._decide(None, change, apply_change(None, "", change), deadline)
                self._asked.clear()  # it is everybody's
                continue
            change = build(known.value)
            if self._known is not known and time.monotonic() <= deadline:
                continue  # what it asked others for has shown a newer one
            if not change and not self._answered and time.monotonic() < deadline:
                self._answered = True
                with contextlib.suppress(NoMajority):
                    self.fetch(max(_FIRST_PAUSE, min(10.0, deadline - time.monotonic())))
                continue  # nothing is wanted of what was known before; perhaps of what is newer
            if not change:
                cost = (self._round_trips - trips, self._fanout.messages - messages, self._fanout.sent - sent)
                return Outcome(known.value, known.certificate, changed, *cost)
            if time.monotonic() > deadline:
                raise self._no_majority(self._latest, "others were faster until the deadline")
            if self._turns.waits:
                self._wait(known, deadline)
                continue
            shared = self._turns.joined(known, change)
            child = apply_change(known.value, known.certificate.hash, shared)
            if self._decide(known, shared, child, deadline, alone=shared is change):
                changed, losses = True, 0
                continue
            # What was known at first may have been old; later, whoever keeps asking keeps others from getting it.
            losses += 1
            if losses > 1 and (self._known is known or not self._turns.crowded):
                self._back_off(0.0, deadline)

    def _beginning(self, deadline: float) -> Change | None:
        """The change of version 0, with a base of what all founders hold; None if somebody was faster."""
        start = genesis(self._record, self._height)
        change = Change(record=(start.record, start.record_height))
        if self._record.base is None:
            return change
        instance = Instance.of(start)
        self._about, self._counter, self._shown = instance, 0, None
        while self._known is None:
            # Nothing is proposed under this ballot.
            ballot = Ballot(self._counter + 1, self._node, self._run, instance.parent)
            attempt = self._prepare(instance, ballot, None, deadline, needed=len(self._voters))
            forced = forced_by(attempt.promises.values(), self._record.owner)
            if forced is not None and len(attempt.promises) >= majority(self._voters):
                return forced[0]  # it was begun already, with what all founders had promised
            if len(attempt.promises) == len(self._voters):
                promises = [one.promise for one in attempt.promises.values()]
                holders = Asked(self._fanout, self._record.id, attempt.promises, self._others)
                return replace(change, recovery=recover(self._record, promises, holders))
            attempt.refuse_hopeless(self._voters, self._record.name)
            if not self._back_off(attempt.wait / 1000, deadline):
                raise self._no_majority(attempt, "all founders have to take part in the start from a base")
        return None

    def _decide(
        self, parent: Certified | None, change: Change, child: Value, deadline: float, *, alone: bool = True
    ) -> bool:
        """Try to get ``child`` certified. False: some other value was, or is newer; build again upon that.

        Or others are in the way, or not all voters took what others had left (not ``alone``).
        """
        instance = Instance.of(child)
        wanted = hash_ = codec.value_hash(child)
        if self._about != instance:
            self._about, self._counter, self._shown = instance, 0, None
        overtaken = False
        while True:
            ballot = Ballot(self._counter + 1, self._node, self._run, hash_)
            attempt = self._prepare(instance, ballot, parent, deadline)
            if attempt.newer:
                self._turns.crowded = True  # most likely there are more who are about to try
                return self._is_known(wanted)
            if len(attempt.promises) >= majority(self._voters):
                forced = forced_by(attempt.promises.values(), self._record.owner)
                if forced is not None and forced[1] != hash_:
                    # If ours was accepted somewhere before, it may still be found there and be finished.
                    change, hash_ = forced
                    continue
                if self._complete is not None and parent is not None and hash_ == wanted:
                    completed = self._complete(parent, change)
                    if completed is None:
                        self._fanout.tell(self._prepare_request(instance, ballot, parent, 0))
                        return self._is_known(wanted)
                    change = completed
                promises = tuple(one.promise for one in attempt.promises.values())
                accept = Accept(instance, ballot, promises, change, parent.certificate if parent else None)
                if hash_ == wanted:
                    self._asked[instance.version] = wanted
                spare = attempt.spare(change, child, self._voters) if hash_ == wanted else []
                attempt = self._accept(accept, parent, deadline, spare)
                if len(attempt.acceptances) >= majority(self._voters):
                    value = child
                    if hash_ != wanted:
                        value = apply_change(parent.value if parent else None, instance.parent, change)
                    agreed = Certificate.of(list(attempt.acceptances.values()))
                    self._certified(parent, agreed, value, later=bool(spare))
                    return hash_ == wanted
                if attempt.newer:
                    return self._is_known(wanted)
            else:
                # Whoever promised, or is about to, need not hold for us while we wait for others.
                held = [node for node in attempt.sent if node not in attempt.excuses and node not in attempt.rejections]
                self._fanout.tell(self._prepare_request(instance, ballot, parent, 0), nodes=held)
            if not alone and not attempt.refused and hash_ == wanted:
                self._turns.go_alone()
                return False
            attempt.refuse_hopeless(self._voters, self._record.name)
            if attempt.refused and time.monotonic() < deadline:
                if attempt.wait or overtaken:
                    self._turns.crowded, self._latest = True, attempt
                    return False
                overtaken = True  # nobody holds anything: with a higher counter one may be promised it
                continue
            if not self._back_off(attempt.wait / 1000, deadline):
                raise self._no_majority(attempt)
            if self._known is not parent:
                return self._is_known(wanted)

    def _wait(self, base: Certified | None, deadline: float) -> None:
        """Until it is this proposer's turn, or something newer is known."""
        self._round_trips += 1
        answer = self._turns.wait(base, self._voters, deadline - time.monotonic())
        if isinstance(answer, answers.Waited) and answer.update is not None:
            self._take(answer.update, base)
        elif isinstance(answer, answers.Left):
            self._heard(answer.links)
        if self._known is base and self._turns.waits:
            self._back_off(0.0, deadline)
            self._turns.try_anyway()

    def _back_off(self, wanted: float, deadline: float) -> bool:
        """Wait, then look what is newest; False if it's too late for more. ``wanted``: seconds a voter asked for.

        Pauses grow while others are faster, at most until every host of the network could have had its turn, and
        shrink when nothing happens. Who wakes up knows only what was newest before, and would prepare in vain: so
        one voter is asked first.
        """
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        base = self._known
        hosts = 1 if base is None else len(base.value.hosts)
        longest = min(max(2 * hosts * self._round_trip, _FIRST_PAUSE), _LONGEST_PAUSE)
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE), longest)
        seconds = max(self._pause, min(wanted, 4 * self._pause)) * random.uniform(0.5, 1.5)
        time.sleep(min(seconds * self._pauses, left))
        self._round_trips += 1
        request = Fetch(self._record.id, None if base is None else base.certificate.position).to_json()
        question = Question(max(_FIRST_PAUSE, min(_LOOK_SECONDS, deadline - time.monotonic())))
        for _node, answer in self._fanout.ask(request, question=question, nodes=[self._quickest]):
            if isinstance(answer, answers.Fetched) and answer.update is not None:
                self._take(answer.update, base)
        if self._known is base:
            self._pause /= 2
        return self._known is not base or deadline - time.monotonic() > _LEAST_LEFT

    def _is_known(self, hash_: str) -> bool:
        """Whether the newest is exactly this: somebody else has finished our round."""
        return self._known is not None and self._known.certificate.hash == hash_

    def _prepare_request(
        self, instance: Instance, ballot: Ballot, parent: Certified | None, hold: int
    ) -> dict[str, object]:
        certificate = None if parent is None else parent.certificate
        shown = self._shown if self._shown is not None and self._shown.instance == instance else None
        return dict(Prepare(instance, ballot, hold, certificate, shown).to_json())

    def _prepare(
        self,
        instance: Instance,
        ballot: Ballot,
        parent: Certified | None,
        deadline: float,
        *,
        hold: int | None = None,
        needed: int | None = None,
    ) -> Attempt:
        """Ask for promises until ``needed`` have come, by default a majority."""
        self._fanout.tell_now()
        attempt = Attempt()
        self._round_trips += 1
        self._counter = max(self._counter, ballot.counter)
        request = self._prepare_request(instance, ballot, parent, self._hold if hold is None else hold)
        for node, answer in self._ask(request, parent, deadline, attempt):
            if isinstance(answer, answers.Promised):
                promise = answer.promise
                wrong = fault(answer, (node, instance, ballot), self._voters, parent, self._record.owner)
                if wrong is not None:
                    attempt.excuses[node] = wrong
                    continue
                if not self.watch.counts(promise, self._voters):
                    attempt.excuses[node] = _FROZEN
                    continue
                attempt.promises[node] = answer
                if len(attempt.promises) >= (needed or majority(self._voters)):
                    break
            else:
                self._note(attempt, node, answer, parent)
                if attempt.newer:
                    break
        return attempt

    def _accept(self, accept: Accept, parent: Certified | None, deadline: float, spare: Nodes) -> Attempt:
        attempt = Attempt()
        self._round_trips += 1
        for node, answer in self._ask(dict(accept.to_json()), parent, deadline, attempt, spare):
            if isinstance(answer, answers.Accepted):
                acceptance = answer.acceptance
                try:
                    said = (acceptance.voter, acceptance.instance, acceptance.ballot)
                    if said != (node, accept.instance, accept.ballot):
                        raise BadProof("is not what was asked for", where="acceptance")
                    check_voter(acceptance, self._voters, "acceptance")
                except BadProof as error:
                    attempt.excuses[node] = str(error)
                    continue
                if not self.watch.counts(acceptance, self._voters):
                    attempt.excuses[node] = _FROZEN
                    continue
                attempt.acceptances[node] = acceptance
                if len(attempt.acceptances) >= majority(self._voters):
                    break
            else:
                self._note(attempt, node, answer, parent)
                if attempt.newer:
                    break
        return attempt

    def _ask(
        self, request: Mapping[str, Any], parent: Certified | None, deadline: float, attempt: Attempt, spare: Nodes = ()
    ) -> Iterator[tuple[NodeId, answers.Answer | AvpnError]]:
        catch_up = None if parent is None else teaching(parent)
        left = max(0.05, deadline - time.monotonic())
        question = Question(left, spare, min(_SPARE_SECONDS, left / 3))
        refused, met = 0, self._turns.meeting(self._voters)
        answered: dict[NodeId, float] = {}
        attempt.sent = question.sent
        asked = self._fanout.ask(request, catch_up=catch_up, question=question, even_late=request["op"] == "accept")
        for count, (node, answer) in enumerate(asked, 1):
            if not isinstance(answer, AvpnError):
                took = answered[node] = time.monotonic() - question.began
                self._answered = True
                self._quickest = next(iter(answered), node)
                if len(answered) >= majority(self._voters):  # before that, who is silent is chance
                    self._turns.heard(self._voters, answered)
                self._round_trip = took if not self._round_trip else (3 * self._round_trip + took) / 4
            refused += isinstance(answer, answers.Refused)
            if refused and count >= majority(self._voters):
                # Somebody else is about as far as we are: whoever waits for a slow voter now keeps both from going on.
                question.hurry(_FIRST_PAUSE)
            yield node, answer
            if met in answered and refused > len(self._voters) - majority(self._voters):
                return  # nothing will come of it

    def _note(self, attempt: Attempt, node: NodeId, answer: answers.Answer | AvpnError, base: Certified | None) -> None:
        """Anything but what was hoped for."""
        if isinstance(answer, answers.Newer):
            before = self._known
            self._take(answer.update, base)
            attempt.newer = attempt.newer or self._known is not before
            attempt.excuses[node] = "sent a value that proves nothing newer"
        elif isinstance(answer, answers.Refused):
            self._counter = max(self._counter, answer.highest.counter)
            if answer.shown is not None:
                self._shown = max(filter(None, (self._shown, answer.shown)), key=lambda one: one.ballot)
            attempt.refused += 1
            attempt.wait = max(attempt.wait, answer.wait)
            attempt.excuses[node] = f"has promised {answer.holder}"
        elif isinstance(answer, answers.Left):
            attempt.newer = self._heard(answer.links) or attempt.newer
            attempt.excuses[node] = "has left the network"
        else:
            attempt.excuse(node, answer)

    def _take(self, update: Update, base: Certified | None) -> bool:
        """Learn a certified value that somebody sent; False if it doesn't prove itself."""
        try:
            certified = verified_update(update, base, self._record)
        except InvalidInput:
            return False
        self._keep(certified)
        return True

    def _keep(self, certified: Certified) -> None:
        if self._known is None or certified.certificate.position > self._known.certificate.position:
            self._known = certified
            # Most often those who decide now decided it, too; whoever is none of them isn't noted.
            self.watch.saw(certified.certificate, self._voters)
            if self._asked.get(certified.value.version) not in (None, certified.certificate.hash):
                del self._asked[certified.value.version]
            self._turn_to(certified.value.voters, certified.value.seated)

    def _heard(self, links: Sequence[Link]) -> bool:
        """A host that has left names those after it; tells whether that is news."""
        try:
            voters, seated = follow(self._record.founders, links, self._record.id, self._record.generation)
        except InvalidInput:
            return False
        if seated <= self._seated:
            return False
        self._turn_to(voters, seated)
        self._astray = True
        return True

    def _turn_to(self, voters: tuple[Voter, ...], seated: int) -> None:
        """These decide the next version, named by the version ``seated``."""
        if seated < self._seated:
            return
        self._seated = seated
        if voters != self._voters:
            self._voters = voters
            self._fanout.turn_to(voter.node for voter in voters)
            self._quickest = voters[0].node

    def _save(self) -> None:
        """Keep the newest in the cache; not all that came on the way, for a large one takes a while to write."""
        if self._cache is not None and self._known is not None and self._known is not self._saved:
            # What is agreed is agreed, and whoever asked has to be told, though the disk be full: it is only a cache.
            with contextlib.suppress(Unavailable):
                self._cache.save(self._known)
                self._saved = self._known
        self._fanout.tell_now()

    def _certified(self, parent: Certified | None, certificate: Certificate, value: Value, *, later: bool) -> None:
        """Keep it and tell the others; ``later``: when this host has it on disk, for it's large and takes them long."""
        links = () if parent is None else parent.trail()
        certified = Certified(certificate, value, links)
        deciders = {voter.node for voter in self._voters}
        self._keep(certified)
        # Most need the certificate only; who lacks the value gets it whole. Whoever voted until now might have to go.
        nodes = sorted(deciders | {voter.node for voter in value.voters})
        self._fanout.tell(Learn(certificate).to_json(), catch_up=teaching(certified), nodes=nodes, later=later)

    def _no_majority(self, attempt: Attempt, why: str = "") -> NoMajority:
        # That nothing was changed is said only if it's certain: whoever was asked once, or has a draft, may go on.
        maybe = bool(self._asked) or self._turns.left
        attempt.excuses.update({voter.node: _FROZEN for voter in self._voters if voter in self.watch.caught})
        return attempt.no_majority(self._voters, self._record.name, maybe, why)
