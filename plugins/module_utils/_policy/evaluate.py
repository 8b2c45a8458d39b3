# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a manifest means: may this packet pass, and which rule of which side says so.

This is the definition. The compiled nftables rules (``compile``) must agree with it on every packet, and tests
compare the two; so it is written to be read, not to be fast.

- A flow passes if the sender's ``egress`` and the receiver's ``ingress`` both permit its first packet.
- One side permits it if no ``deny`` rule matches and some ``allow`` rule does. What nothing matches is denied;
  a missing section is an empty one.
- The rules of an endpoint are its lease's (``db/2``) if the manifest has such an entry, else its member's
  (``db``), else none. The lease's entry replaces the member's as a whole.
- A rule matches if one of its peers is the other side and one of its ports the packet's. ``any`` is every
  endpoint of the network, and nobody outside; a member is all its endpoints; a group all its members'; a CIDR
  is every address in it that isn't excepted, endpoints included.
- ``icmp`` and ``icmpv6`` are all their types, ``icmp/echo-request`` one. Only types that begin a flow are asked
  about: answers and errors share the fate of the flow that they belong to.
- An address that no endpoint has is outside. The outside has no rules of its own: it takes part only if a
  route carries it, and then the endpoint's side decides alone. Between two outside addresses nothing passes.
  The member that carries a route forwards; its own rules are about its own traffic.
- Of several routes that cover an address the one with the longest prefix carries it. The network's own ranges
  count as routes that nobody carries: a wider route leaves them alone; one that is as narrow, or narrower, carries
  those of their addresses that no endpoint has. An endpoint's address is the endpoint's, whatever covers it.
  Loopback, link-local, multicast and reserved addresses are never carried.

Whether a packet may come from where it comes from isn't asked here: what an endpoint, a carrier or another host may
send at all is checked before (``carried``, and WireGuard's allowed IPs).
"""

from __future__ import annotations

from dataclasses import dataclass

from .._manifest.icmp import ECHO_REQUEST
from .._manifest.model import AnyMember, GroupPeer, Manifest, Peer, Policy, Port, Range, RangePeer, Rules
from .endpoints import Address, Endpoint, Endpoints, Packet
from .prefixes import longest

NO_RULE = "no rule matches"


@dataclass(frozen=True)
class SideDecision:
    """What one side says. ``place`` is the deciding entry's dotted name in the manifest
    (``members.web.egress.deny.0``, ``routes.1``), or None with the reason in ``why``."""

    permitted: bool
    place: str | None
    why: str


@dataclass(frozen=True)
class Decision:
    """Whether a flow may pass, and what either side says."""

    egress: SideDecision
    ingress: SideDecision

    @property
    def permitted(self) -> bool:
        return self.egress.permitted and self.ingress.permitted


def evaluate(manifest: Manifest, endpoints: Endpoints, packet: Packet) -> Decision:
    """Decide the flow that ``packet`` begins."""
    source, target = endpoints.at(packet.source), endpoints.at(packet.target)
    return decide(manifest, source, target, packet, endpoints.ranges)


def decide(
    manifest: Manifest, source: Endpoint | None, target: Endpoint | None, packet: Packet, own: tuple[Range, ...] = ()
) -> Decision:
    """Decide a flow between two endpoints; None stands for an address that no endpoint has. ``own``: the network's
    own ranges."""
    if source is None and target is None:
        nobody = SideDecision(False, None, "neither side is an endpoint of the network")
        return Decision(nobody, nobody)
    return Decision(
        egress=_side(manifest, "egress", source, packet.source, target, packet.target, packet, own),
        ingress=_side(manifest, "ingress", target, packet.target, source, packet.source, packet, own),
    )


def policy_of(manifest: Manifest, endpoint: Endpoint) -> tuple[str, Policy] | None:
    """The entry of the manifest that holds for an endpoint, with its key; None: it has none."""
    for key in (endpoint.policy_key, endpoint.id.member):
        if key in manifest.policies:
            return key, manifest.policies[key]
    return None


def _side(
    manifest: Manifest,
    side: str,
    own: Endpoint | None,
    own_address: Address,
    other: Endpoint | None,
    other_address: Address,
    packet: Packet,
    network: tuple[Range, ...],
) -> SideDecision:
    if own is None:
        ranges = [route.range for route in manifest.routes]
        carried = longest(own_address, ranges, network)
        if carried is not None:
            return SideDecision(True, f"routes.{ranges.index(carried)}", "outside the network, reached by a route")
        return SideDecision(False, None, "outside the network, and no route leads there")
    entry = policy_of(manifest, own)
    if entry is None:
        return SideDecision(False, None, f"{own.id.member} has no rules")
    key, policy = entry
    rules: Rules = getattr(policy, side)
    for verdict, listed in (("deny", rules.deny), ("allow", rules.allow)):
        for number, rule in enumerate(listed):
            if any(_is_peer(manifest, peer, other, other_address) for peer in rule.peers) and any(
                _is_port(port, packet) for port in rule.ports
            ):
                place = f"members.{key}.{side}.{verdict}.{number}"
                return SideDecision(verdict == "allow", place, f"{verdict} rule")
    return SideDecision(False, None, NO_RULE)


def _is_peer(manifest: Manifest, peer: Peer, other: Endpoint | None, address: Address) -> bool:
    if isinstance(peer, RangePeer):
        return address in peer.range and not any(address in excepted for excepted in peer.excepted)
    if other is None:
        return False
    if isinstance(peer, AnyMember):
        return True
    if isinstance(peer, GroupPeer):
        return other.id.member in manifest.groups.get(peer.group, ())
    return peer.member == other.id.member and peer.gseq in (None, other.id.gseq)


def _is_port(port: Port, packet: Packet) -> bool:
    if port.protocol == "any":
        return True
    if port.protocol != packet.protocol:
        return False
    if port.first is None or port.last is None:
        return True
    number = ECHO_REQUEST.get(packet.protocol) if packet.port is None else packet.port
    return number is not None and port.first <= number <= port.last
