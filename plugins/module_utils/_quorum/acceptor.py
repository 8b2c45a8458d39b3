# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A voter: promises, accepts, learns and hands out the versions of the ledgers of its networks.

One Paxos instance per version, in the usual two phases (Lamport, "Paxos Made Simple", 2001), decided by the
voters of the certified parent. What an answer says is on disk before the answer leaves.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from .._chain.model import NetworkView, View, Voter
from .._common.checked import present
from .._common.errors import InvalidInput, NotPermitted
from .._common.ids import NodeId
from . import answers, codec, former, raising, recollection, sightings
from .answers import Answer
from .change import Change, apply_change
from .constants import MAX_LINKS
from .contradiction import Vote
from .errors import BadProof, Recalling, RuleBroken, Unseen
from .evidence import Statement, check_ready
from .leaving import come_back
from .messages import Acceptance, Certificate, Certified, Instance, Promise, check_promises, check_voter, follow
from .requests import (
    Accept,
    Fetch,
    Learn,
    Leave,
    Prepare,
    ReadyRequest,
    Recall,
    Request,
    Wait,
    parse_request,
    parse_survey,
)
from .resigning import check_willing
from .rules import check
from .signing import Signer
from .store import NetworkState, Pending, Store
from .survey import Shown, Surveyed
from .waiting import Line, wait

MAX_COUNTER_JUMP = 1_000  # above the highest counter known here or shown in a signed promise
_MINUTE = 60_000


class Acceptor:
    """One host's voter.

    path: its SQLite file. signer: its Ed25519 key. node: who it is.
    view_loader: the cached view of the chain, as new as it is on disk.
    max_age: seconds; no vote is given on an older view.
    refresh: reads the chain anew (within limits of its own) and tells whether the view changed.
    clock: Unix seconds; milliseconds: time since boot, for holds.
    alarm: told, in words, what the operators should know.
    line: directory for those who wait for their turn.
    drained: whether this host's team takes it out of voting.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        signer: Signer,
        node: NodeId,
        view_loader: Callable[[], View],
        *,
        max_age: float = 900,
        refresh: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.time,
        milliseconds: Callable[[], int] | None = None,
        alarm: Callable[[str], None] | None = None,
        line: Path | None = None,
        drained: Callable[[], bool] = lambda: False,
    ) -> None:
        self.store = Store(path, milliseconds=milliseconds)
        self._line = Line(Path(f"{os.fspath(path)}.waiting") if line is None else line)
        self.node = node
        self._signer = signer
        self._view_loader = view_loader
        self._max_age = max_age
        self._refresh = refresh
        self._clock = clock
        self._alarm = alarm or (lambda _what: None)
        self._drained = drained

    def handle(self, request: Any, identities: Collection[NodeId | str]) -> dict[str, Any]:
        """The answer (``answers``, as JSON) to a request with ``op``, ``network`` and ``as``.

        ``identities``: the nodes, and the tenants' accounts, that the caller's key stands for. Raises NotPermitted,
        InvalidInput (a request or proof that is wrong in form) or Unavailable.
        """
        answer = self._answer(request, identities)
        if isinstance(answer, answers.NotSeen) and self._refresh is not None and self._refresh():
            answer = self._answer(request, identities)
        return answer.to_json()

    def _answer(self, document: Any, identities: Collection[NodeId | str]) -> Answer:
        view = self._view_loader()
        network = document.get("network") if isinstance(document, dict) else None
        entry = view.networks.get(network) if isinstance(network, str) else None
        if entry is None:
            raise NotPermitted("is not permitted")
        if document.get("op") == "survey":
            return self._survey(document, identities, entry)
        request, caller = parse_request(document, entry.record.owner)
        if caller not in identities:
            raise NotPermitted("is not permitted", where="as")
        try:
            state = raising.state_of(self.store, entry.record, view.height)
            self._check_caller(caller, entry, state)
            if isinstance(request, ReadyRequest):
                me = Voter(self.node, self.store.incarnation, self._signer.public_key)
                check_willing(self._drained(), me, state.voters)
            if state.gone and not (isinstance(request, (Learn, ReadyRequest)) and self._may_join(entry)):
                return answers.Left(self.store.links(state, None, state.version + 1))
            return self._dispatch(request, caller, state, view)
        except RuleBroken as error:
            return answers.RejectedBy(error.rule, _short(error))
        except Unseen as error:
            return answers.NotSeen(_short(error), error.height)
        except Recalling as error:
            return answers.NotYet(error.what)

    def _dispatch(self, request: Request, caller: NodeId, state: NetworkState, view: View) -> Answer:
        if isinstance(request, Recall):
            # Also by one that doesn't vote yet itself: after a power cut everybody asks.
            votes = sightings.signed_by(self.store.reading(), state.network, caller, request.incarnation)
            return answers.Recalled(tuple(votes[-answers.MOST_RECALLED :]))
        if isinstance(request, Fetch):
            return self._fetch(request, state)
        if isinstance(request, Wait):
            return wait(self.store, self._line, request, caller, state)
        if isinstance(request, Learn):
            return self._learn(request, state)
        if isinstance(request, ReadyRequest):
            return self._ready(request, state)
        if isinstance(request, Leave):
            return self._leave(request, state)
        if request.ballot.node != caller:
            raise NotPermitted("is not the caller's", where="ballot.node")
        if isinstance(request, Prepare):
            return self._prepare(request, state, view)
        return self._accept(request, state, view)

    @staticmethod
    def _check_caller(caller: NodeId, entry: NetworkView, state: NetworkState) -> None:
        named = {voter.node for voter in state.voters} | set(entry.record.witnesses)
        if caller not in named and caller.provider not in entry.participants():
            raise NotPermitted("is not permitted")

    def _me(self, state: NetworkState) -> Voter:
        """This host as one of the voters, or RuleBroken; Recalling while it isn't known to remember everything."""
        certain = self.store.certain(state.network)
        for voter in state.voters:
            if voter.node == self.node:
                if voter.incarnation != self.store.incarnation:
                    raise RuleBroken("incarnation", f"the database of {self.node} is another than the one that votes")
                if voter.key != self._signer.public_key:
                    raise RuleBroken("voter-key", f"{self.node} has another signing key than the one that votes")
                if not certain:
                    raise Recalling(f"{self.node} has booted and asks first what it signed before")
                return voter
        raise RuleBroken("voter", f"{self.node} is not a voter")

    def _survey(self, document: Any, identities: Collection[NodeId | str], entry: NetworkView) -> Answer:
        """Whatever the view shows, and however old it is: what is held here is what recovery has to begin with."""
        request, caller = parse_survey(document)
        permitted = caller in identities
        if isinstance(caller, NodeId):
            state = self.store.network(request.network)
            named = {voter.node for voter in (*entry.record.founders, *(state.voters if state is not None else ()))}
            member = caller in named | set(entry.record.witnesses) or caller.provider in entry.participants()
            permitted = permitted and member
        else:
            permitted = permitted and caller == entry.record.owner
        if not permitted:
            raise NotPermitted("is not permitted", where="as")
        if request.generation is not None:
            content = former.content(self.store, request.network, request.generation, entry.record.base)
            return Shown(self.node, self.store.incarnation, content)
        former.note_headers(self.store, request.network)
        return Surveyed(self.node, self.store.incarnation, former.positions(self.store, request.network))

    def _fetch(self, request: Fetch, state: NetworkState) -> Answer:
        if state.certificate is None or (request.have is not None and request.have >= state.certificate.position):
            return answers.Fetched(None)
        return answers.Fetched(self.store.update(state, request.have))

    def _learn(self, request: Learn, state: NetworkState) -> Answer:
        certificate = request.certificate
        if certificate.instance.generation != state.generation:
            raise RuleBroken("generation", "the certificate is of another generation")
        version = certificate.instance.version
        if version <= state.version:
            certificate.verify(self.store.deciders(state, version))
            known = state.certificate
            if known is not None and certificate.position == known.position and certificate.hash != known.hash:
                self.store.add_evidence(
                    state, known.instance.version, "two certificates", known.to_json(), certificate.to_json()
                )
            if state.gone and version == state.version and request.value is not None:
                come_back(self.store, state, request.value)
            return answers.Learned(state.version)
        certified = None
        if request.value is not None:
            links = tuple(link for link in request.links if link.version > state.version)
            certified = Certified(certificate, request.value, links)
            certified.verify(state.voters, state.network, seated=self.store.seated(state))
        with self.store.transaction() as database:
            # What was verified from an older state is a fact for a newer one as well.
            state = self._begun(database, state)
            if version > state.version:
                advanced = self._promoted(database, state, certificate)
                if advanced is None and certified is not None:
                    forgotten = self._forgotten(sightings.acceptances_of(certificate), state)
                    advanced = self.store.certify(database, state, certified)
                    self._retire(database, forgotten)
                    self._see(database, sightings.acceptances_of(certificate), self.store.deciders(advanced, version))
                if advanced is None:
                    return answers.Lacking(state.have)
                state = advanced
        return answers.Learned(state.version)

    def _may_join(self, entry: NetworkView) -> bool:
        """Whether this host could vote (again): one that left keeps nothing unless it could."""
        able = self.node.provider in entry.participants() or self.node in entry.record.witnesses
        return able and not self._drained()

    def _leave(self, request: Leave, state: NetworkState) -> Answer:
        """Go, if those who decide now are shown to hold what this host holds."""
        if self.store.network(state.network) is None:
            return answers.Left(self.store.links(state, None, state.version + 1))
        links = tuple(link for link in request.links if link.version > state.version)
        where = (state.network, state.generation)
        deciders, named = follow(state.voters, links, *where, seated=self.store.seated(state))
        # Whatever its incarnation: one that retired goes on handing out what it holds until it is replaced.
        if any(voter.node == self.node for voter in deciders):
            raise RuleBroken("leave-voter", f"{self.node} votes, as far as is shown")
        if named < 0:
            raise RuleBroken("leave-voter", "the founders are the voters still")
        certificate = request.certificate
        if certificate is not None:
            instance = certificate.instance
            if (instance.network, instance.generation) != where or instance.version <= max(named, state.version):
                raise BadProof("is of no later version of this ledger", where="certificate")
            # Whoever has accepted a later version holds it, whether or not it came to be decided.
            certificate.verify(deciders)
        else:
            first = next(iter(request.ready), None)
            if first is None or first.version < max(named, state.version):
                raise BadProof("shows nobody who holds this version or a later one", where="ready")
            check_ready(
                request.ready,
                deciders,
                network=state.network,
                generation=state.generation,
                version=first.version,
                hash_=first.hash,
            )
        with self.store.transaction() as database:
            now = self._begun(database, state)
            if now.version == state.version and not now.gone:
                now = self.store.leave(database, now, links)
        return answers.Left(self.store.links(now, None, now.version + 1))

    def _ready(self, request: ReadyRequest, state: NetworkState) -> Answer:
        """Any host of the network may be asked: it becomes a voter only by a certificate, which shows its consent."""
        certificate = request.certificate
        instance = certificate.instance
        self._check_generation(instance.generation, state, 0)
        if instance.version < state.version:
            return answers.Newer(self.store.update(state, (instance.generation, instance.version)))
        with self.store.transaction() as database:
            state = self._begun(database, state)
            if instance.version == state.version + 1:
                state = self._promoted(database, state, certificate) or state
        # One that left knows the version it left with, and doesn't hold it.
        if state.gone or (instance.version, certificate.hash) != (state.version, state.hash):
            return answers.Lacking(state.have)
        # What is said to be held is looked at: a damaged database must not say so.
        present(self.store.value(state), f"the value of {state.network}")
        return answers.Ready(
            Statement(
                "ready",
                state.network,
                state.generation,
                state.version,
                state.hash,
                self.node,
                self.store.incarnation,
            ).signed(self._signer)
        )

    def _prepare(self, request: Prepare, state: NetworkState, view: View) -> Answer:
        self._check_generation(request.instance.generation, state, view.height)
        self._check_certificate(request.certificate, request.instance)
        if request.shown is not None and request.shown.instance != request.instance:
            raise InvalidInput("is for another version", where="shown")
        held = self._held(request, state)
        if held is not None:
            return held
        with self.store.transaction() as database:
            state = self._begun(database, state)
            self._check_age(view)
            behind = self._behind(database, state, request.instance, request.certificate)
            if isinstance(behind, NetworkState):
                state = behind
            else:
                return behind
            self._me(state)
            raising.check_rest(self.store, state, view.height)
            if request.shown is not None:
                check_voter(request.shown, state.voters, "shown")
            pending = self.store.pending(state)
            refusal = self._refusal(request, state, pending, database)
            if refusal is not None:
                return refusal
            promise = Promise(
                request.instance,
                request.ballot,
                self.node,
                self.store.incarnation,
                pending.accepted,
                held=raising.held(self.store, state) if self._from_base(state, view) else None,
            ).signed(self._signer)
            hold_until = self._hold(database, request, state, view)
            self.store.write_promise(database, state, promise, hold_until)
            if request.shown is not None:
                self._see(database, [request.shown], state.voters)
        return self._promised(state, promise)

    def _held(self, request: Prepare, state: NetworkState) -> Answer | None:
        """A refusal that takes no transaction: while one proposer has everybody's promise, the others don't queue."""
        if request.instance.version != state.version + 1:
            return None
        pending = self.store.pending(state)
        other = pending.promised is not None and (pending.promised.node, pending.hold_run) != (
            request.ballot.node,
            request.ballot.run,
        )
        wait = pending.hold_until - self.store.milliseconds()
        if pending.promised is None or not other or wait <= 0:
            return None
        return answers.Refused(pending.promised, pending.promised.node, wait, pending.promise)

    def _promised(self, state: NetworkState, promise: Promise) -> Answer:
        # The same promise asked for again may show what was accepted before the present acceptance.
        shown = promise.accepted is not None and promise.accepted == self.store.pending(state).accepted
        return answers.Promised(promise, self.store.pending_change(state) if shown else None)

    def _refusal(
        self, request: Prepare, state: NetworkState, pending: Pending, database: sqlite3.Connection
    ) -> Answer | None:
        """Why the ballot can't be promised, or the same answer again, or None."""
        ballot, promised = request.ballot, pending.promised
        now = self.store.milliseconds()
        if promised is not None:
            wait = max(0, pending.hold_until - now)
            if ballot == promised and pending.promise is not None:
                if request.hold == 0 and wait:
                    self.store.write_hold(database, state, 0)
                    self.store.end_holds(database, state.network, now)
                return self._promised(state, pending.promise)
            held = wait > 0 and (promised.node, pending.hold_run) != (ballot.node, ballot.run)
            if ballot <= promised or held:
                return answers.Refused(promised, promised.node, wait, pending.promise)
        known = [one.counter for one in (promised, pending.accepted) if one is not None]
        if request.shown is not None:
            known.append(request.shown.ballot.counter)
        most = max(known, default=0) + MAX_COUNTER_JUMP
        if ballot.counter > most:
            raise RuleBroken("counter-jump", f"counter {ballot.counter} is above {most}, which nothing shown explains")
        return None

    def _accept(self, request: Accept, state: NetworkState, view: View) -> Answer:
        self._check_generation(request.instance.generation, state, view.height)
        self._check_certificate(request.certificate, request.instance)
        with self.store.transaction() as database:
            state = self._begun(database, state)
            behind = self._behind(database, state, request.instance, request.certificate)
            if isinstance(behind, NetworkState):
                state = behind
            else:
                return behind
            self._me(state)
            pending = self.store.pending(state)
        instance, ballot = request.instance, request.ballot
        if pending.promised is not None and pending.promised > ballot:
            return self._overtaken(pending)
        # Proof and rules take time on a large value and write nothing, so nobody waits for them.
        if pending.accepted != ballot:
            self._check_proposal(request, state, pending, view)
        with self.store.transaction() as database:
            self._check_age(view)
            now = present(self.store.network(state.network), f"the state of {state.network}")
            self._check_same(now, state)
            if now.version != state.version:
                return answers.Newer(self.store.update(now, (instance.generation, instance.version - 1)))
            me = self._me(now)
            pending = self.store.pending(state)
            if pending.promised is not None and pending.promised > ballot:
                return self._overtaken(pending)
            if pending.accepted != ballot:
                self.store.write_acceptance(database, state, ballot, request.change)
                self._see(database, request.promises, state.voters)
                self._keep_evidence(database, request.change, state)
        acceptance = Acceptance(instance, ballot, self.node, me.incarnation).signed(self._signer)
        return answers.Accepted(acceptance)

    def _overtaken(self, pending: Pending) -> Answer:
        promised = present(pending.promised, "the higher ballot")
        wait = max(0, pending.hold_until - self.store.milliseconds())
        return answers.Refused(promised, promised.node, wait, pending.promise)

    def _check_proposal(self, request: Accept, state: NetworkState, pending: Pending, view: View) -> None:
        """The promises prove that this ballot may propose its value, and the value is a valid child."""
        forced = check_promises(request.promises, request.instance, request.ballot, state.voters)
        forgotten = self._forgotten(request.promises, state, pending)
        if forgotten is not None:
            self.store.add_evidence(state, state.version + 1, "own promise forgotten", forgotten.to_json(), None)
            me = next(voter for voter in state.voters if voter.node == self.node)
            told = recollection.remind(self.store, state.network, me, [forgotten])
            if told is not None:
                self._alarm(told)
            raise RuleBroken("memory", f"{self.node} doesn't remember a promise it signed, and must not vote")
        if forced is not None and forced.hash != request.ballot.hash:
            raise RuleBroken("half-done", "the promises show an accepted value, and another one is proposed")
        parent = self.store.value(state)
        child = apply_change(parent, state.hash, request.change)
        size = codec.value_size(child)
        if size > codec.MAX_BYTES:
            raise RuleBroken("size", f"the value would be {size} bytes long, at most {codec.MAX_BYTES} are allowed")
        if codec.value_hash(child) != request.ballot.hash:
            raise RuleBroken("hash", "the change doesn't lead to the value that the ballot names")
        if parent is not None and child.voters != parent.voters and self.store.count_links(state) >= MAX_LINKS:
            raise RuleBroken("voters-often", f"the voters have changed {MAX_LINKS} times in this generation")
        raising.check_rest(self.store, state, view.height)
        check(parent, state.hash, child, view, change=request.change, vouched=forced is not None)
        if forced is None and request.change.voters is not None:
            self._check_honest(request.change.voters, state)
        self.store.remember_checked(request.ballot.hash, child)

    @staticmethod
    def _from_base(state: NetworkState, view: View) -> bool:
        return state.version < 0 and view.networks[state.network].record.base is not None

    def _begun(self, database: sqlite3.Connection, state: NetworkState) -> NetworkState:
        """The state as it is now, inside the transaction; a new network is pinned to its founders first."""
        now = self.store.network(state.network)
        if now is None:
            self.store.begin(database, state)
            return state
        self._check_same(now, state)
        return now

    @staticmethod
    def _check_same(now: NetworkState, state: NetworkState) -> None:
        """Another process of this host may have gone over to a higher generation meanwhile."""
        if now.generation != state.generation:
            raise RuleBroken("generation", f"it is {now.generation} by now")

    def _behind(
        self, database: sqlite3.Connection, state: NetworkState, instance: Instance, certificate: Certificate | None
    ) -> NetworkState | Answer:
        """The state whose next version is the instance, or what to answer because there is none."""
        if instance.version <= state.version:
            have = (instance.generation, instance.version - 1)
            return answers.Newer(self.store.update(state, have))
        if instance.version > state.version + 1:
            advanced = None if certificate is None else self._promoted(database, state, certificate)
            if advanced is None or advanced.version + 1 != instance.version:
                return answers.Lacking(state.have)
            state = advanced
        if instance.parent != state.hash:
            raise RuleBroken("parent", "the parent is not the certified value before")
        return state

    def _promoted(
        self, database: sqlite3.Connection, state: NetworkState, certificate: Certificate
    ) -> NetworkState | None:
        """Certify what was accepted here, if the certificate is of exactly that; else None."""
        pending = self.store.pending(state)
        if pending.accepted is None or certificate.instance.version != state.version + 1:
            return None
        if pending.accepted.hash != certificate.hash:
            return None
        certificate.verify(state.voters)
        votes = sightings.acceptances_of(certificate)
        self._see(database, votes, state.voters)
        forgotten = self._forgotten(votes, state)
        advanced = self.store.certify_pending(database, state, certificate)
        self._retire(database, forgotten)
        return advanced

    def _forgotten(self, votes: Iterable[Vote], state: NetworkState, pending: Pending | None = None) -> Vote | None:
        """One of these verified votes that is this voter's own and newer than its memory.

        ``pending``: as it was read together with the state; without, both are read in the present transaction.
        """
        pending = pending or self.store.pending(state)
        for vote in votes:
            mine = (vote.voter, vote.incarnation) == (self.node, self.store.incarnation)
            if mine and recollection.newer(vote, state, pending):
                return vote
        return None

    def _retire(self, database: sqlite3.Connection, forgotten: Vote | None) -> None:
        if forgotten is not None:
            self._alarm(recollection.forget_oneself(self.store, database, forgotten))

    def _see(self, database: sqlite3.Connection, votes: Iterable[Vote], voters: tuple[Voter, ...]) -> None:
        """Note what other voters signed, in the transaction that writes anyway."""
        for caught in sightings.see(database, votes, voters, but=self.node):
            self._alarm(f"network {caught.network}: {caught}")

    @staticmethod
    def _keep_evidence(database: sqlite3.Connection, change: Change, state: NetworkState) -> None:
        """A contradiction for which somebody is taken out is known here from now on, so that it isn't let in again."""
        proof = None if change.evidence is None else change.evidence.contradiction
        for voter in state.voters:
            if proof is not None and proof.by(voter, state.network, state.generation):
                sightings.keep(database, sightings.Caught(state.network, state.generation, voter, proof))

    def _check_honest(self, voters: Collection[Voter], state: NetworkState) -> None:
        """Nobody comes who is known here to have contradicted itself.

        Not for what the promises show as accepted: a voter that knew nothing of it took it, and it must be finished.
        """
        for caught in sightings.caught(self.store.reading(), state.network):
            if caught.generation == state.generation and caught.voter in voters and caught.voter not in state.voters:
                raise RuleBroken("voter-caught", f"{caught.voter.node} {caught.proof.why}", where="voters")

    @staticmethod
    def _check_certificate(certificate: Certificate | None, instance: Instance) -> None:
        """It must be the parent's. It is verified when it is used, by the voters it takes."""
        if certificate is None:
            if instance.version != 0:
                raise InvalidInput("is missing", where="certificate")
            return
        if certificate.hash != instance.parent or certificate.position != (instance.generation, instance.version - 1):
            raise InvalidInput("is not the parent's", where="certificate")

    @staticmethod
    def _check_generation(generation: int, state: NetworkState, height: int) -> None:
        if generation < state.generation:
            raise RuleBroken("generation", f"generation {generation} is over; it is {state.generation}")
        if generation > state.generation:
            raise Unseen("a higher generation is not known here", height=height + 1, where="generation")

    def _check_age(self, view: View) -> None:
        age = self._clock() - view.time
        if age > self._max_age:
            raise Unseen(f"the view of the chain is {int(age)} s old", height=view.height + 1, where="view")

    def _hold(self, database: sqlite3.Connection, request: Prepare, state: NetworkState, view: View) -> int:
        """Until when nobody else is promised. A provider's holds have a budget, and it yields as long as it held."""
        now = self.store.milliseconds()
        self.store.end_holds(database, state.network, now)
        provider = request.ballot.node.provider
        participants = view.networks[state.network].participants()
        own = [
            (since, until) for who, since, until in self.store.holds(state.network, now - _MINUTE) if who == provider
        ]
        budget = _MINUTE // (2 * max(1, len(participants))) - sum(until - since for since, until in own)
        yielding = any(until + (until - since) > now for since, until in own)
        hold = 0 if yielding else max(0, min(request.hold, budget))
        if hold:
            self.store.start_hold(database, state.network, request.ballot, now, now + hold)
        return now + hold


def _short(error: RuleBroken | Unseen) -> str:
    text = f"{error.where}: {error.what}" if error.where else error.what
    return text if len(text) <= 400 else text[:397] + "..."
