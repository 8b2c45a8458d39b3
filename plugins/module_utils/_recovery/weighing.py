# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of the values that hosts show are proven, and so may be the base of a new generation. Pure.

What a host shows is hostile until it's proven, from what the tenant itself wrote: certificates of the present
generation from the founders in the record; of the generation before it, when the present one hasn't begun, from the
value that the record names as its base. A first version that a founder accepted and that isn't certified is proven by
what its change brings along: the promises of all founders. A value whose hash the tenant names is that value, certified
or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Union

from .._chain.model import NetworkRecord, View
from .._common.errors import InvalidInput
from .._common.ids import NodeId
from .._quorum import codec, rules, rules_recovery
from .._quorum.authorship import verify_authorship
from .._quorum.change import Change, apply_change
from .._quorum.errors import BadProof, RuleBroken
from .._quorum.header import Header
from .._quorum.messages import Certified
from .._quorum.survey import Content, Surveyed
from .._quorum.value import Value
from .candidates import Candidate, Doubt, Found, HalfDone, Proof, Said

# A version that a founder says it accepted must be good in itself; whether the chain was as it says, others have seen.
_NOTHING_SEEN = View("", 2**62, 0, {}, {})


def generations_to_ask(record: NetworkRecord, surveyed: Iterable[Surveyed], named: str | None = None) -> list[int]:
    """Generations whose contents are worth asking for, newest first: those not above the record's that hosts claim.

    Once a version of the present generation is certified, what was before counts only if the tenant names it.
    """
    claimed = {one.generation for each in surveyed for one in each.positions if one.generation <= record.generation}
    return sorted(claimed, reverse=True) if named or record.base else sorted(claimed & {record.generation})


def weigh(record: NetworkRecord, said: Sequence[Said], named: str | None = None) -> Found:
    """The candidates among what hosts showed. ``named``: the hash that the tenant asks for, if it does."""
    return _Weighing(record, said, named).found()


Anchor = Union[Value, Header]


class _Weighing:
    """One pass over what was shown."""

    def __init__(self, record: NetworkRecord, said: Sequence[Said], named: str | None) -> None:
        self.record = record
        self.said = said
        self.named = named
        self.candidates: dict[str, Candidate] = {}
        self.doubts: list[Doubt] = []

    def found(self) -> Found:
        shown = [(one, content) for one in self.said for content in one.contents]
        anchor = self._anchor(content for _one, content in shown)
        for one, content in shown:
            self._weigh(one, content, anchor)
        self._unproven()
        candidates = sorted(self.candidates.values(), key=lambda one: (one.rank, one.hash), reverse=True)
        # What a newer generation has begun with is all that the older one still means, but for who names it.
        newest = max((one.generation for one in candidates if one.proof is Proof.CERTIFIED), default=-1)
        kept = [one for one in candidates if one.generation >= newest or one.proof is Proof.NAMED]
        # Nor does it matter what was tried before it was certified.
        kept = [one for one in kept if one.generation != newest or one.proof is not Proof.BEGUN]
        return Found(tuple(kept), tuple(sorted(self.doubts, key=lambda one: (-one.generation, -one.version, one.node))))

    def _anchor(self, contents: Iterable[Content]) -> Anchor | None:
        """The value, or just the header, whose hash the record names as the base: what older ones are proven from."""
        if self.record.base is None:
            return None
        for content in contents:
            value = content.certified.value if content.certified is not None else None
            for anchor in (content.base, value):
                if anchor is not None and _hash(anchor) == self.record.base and self._is_ours(anchor):
                    return anchor
        return None

    def _is_ours(self, anchor: Anchor) -> bool:
        return anchor.network == self.record.id and anchor.generation < self.record.generation

    def _weigh(self, one: Said, content: Content, anchor: Anchor | None) -> None:
        certified = content.certified
        if content.generation > self.record.generation:
            return  # what its position says is doubted below
        if certified is None:
            self._accepted_first(one, content)
            return
        try:
            hash_ = codec.value_hash(certified.value)
            if certified.value.generation != content.generation:
                raise BadProof(f"is of generation {certified.value.generation}", where="value")
            known = self.candidates.get(hash_)
            if known is not None and known.proof in (Proof.CERTIFIED, Proof.BASE):
                candidate = known
            else:
                candidate = self._proven(certified, hash_, anchor)
                candidate = replace(candidate, halves=() if known is None else known.halves)
        except InvalidInput as error:
            self._doubt(one, content.generation, certified.value.version, f"shows it without proof: {error}")
            return
        self.candidates[hash_] = self._with_half(candidate, one, content)

    def _proven(self, certified: Certified, hash_: str, anchor: Anchor | None) -> Candidate:
        """The candidate of a value. BadProof if it is none."""
        value = certified.value
        if value.network != self.record.id:
            raise BadProof("is of another network", where="value")
        proof = self._proof(certified, hash_, anchor)
        # The start refuses what its authors didn't sign, so it's no use here either.
        verify_authorship(value)
        signers: tuple[NodeId, ...] = ()
        if proof is Proof.CERTIFIED:
            signers = tuple(voter for voter, _incarnation, _signature in certified.certificate.acceptances)
        position = (value.generation, value.version, hash_)
        holders = [one.node for one in self.said if _claims(one.surveyed, *position)]
        return Candidate(value, hash_, proof, tuple(sorted(holders)), signers)

    def _proof(self, certified: Certified, hash_: str, anchor: Anchor | None) -> Proof:
        value = certified.value
        if value.generation == self.record.generation:
            try:
                certified.verify(self.record.founders, self.record.id)
            except BadProof:
                if hash_ == self.named:
                    return Proof.NAMED
                raise
            return Proof.CERTIFIED
        if value.generation < self.record.generation:
            if hash_ == self.record.base:
                return Proof.BASE
            if hash_ == self.named:
                return Proof.NAMED
            if anchor is not None and (anchor.generation, True) == (value.generation, anchor.version < value.version):
                links = tuple(link for link in certified.links if link.version > anchor.version)
                replace(certified, links=links).verify(anchor.voters, self.record.id, seated=anchor.seated)
                return Proof.CERTIFIED
        raise BadProof(f"nothing on chain leads to version {value.version} of generation {value.generation}")

    def _accepted_first(self, one: Said, content: Content) -> None:
        """A version 0 that was accepted and isn't certified: one voter's word, unless its change has the proof."""
        if content.accepted is None:
            return
        ballot = content.accepted.ballot
        try:
            change = content.accepted.parsed(self.record.owner)
            value = apply_change(None, "", change)
            hash_ = codec.value_hash(value)
            if (value.network, value.generation) != (self.record.id, content.generation):
                raise BadProof("is of another network or generation", where="change")
            if hash_ != ballot.hash:
                raise BadProof("makes another value than the ballot names", where="change")
            if content.generation == self.record.generation and not one.is_voter(self.record.founders):
                raise BadProof("is said to be accepted by a host that is no founder", where="accepted")
            verify_authorship(value)
        except InvalidInput as error:
            self._doubt(one, content.generation, -1, f"shows an accepted version 0 without proof: {error}")
            return
        proof = Proof.BEGUN if self._is_begun(change, value, hash_) else Proof.ACCEPTED
        proof = Proof.NAMED if hash_ == self.named and proof is Proof.ACCEPTED else proof
        known = self.candidates.get(hash_) or Candidate(value, hash_, proof, (), ballot=ballot)
        holders = tuple(sorted({one.node, *known.holders}))
        if known.ballot is not None:  # otherwise somebody showed the certificate
            known = replace(known, ballot=max(known.ballot, ballot))
            known = replace(known, proof=proof) if known.proof is Proof.ACCEPTED else known
        self.candidates[hash_] = replace(known, holders=holders)

    def _is_begun(self, change: Change, value: Value, hash_: str) -> bool:
        """Whether the change of a first version is exactly what a voter would accept for the record's generation."""
        record = value.record
        if change.recovery is None or self.record.base is None or value.generation != self.record.generation:
            return False
        fixed = ("cidr", "founders", "base")  # the rest of a record may have changed since
        if any(getattr(record, name) != getattr(self.record, name) for name in fixed):
            return False
        try:
            old, accepted, newest = rules_recovery.check(self.record, change.recovery)
            if accepted is not None:
                rules.check(old, codec.value_hash(old), newest, _NOTHING_SEEN, change=accepted, vouched=True)
        except (RuleBroken, InvalidInput):
            return False
        only = Change(record=(record, value.record_height), recovery=change.recovery)
        return codec.value_hash(apply_change(None, "", only)) == hash_

    def _with_half(self, candidate: Candidate, one: Said, content: Content) -> Candidate:
        """The candidate with what this host accepted after it."""
        accepted = content.accepted
        if accepted is None:
            return candidate
        version = candidate.version + 1
        try:
            if not one.is_voter(candidate.value.voters):
                raise BadProof("is said to be accepted by a host that is no voter", where="accepted")
            known = next((half for half in candidate.halves if half.ballot == accepted.ballot), None)
            value = (
                known.value
                if known
                else apply_change(candidate.value, candidate.hash, accepted.parsed(self.record.owner))
            )
            if codec.value_hash(value) != accepted.ballot.hash:
                raise BadProof("makes another value than the ballot names", where="change")
            verify_authorship(value)
        except InvalidInput as error:
            self._doubt(one, content.generation, version, f"shows an accepted version without proof: {error}")
            return candidate
        nodes = {one.node, *(known.nodes if known is not None else ())}
        halves = [half for half in candidate.halves if half is not known]
        halves.append(HalfDone(accepted.ballot, value, tuple(sorted(nodes))))
        halves.sort(key=lambda half: half.ballot, reverse=True)
        return replace(candidate, halves=tuple(halves))

    def _unproven(self) -> None:
        """Positions that nothing which was shown bears out."""
        proven = {(one.generation, one.version, one.hash) for one in self.candidates.values()}
        newest = max(((one.generation, one.version) for one in self.candidates.values()), default=(-1, -1))
        doubted = {(doubt.node, doubt.generation) for doubt in self.doubts}
        for one in self.said:
            for position in one.surveyed.positions:
                if position.generation > self.record.generation:
                    why = f"says it's of generation {position.generation}, which the chain doesn't know"
                    self._doubt(one, position.generation, position.version, why)
                elif (
                    position.version >= 0
                    and (position.generation, position.version, position.hash) not in proven
                    and (position.generation, position.version) >= newest
                    and (one.node, position.generation) not in doubted
                ):
                    self._doubt(one, position.generation, position.version, "says that it holds it and doesn't show it")

    def _doubt(self, one: Said, generation: int, version: int, why: str) -> None:
        self.doubts.append(Doubt(one.node, generation, version, why))


def _claims(surveyed: Surveyed, generation: int, version: int, hash_: str) -> bool:
    position = surveyed.of(generation)
    return position is not None and (position.version, position.hash) == (version, hash_)


def _hash(anchor: Anchor) -> str:
    return anchor.hash if isinstance(anchor, Header) else codec.value_hash(anchor)
