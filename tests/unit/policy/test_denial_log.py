# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logging what is denied decides nothing."""

from __future__ import annotations

import ipaddress

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.denial_log import DenialLog
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset, difference, load

LONG = "a" * 32
POLICY = {
    "members": {
        "web": {
            "egress": {
                "deny": [{"peers": "db", "ports": "tcp/22"}, {"peers": "100.64.0.0/30", "ports": "tcp/23"}],
                "allow": [{"peers": "db", "ports": "any"}],
            }
        },
        "db/2": {"ingress": {"allow": [{"peers": "any", "ports": "tcp/80"}]}},
    }
}


def compiled(log: DenialLog | None, *, staged: bool = False) -> Ruleset:
    endpoints = Endpoints(
        Endpoint(
            EndpointId(member, gseq, 0),
            ipaddress.IPv4Address(f"100.64.0.{number}"),
            ipaddress.IPv6Address(f"fd00:1::{number}"),
        )
        for number, (member, gseq) in enumerate((("web", 1), ("db", 1), ("db", 2), (LONG, 65_535)), 1)
    )
    policies = {**POLICY["members"], f"{LONG}/65535": {}}
    document = {"members": policies, **({"staged": {"members": {}}} if staged else {})}
    return compile_ruleset(parse(document), endpoints, [], ["avxa"], log=log)


@pytest.mark.parametrize("staged", [False, True])
def test_logging_changes_nothing_but_how_a_refusal_is_written(staged: bool) -> None:
    silent, loud = compiled(None, staged=staged), compiled(DenialLog("prod/0123abcd", 5), staged=staged)
    assert loud.sets == silent.sets, "the epoch is among the sets"
    assert loud.counters == silent.counters
    assert loud.tenancy == silent.tenancy
    assert not silent.limits
    own = loud.chains.keys() - silent.chains.keys()
    assert own == {f"d_{name}" for name in silent.chains if name[:2] in ("e_", "i_")}
    for name, chain in silent.chains.items():
        refusal = f'counter name "{name}" drop'
        expected = tuple(rule.replace(refusal, f"goto d_{name}") for rule in chain.rules)
        assert loud.chains[name].rules == (expected if f"d_{name}" in own else chain.rules)
        if f"d_{name}" in own:
            log, last = loud.chains[f"d_{name}"].rules
            assert last == refusal
            assert log.startswith('limit name "log5" log prefix "')


def test_a_line_says_network_member_and_side_and_fits_into_the_kernels_prefix() -> None:
    loud = compiled(DenialLog(f"{LONG}/0123abcd", 5))
    prefixes = {chain.rules[0].split('"')[3] for name, chain in loud.chains.items() if name.startswith("d_")}
    assert f"network={LONG}/0123abcd member=db/2 side=ingress" in prefixes
    assert f"network={LONG}/0123abcd member={LONG}/65535 side=egress" in prefixes
    assert max(map(len, prefixes)) < 127  # NF_LOG_PREFIXLEN


def test_another_rate_is_another_limit_and_no_new_table() -> None:
    first, second, off = compiled(DenialLog("prod", 5)), compiled(DenialLog("prod", 6)), compiled(None)
    assert "add limit inet avpn log5 { rate 5/second burst 5 packets ; }" in load(first).rules
    change = difference(first, second)
    assert not change.whole
    assert "delete limit inet avpn log5" in change.rules
    assert "add limit inet avpn log6" in change.rules
    assert not change.switch
    assert "delete limit inet avpn log5" in difference(first, off).rules
    assert Ruleset.from_json(first.to_json()) == first
