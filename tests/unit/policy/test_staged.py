# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The staged part decides nothing, and counts just what it would have refused."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import Interpreter
from manifests import documents, endpoints, packets

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy import staged as staging
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate, policy_of
from ansible_collections.akash.avpn.plugins.module_utils._policy.matching import MAX_ELEMENTS
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset, difference
from ansible_collections.akash.avpn.plugins.module_utils._policy.staged import WouldRefuse, digest_in, would_refuse


def compiled(enforced: Manifest, staged: Manifest | None, everybody: Endpoints | None = None) -> Ruleset:
    manifest = dataclasses.replace(enforced, staged=staged)
    return compile_ruleset(manifest, everybody or endpoints(), [], ["avtunnela"])


def expected(staged: Manifest, packet: Packet) -> list[tuple[str, str]]:
    """Who would have refused a permitted flow, by the definition: at most one, the sender's side first."""
    said = evaluate(staged, endpoints(), packet)
    if said.permitted:
        return []
    for side, address, decided in (("egress", packet.source, said.egress), ("ingress", packet.target, said.ingress)):
        if decided.permitted:
            continue
        endpoint = endpoints().at(address)
        if endpoint is None:
            return [("", "route")]
        found = policy_of(staged, endpoint)
        return [(found[0] if found else endpoint.id.member, side)]
    raise AssertionError("refused by nobody")


def refusals(counted: list[str]) -> list[tuple[str, str]]:
    return [(each.who, each.side) for each in would_refuse(dict.fromkeys(counted, 1))]


@settings(max_examples=300, deadline=None)
@given(documents, documents, st.lists(packets(), min_size=20, max_size=20))
def test_the_enforced_part_decides_and_the_staged_one_counts(
    one: dict[str, Any], other: dict[str, Any], sent: list[Packet]
) -> None:
    enforced, staged = parse(one), parse(other)
    ruleset = compiled(enforced, staged)
    for packet in sent:
        run = Interpreter(ruleset, packet)
        permitted = run.permitted()
        assert permitted == evaluate(enforced, endpoints(), packet).permitted, packet
        assert refusals(run.counted) == (expected(staged, packet) if permitted else []), packet


def manifest(port: int, **more: Any) -> Manifest:
    allow = {"allow": [{"peers": "any", "ports": f"tcp/{port}"}]}
    return parse({"members": {name: {"ingress": allow, "egress": allow} for name in ("web", "api", "db")}, **more})


def test_each_part_of_it_matters() -> None:
    """Taken out, what is counted is another."""
    staged = parse(
        {
            "members": {
                "web": {"egress": {"deny": [{"peers": "db/2", "ports": "any"}],
                                   "allow": [{"peers": "any", "ports": "any"}]}},
                "api": {"egress": {"allow": [{"peers": "any", "ports": "any"}]}},
                "db": {"ingress": {"allow": [{"peers": "web", "ports": "any"}]}},
            }
        }
    )  # fmt: skip
    ruleset = compiled(manifest(80), staged)
    addresses = [each.ipv4 for each in endpoints()]
    sent = [Packet(one, two, "tcp", 80) for one in addresses for two in addresses if one != two]

    def wrong(mutated: Ruleset) -> int:
        found = 0
        for packet in sent:
            run = Interpreter(mutated, packet)
            found += run.permitted() and refusals(run.counted) != expected(staged, packet)
        return found

    assert wrong(ruleset) == 0
    for chain, words in (
        ("s_e_web", "deny"), ("s_e_web", "allow"), ("s_i_db", "allow"), ("s_e_web", "jump"), ("staged", "jump"),
    ):  # fmt: skip
        rules = tuple(rule for rule in ruleset.chains[chain].rules if words not in rule)
        assert rules != ruleset.chains[chain].rules
        changed = dataclasses.replace(ruleset.chains[chain], rules=rules)
        assert wrong(dataclasses.replace(ruleset, chains={**ruleset.chains, chain: changed})) > 0, (chain, words)


def test_without_a_staged_part_nothing_is_there_for_it() -> None:
    plain, both = compiled(manifest(80), None), compiled(manifest(80), manifest(81))
    assert digest_in(plain) is None
    assert not [name for name in (*plain.chains, *plain.sets, *plain.counters) if name.startswith(("s_", "staged"))]
    assert plain.chains["i_web"].rules[-2].endswith("goto permit")
    assert both.chains["i_web"].rules[-2].endswith("goto staged")


def test_its_size_is_that_of_a_part_by_itself() -> None:
    plain, both, double = (compiled(manifest(80), other) for other in (None, manifest(81), manifest(80)))
    assert both.size - plain.size <= plain.size
    assert double.size == both.size


def test_a_change_of_it_moves_the_epoch_and_begins_at_zero() -> None:
    first, second = compiled(manifest(80), manifest(81)), compiled(manifest(80), manifest(82))
    assert first.sets["current"] != second.sets["current"]
    assert digest_in(first) != digest_in(second)
    assert not {name for name in first.counters & second.counters if staging.would_refuse({name: 1})}


def test_a_change_of_the_enforced_part_counts_on() -> None:
    first, second = compiled(manifest(80), manifest(81)), compiled(manifest(83), manifest(81))
    assert first.counters == second.counters
    change = difference(first, second)
    assert not change.whole
    assert "s_" not in change.rules, "nothing of the staged part is touched"


def test_what_is_too_large_does_not_keep_the_enforced_part_from_being_loaded() -> None:
    members = [f"m{number}" for number in range(1000)]
    rules = [{"peers": "g0", "ports": [f"tcp/{2 * number + 1}" for number in range(200)]}] * 5
    groups = {f"g{bit}": [name for number, name in enumerate(members) if number >> bit & 1] for bit in range(10)}
    huge = parse({"groups": groups, "members": {name: {"ingress": {"allow": rules}} for name in members[:40]}})
    first4, first6 = ipaddress.IPv4Address("100.64.0.1"), ipaddress.IPv6Address("fd00:1::6440:1")
    many = Endpoints(
        Endpoint(EndpointId(name, 1, 0), first4 + number, first6 + number, "x") for number, name in enumerate(members)
    )
    with pytest.raises(Exception, match=f"more than {MAX_ELEMENTS}"):
        compile_ruleset(huge, many, [], [])
    assert compiled(manifest(80), huge, many) == compiled(manifest(80), None, many)


def test_its_digest_is_the_same_in_every_process_and_minds_no_tests() -> None:
    """Else every run would load it anew, and begin to count at zero."""
    route = {"range": "0.0.0.0/0", "via": "web", "covers": ["default", "hosts", "members"]}
    document = {"groups": {"a": ["web"], "b": ["db"]}, "routes": [route]}
    digest = staging.digest_of(parse(document))
    code = (
        "import sys, json; sys.path[:0] = json.loads(sys.argv[1])\n"
        f"from {staging.__name__} import digest_of\n"
        f"from {parse.__module__} import parse\n"
        "print(digest_of(parse(json.loads(sys.argv[2]))))"
    )
    for seed in "123":
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(sys.path), json.dumps(document)],
            env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert done.stdout.strip() == digest
    tests = [{"from": "web", "to": "db", "port": "tcp/80", "expected": "deny"}]
    assert staging.digest_of(parse({**document, "tests": tests})) == digest
    assert staging.digest_of(parse({"routes": [route]})) != digest


def test_what_was_counted_is_told_the_most_first() -> None:
    counted = {"s0011aaff_e_db.2": 3, "s0011aaff_i_log-1": 5, "s0011aaff_strangers": 4, "s0011aaff_e_web": 0}
    assert would_refuse({**counted, "e_web": 9, "strangers": 9, "spoofed": 9, "s_e_web": 9}) == (
        WouldRefuse("log-1", "ingress", 5),
        WouldRefuse("", "route", 4),
        WouldRefuse("db/2", "egress", 3),
    )
    assert would_refuse({**counted, "sffffffff_e_web": 2}, "ffffffff") == (WouldRefuse("web", "egress", 2),)
