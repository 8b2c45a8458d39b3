# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is probably not meant in a manifest, though it is no error: told before it is published, never refused. Pure.

Everything is decided from the manifest and the network's record alone, for whatever endpoints there will be, with a
bound on the work. What is said of a rule (it never matches, others say it already) is so for every packet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from .._chain.model import NetworkRecord
from .._manifest.coverage import is_default
from .._manifest.model import GroupPeer, Manifest, Range, RangePeer, Rule
from .boxes import Span
from .coverage import TooLarge, World, common
from .expectations import ula
from .finding import Finding
from .lists import Lists
from .onesided import onesided
from .superfluous import superfluous

__all__ = ["Finding", "findings", "look"]


def findings(manifest: Manifest, record: NetworkRecord) -> tuple[Finding, ...]:
    """Everything that is worth a warning in a manifest that has passed all checks."""
    return look(manifest, record.members, (record.cidr, ula(record.id)))


def look(manifest: Manifest, members: Iterable[str], own: Iterable[Range]) -> tuple[Finding, ...]:
    """The same from the names of the network's members and its ranges."""
    members, own = frozenset(members), tuple(own)
    found = list(_look(manifest, members, own))
    if manifest.staged is not None:
        if manifest.staged == replace(manifest, staged=None):
            found.append(Finding("staged", "says the same as what is enforced", "Remove it, or change it"))
        else:
            staged = _look(manifest.staged, members, own)
            found += [replace(finding, where=f"staged.{finding.where}") for finding in staged]
    return tuple(found)


def _look(manifest: Manifest, members: frozenset[str], own: tuple[Range, ...]) -> Iterator[Finding]:
    world = World(manifest, members, own)
    try:
        yield from _groups(manifest)
        yield from _routes(world)
        lists = Lists(world)
        said: set[str] = set()
        for key in manifest.policies:
            for side in ("ingress", "egress"):
                for finding in superfluous(lists, key, side):
                    said.add(finding.where)
                    yield finding
        yield from onesided(lists, said)
    except TooLarge:
        yield Finding("manifest", "is too large for all of its rules to be compared: there may be more to say")


def _rules(manifest: Manifest) -> Iterator[Rule]:
    for policy in manifest.policies.values():
        for rules in (policy.ingress, policy.egress):
            yield from rules.deny
            yield from rules.allow


def _groups(manifest: Manifest) -> Iterator[Finding]:
    named = {peer.group for rule in _rules(manifest) for peer in rule.peers if isinstance(peer, GroupPeer)}
    for group, members in manifest.groups.items():
        if group not in named:
            yield Finding(f"groups.{group}", "is a group that no rule names")
        elif not members:
            yield Finding(f"groups.{group}", "has no members, so that a rule which names it means nobody by it")


def _routes(world: World) -> Iterator[Finding]:
    manifest = world.manifest
    allowed = {
        (peer.range.version, _span(peer.range))
        for policy in manifest.policies.values()
        for rules in (policy.ingress, policy.egress)
        for rule in rules.allow
        for peer in rule.peers
        if isinstance(peer, RangePeer)
    }
    for number, route in enumerate(manifest.routes):
        where, version, span = f"routes.{number}", route.range.version, _span(route.range)
        if "default" in route.covers and not is_default(route.range):
            yield Finding(f"{where}.covers", "says default, but the range is no default route", "Remove the word")
        inside = common(world.inside[version], (span,))
        if "members" in route.covers and (not inside or is_default(route.range)):
            what = (
                "says members, but the range doesn't overlap the network's own"
                if not inside
                else ("says members, but a default route leaves the network's own ranges alone anyway")
            )
            yield Finding(f"{where}.covers", what, "Remove the word")
        around = _around(manifest, number)
        if around is not None and manifest.routes[around].via == route.via and not inside:
            yield Finding(where, f"lies within routes.{around}, which {route.via} carries, too", "Remove it")
        world.spend(len(allowed) + len(manifest.routes))
        if not any(family == version and _overlap(span, each) for family, each in allowed):
            yield Finding(
                where,
                f"carries traffic to {route.range}, but no rule allows any",
                "Name the range, or a part of it, as a peer of those that may: any doesn't mean addresses outside",
            )


def _around(manifest: Manifest, number: int) -> int | None:
    """The narrowest other route that holds a route's range: what would carry it instead."""
    span, version = _span(manifest.routes[number].range), manifest.routes[number].range.version
    wider = [
        (other.range.prefixlen, index)
        for index, other in enumerate(manifest.routes)
        if index != number
        and other.range.version == version
        and _span(other.range)[0] <= span[0]
        and span[1] <= _span(other.range)[1]
    ]
    return max(wider)[1] if wider else None


def _span(range_: Range) -> Span:
    return int(range_.network_address), int(range_.broadcast_address)


def _overlap(one: Span, two: Span) -> bool:
    return one[0] <= two[1] and two[0] <= one[1]
