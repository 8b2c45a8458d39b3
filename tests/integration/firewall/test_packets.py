# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the wire does is what ``evaluate`` says."""

from __future__ import annotations

from typing import Any

import pytest
from wire import Wire, paths, probe

from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate

pytestmark = pytest.mark.root

PORTS = (("tcp", 80), ("tcp", 5432), ("udp", 5000), ("udp", 5001), ("icmp", None), ("icmpv6", None))


def both(peers: Any, ports: Any) -> dict[str, Any]:
    return {side: {"allow": [{"peers": peers, "ports": ports}]} for side in ("ingress", "egress")}


OPEN = {name: both("any", "any") for name in ("web", "api", "db")}

DOCUMENTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "open": {"members": OPEN},
    "one port": {
        "members": {
            "web": {"egress": {"allow": [{"peers": "db", "ports": ["tcp/5432", "icmp"]}]}},
            "db": {"ingress": {"allow": [{"peers": "web", "ports": ["tcp/5432", "icmp", "icmpv6"]}]}},
        }
    },
    "only the sender's side": {"members": {"web": {"egress": {"allow": [{"peers": "any", "ports": "any"}]}}}},
    "only the receiver's side": {"members": {"db": {"ingress": {"allow": [{"peers": "any", "ports": "any"}]}}}},
    "deny wins": {
        "members": {
            **OPEN,
            "db": {
                "ingress": {
                    "deny": [{"peers": ["web"], "ports": ["udp/5000", "tcp/1-79", "icmpv6"]}],
                    "allow": [{"peers": "any", "ports": "any"}],
                }
            },
            "api": {
                "egress": {
                    "deny": [{"peers": "100.64.0.3/32", "ports": "any"}],
                    "allow": [{"peers": "any", "ports": ["tcp/1-65535", "udp/5000-5000"]}],
                },
                "ingress": {"allow": [{"peers": "any", "ports": "any"}]},
            },
        }
    },
    "a lease's own rules": {
        "groups": {"clients": ["web", "api"]},
        "members": {
            **OPEN,
            "db": {"ingress": {"allow": [{"peers": "clients", "ports": "udp/5000-5001"}]}},
            "db/2": {"ingress": {"allow": [{"peers": ["api", "db/1"], "ports": "tcp/5432"}]}},
        },
    },
    "ranges inside each other": {
        "members": {
            **OPEN,
            "db": {
                "ingress": {
                    "deny": [
                        {"peers": "100.64.0.1/32", "ports": "tcp/80"},
                        {"peers": "fd00:1::6440:0/112", "ports": "icmpv6"},
                    ],
                    "allow": [
                        {"peers": "100.64.0.0/29", "ports": ["tcp/80-90", "udp/5001"]},
                        {"peers": ["100.64.0.0/30", "fd00:1::/64"], "ports": ["any"]},
                    ],
                }
            },
        }
    },
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_wire_agrees_with_evaluate(shared_wire: Wire, name: str) -> None:
    manifest = parse(DOCUMENTS[name])
    shared_wire.enforce(manifest)
    wanted = paths(shared_wire, PORTS)
    predicted = {path: evaluate(manifest, shared_wire.endpoints, path.packet).permitted for path in wanted}
    seen = probe(wanted)
    assert [path for path in wanted if seen[path] != predicted[path]] == []


def test_without_a_manifest_nothing_passes(shared_wire: Wire) -> None:
    shared_wire.enforce(None)
    assert not any(probe(paths(shared_wire, PORTS)).values())


def test_the_documents_permit_some_and_refuse_some(shared_wire: Wire) -> None:
    wanted = paths(shared_wire, PORTS)
    for name, document in DOCUMENTS.items():
        permitted = {evaluate(parse(document), shared_wire.endpoints, path.packet).permitted for path in wanted}
        if name not in ("nothing", "open", "only the sender's side", "only the receiver's side"):
            assert permitted == {True, False}, name
