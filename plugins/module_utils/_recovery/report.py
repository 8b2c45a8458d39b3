# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The survey in words: for a tenant in trouble, who has to decide and may know little of how the ledger works. Pure.

In this order: is recovery needed; what would be kept, and what lost; what would be written; what to type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .._common.ids import EndpointId, NodeId
from .._quorum.constants import FENCE_BLOCKS
from .._quorum.messages import majority
from .._quorum.value import Value
from .candidates import Candidate, Proof
from .keeping import against, gained, keeps
from .picture import Picture, Started
from .proposal import NONE, Proposal, refusal

_MOST = 12  # of a kind that are listed by name
_BLOCK_SECONDS = 6


def survey_lines(picture: Picture) -> list[str]:
    """Everything, in lines."""
    record = picture.record
    return [
        f"network {record.name} of {record.owner}",
        f"generation {record.generation}, at block {picture.height}",
        *_verdict(picture),
        "",
        "WHO ANSWERS",
        *_indented(_hosts(picture)),
        "",
        "WHAT THEY HOLD, the best first",
        *_indented(_candidates(picture)),
        "",
        "WHAT WOULD BE LOST",
        *_indented(_losses(picture)),
        "",
        "WHAT WOULD BE WRITTEN",
        *_indented(_writing(picture)),
    ]


def command_lines(picture: Picture) -> list[str]:
    """What to do now, for the survey that only shows."""
    lines = ["", "WHAT TO DO"]
    silent = picture.standing.silent
    if picture.standing.able:
        why = refusal(picture.standing)
        return [*lines, f"  Nothing: {why}. Asked to recover, this command refuses, unless avpn_recover_force=true."]
    if silent:
        lines.append(
            "  First: can one of the voters that are silent come back, if only for a minute? Then nothing is lost:"
        )
        lines += [f"    {node}" for node in silent]
        lines.append("  Ask their providers. A host that lost its disk doesn't count.")
    if picture.proposal is None:
        return [*lines, f"  Recovery isn't possible as it is: {picture.obstacle}"]
    arguments = [
        f"-e avpn_recover={picture.proposal.generation}",
        f"-e avpn_recover_base={picture.proposal.base or NONE}",
    ]
    lines += [
        "  If they are gone for good, run this again with what you ran it with, and with",
        f"    {' '.join(arguments)}",
        "  It can't be undone: what the silent hosts hold doesn't count afterwards, even if they come back.",
    ]
    return lines


def written_lines(proposal: Proposal, *, check: bool) -> list[str]:
    """What became of the record."""
    would = "would be" if check else "is"
    return [
        "",
        f"GENERATION {proposal.generation} {would} on chain, from {_base(proposal)}.",
        "  It starts when all its founders have read that:",
        *[f"    {voter.node}" for voter in proposal.founders],
    ]


def started_lines(generation: int, started: Started) -> list[str]:
    """What the new generation has begun with."""
    lines = [
        "",
        f"GENERATION {generation} HAS BEGUN: version {started.version} is certified.",
        f"  held by {_names(map(str, started.held_by))}",
        f"  {_count(started.hosts, 'host', 'hosts')} and {_count(started.addresses, 'address', 'addresses')} in it",
    ]
    if started.kept is not None:
        lines.append(f"  kept: {started.kept} of {started.kept + len(started.lost)} addresses of the base")
        lines += [f"  lost: {endpoint} {address}" for endpoint, address in sorted(started.lost.items())[:_MOST]]
        lines += [
            f"  and from a version that was half done: {endpoint} {address}"
            for endpoint, address in sorted(started.gained.items())[:_MOST]
        ]
    if started.rests_until is not None:
        lines.append(
            f"  Addresses are given out again from block {started.rests_until} on; until then what runs goes on."
        )
    return lines


def waiting_lines(generation: int, seconds: float, missing: Sequence[tuple[NodeId, str]]) -> list[str]:
    """The generation didn't start in time."""
    lines = ["", f"GENERATION {generation} hasn't begun after {seconds:.0f} s. Every founder has to take part:"]
    lines += [f"  {node}: {what}" for node, what in missing]
    lines += [
        "  Run the same command again to go on waiting; the hosts try by themselves meanwhile.",
        "  If a founder is gone for good, run it without avpn_recover: it shows what a further generation would be.",
    ]
    return lines


def _verdict(picture: Picture) -> Iterator[str]:
    now = picture.standing
    many = f"{len(now.answering)} of {len(now.voters)} voters answer"
    if now.able:
        yield f"Recovery isn't needed: {refusal(now)}."
    elif now.start:
        yield f"Generation {picture.record.generation} has been written and hasn't begun: {many}, and all are needed."
    else:
        yield f"The network can't decide anything: {many}, {now.needed} are needed. What runs goes on running."


def _hosts(picture: Picture) -> Iterator[str]:
    voters = {voter.node for voter in picture.standing.voters}
    for node in sorted({*picture.surveyed, *picture.silent, *voters}):
        role = "voter" if node in voters else "host"
        if node in picture.surveyed:
            held = [one for one in picture.surveyed[node].positions if one.version >= 0]
            what = ", ".join(f"version {one.version} of generation {one.generation}" for one in held[:3])
            what = f"holds {what}" if held else "answers, and holds nothing of the ledger"
            if node in picture.standing.changed:
                what += "; with another database than the voter's, so its vote is lost"
        else:
            what = f"SILENT: {picture.silent.get(node, 'has no host record on chain, so it cannot be asked')}"
        yield f"{node} ({role}): {what}"


def _candidates(picture: Picture) -> Iterator[str]:
    for number, one in enumerate(picture.found.candidates, 1):
        chosen = picture.chosen is not None and one.hash == picture.chosen.hash
        yield f"{number}. version {one.version} of generation {one.generation}{' <- chosen' if chosen else ''}"
        yield from _indented(_candidate(picture, one))
    if not picture.found.candidates:
        yield "nothing that is proven"
    for doubt in picture.found.doubts[:_MOST]:
        version = f"version {doubt.version} of " if doubt.version >= 0 else ""
        yield f"not counted: {doubt.node}, {version}generation {doubt.generation}: {doubt.why}"
    yield from _more(len(picture.found.doubts))


def _candidate(picture: Picture, one: Candidate) -> Iterator[str]:
    yield f"hash {one.hash}"
    proof = {
        Proof.CERTIFIED: f"certified by {_names(map(str, one.signers))}",
        Proof.BASE: "the base that the record on chain names",
        Proof.BEGUN: "accepted, with the promises of all founders, which prove what it begins with; not certified",
        Proof.NAMED: "named by you; not certified as far as can be told",
        Proof.ACCEPTED: "accepted, says who shows it; nobody shows a certificate. Used only if you name it",
    }
    yield proof[one.proof]
    yield f"held by {_names(map(str, one.holders)) or 'nobody as the newest'}"
    much, beside = keeps(one.value), against(one.value, picture.network)
    released = f", and {much.released} more kept for endpoints that are gone" if much.released else ""
    yield f"has {_count(much.hosts, 'host', 'hosts')}, {_count(much.addresses, 'address', 'addresses')}{released}"
    total = len(beside.kept) + len(beside.moved) + len(beside.missing)
    keep = len(beside.kept) + len(beside.moved)
    leased = _count(total, "endpoint", "endpoints")
    yield f"of {leased} leased now {keep} keep their address, {len(beside.missing)} aren't in it"
    if one.halves:
        first = one.halves[0]
        more = gained(one.value, first.value)
        yield f"version {one.version + 1} after it is half done, at {_names(map(str, first.nodes))}"
        yield f"  the start finishes it: {_count(len(more), 'address', 'addresses')} more"


def _losses(picture: Picture) -> Iterator[str]:
    if picture.proposal is None:
        yield "can't be told yet"
        return
    chosen = picture.chosen
    missing = against(_final(picture.proposal), picture.network).missing
    if chosen is None:
        yield "EVERY address: the new generation starts empty, and all endpoints get new ones"
    elif picture.standing.complete:
        yield "nothing that was agreed: nothing could be agreed without a voter that answers"
    else:
        silent = picture.standing.silent
        yield (
            f"whatever the silent voters agreed on after version {chosen.version} and told nobody who answers: "
            f"{len(silent)} of {len(picture.standing.voters)} are silent, {majority(picture.standing.voters)} can agree"
        )
    for node, what in _heard(picture):
        yield f"{node} {what}"
    if missing:
        yield (
            f"{_count(len(missing), 'leased endpoint', 'leased endpoints')} without an address in it (or none was ever "
            f"given): {_endpoints(missing)}"
        )
    if chosen is not None:
        locks = keeps(chosen.value).locks
        if locks:
            yield f"{_count(locks, 'lock', 'locks')}: who held one has to take it again"


def _heard(picture: Picture) -> Iterator[tuple[NodeId, str]]:
    """What hosts know to have been tried after the chosen version, and nobody shows."""
    chosen = picture.chosen
    if chosen is None:
        return
    shown = {chosen.hash, *(half.ballot.hash for half in chosen.halves)}
    for node, one in sorted(picture.surveyed.items()):
        position = one.of(chosen.generation)
        if position is None or position.version != chosen.version:
            continue
        if position.promised is not None and position.promised.hash not in shown:
            what = f"has heard that {position.promised.node} tried a version {chosen.version + 1}, which nobody shows"
            yield node, f"{what}: lost, if the silent voters agreed on it"


def _writing(picture: Picture) -> Iterator[str]:
    proposal = picture.proposal
    if proposal is None:
        yield f"nothing: {picture.obstacle}"
        return
    yield f"generation {proposal.generation}, starting from {_base(proposal)}, with the founders"
    for voter in proposal.founders:
        before = ", a voter of before" if voter.node in proposal.hearing else ""
        yield f"  {voter.node}{before}"
    yield "ALL of them have to answer for the start; after it a majority is enough again"
    minutes = FENCE_BLOCKS * _BLOCK_SECONDS // 60
    yield f"what runs goes on; new addresses are given out {FENCE_BLOCKS} blocks (about {minutes} minutes) after it,"
    yield "  when hosts that haven't heard of it have surely gone quiet"
    for note in proposal.notes:
        yield f"note: {note}"


def _final(proposal: Proposal) -> Value | None:
    """What the start makes of the base: with the half-done version that its founders hold, if there is one."""
    if proposal.candidate is None:
        return None
    nodes = {voter.node for voter in proposal.founders}
    held = (half.value for half in proposal.candidate.halves if nodes & set(half.nodes))
    return next(held, proposal.candidate.value)


def _base(proposal: Proposal) -> str:
    one = proposal.candidate
    if one is None:
        return "nothing"
    return f"version {one.version} of generation {one.generation}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)


def _endpoints(endpoints: Sequence[EndpointId]) -> str:
    listed = ", ".join(map(str, endpoints[:_MOST]))
    return listed if len(endpoints) <= _MOST else f"{listed} and {len(endpoints) - _MOST} more"


def _more(count: int) -> Iterator[str]:
    if count > _MOST:
        yield f"and {count - _MOST} more"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
