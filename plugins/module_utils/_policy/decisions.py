# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that bears on a decision: classes of endpoints, both sides' chains and their sets. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .._manifest.model import Manifest, Policy
from .classes import Classes, written
from .endpoints import Endpoints
from .evaluate import policy_of
from .matching import MAX_ELEMENTS, matches, too_large
from .prefixes import elements, partition
from .remainders import pieces
from .ruleset import Chain, Set, room

MOST_LEASES = 4096  # of one network's members


@dataclass(frozen=True)
class Words:
    """How decisions are written: before every name, at every counter's, and what permits and refuses."""

    prefix: str = ""
    counter: str = ""
    permit: str = "goto permit"
    refuse: str = "drop"

    def refusal(self, counter: str) -> str:
        return f'counter name "{self.counter}{counter}" {self.refuse}'


ENFORCED = Words()


def decisions(
    manifest: Manifest, endpoints: Endpoints, words: Words = ENFORCED
) -> tuple[dict[str, Set], dict[str, Chain], set[str]]:
    """Everything that bears on a decision: classes, both sides' chains and their sets.

    The chain to begin at is ``decide``, behind the prefix of ``words``.
    """
    pre, strangers = words.prefix, words.refusal("strangers")
    classes = Classes(manifest, endpoints)
    class4: dict[str, str] = {}
    class6: dict[str, str] = {}
    senders: dict[str, str] = {}
    receivers: dict[str, str] = {}
    policies: dict[str, Policy] = {}
    for endpoint in endpoints:
        number = written(classes.of(endpoint.id.member, endpoint.id.gseq))
        class4[str(endpoint.ipv4)] = class6[str(endpoint.ipv6)] = number
        key, policy = policy_of(manifest, endpoint) or (endpoint.id.member, Policy())
        who = key.replace("/", ".")
        policies[who] = policy
        senders[number], receivers[number] = f"goto {pre}e_{who}", f"goto {pre}i_{who}"
    sets = {
        f"{pre}class4": Set("map", f"type ipv4_addr : classid; size {room(len(class4))};", class4),
        f"{pre}class6": Set("map", f"type ipv6_addr : classid; size {room(len(class6))};", class6),
        f"{pre}senders": Set("map", f"type classid : verdict; size {room(len(senders), MOST_LEASES)};", senders),
        f"{pre}receivers": Set("map", f"type classid : verdict; size {room(len(receivers), MOST_LEASES)};", receivers),
        f"{pre}routed4": Set("set", "type ipv4_addr; flags interval;", _routed(manifest, endpoints, 4)),
        f"{pre}routed6": Set("set", "type ipv6_addr; flags interval;", _routed(manifest, endpoints, 6)),
    }
    chains = {
        f"{pre}decide": Chain(
            (
                f"jump {pre}source",
                f"meta priority vmap @{pre}senders",
                f"ct original ip saddr @{pre}routed4 goto {pre}outside",
                f"ct original ip6 saddr @{pre}routed6 goto {pre}outside",
                strangers,
            )
        ),
        f"{pre}source": _class_of("saddr", pre),
        f"{pre}target": _class_of("daddr", pre),
        f"{pre}outside": Chain((f"jump {pre}target", f"meta priority vmap @{pre}receivers", strangers)),
        f"{pre}receiver": Chain(
            (
                f"meta priority vmap @{pre}receivers",
                f"ct original ip daddr @{pre}routed4 {words.permit}",
                f"ct original ip6 daddr @{pre}routed6 {words.permit}",
                strangers,
            )
        ),
    }
    if sum(map(pieces, policies.values())) > MAX_ELEMENTS:
        raise too_large()
    counters = {f"{words.counter}strangers"}
    budget = MAX_ELEMENTS
    for who, policy in sorted(policies.items()):
        for name, other, address, rules, go in (
            (f"e_{who}", "target", "daddr", policy.egress, f"goto {pre}receiver"),
            (f"i_{who}", "source", "saddr", policy.ingress, words.permit),
        ):
            drop = words.refusal(name)
            lines = [f"jump {pre}{other}"]
            for verdict, listed, then in (("deny", rules.deny, drop), ("allow", rules.allow, go)):
                for set_name, matched in matches(f"{pre}{name}_{verdict}", listed, classes, address).items():
                    sets[set_name] = matched.set
                    budget -= len(matched.set.elements)
                    lines.extend(f"{lookup} {then}" for lookup in matched.lookups)
                if budget < 0:
                    raise too_large()
            chains[f"{pre}{name}"] = Chain((*lines, drop))
            counters.add(f"{words.counter}{name}")
    return sets, chains, counters


def _class_of(address: str, prefix: str) -> Chain:
    """The class of one end of the flow, into the packet's priority: 0 for an address that no endpoint has."""
    return Chain(
        (
            "meta priority set 0",
            f"meta priority set ct original ip {address} map @{prefix}class4",
            f"meta priority set ct original ip6 {address} map @{prefix}class6",
        )
    )


def _routed(manifest: Manifest, endpoints: Endpoints, version: int) -> dict[str, str]:
    parts = partition((route.range for route in manifest.routes), endpoints.ranges, version)
    return dict.fromkeys(elements((span for spans in parts.values() for span in spans), version), "")
