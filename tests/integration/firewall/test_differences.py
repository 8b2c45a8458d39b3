# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Differences lead where loading leads: the kernel's table after a walk over rulesets is that of a fresh load.

AVPN_DIFFERENCE_STEPS sets how many steps a walk has (25 by default); AVPN_DIFFERENCE_SEED which.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from wire import TUNNEL, Wire, new_wire, run

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import Local
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import apply_ruleset, plan_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset, load

pytestmark = pytest.mark.root

STEPS = int(os.environ.get("AVPN_DIFFERENCE_STEPS", "25"))
SEED = int(os.environ.get("AVPN_DIFFERENCE_SEED", "7"))
MEMBERS = ("web", "api", "db", "log-1")
PEERS = (
    "any", *MEMBERS, "web/1", "db/2", "some", "others", "100.64.0.0/29", "100.64.0.1/32", "100.64.0.2/31", "0.0.0.0/0",
    "fd00:1::/64", "fd00:1::6440:2/127", "fd00:1::/112", "::/0", "203.0.113.0/24",
)  # fmt: skip
PORTS = (
    "any", "icmp", "icmp/8", "icmpv6", "tcp/80", "tcp/1-100", "tcp/79-81", "tcp/1-65535", "udp/50-60", "udp/53",
    "sctp/80", "sctp/9",
)  # fmt: skip
ROUTES = ("192.0.2.0/24", "198.51.100.0/25", "2001:db8::/32")


def endpoint(member: str, gseq: int, number: int, lease: str = "") -> Endpoint:
    ipv4 = ipaddress.IPv4Address("100.64.0.0") + number
    ipv6 = ipaddress.IPv6Address("fd00:1::6440:0") + number
    return Endpoint(EndpointId(member, gseq, number), ipv4, ipv6, lease or f"lease-of-{member}-{gseq}")


def local(each: Endpoint, choose: random.Random) -> Local:
    carries = tuple(ipaddress.ip_network(text) for text in choose.sample(ROUTES, choose.choice((0, 0, 1, 3))))
    return Local(f"ve{int(each.ipv4):08x}", each.ipv4, each.ipv6, carries)


def generated(choose: random.Random) -> Ruleset:
    """Anything: no manifest, empty lists, single elements, nested and touching ranges, moved addresses, routes."""

    def rules(most: int) -> list[dict[str, Any]]:
        return [
            {
                "peers": choose.sample(PEERS, choose.randint(1, 4)),
                "ports": choose.sample(PORTS, choose.randint(1, 3)),
            }
            for _unused in range(choose.choice((0, 0, most)))
        ]

    keys = choose.sample((*MEMBERS, "db/1", "db/2", "web/1"), choose.randint(0, 5))
    manifest = {
        "groups": {name: choose.sample(MEMBERS, choose.randint(0, 3)) for name in ("some", "others")},
        "members": {
            key: {side: {"deny": rules(2), "allow": rules(3)} for side in ("ingress", "egress")} for key in keys
        },
        "routes": [{"range": text, "via": "web"} for text in choose.sample(ROUTES, choose.randint(0, 3))],
    }
    numbers = choose.sample(range(1, 30), choose.randint(0, 12))
    everybody = [
        endpoint(choose.choice(MEMBERS), choose.randint(1, 2), number, choose.choice(("one", "two")))
        for number in numbers
    ]
    here = [local(each, choose) for each in everybody if choose.random() < 0.5]
    tunnels = choose.choice(((TUNNEL,), (TUNNEL,), (TUNNEL, "avtunnelb"), ()))
    return compile_ruleset(parse(manifest) if choose.random() < 0.9 else None, Endpoints(everybody), here, tunnels)


def test_a_walk_over_rulesets(empty: Wire, tmp_path: Path) -> None:
    walked, fresh = empty.namespace("walked"), empty.namespace("fresh")
    choose = random.Random(SEED)
    for step in range(STEPS):
        ruleset = generated(choose)
        change = apply_ruleset(walked, ruleset, tmp_path / "walked.json")
        assert change.scripts.whole is (step == 0), step
        assert not change.difference_refused, step
        for script in load(ruleset).rules, load(ruleset).switch:
            run("ip", "netns", "exec", fresh, "nft", "-f", "-", text=script)
        assert objects(walked) == objects(fresh), step


def objects(namespace: str) -> list[str]:
    """The kernel's table without handles and counts, in a fixed order of objects; rules keep theirs."""
    listed = json.loads(run("ip", "netns", "exec", namespace, "nft", "-j", "-s", "list", "table", "inet", "avpn"))
    objects, rules_ = [], []
    for item in listed["nftables"]:
        for kind, body in item.items():
            if kind == "metainfo":
                continue
            for volatile in ("handle", "packets", "bytes") if kind == "counter" else ("handle",):
                body.pop(volatile, None)
            if "elem" in body:
                body["elem"] = sorted(map(json.dumps, body["elem"]))
            (rules_ if kind == "rule" else objects).append((body.get("chain", ""), kind, json.dumps(body)))
    return [*sorted(map(str, objects)), *map(str, sorted(rules_, key=lambda rule: rule[0]))]


SIZE = 10_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A namespace with a table for ten thousand endpoints of 20 members."""
    with new_wire(tmp_path_factory.mktemp("large")) as wire:
        yield wire.namespace("large"), wire.namespace("again"), tmp_path_factory.mktemp("state") / "large.json"


def member(number: int) -> str:
    return f"m{number}"


EVERYBODY = tuple(endpoint(member(number % 20), 1, number) for number in range(1, SIZE + 1))
RULES = {
    member(number): {
        side: {
            "deny": [{"peers": ["100.64.200.0/24", "fd00:1::6440:c8/128"], "ports": "any"}],
            "allow": [{"peers": [member((number + 1) % 20), "ring"], "ports": ["tcp/80", "udp/1000-2000"]}],
        }
        for side in ("ingress", "egress")
    }
    for number in range(20)
}
GROUPS = {"ring": [member(number) for number in range(10)]}
DOCUMENT = {"groups": GROUPS, "members": RULES}


def whole(document: dict[str, Any] | None = None, everybody: tuple[Endpoint, ...] = EVERYBODY) -> Ruleset:
    return compile_ruleset(parse(document or DOCUMENT), Endpoints(everybody), [], [TUNNEL])


def edited(name: str, side: str, verdict: str, rules: list[Any]) -> dict[str, Any]:
    own = {**RULES[name], side: {**RULES[name][side], verdict: rules}}
    return {"groups": GROUPS, "members": {**RULES, name: own}}


STRANGER = endpoint("m3", 1, SIZE + 7)
CHANGES = {
    "a rule less": lambda: whole(edited("m4", "ingress", "allow", RULES["m4"]["ingress"]["allow"][:0])),
    "another port": lambda: whole(edited("m4", "egress", "allow", [{"peers": "m5", "ports": "tcp/81"}])),
    "a list that is empty": lambda: whole(edited("m7", "egress", "deny", [])),
    "an endpoint more": lambda: whole(everybody=(*EVERYBODY, STRANGER)),
    "an endpoint less": lambda: whole(everybody=EVERYBODY[:-1]),
    "an address of another member": lambda: whole(everybody=(*EVERYBODY[:-1], endpoint("m9", 1, SIZE))),
    "a member less": lambda: whole(everybody=tuple(each for each in EVERYBODY if each.id.member != "m5")),
    "another combination of groups": lambda: whole({"groups": {"ring": GROUPS["ring"][:-1]}, "members": RULES}),
    "a route": lambda: whole({**DOCUMENT, "routes": [{"range": "192.0.2.0/24", "via": "m1"}]}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_of_a_large_table_there_and_back(large: tuple[str, str, Path], name: str) -> None:
    """Each is a difference, as short as what changed, and ends where a load would."""
    walked, fresh, state = large
    apply_ruleset(walked, whole(), state)
    changed = CHANGES[name]()
    there = plan_ruleset(walked, changed, state)
    assert not there.scripts.whole
    touched = 2 * (SIZE // 20) if "member less" in name or "combination" in name else 0
    assert there.scripts.rules.count(",") <= 4 * touched + 60
    assert not apply_ruleset(walked, changed, state).difference_refused
    scripts = load(changed)
    for script in scripts.rules, scripts.switch:
        run("ip", "netns", "exec", fresh, "nft", "-f", "-", text=script)
    assert objects(walked) == objects(fresh)
    back = apply_ruleset(walked, whole(), state)
    assert not back.scripts.whole
    assert not back.difference_refused
