# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generated manifests, each a change of the one before it, and the flows to try under each. Pure; a seed says all.

The words are those of the unit tests' generator: a small world in which rules meet often.
"""

from __future__ import annotations

import copy
import ipaddress
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from frames import ANSWERS, NUMBERS, Flow
from manifests import GROUPS, LEASES, MEMBERS, NESTED, PORTS, RANGES, endpoints

from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest, Port
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Address, Endpoint, Packet

STEPS = 8  # manifests in a walk; connection tracking lasts as long
FLOWS = 150  # first packets tried under each
OTHERS = (47, 50, 253)  # IP protocols that only `any` covers: GRE, ESP, one for experiments
CARRIER = endpoints().at(ipaddress.IPv4Address("100.64.0.1"))  # web/1/0 carries what web carries
OUTSIDE = tuple(
    map(
        ipaddress.ip_address,
        ("192.0.2.1", "192.0.2.65", "192.0.2.129", "203.0.113.1", "100.64.0.200",
         "2001:db8::1", "2001:db8::2", "2001:db9::1", "fd00:1::ffff"),
    )
)  # fmt: skip
_ROUTES = ("192.0.2.0/24", "192.0.2.64/26", "2001:db8::/32", "203.0.113.0/24")
_PEERS = ("any", "any", "any", *MEMBERS, *MEMBERS, *LEASES, *GROUPS, *RANGES)
_PORTS = ("any", "any", *PORTS)
_EDGES = (1, 2, 53, 79, 80, 81, 100, 101, 5353, 65535)


@dataclass(frozen=True)
class Step:
    """One manifest, who is there, and what is tried. ``lax``: a site that enforces nothing, or None."""

    name: str
    document: dict[str, Any]
    manifest: Manifest
    present: tuple[Endpoint, ...]
    flows: tuple[Flow, ...]
    choose: random.Random  # for what depends on what was seen
    lax: int | None
    whole: bool  # the table is loaded anew, not by difference


def walk(seed: int, number: int, steps: int = STEPS, flows: int = FLOWS) -> Iterator[Step]:
    """The steps of one walk."""
    choose = random.Random(f"{seed}/{number}")
    everybody = tuple(endpoints())
    lax = choose.choice((None, None, None, 0, 1))
    turned = choose.random() < 0.5
    document = new_document(choose)
    present = everybody
    for step in range(steps):
        if step:
            document = changed(document, choose) if choose.random() < 0.8 else new_document(choose)
            if choose.random() < 0.2:
                gone = choose.sample(everybody, choose.choice((0, 1, 1, 2)))
                present = tuple(each for each in everybody if each not in gone)
        manifest = parse(document)
        idents = list(range(1024 + step * flows, 1024 + (step + 1) * flows))
        choose.shuffle(idents)
        tried = tuple(_flow(choose, manifest, everybody, ident, turned) for ident in idents)
        whole = step == 0 and number % 4 == 0
        name = f"seed {seed}, walk {number}, step {step}"
        yield Step(name, document, manifest, present, tried, random.Random(name), lax, whole)


def _rule(choose: random.Random) -> dict[str, Any]:
    def some(words: Sequence[Any]) -> Any:
        found = choose.sample(words, choose.choice((1, 1, 2, 3)))
        if words is _PEERS and choose.random() < 0.15:
            found.append(_excepting(choose))
        unique = [word for index, word in enumerate(found) if word not in found[:index]]
        return unique[0] if len(unique) == 1 and choose.random() < 0.5 else unique

    return {"peers": some(_PEERS), "ports": some(_PORTS)}


def _excepting(choose: random.Random) -> dict[str, Any]:
    nested = choose.choice(NESTED)
    outer = choose.randint(0, len(nested) - 2)
    inner = nested[outer + 1 :]
    return {"range": nested[outer], "except": choose.sample(inner, choose.randint(1, len(inner)))}


def _policy(choose: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for side in ("ingress", "egress"):
        if choose.random() < 0.9:
            made[side] = {
                "deny": [_rule(choose) for _unused in range(choose.choice((0, 0, 0, 1, 2)))],
                "allow": [_rule(choose) for _unused in range(choose.choice((0, 1, 2, 3, 4, 4)))],
            }
    return made


def new_document(choose: random.Random, *, staged: bool = True) -> dict[str, Any]:
    """A whole manifest, as a tenant would write it."""
    keys = [member for member in MEMBERS if choose.random() < 0.85] + [
        lease for lease in LEASES if choose.random() < 0.15
    ]
    made: dict[str, Any] = {
        "groups": {name: choose.sample(MEMBERS, choose.randint(0, len(MEMBERS))) for name in GROUPS},
        "members": {key: _policy(choose) for key in keys},
        "routes": [
            {"range": range_, "via": "web"} for range_ in choose.sample(_ROUTES, choose.choice((0, 0, 1, 1, 2, 4)))
        ],
    }
    if staged and choose.random() < 0.3:
        made["staged"] = new_document(choose, staged=False)  # decides nothing
    return made


def changed(document: dict[str, Any], choose: random.Random) -> dict[str, Any]:
    """The same with one to three small changes, as tenants make them."""
    made = copy.deepcopy(document)
    if choose.random() < 0.1:
        made.pop("staged", None)
    for _unused in range(choose.randint(1, 3)):
        choose.choice((_change_rule, _change_rule, _change_rule, _change_entry, _change_group, _change_route))(
            made, choose
        )
    return made


def _change_rule(document: dict[str, Any], choose: random.Random) -> None:
    if not document["members"]:
        return
    policy = document["members"][choose.choice(list(document["members"]))]
    rules = policy.setdefault(choose.choice(("ingress", "egress")), {}).setdefault(choose.choice(("deny", "allow")), [])
    what = choose.randrange(3)
    if what == 0 or not rules:
        rules.insert(choose.randint(0, len(rules)), _rule(choose))
    elif what == 1:
        rules.pop(choose.randrange(len(rules)))
    else:
        which = choose.choice(("peers", "ports"))
        rules[choose.randrange(len(rules))][which] = _rule(choose)[which]


def _change_entry(document: dict[str, Any], choose: random.Random) -> None:
    key = choose.choice((*MEMBERS, *LEASES))
    if document["members"].pop(key, None) is None or choose.random() < 0.7:
        document["members"][key] = _policy(choose)


def _change_group(document: dict[str, Any], choose: random.Random) -> None:
    document["groups"][choose.choice(GROUPS)] = choose.sample(MEMBERS, choose.randint(0, len(MEMBERS)))


def _change_route(document: dict[str, Any], choose: random.Random) -> None:
    range_ = choose.choice(_ROUTES)
    kept = [route for route in document["routes"] if route["range"] != range_]
    if len(kept) == len(document["routes"]):
        kept.insert(choose.randint(0, len(kept)), {"range": range_, "via": "web"})
    document["routes"] = kept


def _flow(choose: random.Random, manifest: Manifest, everybody: Sequence[Endpoint], ident: int, turned: bool) -> Flow:
    version = choose.choice((4, 6))
    inside = [each.ipv4 if version == 4 else each.ipv6 for each in everybody]
    outside = [address for address in OUTSIDE if address.version == version]
    source, target = _ends(choose, inside, outside)
    protocol, port = _port(choose, manifest, version)
    if protocol == "other" and (source > target) is not turned:
        # Without ports both directions are one flow, so they must be the same one all along.
        source, target = target, source
    form = "plain"
    if protocol == "udp" and choose.random() < 0.1:
        form = "fragments"
    elif version == 6 and choose.random() < 0.1:
        form = "options"
    number = choose.choice(OTHERS) if protocol == "other" else NUMBERS[protocol]
    return Flow(Packet(source, target, protocol, port), ident, number, form)


def _ends(choose: random.Random, inside: list[Any], outside: list[Any]) -> tuple[Address, Address]:
    while True:
        source, target = (choose.choice(outside if choose.random() < 0.12 else inside) for _unused in range(2))
        if place(source) != place(target):
            return source, target


def place(address: Address) -> Address:
    """Whose veth an address is behind, as the place's IPv4 address: nobody's and outside ones behind the carrier's."""
    assert CARRIER is not None
    endpoint = endpoints().at(address)
    return endpoint.ipv4 if endpoint is not None else CARRIER.ipv4


def _port(choose: random.Random, manifest: Manifest, version: int) -> tuple[str, int | None]:
    """Often one that a rule speaks about, at its edge or beside it."""
    aimed = [port for port in _named(manifest) if port.protocol != ("icmpv6" if version == 4 else "icmp")]
    if aimed and choose.random() < 0.7:
        port = choose.choice(aimed)
        if port.protocol in ("tcp", "udp", "sctp") and port.first is not None and port.last is not None:
            edge = choose.choice((port.first - 1, port.first, port.first, port.last, port.last, port.last + 1))
            return port.protocol, min(max(edge, 1), 65535)
        if port.protocol != "any":
            return port.protocol, _type(choose, version)
    protocol = choose.choice(("tcp", "udp", "sctp", "icmp" if version == 4 else "icmpv6", "other"))
    if protocol in ("icmp", "icmpv6"):
        return protocol, _type(choose, version)
    return protocol, None if protocol == "other" else choose.choice(_EDGES)


def _type(choose: random.Random, version: int) -> int | None:
    types = [kind for kind in ANSWERS if (kind < 128) == (version == 4)]
    return choose.choice((None, None, *types))


def _named(manifest: Manifest) -> list[Port]:
    return [
        port
        for policy in manifest.policies.values()
        for rules in (policy.ingress, policy.egress)
        for rule in (*rules.deny, *rules.allow)
        for port in rule.ports
    ]
