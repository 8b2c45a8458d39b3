# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The compiled rules say what ``evaluate`` says, in sizes that grow with endpoints plus rules."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import Interpreter
from manifests import documents, endpoints, packets

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy import compile as compiling
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import Local
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import (
    Ruleset,
    difference,
    load,
    moved,
    readable,
)

LOCAL = [
    Local("ve64400001", ipaddress.IPv4Address("100.64.0.1"), ipaddress.IPv6Address("fd00:1::6440:1")),
]


@settings(max_examples=400, deadline=None)
@given(documents, st.lists(packets(), min_size=20, max_size=20), st.sampled_from((0, 7, 255)))
def test_compiled_agrees_with_evaluate(document: dict[str, Any], sent: list[Packet], code: int) -> None:
    manifest, everybody = parse(document), endpoints()
    ruleset = compile_ruleset(manifest, everybody, LOCAL, ["avtunnela"])
    for packet in sent:
        assert Interpreter(ruleset, packet, code).permitted() == evaluate(manifest, everybody, packet).permitted, packet


@pytest.mark.parametrize("code", [0, 7, 255])
def test_a_type_of_icmp_is_matched_whatever_its_code(code: int) -> None:
    rules = {"allow": [{"peers": "any", "ports": "icmp/timestamp-request"}]}
    manifest = parse({"members": {"web": {"egress": rules}, "db": {"ingress": rules}}})
    ruleset = compile_ruleset(manifest, endpoints(), LOCAL, ["avtunnela"])
    web, db = (next(each.ipv4 for each in endpoints() if each.id.member == name) for name in ("web", "db"))
    for kind in (8, 13, 15):
        assert Interpreter(ruleset, Packet(web, db, "icmp", kind), code).permitted() == (kind == 13)


def _corpus() -> tuple[Any, list[Packet]]:
    manifest = parse(
        {
            "members": {
                "web": {"egress": {"deny": [{"peers": "db/2", "ports": "any"}],
                                   "allow": [{"peers": ["any", "192.0.2.0/24"], "ports": "any"}]},
                        "ingress": {"allow": [{"peers": "192.0.2.0/24", "ports": "tcp/80"}]}},
                "db": {"ingress": {"deny": [{"peers": "100.64.0.2/32", "ports": "tcp/80"}],
                                   "allow": [{"peers": "web", "ports": "any"}]}},
            },
            "routes": [{"range": "192.0.2.0/24", "via": "web"}],
        }
    )  # fmt: skip
    addresses = [each.ipv4 for each in endpoints()] + [
        ipaddress.ip_address("192.0.2.7"),
        ipaddress.ip_address("203.0.113.1"),
    ]
    return manifest, [Packet(one, two, "tcp", 80) for one in addresses for two in addresses if one != two]


def _disagreements(manifest: Any, ruleset: Ruleset, sent: list[Packet]) -> int:
    return sum(
        Interpreter(ruleset, packet).permitted() != evaluate(manifest, endpoints(), packet).permitted for packet in sent
    )


def _without(ruleset: Ruleset, chain: str, words: str) -> Ruleset:
    rules = tuple(rule for rule in ruleset.chains[chain].rules if words not in rule)
    assert rules != ruleset.chains[chain].rules, "the mutation takes something away"
    return dataclasses.replace(
        ruleset, chains={**ruleset.chains, chain: dataclasses.replace(ruleset.chains[chain], rules=rules)}
    )


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        ("e_web", "@e_web_deny"),
        ("e_web", "@e_web_allow"),
        ("i_db", "@i_db_deny4"),
        ("i_db", "@i_db_allow"),
        ("i_web", "@i_web_allow4"),
        ("e_web", "jump target"),
        ("i_db", "jump source"),
        ("decide", "@routed4"),
        ("receiver", "@routed4"),
    ],
)
def test_each_rule_matters(chain: str, words: str) -> None:
    manifest, sent = _corpus()
    ruleset = compile_ruleset(manifest, endpoints(), LOCAL, ["avtunnela"])
    assert _disagreements(manifest, ruleset, sent) == 0
    assert _disagreements(manifest, _without(ruleset, chain, words), sent) > 0


def test_the_receivers_side_matters() -> None:
    manifest, sent = _corpus()
    ruleset = compile_ruleset(manifest, endpoints(), LOCAL, ["avtunnela"])
    mutated = dataclasses.replace(ruleset, chains={**ruleset.chains, "receiver": ruleset.chains["permit"]})
    assert _disagreements(manifest, mutated, sent) > 0


def test_refusals_are_counted_by_the_side_that_refuses() -> None:
    manifest, _sent = _corpus()
    ruleset = compile_ruleset(manifest, endpoints(), LOCAL, ["avtunnela"])
    by_member = {each.id.member: each.ipv4 for each in endpoints()}
    for source, target, counter in (("api", "db", "e_api"), ("web", "api", "i_api"), ("web", "db", "e_web")):
        run = Interpreter(ruleset, Packet(by_member[source], by_member[target], "tcp", 80))
        assert not run.permitted()
        assert run.counted == [counter]


def many(count: int, members: int) -> Endpoints:
    first4, first6 = ipaddress.IPv4Address("100.64.0.1"), ipaddress.IPv6Address("fd00:1::6440:1")
    return Endpoints(
        Endpoint(EndpointId(f"m{number % members}", 1, number // members), first4 + number, first6 + number, "lease")
        for number in range(count)
    )


IPV4, IPV6 = ipaddress.IPv4Address("100.64.0.0"), ipaddress.IPv6Address("fd00:1::6440:0")


def document(rules: int) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for number in range(rules):
        entry = members.setdefault(f"m{number % 20}", {"ingress": {"allow": []}})
        entry["ingress"]["allow"].append({"peers": [f"m{number * 7 % 20}", "all"], "ports": [f"tcp/{2 * number + 1}"]})
    return {"groups": {"all": [f"m{number}" for number in range(20)]}, "members": members}


def grown(endpoints_: int, rules: int) -> int:
    return compile_ruleset(parse(document(rules)), many(endpoints_, 20), [], ["avtunnela"]).size


def test_sizes_grow_with_endpoints_plus_rules_and_never_with_pairs() -> None:
    base = grown(200, 100)
    assert grown(400, 100) - base == 2 * 200, "two elements an endpoint"
    assert grown(200, 200) - base <= 2 * 100, "at most its peers times its ports a rule"
    assert grown(2000, 1000) <= 2 * 2000 + 2 * 1000 + 600
    # Rules of the kernel, as the sets in it, come with members: their number is all that both depend on.
    tables = [compile_ruleset(parse(document(rules)), many(200, 20), [], ["avtunnela"]) for rules in (100, 1000)]
    assert tables[0].sets.keys() == tables[1].sets.keys()
    assert {name: chain.rules for name, chain in tables[0].chains.items()} == {
        name: chain.rules for name, chain in tables[1].chains.items()
    }


def test_a_peer_of_few_leases_is_looked_up_as_such() -> None:
    """In a hash, where single ports are concerned; others, ranges of ports and everybody in intervals."""

    def compiled(leases: int, peer: str, port: str) -> Ruleset:
        everybody = Endpoints(
            Endpoint(EndpointId("web", number, 0), IPV4 + number, IPV6 + number, "") for number in range(1, leases + 1)
        )
        allow = {"allow": [{"peers": peer, "ports": port}]}
        return compile_ruleset(parse({"members": {"web": {"egress": allow}}}), everybody, [], ["avtunnela"])

    def made(leases: int, peer: str, port: str) -> dict[str, int]:
        sets = compiled(leases, peer, port).sets
        return {name: len(each.elements) for name, each in sets.items() if name.startswith("e_web")}

    assert made(1, "web", "tcp/80") == {"e_web_allow_exact16": 1}
    assert made(4, "web", "tcp/80") == {"e_web_allow_exact16": 4}
    assert made(4, "any", "icmp") == {"e_web_allow": 1}
    assert made(5, "web", "tcp/80") == {"e_web_allow": 1}
    assert made(5, "web/2", "tcp/80") == {"e_web_allow_exact16": 1}
    assert made(1, "web", "tcp/80-81") == {"e_web_allow": 1}
    assert made(1, "web", "any") == {"e_web_allow": 1, "e_web_allow_portless": 6}


def test_ranges_where_nobody_is_are_asked_about_nobody_only() -> None:
    allow = {"allow": [{"peers": ["100.64.0.0/24", "192.0.2.0/24", "2001:db8::/32"], "ports": "tcp/80"}]}
    ruleset = compile_ruleset(parse({"members": {"m0": {"egress": allow}}}), many(3, 3), [], ["avtunnela"])
    for name, outside in (("e_m0_allow4", False), ("e_m0_allow4_outside", True), ("e_m0_allow6_outside", True)):
        assert len(ruleset.sets[name].elements) == 1
        rules = [rule for rule in ruleset.chains["e_m0"].rules if f"@{name} " in rule]
        assert rules and all(rule.startswith("meta priority 0:0 ") is outside for rule in rules)
    assert "e_m0_allow6" not in ruleset.sets


def test_rules_per_chain_do_not_grow() -> None:
    """What a packet passes is bounded, whatever a manifest says."""
    rules = [
        {"peers": [peer], "ports": [f"tcp/{number}"]}
        for number in range(1, 60)
        for peer in ("m1", "m2", "any", f"10.{number}.0.0/16", f"2001:db8:{number}::/48")
    ]
    document = {"members": {"m0": {side: {"deny": rules, "allow": rules} for side in ("ingress", "egress")}}}
    ruleset = compile_ruleset(parse(document), many(3, 3), [], ["avtunnela"])
    assert all(len(chain.rules) <= 40 for chain in ruleset.chains.values())


def test_an_exploding_manifest_is_refused() -> None:
    members = [f"m{number}" for number in range(1000)]
    groups = {f"g{bit}": [name for number, name in enumerate(members) if number % 1000 >> bit & 1] for bit in range(10)}
    groups = {name: names for name, names in groups.items() if len(names) <= 1024}
    rules = [{"peers": "g0", "ports": [f"tcp/{2 * number + 1}" for number in range(200)]}] * 5
    document = {"groups": groups, "members": {name: {"ingress": {"allow": rules}} for name in members[:40]}}
    with pytest.raises(InvalidInput, match="more than 200000 elements"):
        compile_ruleset(parse(document), many(1000, 1000), [], ["avtunnela"])


def _epoch(ruleset: Ruleset) -> str:
    return next(iter(ruleset.sets["current"].elements))


def test_the_epoch_is_a_matter_of_policy_alone() -> None:
    document = {"members": {"web": {"egress": {"allow": [{"peers": "db", "ports": "tcp/80"}]}}}}
    one = compile_ruleset(parse(document), endpoints(), LOCAL, ["avtunnela"])
    assert _epoch(one) == _epoch(compile_ruleset(parse(document), endpoints(), LOCAL, ["avtunnela"]))
    assert _epoch(one) == _epoch(compile_ruleset(parse(document), endpoints(), [], ["avtunnela", "avtunnelb"]))
    for other in (
        {"members": {"web": {"egress": {"allow": [{"peers": "db", "ports": "tcp/81"}]}}}},
        {"members": {"web": {"egress": {"deny": [{"peers": "db", "ports": "tcp/80"}]}}}},
        {"members": {"web": {"ingress": {"allow": [{"peers": "db", "ports": "tcp/80"}]}}}},
        {**document, "routes": [{"range": "192.0.2.0/24", "via": "web"}]},
        {},
    ):
        assert _epoch(compile_ruleset(parse(other), endpoints(), LOCAL, ["avtunnela"])) != _epoch(one)
    fewer = Endpoints(list(endpoints())[1:])
    assert _epoch(compile_ruleset(parse(document), fewer, LOCAL, ["avtunnela"])) != _epoch(one)


def test_a_change_of_rules_touches_no_map_of_addresses() -> None:
    def compiled(port: int) -> Ruleset:
        document = {"members": {"m1": {"ingress": {"allow": [{"peers": ["m2", "m3"], "ports": f"tcp/{port}"}]}}}}
        return compile_ruleset(parse(document), many(1000, 10), [], ["avtunnela"])

    change = difference(compiled(80), compiled(81))
    assert not change.whole
    assert "class" not in change.rules
    assert len(change.rules.splitlines()) == 2
    assert len(change.switch.splitlines()) == 4
    assert difference(compiled(80), compiled(80)) == dataclasses.replace(change, rules="", switch="")


def test_rulesets_survive_the_state_file() -> None:
    manifest, _sent = _corpus()
    ruleset = compile_ruleset(manifest, endpoints(), LOCAL, ["avtunnela"])
    assert Ruleset.from_json(ruleset.to_json()) == ruleset
    assert readable(Ruleset.from_json(ruleset.to_json())) == readable(ruleset)


def test_moved_addresses() -> None:
    before = list(endpoints())
    again = [dataclasses.replace(before[0], lease="another"), *before[2:]]
    first, second = (compile_ruleset(None, Endpoints(each), [], ["avtunnela"]) for each in (before, again))
    gone = {str(before[0].ipv4), str(before[0].ipv6), str(before[1].ipv4), str(before[1].ipv6)}
    assert set(moved(first, second)) == gone
    assert moved(first, first) == ()
    assert moved(second, first) == tuple(sorted((str(before[0].ipv4), str(before[0].ipv6)))), "who is new has no flows"


@pytest.mark.parametrize("name", ["ve0; flush ruleset", 've"', "", "v" * 16, "ve\n", "VE"])
def test_interfaces_are_plain_names(name: str) -> None:
    with pytest.raises(InvalidInput):
        compile_ruleset(None, endpoints(), [dataclasses.replace(LOCAL[0], interface=name)], ["avtunnela"])
    with pytest.raises(InvalidInput):
        compile_ruleset(None, endpoints(), LOCAL, [name])


def test_the_first_script_has_no_epoch() -> None:
    """Until all rules stand no connection may be marked as if it had seen them."""
    manifest, _sent = _corpus()
    scripts = load(compile_ruleset(manifest, endpoints(), LOCAL, ["avtunnela"]))
    assert "element inet avpn current" not in scripts.rules
    assert "element inet avpn epoch" not in scripts.rules
    assert "element inet avpn current" in scripts.switch
    assert compiling.CONNECTIONS > 0
