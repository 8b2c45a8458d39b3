# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generated manifests on the wire, and rulesets with a part taken out, which the wire must notice.

AVPN_WIRE_EXAMPLES sets how many manifests are tried (12 by default); AVPN_WIRE_SEED which.
"""

from __future__ import annotations

import dataclasses
import os
import random
from typing import Any

import pytest
from wire import Path_, Wire, paths, probe

from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset

pytestmark = pytest.mark.root

EXAMPLES = int(os.environ.get("AVPN_WIRE_EXAMPLES", "12"))
SEED = int(os.environ.get("AVPN_WIRE_SEED", "1"))
MEMBERS = ("web", "api", "db")
PEERS = (
    "any", *MEMBERS, "web/1", "db/1", "db/2", "some", "100.64.0.0/29", "100.64.0.1/32", "100.64.0.2/31",
    "0.0.0.0/0", "fd00:1::/64", "fd00:1::6440:2/127", "fd00:1::6440:4/128", "::/0", "203.0.113.0/24",
)  # fmt: skip
PORTS = ("any", "icmp", "icmpv6", "tcp/80", "tcp/1-100", "tcp/79-81", "udp/5000", "udp/5000-5001", "sctp/80")
TRIED = (("tcp", 80), ("tcp", 82), ("udp", 5000), ("udp", 5001), ("icmp", None), ("icmpv6", None))


def generated(choose: random.Random) -> dict[str, Any]:
    def rules(most: int) -> list[dict[str, Any]]:
        return [
            {
                "peers": choose.sample(PEERS, choose.randint(1, 4)),
                "ports": choose.sample(PORTS, choose.randint(1, 3)),
            }
            for _unused in range(choose.randint(0, most))
        ]

    keys = choose.sample((*MEMBERS, *MEMBERS, "db/1", "db/2", "web/1"), choose.randint(3, 7))
    return {
        "groups": {"some": choose.sample(MEMBERS, choose.randint(0, 2))},
        "members": {
            key: {side: {"deny": rules(2), "allow": rules(4)} for side in ("ingress", "egress")} for key in keys
        },
    }


@pytest.mark.parametrize("number", range(EXAMPLES))
def test_generated_manifests_on_the_wire(shared_wire: Wire, number: int) -> None:
    document = generated(random.Random(SEED * 1_000_000 + number))
    manifest = parse(document)
    shared_wire.enforce(manifest)
    wanted = paths(shared_wire, TRIED)
    predicted = {path: evaluate(manifest, shared_wire.endpoints, path.packet).permitted for path in wanted}
    seen = probe(wanted)
    assert [path for path in wanted if seen[path] != predicted[path]] == [], document


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
