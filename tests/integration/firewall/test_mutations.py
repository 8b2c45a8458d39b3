# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rulesets with a part taken out, which the wire must notice."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from wire import Path_, Wire, paths, probe

from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset

pytestmark = pytest.mark.root

DOCUMENT = {
    "members": {
        "web": {
            "egress": {
                "deny": [{"peers": "db/2", "ports": "tcp/80"}],
                "allow": [{"peers": "any", "ports": ["tcp/80", "udp/5000", "icmp"]}],
            }
        },
        "api": {"egress": {"allow": [{"peers": "any", "ports": "any"}]}},
        "db": {
            "ingress": {
                "deny": [{"peers": "api", "ports": "udp/5000"}],
                "allow": [{"peers": ["web", "api"], "ports": ["tcp/80", "udp/5000"]}],
            }
        },
    }
}


def edited(ruleset: Ruleset, chain: str, edit: Any) -> Ruleset:
    rules = tuple(edit(ruleset.chains[chain].rules))
    assert rules != ruleset.chains[chain].rules
    return dataclasses.replace(
        ruleset, chains={**ruleset.chains, chain: dataclasses.replace(ruleset.chains[chain], rules=rules)}
    )


def differing(wire: Wire, mutate: Any) -> list[Path_]:
    """Paths on which the wire differs from the prediction, with mutated rulesets on all sites."""
    manifest = parse(DOCUMENT)
    for site in wire.sites:
        site.apply(mutate(site.compiled(manifest, wire.endpoints)))
    wanted = paths(wire, (("tcp", 80), ("udp", 5000), ("icmp", None)))
    seen = probe(wanted)
    return [path for path in wanted if seen[path] != evaluate(manifest, wire.endpoints, path.packet).permitted]


def without_replies(rules: tuple[str, ...]) -> list[str]:
    """No shortcut for established flows, and none is evaluated again."""
    kept = [rule for rule in rules if "established" not in rule and rule != "goto decide"]
    return [*kept, "ct state new goto decide"]


MUTATIONS = {
    "the sender's deny": lambda whole: edited(whole, "e_web", lambda rules: [r for r in rules if "_deny" not in r]),
    "the receiver's deny": lambda whole: edited(whole, "i_db", lambda rules: [r for r in rules if "_deny" not in r]),
    "the sender's side": lambda whole: edited(whole, "e_api", lambda _rules: ["drop"]),
    "the receiver's side": lambda whole: edited(whole, "receiver", lambda _rules: ["goto permit"]),
    "the reply rule": lambda whole: edited(whole, "forward", without_replies),
    "the default": lambda whole: edited(whole, "i_web", lambda _rules: ["goto permit"]),
}


def test_the_whole_ruleset_agrees(shared_wire: Wire) -> None:
    assert differing(shared_wire, lambda ruleset: ruleset) == []


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_wire_notices_what_is_missing(shared_wire: Wire, name: str) -> None:
    assert differing(shared_wire, MUTATIONS[name]) != []
