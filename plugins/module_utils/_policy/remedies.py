# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to change in a manifest so that a refused flow is permitted: found by changing it and deciding again. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from .._manifest.model import AnyMember, GroupPeer, Manifest, Peer, Policy, Port, Range, RangePeer, Rule, Rules
from .._manifest.names import str_of
from .boxes import union
from .endpoints import Endpoint, Packet
from .evaluate import decide, policy_of
from .portline import port_span
from .portsets import written

_NOTHING = Rule((), ())  # matches nobody, and keeps the numbers of the rules behind it


@dataclass(frozen=True)
class Addition:
    """A rule to add to the list at ``where`` (``members.db.ingress.allow``)."""

    where: str
    rule: Rule


@dataclass(frozen=True)
class Removal:
    """A denying rule that has to go, or to be narrowed. ``where``: its place (``members.db.ingress.deny.0``)."""

    where: str
    rule: Rule


@dataclass(frozen=True)
class Remedies:
    """Everything that has to be done. ``route``: the addresses that no route leads to, and one has to."""

    add: tuple[Addition, ...] = ()
    remove: tuple[Removal, ...] = ()
    route: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.remove or self.route)


@dataclass(frozen=True)
class Refused:
    """A flow that one side refuses: who is meant, how rules name both, the packet that was asked about."""

    side: str
    source: Endpoint | None
    target: Endpoint | None
    packet: Packet
    own: str
    other: Peer
    port: Port


def remedies(manifest: Manifest, own_ranges: tuple[Range, ...], refused: Iterable[Refused]) -> Remedies:
    """What permits all of these flows on the side that refuses each. ``own_ranges``: the network's."""
    add: dict[Addition, None] = {}
    remove: dict[Removal, None] = {}
    route: dict[str, None] = {}
    for flow in refused:
        changed = manifest
        while True:
            decision = getattr(decide(changed, flow.source, flow.target, flow.packet, own_ranges), flow.side)
            if decision.permitted or decision.place is None:
                break
            removal = Removal(decision.place, _rule_at(changed, decision.place))
            remove[removal] = None
            changed = without(changed, removal)
        own = flow.source if flow.side == "egress" else flow.target
        if decision.permitted:
            continue
        if own is None:
            route[flow.own] = None
        else:
            entry = policy_of(manifest, own)
            # A lease's entry would replace its member's, which may be about to be made; so that is what is made.
            key = own.id.member if entry is None else entry[0]
            add[Addition(f"members.{key}.{flow.side}.allow", Rule((flow.other,), (flow.port,)))] = None
    return Remedies(tuple(add), tuple(remove), tuple(route))


def applied(manifest: Manifest, found: Remedies) -> Manifest:
    """The manifest with the additions made and the denying rules gone. Routes are the tenant's to choose."""
    for removal in found.remove:
        manifest = without(manifest, removal)
    for addition in found.add:
        key, side = _place(addition.where)
        policy = manifest.policies.get(key, Policy())
        rules: Rules = getattr(policy, side)
        manifest = _with(manifest, key, side, replace(rules, allow=(*rules.allow, addition.rule)))
    return manifest


def without(manifest: Manifest, removal: Removal) -> Manifest:
    """The manifest in which a denying rule matches nothing."""
    where, _dot, number = removal.where.rpartition(".")
    key, side = _place(where)
    rules: Rules = getattr(manifest.policies[key], side)
    deny = tuple(_NOTHING if str(index) == number else rule for index, rule in enumerate(rules.deny))
    return _with(manifest, key, side, replace(rules, deny=deny))


def document_of(rule: Rule) -> dict[str, object]:
    """A rule as a manifest writes it."""
    peers = [peer_text(peer) for peer in rule.peers]
    ports = [text for port in rule.ports for text in written(union([port_span(port)]))]
    return {"peers": peers[0] if len(peers) == 1 else peers, "ports": ports[0] if len(ports) == 1 else ports}


def peer_text(peer: Peer) -> object:
    """A peer as a manifest writes it."""
    if isinstance(peer, RangePeer):
        if peer.excepted:
            return {"range": str(peer.range), "except": [str(each) for each in peer.excepted]}
        return str(peer.range)
    if isinstance(peer, GroupPeer):
        return peer.group
    return "any" if isinstance(peer, AnyMember) else str_of(peer)


def _place(where: str) -> tuple[str, str]:
    _members, key, side, _verdict = where.split(".")
    return key, side


def _rule_at(manifest: Manifest, place: str) -> Rule:
    where, _dot, number = place.rpartition(".")
    key, side = _place(where)
    rules: Rules = getattr(manifest.policies[key], side)
    return rules.deny[int(number)]


def _with(manifest: Manifest, key: str, side: str, rules: Rules) -> Manifest:
    policy = manifest.policies.get(key, Policy())
    changed = replace(policy, ingress=rules) if side == "ingress" else replace(policy, egress=rules)
    return replace(manifest, policies={**manifest.policies, key: changed})
