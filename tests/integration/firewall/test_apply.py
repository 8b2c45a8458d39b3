# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loading: only differences, noticed tampering, nothing half done."""

from __future__ import annotations

import dataclasses
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from wire import Site, Wire, opened, paths, probe, run

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import Unsupported
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy import nft
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import (
    apply_ruleset,
    close,
    counters,
    forget_flows,
    plan_ruleset,
)
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Chain, Scripts

pytestmark = pytest.mark.root


BOTH = {side: {"allow": [{"peers": "any", "ports": "any"}]} for side in ("ingress", "egress")}


def rules(port: int, **more: Any) -> Any:
    allow = {"allow": [{"peers": "any", "ports": f"tcp/{port}"}]}
    return parse({"members": {name: {"ingress": allow, "egress": allow} for name in ("web", "api", "db")}, **more})


def listing(site: Site) -> str:
    return run("ip", "netns", "exec", site.namespace, "nft", "list", "ruleset")


def test_check_apply_again_change(wire: Wire) -> None:
    site = wire.sites[0]
    first = site.compiled(rules(80), wire.endpoints)
    planned = plan_ruleset(site.namespace, first, site.state)
    assert planned
    assert planned.as_diff("x")["before"] == ""
    assert listing(site) == "", "planning changes nothing"
    assert not site.state.exists()
    assert site.apply(first).scripts.whole
    before = listing(site)
    assert not plan_ruleset(site.namespace, first, site.state)
    assert not site.apply(first)
    assert listing(site) == before
    second = site.compiled(rules(81), wire.endpoints)
    planned = plan_ruleset(site.namespace, second, site.state)
    assert planned.as_diff("x")["before"] != planned.as_diff("x")["after"]
    change = site.apply(second)
    assert change.scripts == planned.scripts
    assert not change.scripts.whole
    assert "80" in change.scripts.rules
    assert not site.apply(second)


def test_somebody_else_touched_it(wire: Wire) -> None:
    """Whatever was changed in the kernel is noticed, and the whole table is loaded anew."""
    site = wire.sites[0]
    ruleset = site.compiled(rules(80), wire.endpoints)
    site.apply(ruleset)
    good = listing(site)
    chain = "inet avpn forward"
    for tampering in (
        "flush ruleset",
        "delete table inet avpn",
        f"insert rule {chain} accept",
        f"flush chain {chain}",
        "flush set inet avpn e_web_allow_exact16",
        "add element inet avpn class4 { 100.64.0.99 : 1:1 }",
        "add chain inet avpn forward { policy accept; }",
        "add set inet avpn other { type mark; }",
    ):
        run("ip", "netns", "exec", site.namespace, "nft", tampering)
        assert site.apply(ruleset).scripts.whole, tampering
        assert listing(site) == good, tampering
        assert not site.apply(ruleset), tampering


def test_other_tables_are_left_alone(wire: Wire) -> None:
    site = wire.sites[0]
    run("ip", "netns", "exec", site.namespace, "nft", "add table inet team; add chain inet team mine")
    for port in (80, 81):
        site.apply(site.compiled(rules(port), wire.endpoints))
    run("ip", "netns", "exec", site.namespace, "nft", "delete table inet avpn")
    site.apply(site.compiled(rules(80), wire.endpoints))
    assert "table inet team {\n\tchain mine {" in listing(site)


def test_the_table_is_not_listed_to_see_that_nobody_touched_it(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ten thousand elements a listing takes longer than the change."""
    site = wire.sites[0]

    def refuse(*_arguments: Any) -> None:
        raise AssertionError("the table was listed")

    monkeypatch.setattr(nft, "_listing", refuse)
    assert site.apply(site.compiled(rules(80), wire.endpoints)).scripts.whole
    assert not site.apply(site.compiled(rules(80), wire.endpoints))
    assert not site.apply(site.compiled(rules(81), wire.endpoints)).scripts.whole
    assert not site.apply(site.compiled(rules(81), wire.endpoints))


def test_a_kernel_that_tells_no_generation(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the table's listing says whether it is still ours."""
    monkeypatch.setattr(nft, "generation", lambda _namespace: None)
    test_check_apply_again_change(wire)
    test_somebody_else_touched_it(wire)


def test_somebody_else_in_the_middle_of_a_change(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their transaction isn't taken for ours, and what comes later is noticed."""
    site = wire.sites[0]
    site.apply(site.compiled(rules(80), wire.endpoints))
    real = nft._load

    def disturbed(namespace: str, scripts: Scripts) -> None:
        real(namespace, scripts)
        run("ip", "netns", "exec", namespace, "nft", "add table inet team")

    second = site.compiled(rules(81), wire.endpoints)
    monkeypatch.setattr(nft, "_load", disturbed)
    assert not site.apply(second).scripts.whole
    monkeypatch.undo()
    assert not site.apply(second)
    run("ip", "netns", "exec", site.namespace, "nft", "insert rule inet avpn forward accept")
    assert site.apply(second).scripts.whole


def test_a_new_namespace_of_the_same_name_is_another(wire: Wire) -> None:
    """As after a reboot: the state file is there, and what it tells of isn't. Even with as many transactions."""
    name, state = wire.namespace("again"), wire.sites[0].state
    ruleset = wire.sites[0].compiled(rules(80), wire.endpoints)
    assert apply_ruleset(name, ruleset, state).scripts.whole
    run("ip", "netns", "del", name)
    run("ip", "netns", "add", name)
    for number in range(2):
        run("ip", "netns", "exec", name, "nft", f"add table inet other{number}")
    assert apply_ruleset(name, ruleset, state).scripts.whole
    assert not apply_ruleset(name, ruleset, state)


def test_a_damaged_state_file_costs_a_whole_load_and_no_more(wire: Wire) -> None:
    site = wire.sites[0]
    ruleset = site.compiled(rules(80), wire.endpoints)
    for damage in (b"", b"{", b"[]", b"null", b'{"format": 1}', b'{"format": 1, "ruleset": 5, "listing": ""}', b"\xff"):
        site.apply(ruleset)
        site.state.write_bytes(damage)
        assert site.apply(ruleset).scripts.whole, damage
        assert not site.apply(ruleset), damage


def test_an_interrupted_change_is_finished(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the kernel and the state file, or between the rules and the switch of the epoch."""
    site = wire.sites[0]
    site.apply(site.compiled(rules(80), wire.endpoints))
    second = site.compiled(rules(81), wire.endpoints)

    def die(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    real = nft._nft
    done: list[str] = []

    def first_only(*arguments: Any, **options: Any) -> str:
        if done:
            raise KeyboardInterrupt
        done.append("rules")
        return real(*arguments, **options)

    for name, instead in (("_remember", die), ("_nft", first_only)):
        monkeypatch.setattr(nft, name, instead)
        with pytest.raises(KeyboardInterrupt):
            site.apply(second)
        monkeypatch.undo()
        assert site.apply(second).scripts.whole
        assert not site.apply(second)
        site.apply(site.compiled(rules(80), wire.endpoints))


def test_what_nft_refuses_leaves_the_old_rules(wire: Wire) -> None:
    site = wire.sites[0]
    good = site.compiled(rules(80), wire.endpoints)
    site.apply(good)
    before = listing(site)
    bad = dataclasses.replace(good, chains={**good.chains, "broken": Chain(("no such words",))})
    with pytest.raises(Unsupported, match="nft refuses"):
        site.apply(bad)
    assert listing(site) == before
    assert not site.apply(good)


def test_a_difference_that_nft_refuses_becomes_a_whole_load(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    site = wire.sites[0]
    site.apply(site.compiled(rules(80), wire.endpoints))
    wrong = Scripts("delete element inet avpn class4 { 203.0.113.1 }\n", "")
    monkeypatch.setattr(nft, "difference", lambda _old, _new: wrong)
    change = site.apply(site.compiled(rules(81), wire.endpoints))
    assert change.scripts.whole
    assert "No such file" in change.difference_refused
    monkeypatch.undo()
    assert not site.apply(site.compiled(rules(81), wire.endpoints))


def test_counters_survive_changes(wire: Wire) -> None:
    wire.enforce(rules(80))
    probe([path for path in paths(wire, [("tcp", 99)]) if path.source.split("-")[2].startswith("web")], 0.3)
    refused = counters(wire.sites[0].namespace)["e_web"]
    assert refused > 0
    wire.enforce(rules(81))
    assert counters(wire.sites[0].namespace)["e_web"] >= refused


def test_counters_go_on_when_the_whole_table_is_loaded(wire: Wire) -> None:
    site = wire.sites[0]
    wire.enforce(rules(80))
    probe([path for path in paths(wire, [("tcp", 99)]) if path.source.split("-")[2].startswith("web")], 0.3)
    before = counters(site.namespace)
    assert before["e_web"] > 0
    site.state.unlink()
    assert site.apply(site.compiled(rules(80), wire.endpoints)).scripts.whole
    assert counters(site.namespace) == before
    # Nor is anything lost where nft refuses the difference; a table that is closed has none to keep.
    run("ip", "netns", "exec", site.namespace, "nft", "delete", "table", "inet", "avpn")
    close(site.namespace)
    assert site.apply(site.compiled(rules(80), wire.endpoints)).scripts.whole
    assert set(counters(site.namespace).values()) == {0}


@pytest.mark.parametrize("listed", [False, True])
def test_connections_do_not_look_like_tampering(wire: Wire, monkeypatch: pytest.MonkeyPatch, listed: bool) -> None:
    """The set that counts connections is filled by packets; the next change is a difference all the same."""
    if listed:
        monkeypatch.setattr(nft, "generation", lambda _namespace: None)
    few = {"connections": 100}  # of which each is counted
    for site in wire.sites:
        site.apply(site.compiled(rules(80), wire.endpoints, **few))
    assert any(probe(paths(wire, [("tcp", 80)])).values())
    for site in wire.sites:
        assert "ct count over" in run(
            "ip", "netns", "exec", site.namespace, "nft", "list", "set", "inet avpn connections4"
        )
        assert not site.apply(site.compiled(rules(80), wire.endpoints, **few))
        assert not site.apply(site.compiled(rules(81), wire.endpoints, **few)).scripts.whole


def test_closed_until_loaded(wire: Wire) -> None:
    site = wire.sites[0]
    for each in wire.sites:
        close(each.namespace)
    assert "policy drop" in listing(site)
    assert not any(probe(paths(wire, [("tcp", 80), ("icmp", None)]), 0.3).values())
    site.apply(site.compiled(rules(80), wire.endpoints))
    before = listing(site)
    close(site.namespace)
    assert listing(site) == before, "closing an open one is not its business"


def test_single_elements_can_be_deleted(wire: Wire) -> None:
    """One lease, one protocol, one port: nft 1.0.6 must find on deleting what it added."""
    site = wire.sites[0]
    for peer in ("db/2", "web/1", "100.64.0.1/32", "fd00:1::6440:1/128"):
        for port in ("tcp/80", "sctp/9", "icmp", "udp/1-2"):
            allow = {"allow": [{"peers": peer, "ports": port}]}
            site.apply(site.compiled(parse({"members": {"api": {"ingress": allow}}}), wire.endpoints))
    last = site.apply(site.compiled(parse({"members": {"api": {}}}), wire.endpoints))
    assert not last.scripts.whole


def test_connections_that_end_while_they_are_forgotten(wire: Wire) -> None:
    """Two forget the same ones at once: each meets some that the other has just deleted, and goes on."""
    wire.enforce(parse({"members": dict.fromkeys(("web", "api", "db"), BOTH)}))
    site, (web, api) = wire.sites[0], wire.sites[0].workloads
    for turn in range(5):
        with opened(web.namespace, socket.AF_INET, socket.SOCK_DGRAM) as client:
            for port in range(3000):
                client.sendto(b"x", (str(api.endpoint.ipv4), 1000 + port))
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(forget_flows, site.namespace, str(web.endpoint.ipv4)) for _unused in range(2)]:
                done.result()
        left = run("ip", "netns", "exec", site.namespace, "conntrack", "-L", "--orig-src", str(web.endpoint.ipv4))
        assert left == "", turn


def test_removing(wire: Wire) -> None:
    site = wire.sites[0]
    ruleset = site.compiled(rules(80), wire.endpoints)
    site.apply(ruleset)
    nft.remove(site.namespace, site.state)
    assert listing(site) == ""
    assert [path.name for path in site.state.parent.iterdir() if site.state.name in path.name] == []


def test_a_namespace_that_is_missing(wire: Wire) -> None:
    site = wire.sites[0]
    ruleset = site.compiled(rules(80), wire.endpoints)
    assert plan_ruleset("fwt-none", ruleset, site.state)
    with pytest.raises(Unsupported, match="fwt-none"):
        apply_ruleset("fwt-none", ruleset, site.state)
