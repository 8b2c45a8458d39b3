# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rulesets with a part taken out, and whether packets notice.

``single`` takes out every rule and empties every set, one at a time; ``COST`` names those that nobody can notice,
because they decide nothing.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

from compare import Comparison, Disagreement, Mutation
from entry import check_entrances
from frames import NUMBERS, Flow
from manifests import endpoints
from walks import OUTSIDE, Step, place

from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset

_LIMIT = re.compile("count over [0-9]+")  # the two checks set different ones
_OUT = ["192.0.2.0/24", "2001:db8::/32"]
_OPEN = {"allow": [{"peers": ["any", *_OUT], "ports": "any"}]}


def _sides(port: str, lease: str, last: int) -> dict[str, Any]:
    """Rules of both sides, each the only one that decides about something: by lease, by IPv4 and by IPv6 address."""
    rules = {
        "deny": [{"peers": [lease, f"100.64.0.{last}/32", f"fd00:1::6440:{last}/128"], "ports": port}],
        "allow": [
            {"peers": "any", "ports": ["tcp/80", "udp/80"]},
            {"peers": ["100.64.0.0/24", "fd00:1::/64"], "ports": ["icmp", "icmpv6"]},
            {"peers": _OUT, "ports": ["tcp/80", "icmp", "icmpv6"]},
        ],
    }
    return {"ingress": rules, "egress": rules}


def _document(web: str, api: str, db: str) -> dict[str, Any]:
    return {
        "groups": {"front": ["web", "api"]},
        "members": {
            "web": _sides(web, "db/2", 7),
            "api": _sides(api, "db/2", 7),
            "db": _sides(db, "web/2", 4),
            "web/2": {"ingress": _OPEN, "egress": _OPEN},
            "db/2": {"ingress": _OPEN, "egress": {"allow": [{"peers": ["front", *_OUT], "ports": "any"}]}},
            "log-1": {"ingress": _OPEN, "egress": _OPEN},
        },
        "routes": [{"range": range_, "via": "web"} for range_ in _OUT],
    }


FIRST = _document("tcp/80", "udp/80", "tcp/80")
SECOND = {**_document("udp/80", "tcp/80", "udp/80"), "staged": _document("tcp/80", "udp/80", "tcp/80")}
# Decides nothing: what is established is evaluated again without it, packet by packet.
COST = {"forward: ct state established,related ct mark @current accept"}


def noticed(comparison: Comparison, mutation: Mutation) -> str:
    """What is wrong with mutated rules, in the first words of whoever noticed it; empty if nobody did."""
    comparison.mutation = mutation
    try:
        comparison.walk(_steps())
        check_entrances(comparison)
    except Disagreement as error:
        return str(error).splitlines()[0]
    finally:
        comparison.mutation = None
    return ""


def _steps() -> Iterator[Step]:
    """Two manifests, so that flows are carried from one to the other; only the first site enforces them."""
    for number, document in enumerate((FIRST, SECOND)):
        manifest = parse(document)
        present = tuple(endpoints())
        choose = random.Random(number)
        yield Step(f"step {number}", document, manifest, present, _flows(number), choose, 1, whole=False)


def _flows(number: int) -> tuple[Flow, ...]:
    """Everybody to everybody, over both families, and what a rule may speak about."""
    made: list[Flow] = []
    for version in (4, 6):
        everybody = [each.ipv4 if version == 4 else each.ipv6 for each in endpoints()]
        everybody += [address for address in OUTSIDE if address.version == version][::2]
        echo = "icmp" if version == 4 else "icmpv6"
        for source in everybody:
            for target in everybody:
                if place(source) != place(target):
                    for protocol, port in (("tcp", 80), ("udp", 80), (echo, None)):
                        packet = Packet(source, target, protocol, port)
                        made.append(Flow(packet, 1024 + 2000 * number + len(made), NUMBERS[protocol]))
    return tuple(made)


def without(chain: str, rule: str) -> Mutation:
    """The chain without the rules that contain these words."""

    def mutate(ruleset: Ruleset) -> Ruleset:
        if chain not in ruleset.chains:
            return ruleset
        kept = tuple(each for each in ruleset.chains[chain].rules if rule not in each)
        return _with_rules(ruleset, chain, kept)

    return mutate


def instead(chain: str, rule: str, other: str) -> Mutation:
    """The chain with other words in its rules."""

    def mutate(ruleset: Ruleset) -> Ruleset:
        if chain not in ruleset.chains:
            return ruleset
        return _with_rules(ruleset, chain, tuple(each.replace(rule, other) for each in ruleset.chains[chain].rules))

    return mutate


def every(*mutations: Mutation) -> Mutation:
    """One after another."""

    def mutate(ruleset: Ruleset) -> Ruleset:
        for mutation in mutations:
            ruleset = mutation(ruleset)
        return ruleset

    return mutate


def emptied(name: str) -> Mutation:
    """The set without its elements."""

    def mutate(ruleset: Ruleset) -> Ruleset:
        if name not in ruleset.sets:
            return ruleset
        return dataclasses.replace(
            ruleset, sets={**ruleset.sets, name: dataclasses.replace(ruleset.sets[name], elements={})}
        )

    return mutate


def swept(comparison: Comparison) -> tuple[int, list[str]]:
    """Every single mutation tried: how many there are, and which of them nobody noticed."""
    found: dict[str, Mutation] = {}
    for step in _steps():
        found.update(single(comparison.compiled(0, step)))
    return len(found), [
        name for name, mutation in found.items() if name not in COST and not noticed(comparison, mutation)
    ]


def single(ruleset: Ruleset) -> Mapping[str, Mutation]:
    """Every rule of the table taken out, and every set emptied, one at a time; by name."""
    made: dict[str, Mutation] = {}
    for chain, each in ruleset.chains.items():
        for rule in each.rules:
            made[f"{chain}: {rule}"] = _less(chain, rule)
    for name, listed in ruleset.sets.items():
        if listed.elements:
            made[f"{listed.kind} {name}"] = emptied(name)
    return made


def _less(chain: str, rule: str) -> Mutation:
    def mutate(ruleset: Ruleset) -> Ruleset:
        if chain not in ruleset.chains:
            return ruleset
        kept = tuple(each for each in ruleset.chains[chain].rules if _LIMIT.sub("", each) != _LIMIT.sub("", rule))
        return _with_rules(ruleset, chain, kept)

    return mutate


def _with_rules(ruleset: Ruleset, chain: str, rules: tuple[str, ...]) -> Ruleset:
    changed = dataclasses.replace(ruleset.chains[chain], rules=rules)
    return dataclasses.replace(ruleset, chains={**ruleset.chains, chain: changed})
