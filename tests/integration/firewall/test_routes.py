# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A member carries traffic to a range outside the network (R8)."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Any

import pytest
from wire import TUNNEL, Path_, Wire, ip_batch, probe, run

from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters

pytestmark = pytest.mark.root

OUTSIDE = {4: ipaddress.ip_address("192.0.2.9"), 6: ipaddress.ip_address("2001:db8:9::9")}
RANGES = {4: ipaddress.ip_network("192.0.2.0/24"), 6: ipaddress.ip_network("2001:db8:9::/64")}
ROUTES = [{"range": str(range_), "via": "api"} for range_ in RANGES.values()]


@pytest.fixture
def routed(wire: Wire) -> tuple[Wire, str]:
    """api carries the two ranges, behind which is one more machine: its namespace."""
    one, two = wire.sites
    api = next(each for each in one.workloads if each.endpoint.id.member == "api")
    outside = wire.namespace("outside")
    run("ip", "netns", "exec", api.namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    run("ip", "netns", "exec", api.namespace, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    ip_batch(
        api.namespace,
        f"link add outside type veth peer name eth0 netns {outside}",
        "link set outside up",
        "addr add 192.0.2.1/24 dev outside",
        "addr add 2001:db8:9::1/64 dev outside nodad",
    )
    ip_batch(
        outside,
        "link set eth0 up",
        f"addr add {OUTSIDE[4]}/24 dev eth0",
        f"addr add {OUTSIDE[6]}/64 dev eth0 nodad",
        "route add default via 192.0.2.1",
        "route add default via 2001:db8:9::1",
    )
    ip_batch(
        one.namespace,
        f"route add {RANGES[4]} via {api.endpoint.ipv4} dev {api.interface} onlink",
        f"route add {RANGES[6]} via {api.endpoint.ipv6} dev {api.interface} onlink",
    )
    ip_batch(
        two.namespace,
        f"route add {RANGES[4]} via 100.64.255.0 dev {TUNNEL}",
        f"route add {RANGES[6]} via fd00:1::ff:0 dev {TUNNEL}",
    )
    one.workloads[one.workloads.index(api)] = dataclasses.replace(api, carries=tuple(RANGES.values()))
    return wire, outside


def there_and_back(wire: Wire, outside: str) -> list[Path_]:
    found = []
    for version, address in OUTSIDE.items():
        for each in wire.workloads:
            if each.endpoint.id.member != "api":
                for protocol in ("tcp", "udp"):
                    out = Packet(each.address(version), address, protocol, 80)
                    back = Packet(address, each.address(version), protocol, 80)
                    found += [Path_(each.namespace, outside, out), Path_(outside, each.namespace, back)]
    return found


def policy(peers: list[str], **more: Any) -> dict[str, Any]:
    rules = {"allow": [{"peers": peers, "ports": ["tcp/80", "udp/80"]}]}
    return {"members": {"web": {"ingress": rules, "egress": rules}, "db/2": {"egress": rules}}, **more}


@pytest.mark.parametrize(
    ("document", "some"),
    [
        (policy(["192.0.2.0/24", "2001:db8:9::/64"], routes=ROUTES), True),
        (policy(["192.0.2.0/28", "::/0"], routes=ROUTES), True),
        (policy(["192.0.2.0/24", "2001:db8:9::/64"], routes=ROUTES[:1]), True),
        (policy(["192.0.2.0/24", "2001:db8:9::/64"]), False),
        (policy(["any", "api"], routes=ROUTES), False),
    ],
    ids=["open", "wider and narrower", "one route", "no route", "any is nobody outside"],
)
def test_the_outside_is_reached_as_predicted(routed: tuple[Wire, str], document: dict[str, Any], some: bool) -> None:
    wire, outside = routed
    manifest = parse(document)
    wire.enforce(manifest)
    wanted = there_and_back(wire, outside)
    predicted = {path: evaluate(manifest, wire.endpoints, path.packet).permitted for path in wanted}
    seen = probe(wanted)
    assert [path for path in wanted if seen[path] != predicted[path]] == []
    assert any(predicted.values()) is some


def test_a_range_is_carried_by_its_member_alone(routed: tuple[Wire, str]) -> None:
    """Without the range in its source check, what comes from behind api is dropped at its veth."""
    wire, outside = routed
    manifest = parse(policy(["192.0.2.0/24", "2001:db8:9::/64"], routes=ROUTES))
    one = wire.sites[0]
    one.workloads[:] = [dataclasses.replace(each, carries=()) for each in one.workloads]
    wire.enforce(manifest)
    wanted = [path for path in there_and_back(wire, outside) if path.source == outside]
    assert not any(probe(wanted).values())
    assert counters(one.namespace)["spoofed"] > 0
