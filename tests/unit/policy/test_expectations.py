# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A test inside a manifest that holds is kept by ``evaluate``, wherever endpoints are and whatever ICMP they send."""

from __future__ import annotations

import ipaddress
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from manifests import MEMBERS, documents

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import NetworkRecord
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.icmp import BEGINNING
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate, policy_of
from ansible_collections.akash.avpn.plugins.module_utils._policy.expectations import check_tests, ula

RECORD = NetworkRecord(
    owner="akash1eq5y48kg0txyuhjdnsl3cj9d40j0uawf6nku6m",
    name="prod",
    cidr=ipaddress.IPv4Network("100.64.0.0/25"),
    members={name: number for number, name in enumerate(MEMBERS, 1)},
    providers=None,
)
PORTS = ("tcp/80", "udp/53", "icmp", "icmpv6", "icmp/8", "icmp/13", "icmpv6/139", "sctp/1")


def holds(document: dict[str, Any], test: dict[str, str]) -> bool:
    try:
        check_tests(parse({**document, "tests": [test]}), RECORD)
    except InvalidInput:
        return False
    return True


@settings(max_examples=200, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    documents,
    st.sampled_from(MEMBERS),
    st.sampled_from(MEMBERS),
    st.sampled_from(PORTS),
    st.lists(st.tuples(st.integers(1, 2), st.integers(1, 2), st.permutations(range(1, 9))), min_size=4, max_size=4),
)
def test_what_holds_is_kept(document: dict[str, Any], source: str, target: str, port: str, placed: list[Any]) -> None:
    said = {
        expected: holds(document, {"from": source, "to": target, "port": port, "expected": expected})
        for expected in ("allow", "deny")
    }
    assert not (said["allow"] and said["deny"])
    manifest = parse(document)
    protocol, _slash, number = port.partition("/")
    kinds = [int(number)] if number else list(BEGINNING[protocol].values())
    for first, second, order in placed:
        ends = [
            Endpoint(
                EndpointId(member, gseq, index),
                RECORD.cidr.network_address + host,
                ula(RECORD.id).network_address + int(RECORD.cidr.network_address) + host,
            )
            for index, (member, gseq, host) in enumerate(((source, first, order[0]), (target, second, order[1])))
        ]
        for version in {"icmp": (4,), "icmpv6": (6,)}.get(protocol, (4, 6)):
            at = [each.ipv4 if version == 4 else each.ipv6 for each in ends]
            for kind in kinds:
                permitted = evaluate(manifest, Endpoints(ends), Packet(at[0], at[1], protocol, kind)).permitted
                # A lease without an entry, of a member that has entries for others only, need not exist.
                if all(policy_of(manifest, each) is not None for each in ends):
                    assert not (said["allow"] and not permitted)
                assert not (said["deny"] and permitted)
