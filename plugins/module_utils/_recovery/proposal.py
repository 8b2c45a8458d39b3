# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a network needs recovery, and what to write for it: the base of the new generation, and its founders. Pure.

Founders are hosts that answered, for the start has to hear all of them: every voter of before that answers, since what
it may still hear of has to be heard by the start, then holders of leases, then witnesses, up to an odd number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .._chain.model import HostRecord, NetworkRecord, NetworkView, Voter
from .._common.errors import InvalidInput, Unavailable
from .._common.ids import NodeId
from .._quorum.messages import majority
from .._quorum.survey import Surveyed
from .._quorum.value import MAX_VOTERS
from .acceptable import accepted_by
from .candidates import Candidate, Found, Proof

NONE = "none"  # the base of a generation that starts empty
_USUAL = 3  # founders, unless more voters of before answer


@dataclass(frozen=True)
class Standing:
    """Who decides the network's next version, and who of them answers.

    ``changed``: hosts that answer with another database than the voter's. ``start``: version 0 is yet to be tried upon
    a base, for which every founder has to answer; what a founder has accepted a majority can finish.
    """

    voters: tuple[Voter, ...]
    answering: tuple[NodeId, ...]
    changed: tuple[NodeId, ...]
    start: bool

    @property
    def needed(self) -> int:
        """How many of them it takes."""
        return len(self.voters) if self.start else majority(self.voters)

    @property
    def able(self) -> bool:
        """Whether enough answer for the network to go on by itself."""
        return bool(self.voters) and len(self.answering) >= self.needed

    @property
    def silent(self) -> tuple[NodeId, ...]:
        """Voters that don't answer, or not as the voter they were."""
        return tuple(voter.node for voter in self.voters if voter.node not in self.answering)

    @property
    def complete(self) -> bool:
        """Whether nothing can have been agreed without one of those that answer: then nothing agreed is lost."""
        return len(self.silent) < majority(self.voters)


@dataclass(frozen=True)
class Wanted:
    """What the tenant asks for; empty fields are chosen. ``force``: also where it seems wrong."""

    base: str | None = None  # a hash, or NONE
    founders: tuple[NodeId, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class Proposal:
    """What to write. ``candidate`` None: start empty. ``hearing``: founders that were voters before."""

    generation: int
    candidate: Candidate | None
    founders: tuple[Voter, ...]
    hearing: tuple[NodeId, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def base(self) -> str | None:
        return None if self.candidate is None else self.candidate.hash


def standing(record: NetworkRecord, found: Found, surveyed: Mapping[NodeId, Surveyed]) -> Standing:
    """Who decides next, as far as is proven, and who of them answers."""
    certified = [
        one for one in found.candidates if one.proof is Proof.CERTIFIED and one.generation == record.generation
    ]
    voters = certified[0].value.voters if certified else record.founders
    here = {voter: surveyed[voter.node] for voter in voters if voter.node in surveyed}
    answering = tuple(voter.node for voter, one in here.items() if one.incarnation == voter.incarnation)
    changed = tuple(voter.node for voter, one in here.items() if one.incarnation != voter.incarnation)
    begun = certified or [one for one in found.candidates if one.proof is Proof.BEGUN]
    return Standing(voters, answering, changed, start=not begun and record.base is not None)


def refusal(standing_: Standing) -> str | None:
    """Why recovery would be wrong; None if it's needed."""
    if not standing_.able:
        return None
    many = f"{len(standing_.answering)} of {len(standing_.voters)} voters answer"
    if standing_.start:
        return f"{many}, and the generation is about to start: let their hosts reconcile"
    return f"{many}, which is enough to go on without recovery"


def propose(
    network: NetworkView,
    hosts: Mapping[NodeId, HostRecord],
    found: Found,
    surveyed: Mapping[NodeId, Surveyed],
    wanted: Wanted,
) -> Proposal:
    """What to write for recovery. InvalidInput: the tenant mustn't ask for that; Unavailable: there is no way."""
    record = network.record
    candidate = _candidate(found, wanted)
    now = standing(record, found, surveyed)
    before = set(candidate.value.voters) if candidate is not None else set()
    before |= set(now.voters)
    notes: list[str] = []
    able = _able(record, hosts, surveyed, notes)
    hearing = [node for node in sorted(able) if any(_same(able[node], voter) for voter in before)]
    nodes = _named(wanted, able, hosts) if wanted.founders else _chosen(network, candidate, able, hearing)
    if not nodes:
        raise Unavailable(
            "no host that could start the new generation answers",
            where="founders",
            remedy="Lease a member at a provider that runs this collection, or name a witness in the record",
        )
    if candidate is not None:
        candidate = accepted_by(nodes, candidate, found, surveyed)
    left_out = [node for node in hearing if node not in nodes]
    if left_out:
        listed = ", ".join(map(str, left_out))
        notes.append(f"{listed}: voted before, answers, and is no founder: what only it still hears of is lost")
    if len(nodes) == 1:
        notes.append("with one founder the network stops when that host does; further voters join it later")
    elif len(nodes) == 2:
        notes.append("of two founders neither may be missing until a third host votes")
    founders = tuple(Voter(node, hosts[node].incarnation, hosts[node].signing_key) for node in nodes)
    return Proposal(
        record.generation + 1, candidate, founders, tuple(node for node in nodes if node in hearing), tuple(notes)
    )


def _candidate(found: Found, wanted: Wanted) -> Candidate | None:
    if wanted.base == NONE:
        return None
    if wanted.base is not None:
        named = found.named(wanted.base)
        if named is None:
            raise InvalidInput(
                f"is {wanted.base}, which no host that answers shows",
                where="base",
                remedy="Choose one of those that are shown, or bring back a host that holds it",
            )
        return named
    if found.contradiction is not None and not wanted.force:
        first, second = found.contradiction
        raise InvalidInput(
            f"isn't clear: hosts show {first.hash} and {second.hash}, both certified as version {first.version}",
            where="base",
            remedy="Voters have lied. Look at both and name the one to keep",
        )
    if found.best is None:
        what = "nothing proven is shown by any host that answers"
        if found.candidates:
            what += "; what a single host says it accepted is listed, and can be named"
        raise InvalidInput(
            what,
            where="base",
            remedy=f"Bring back a host that holds the ledger; or start empty with base {NONE}: all addresses are "
            "given out anew",
        )
    return found.best


def _able(
    record: NetworkRecord, hosts: Mapping[NodeId, HostRecord], surveyed: Mapping[NodeId, Surveyed], notes: list[str]
) -> dict[NodeId, Surveyed]:
    """Hosts that may be founders: that answer with the database the chain names, and aren't evicted."""
    able = {}
    for node, one in sorted(surveyed.items()):
        host = hosts.get(node)
        if node.provider in record.evicted:
            notes.append(f"{node}: answers, and may not vote: its provider is evicted")
        elif host is None:
            notes.append(f"{node}: answers, and has no host record on chain")
        elif host.incarnation != one.incarnation:
            notes.append(
                f"{node}: answers with another database than the chain names; its team has to publish the host anew"
            )
        else:
            able[node] = one
    return able


def _same(surveyed: Surveyed, voter: Voter) -> bool:
    return (surveyed.node, surveyed.incarnation) == (voter.node, voter.incarnation)


def _named(wanted: Wanted, able: Collection[NodeId], hosts: Mapping[NodeId, HostRecord]) -> list[NodeId]:
    nodes = sorted(set(wanted.founders))
    if len(nodes) > MAX_VOTERS:
        raise InvalidInput(f"are {len(nodes)}, at most {MAX_VOTERS} are allowed", where="founders")
    for node in nodes:
        if node not in hosts:
            raise InvalidInput(f"{node} has no valid host record on chain", where="founders")
        if node not in able and not wanted.force:
            raise InvalidInput(
                f"{node} doesn't answer as the host that the chain names, and the start has to hear every founder",
                where="founders",
            )
    if len({node.provider for node in nodes}) < len(nodes):
        raise InvalidInput("must be of different providers", where="founders")
    return nodes


def _chosen(
    network: NetworkView, candidate: Candidate | None, able: Mapping[NodeId, Surveyed], hearing: Sequence[NodeId]
) -> list[NodeId]:
    """All voters of before, then others until there are three, or five; an odd number where possible."""
    holders = set(candidate.holders) if candidate is not None else set()
    taking_part = network.participants()
    nodes = _distinct(hearing)[:MAX_VOTERS]
    others = sorted(
        (node for node in able if node not in hearing),
        key=lambda node: (node.provider not in taking_part, node not in holders, node),
    )
    others = [node for node in others if node.provider in taking_part or node in network.record.witnesses]
    size = _USUAL if len(nodes) <= _USUAL else MAX_VOTERS
    for node in others:
        if len(nodes) < size and node.provider not in {one.provider for one in nodes}:
            nodes.append(node)
    return sorted(nodes)


def _distinct(nodes: Iterable[NodeId]) -> list[NodeId]:
    """One node for each provider."""
    found: dict[str, NodeId] = {}
    for node in nodes:
        found.setdefault(node.provider, node)
    return list(found.values())
