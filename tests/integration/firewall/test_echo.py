# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the tunnel the gateway answers echo requests of the network's other hosts at its own address, no more."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import select
import socket
from collections.abc import Iterator

import pytest
from wire import TUNNEL, Site, Wire, echo_request, ip_batch, opened, run

from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import Neighbours
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters

pytestmark = pytest.mark.root

ONE4, TWO4, FALSE4 = "100.64.255.0", "100.64.255.1", "100.64.255.9"
ONE6, TWO6 = "fd00:1::ff:0", "fd00:1::ff:1"


def neighbours(own: tuple[str, ...], others: tuple[str, ...]) -> Neighbours:
    return Neighbours(tuple(map(ipaddress.ip_address, own)), tuple(map(ipaddress.ip_address, others)))


@pytest.fixture
def hosts(wire: Wire) -> tuple[Site, Site]:
    one, two = wire.sites
    for site, own, other in ((one, (ONE4, ONE6), (TWO4, TWO6)), (two, (TWO4, TWO6), (ONE4, ONE6))):
        site.apply(site.compiled(None, wire.endpoints, neighbours=neighbours(own, other)))
    ip_batch(two.namespace, f"addr add {FALSE4}/32 dev lo")
    ip_batch(one.namespace, f"route add {FALSE4} via {TWO4}", "addr add 100.64.254.1/32 dev lo")
    ip_batch(two.namespace, f"route add 100.64.254.1 via {ONE4}")
    return one, two


def answers(site: Site, source: str, target: str, count: int = 1) -> int:
    """How many of so many echo requests come back."""
    family, protocol = (
        (socket.AF_INET6, socket.IPPROTO_ICMPV6) if ":" in target else (socket.AF_INET, socket.IPPROTO_ICMP)
    )
    found = 0
    with opened(site.namespace, family, socket.SOCK_RAW, protocol) as asking:
        asking.bind((source, 0))
        for number in range(count):
            asking.sendto(echo_request(6 if ":" in target else 4, number + 7), (target, 0))
        while select.select([asking], [], [], 0.5)[0]:
            data = asking.recv(200)
            found += (data if ":" in target else data[20:])[0] in (0, 129)
    return found


def test_the_other_hosts_are_answered(hosts: tuple[Site, Site]) -> None:
    one, two = hosts
    for site, own, other in ((one, ONE4, TWO4), (two, TWO4, ONE4), (one, ONE6, TWO6), (two, TWO6, ONE6)):
        assert answers(site, own, other) == 1, (own, other)


def test_nobody_else_and_nowhere_else(hosts: tuple[Site, Site], wire: Wire) -> None:
    """An address behind the tunnel that isn't a host's, another address of this host, and a workload beyond."""
    _one, two = hosts
    assert answers(two, FALSE4, ONE4) == 0
    assert answers(two, TWO4, "100.64.254.1") == 0
    db = wire.workloads[2]
    assert answers(dataclasses.replace(two, namespace=db.namespace), str(db.endpoint.ipv4), ONE4) == 0
    assert answers(two, TWO4, ONE4) == 1


def test_nothing_but_echo(hosts: tuple[Site, Site]) -> None:
    one, two = hosts
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(opened(one.namespace, socket.AF_INET, socket.SOCK_DGRAM))
        server.bind((ONE4, 53))
        server.settimeout(0.4)
        client = stack.enter_context(opened(two.namespace, socket.AF_INET, socket.SOCK_DGRAM))
        client.bind((TWO4, 0))
        client.sendto(b"x", (ONE4, 53))
        with pytest.raises(TimeoutError):
            server.recv(9)


@contextlib.contextmanager
def third(wire: Wire, one: Site, address: str) -> Iterator[Site]:
    """Another host at another tunnel's end; its name begins like the first's, for it has to be in the rules too."""
    site = wire.site("host3")
    ip_batch(one.namespace, f"link add avtunnelb type veth peer name {TUNNEL} netns {site.namespace}")
    ip_batch(one.namespace, "link set avtunnelb up", f"route add {address} dev avtunnelb src {ONE4}")
    ip_batch(
        site.namespace, f"link set {TUNNEL} up", f"addr add {address}/32 dev {TUNNEL}", f"route add {ONE4} dev {TUNNEL}"
    )
    yield site


def test_one_host_does_not_use_up_the_rate_of_another(hosts: tuple[Site, Site], wire: Wire) -> None:
    one, two = hosts
    with third(wire, one, "100.64.255.5") as site:
        mine = neighbours((ONE4,), (TWO4, "100.64.255.5"))
        local = [each.local for each in one.workloads]
        one.apply(compile_ruleset(None, wire.endpoints, local, [TUNNEL, "avtunnelb"], neighbours=mine))
        assert 0 < answers(two, TWO4, ONE4, 60) < 40, "limited"
        assert answers(two, TWO4, ONE4) <= 1
        assert answers(site, "100.64.255.5", ONE4) == 1, "but only who asks too often"
    assert run("ip", "netns", "exec", one.namespace, "nft", "list", "set", "inet", "avpn", "echoes4").count(
        "limit rate"
    )
    assert counters(one.namespace)["gateway"] == 0
