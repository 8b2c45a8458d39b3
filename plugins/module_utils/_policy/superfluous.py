# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of one side's rules never matters: it can match nothing, is denied whole, or is said already. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .._manifest.model import GroupPeer, Peer, Port, RangePeer, Rule
from .boxes import union
from .coverage import POSSIBLE, VERSIONS, Listed, World, common
from .finding import Finding
from .lists import Lists, covered
from .portline import port_span


def superfluous(lists: Lists, key: str, side: str) -> Iterator[Finding]:
    """Findings about one side of an entry, about whole rules and then about parts of the others."""
    world = lists.world
    rules = {verdict: lists.rules(key, side, verdict) for verdict in ("deny", "allow")}
    where = f"members.{key}.{side}"
    left: dict[str, list[int]] = {}
    for verdict, listed in rules.items():
        left[verdict] = []
        for number, rule in enumerate(listed):
            why = _impossible(world, rule)
            if why:
                yield Finding(f"{where}.{verdict}.{number}", f"never matches: {why}", "Remove the rule", True)
            else:
                left[verdict].append(number)
    said = dict(_said_already(world, rules["deny"], left["deny"]))
    for number, by in said.items():
        yield _again(f"{where}.deny", number, by)
    left["deny"] = [number for number in left["deny"] if number not in said]
    denied = _all(world, (rules["deny"][number] for number in left["deny"]))
    open_: list[int] = []
    for number in left["allow"]:
        if covered(world, rules["allow"][number], denied):
            by = _alone(world, rules["allow"][number], rules["deny"], left["deny"])
            who = f"{where}.deny.{by} denies" if by is not None else f"the rules in {where}.deny together deny"
            yield Finding(f"{where}.allow.{number}", f"never matches: {who} all of it", "Remove it, or deny less", True)
        else:
            open_.append(number)
    said = dict(_said_already(world, rules["allow"], open_))
    for number, by in said.items():
        yield _again(f"{where}.allow", number, by)
    # All that is allowed, though some of it be denied whole: a deny must not look needless for what it denies.
    allowed = _all(world, (rules["allow"][number] for number in left["allow"]))
    for number in left["deny"]:
        if not _touches(world, rules["deny"][number], allowed):
            yield Finding(
                f"{where}.deny.{number}",
                "denies nothing that a rule allows: what no rule allows is denied anyway",
                "Remove it, unless it is there for rules to come",
                True,
            )
    kept = [("deny", number) for number in left["deny"]] + [("allow", number) for number in open_ if number not in said]
    for verdict, number in kept:
        yield from _parts(world, f"{where}.{verdict}.{number}", rules[verdict][number])


def _again(where: str, number: int, by: int | None) -> Finding:
    who = f"{where}.{by} matches" if by is not None else f"the other rules in {where} together match"
    return Finding(f"{where}.{number}", f"says nothing new: {who} all of it", "Remove it", True)


def _all(world: World, rules: Iterable[Rule]) -> dict[int, Listed]:
    made = {version: Listed(world, version) for version in VERSIONS}
    for rule in rules:
        for each in made.values():
            each.add(rule)
    return made


def _alone(world: World, rule: Rule, others: Sequence[Rule], numbers: Iterable[int]) -> int | None:
    """The first of other rules that covers a rule by itself."""
    return next((number for number in numbers if covered(world, rule, _all(world, [others[number]]))), None)


def _said_already(world: World, rules: Sequence[Rule], numbers: list[int]) -> Iterator[tuple[int, int | None]]:
    """Rules that others which stay cover, each with the one that does so alone. Later ones go before earlier ones."""
    kept: list[int] = []
    gone: list[int] = []
    so_far = _all(world, ())
    for number in numbers:
        if covered(world, rules[number], so_far):
            gone.append(number)
            continue
        kept.append(number)
        for each in so_far.values():
            each.add(rules[number])
    stays: list[int] = []
    so_far = _all(world, ())
    for number in reversed(kept):
        if covered(world, rules[number], so_far):
            gone.append(number)
            continue
        stays.append(number)
        for each in so_far.values():
            each.add(rules[number])
    for number in sorted(gone):
        yield number, _alone(world, rules[number], rules, sorted(stays))


def _impossible(world: World, rule: Rule) -> str:
    """Why no flow can ever match a rule; empty if some may."""
    there = [version for version in VERSIONS if any(world.terms(peer, version) for peer in rule.peers)]
    if not there:
        return "; ".join(dict.fromkeys(_nobody(peer) for peer in rule.peers))
    if not any(world.ports(rule, version) for version in there):
        return f"its ports are not of IPv{there[0]}, of which its peers are"
    return ""


def _nobody(peer: Peer) -> str:
    if isinstance(peer, GroupPeer):
        return f"the group {peer.group} has no members"
    if isinstance(peer, RangePeer):
        return f"{peer.range} lies outside of the network, and no route leads there"
    return "the network has no members"


def _touches(world: World, rule: Rule, lists: dict[int, Listed]) -> bool:
    """Whether a flow that a rule matches may be matched by lists, too."""
    for version in VERSIONS:
        ports = world.ports(rule, version)
        for peer in rule.peers if ports else ():
            for term in world.terms(peer, version):
                if common(ports, lists[version].possibly(term)):
                    return True
    return False


def _parts(world: World, where: str, rule: Rule) -> Iterator[Finding]:
    """Peers and ports of a rule that can never match, or that others of the same rule include."""
    ports = {version: world.ports(rule, version) for version in VERSIONS}
    there: set[int] = set()
    seen: dict[Peer, int] = {}
    for number, peer in enumerate(rule.peers):
        versions = {version for version in VERSIONS if ports[version] and world.terms(peer, version)}
        there |= versions
        place = f"{where}.peers.{number}"
        if peer in seen:
            yield Finding(place, f"is {where}.peers.{seen[peer]} again", "Remove it", True)
        elif not versions:
            named = any(world.terms(peer, version) for version in VERSIONS)
            why = "none of the rule's ports is of its IP version" if named else _nobody(peer)
            yield Finding(place, f"never matches: {why}", "Remove it", True)
        seen.setdefault(peer, number)
    widest: dict[int, tuple[int, int]] = {}
    for number, port in sorted(enumerate(rule.ports), key=lambda each: _width(each[1])):
        place = f"{where}.ports.{number}"
        first, last = port_span(port)
        holder = next((at for at, (low, high) in widest.items() if low <= first and last <= high), None)
        world.spend(len(widest))
        if holder is not None:
            yield Finding(place, f"is part of {where}.ports.{holder}", "Remove it", True)
            continue
        widest[number] = (first, last)
        if not any(common(union([(first, last)]), POSSIBLE[version]) for version in there):
            version = "IPv4" if port.protocol == "icmp" else "IPv6"
            yield Finding(
                place, f"never matches: it is of {version}, and none of the rule's peers is", "Remove it", True
            )


def _width(port: Port) -> tuple[int, int]:
    first, last = port_span(port)
    return first, -last
