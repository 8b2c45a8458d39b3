# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must become of a packet: where it is refused, and by which counter, or that it arrives. Pure.

``evaluate`` says what the manifest means. What is added here is where on the way the answer is given: the host that
the packet leaves looks at its source and evaluates both sides, and so does the host that it comes to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest, Range
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Address, Endpoints, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate, policy_of
from ansible_collections.akash.avpn.plugins.module_utils._policy.prefixes import longest

Fate = tuple[int, str]  # number of the site, name of the counter that counts the packet there
ARRIVES: Fate = (-1, "")


@dataclass(frozen=True)
class World:
    """What holds when a packet is sent. ``homes``: site of every place's IPv4 address; ``enforcing``: sites that have
    a table; ``carries``: ranges that a place may send from besides its own addresses."""

    manifest: Manifest
    endpoints: Endpoints
    homes: Mapping[Address, int]
    enforcing: frozenset[int]
    carries: Mapping[Address, tuple[Range, ...]]


def refusal(manifest: Manifest, endpoints: Endpoints, packet: Packet) -> str:
    """Which counter counts the first packet of a flow that may not be; empty if it may."""
    decision = evaluate(manifest, endpoints, packet)
    if decision.permitted:
        return ""
    source, target = endpoints.at(packet.source), endpoints.at(packet.target)
    for own, said, prefix in ((source, decision.egress, "e"), (target, decision.ingress, "i")):
        if not said.permitted:
            if own is None or (prefix == "i" and source is None and target is None):
                return "strangers"
            key, _policy = policy_of(manifest, own) or (own.id.member, None)
            return f"{prefix}_{key.replace('/', '.')}"
    raise AssertionError("one side must have refused")


def fate(world: World, here: Address, there: Address, sent: Address, flow: Packet, unknown: str = "") -> Fate:
    """What becomes of a packet of ``flow``, sent by the place ``here`` with the source ``sent`` towards ``there``.

    ``unknown``: the counter of packets that belong to no flow, if this one does, as far as the hosts know.
    """
    homes = [world.homes[here]]
    if world.homes[there] != homes[0]:
        homes.append(world.homes[there])
    refused = unknown or refusal(world.manifest, world.endpoints, flow)
    for number, home in enumerate(homes):
        if home in world.enforcing:
            if not (_may_send(world, here, sent) if number == 0 else _may_come(world, home, sent)):
                return home, "spoofed"
            if refused:
                return home, refused
    return ARRIVES


def _may_send(world: World, here: Address, source: Address) -> bool:
    endpoint = world.endpoints.at(here)
    if endpoint is None:
        return False  # its veth is nobody's
    own = endpoint.ipv4 if source.version == 4 else endpoint.ipv6
    return source == own or any(source in range_ for range_ in world.carries.get(here, ()))


def _may_come(world: World, home: int, source: Address) -> bool:
    """Whether a tunnel may bring a packet with this source to the site ``home``: not if it is of what is there."""
    endpoint = world.endpoints.at(source)
    if endpoint is not None:
        return world.homes[endpoint.ipv4] != home
    carried = longest(source, (route.range for route in world.manifest.routes), world.endpoints.ranges)
    present = [place for place in world.carries if world.endpoints.at(place) is not None]
    carriers = [place for place in present if carried in world.carries[place]]
    return carried is None or any(world.homes[place] != home for place in carriers)
