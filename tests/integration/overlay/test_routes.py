# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A member carries traffic to what is outside: from its workload over two hosts and back, for real (R8)."""

from __future__ import annotations

import ipaddress
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import (
    AnyMember,
    Manifest,
    Policy,
    Port,
    RangePeer,
    Route,
    Rule,
    Rules,
)
from ansible_collections.akash.avpn.plugins.module_utils._overlay import netns
from ansible_collections.akash.avpn.plugins.module_utils._overlay.change import Outcome
from ansible_collections.akash.avpn.plugins.module_utils._overlay.names import namespace
from ansible_collections.akash.avpn.plugins.module_utils._overlay.supervisor import resolver_unit
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters
from ansible_collections.akash.avpn.tests.integration.overlay.machinery import PREFIX, Node, ip, wait_for, within
from ansible_collections.akash.avpn.tests.integration.overlay.test_overlay import (
    API0,
    API1,
    DB,
    WEB,
    addresses,
    ask,
    home,
    listening,
    reaches,
)
from ansible_collections.akash.avpn.tests.integration.overlay.test_resolver import _NOERROR, query
from ansible_collections.akash.avpn.tests.unit.overlay.builders import World, slot

pytestmark = pytest.mark.root

OUTSIDE = ("192.0.2.9", "2001:db8:9::9")
BEYOND = ("198.51.100.9", "2001:db8:8::9")
_A = 1


def manifest(*routes: tuple[str, ...]) -> Manifest:
    """Everybody may speak with everybody, inside and outside. Routes as (range, via, covers …)."""
    peers = (AnyMember(), RangePeer(ipaddress.ip_network("0.0.0.0/0")), RangePeer(ipaddress.ip_network("::/0")))
    everything = Rules(allow=(Rule(peers, (Port("any"),)),))
    listed = tuple(Route(ipaddress.ip_network(each), via, frozenset(covers)) for each, via, *covers in routes)
    return Manifest(policies={each: Policy(everything, everything) for each in ("web", "api", "db")}, routes=listed)


ROUTED = manifest(("192.0.2.0/24", "api"), ("2001:db8:9::/64", "api"))
DEFAULT = manifest(("0.0.0.0/0", "db", "default"), ("::/0", "db", "default"))


def everywhere(hosts: list[Node], world: World, content: Manifest) -> list[Outcome]:
    outcomes = [each.apply(each.plan(world, content)) for each in hosts]
    assert [outcome.problems for outcome in outcomes] == [{}] * len(hosts)
    return outcomes


@pytest.fixture
def outside(hosts: list[Node]) -> Iterator[str]:
    """A machine that is in no network: its namespace."""
    name = f"{PREFIX}-outside"
    assert hosts
    ip("netns", "add", name)
    ip("-n", name, "link", "set", "lo", "up")
    for address in (*OUTSIDE, *BEYOND):
        ip("-n", name, "address", "add", address, "dev", "lo", *(("nodad",) if ":" in address else ()))
    yield name
    ip("netns", "delete", name)


def lead(hosts: list[Node], world: World, carrier: EndpointId, outside: str, number: int) -> None:
    """What a tenant's carrier does: it forwards, knows the way out, and the outside knows the way back by it."""
    _host, space = home(hosts, world, carrier)
    for setting in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        assert within(space, "sysctl", "-qw", f"{setting}=1").returncode == 0
    near, far = f"10.77.{number}.1", f"10.77.{number}.2"
    near6, far6 = f"fd77:{number}::1", f"fd77:{number}::2"
    ip("-n", space, "link", "add", "out", "type", "veth", "peer", "name", f"in{number}", "netns", outside)
    out = ["link set out up", f"address add {near}/24 dev out", f"address add {near6}/64 dev out nodad"]
    out += [f"route add {address} via {far6 if ':' in address else far}" for address in (*OUTSIDE, *BEYOND)]
    netns.batch(f"/run/netns/{space}", out)
    back = [f"link set in{number} up", f"address add {far}/24 dev in{number}"]
    back += [f"address add {far6}/64 dev in{number} nodad"]
    netns.batch(f"/run/netns/{outside}", back)
    return_by(world, outside, number)


def return_by(world: World, outside: str, number: int) -> None:
    """The outside's way back to the network, by the carrier with this number."""
    planned = world.record.cidr
    six = ipaddress.ip_network((int(ipaddress.IPv6Address(addresses(world, WEB)[1])) >> 64 << 64, 64))
    netns.batch(
        f"/run/netns/{outside}",
        [
            f"route replace {planned} via 10.77.{number}.1 src {OUTSIDE[0]}",
            f"route replace {six} via fd77:{number}::1 src {OUTSIDE[1]}",
        ],
    )


def gets(space: str, address: str, tries: int = 30) -> bool:
    return any(within(space, "ping", "-c1", "-W1", address).returncode == 0 for _try in range(tries))


def test_a_route_leads_from_one_host_by_another_to_the_outside_and_back(
    hosts: list[Node], world: World, outside: str
) -> None:
    lead(hosts, world, API0, outside, 1)
    everywhere(hosts, world, ROUTED)
    for asker in (WEB, API1, DB):  # on another host, beside the carrier, on a third
        _host, space = home(hosts, world, asker)
        for address, own in zip(OUTSIDE, addresses(world, asker), strict=True):
            assert gets(space, address), (asker, address)
            with listening(outside, address, 8080):
                assert ask(space, address, 8080) == own
            with listening(space, own, 8081):
                assert ask(outside, own, 8081) == address
    # What isn't named is left to the workload's own way out; the carrier has its own to what it carries.
    _host, space = home(hosts, world, WEB)
    assert "eth0" in within(space, "ip", "route", "get", BEYOND[0]).stdout
    assert "dev out" in within(home(hosts, world, API0)[1], "ip", "route", "get", OUTSIDE[0]).stdout
    assert [outcome.changes for outcome in everywhere(hosts, world, ROUTED)] == [[], [], []]


def test_when_the_carrier_goes_the_next_takes_over_and_then_nothing_leaks(
    hosts: list[Node], world: World, outside: str
) -> None:
    world.slots[API1] = slot(2, 3, "100.64.0.4")  # the second replica is on the third host
    second = hosts[2].workload(world, API1)
    ip("netns", "add", second)
    ip("-n", second, "link", "set", "lo", "up")
    lead(hosts, world, API0, outside, 1)
    lead(hosts, world, API1, outside, 2)
    return_by(world, outside, 1)
    everywhere(hosts, world, ROUTED)
    _host, space = home(hosts, world, WEB)
    assert all(gets(space, address) for address in OUTSIDE)
    world.slots[API0] = slot(2, 2, "100.64.0.3", bound=False)
    return_by(world, outside, 2)
    everywhere(hosts, world, ROUTED)
    for address, own in zip(OUTSIDE, addresses(world, WEB), strict=True):
        assert gets(space, address), address
        with listening(outside, address, 8080):
            assert ask(space, address, 8080) == own
    assert [outcome.changes for outcome in everywhere(hosts, world, ROUTED)] == [[], [], []]
    world.slots[API1] = slot(2, 3, "100.64.0.4", bound=False)
    everywhere(hosts, world, ROUTED)
    for address in OUTSIDE:
        said = within(space, "ping", "-c1", "-W2", address)
        assert "nreachable" in said.stdout, said
        assert "eth0" not in within(space, "ip", "route", "get", address).stdout
    # Without the route the range is none of the network's business any more.
    everywhere(hosts, world, manifest())
    for address in OUTSIDE:
        assert "eth0" in within(space, "ip", "route", "get", address).stdout


def test_a_default_route_takes_neither_tunnel_nor_gateway_nor_members(
    hosts: list[Node], world: World, outside: str
) -> None:
    lead(hosts, world, DB, outside, 1)
    everywhere(hosts, world, DEFAULT)
    for asker in (WEB, API0):
        _host, space = home(hosts, world, asker)
        for address in (*OUTSIDE, *BEYOND):
            assert gets(space, address), (asker, address)
    # It holds the hosts' own addresses: what is encrypted goes its way in the host's namespace all the same.
    for source, target in ((WEB, API0), (API1, DB), (DB, WEB)):
        assert reaches(hosts, world, source, target), (source, target)
    host, space = home(hosts, world, WEB)
    assert "dev eth0" in within(host.space, "ip", "route", "get", "198.18.77.3").stdout
    assert "dev avpn0" in within(space, "ip", "route", "get", "198.18.77.3").stdout
    assert gets(space, "169.254.64.1")
    wait_for("an answer", lambda: query(space, "db.prod.avpn.internal", _A) == (_NOERROR, [addresses(world, DB)[0]]))
    for address in ("169.254.169.254", "224.0.0.251"):
        assert "avpn0" not in within(space, "ip", "route", "get", address).stdout
    # The workload's own default route stays behind it, for when the network goes.
    assert "eth0" in within(space, "ip", "route", "show", "default").stdout
    assert [outcome.changes for outcome in everywhere(hosts, world, DEFAULT)] == [[], [], []]
    everywhere(hosts, world, manifest())
    assert "eth0" in within(space, "ip", "route", "get", BEYOND[0]).stdout


def forge(host: Node, world: World, source: str, target: str) -> None:
    """A datagram that the host sends into its tunnel with whatever source it likes."""
    inside = namespace(host.short(world.network))
    kind = socket.AF_INET6 if ":" in source else socket.AF_INET
    body = bytes.fromhex("c000 0009 000c 0000") + b"evil"  # ports 49152 and 9, no checksum
    if ":" in source:
        header = bytes.fromhex("60000000") + len(body).to_bytes(2, "big") + bytes([17, 64])
        header += socket.inet_pton(kind, source) + socket.inet_pton(kind, target)
    else:
        header = bytes.fromhex("4500 0000 0001 0000 4011 0000") + socket.inet_aton(source) + socket.inet_aton(target)
    with netns.entered(f"/run/netns/{inside}"), socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        if kind == socket.AF_INET6:
            sender.setsockopt(socket.IPPROTO_IPV6, 36, 1)  # IPV6_HDRINCL
        sender.sendto(header + body, (target, 0))


def test_a_host_that_carries_everything_does_not_speak_for_others(
    hosts: list[Node], world: World, outside: str
) -> None:
    lead(hosts, world, DB, outside, 1)
    everywhere(hosts, world, DEFAULT)
    first, _second, third = hosts
    _host, space = home(hosts, world, WEB)
    own = addresses(world, WEB)[0]
    assert gets(space, BEYOND[0])
    inside = namespace(first.short(world.network))
    with netns.entered(f"/run/netns/{space}"):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.settimeout(0.7)
    receiver.bind((own, 9))

    def heard() -> bool:
        try:
            return receiver.recv(100) == b"evil"
        except TimeoutError:
            return False

    # By WireGuard's own rule: another peer's address.
    for source in (addresses(world, API0)[0], "100.64.63.2"):
        forge(third, world, source, own)
        assert not heard(), source
    # Its allowed IPs hold these; the guard knows that they are on this side.
    before = counters(inside)["spoofed"]
    forge(third, world, own, own)
    forge(third, world, "169.254.64.2", own)
    assert not heard()
    wait_for("the guard's count", lambda: counters(inside)["spoofed"] == before + 2)
    # Nobody's address of the network is not outside of it.
    before = counters(inside)["strangers"]
    forge(third, world, "100.64.7.7", own)
    wait_for("the stranger's count", lambda: counters(inside)["strangers"] == before + 1)
    forge(third, world, BEYOND[0], own)
    assert heard(), "what it carries it may bring"
    receiver.close()


def test_what_the_manifest_does_not_name_no_host_can_announce(hosts: list[Node], world: World, outside: str) -> None:
    lead(hosts, world, API0, outside, 1)
    everywhere(hosts, world, ROUTED)
    own = addresses(world, WEB)[0]
    _host, space = home(hosts, world, WEB)
    assert gets(space, OUTSIDE[0]) and reaches(hosts, world, DB, WEB)
    with netns.entered(f"/run/netns/{space}"):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind((own, 9))
    receiver.settimeout(0.7)
    with receiver:
        for host, source in ((hosts[2], OUTSIDE[0]), (hosts[2], BEYOND[0]), (hosts[1], BEYOND[0])):
            forge(host, world, source, own)
            with pytest.raises(TimeoutError):
                receiver.recv(100)
        forge(hosts[1], world, OUTSIDE[0], own)
        assert receiver.recv(100) == b"evil", "the host of the carrier may"


def test_a_workload_without_the_route_has_it_back_after_a_repair(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world, ROUTED)
    host, space = home(hosts, world, WEB)
    ip("-n", space, "route", "delete", "192.0.2.0/24", "dev", "avpn0")
    assert "No route to host" in within(space, "ip", "route", "get", OUTSIDE[0]).stderr
    assert host.apply(host.plan(world, ROUTED)).changes != []
    assert "avpn0" in within(space, "ip", "route", "get", OUTSIDE[0]).stdout


@pytest.mark.skipif(shutil.which("udhcpc") is None, reason="Debian's udhcpc is not installed")
def test_a_workload_that_asks_by_dhcp_is_told_the_routes(hosts: list[Node], world: World, tmp_path: Path) -> None:
    many = [(f"10.{number}.0.0/17", "api") for number in range(250)]
    everywhere(hosts, world, manifest(("172.16.0.0/12", "db"), *many))
    host, space = home(hosts, world, WEB)
    pid = host.daemons.processes[resolver_unit(host.short(world.network))].pid
    with netns.entered(f"/proc/{pid}/ns/net"):
        wait_for("the resolver's start", lambda: ":0043 " in Path("/proc/thread-self/net/udp").read_text())
    script, report = tmp_path / "script", tmp_path / "report"
    script.write_text('#!/bin/sh\ntest "$1" = bound && echo "$staticroutes" > "$REPORT"\nexit 0\n')
    script.chmod(0o755)
    asked = ("udhcpc", "-f", "-q", "-n", "-i", "avpn0", "-s", str(script), "-Ostaticroutes")
    done = within(space, "env", f"REPORT={report}", *asked)
    assert done.returncode == 0, done.stderr
    told = report.read_text().split()
    pairs = dict(zip(told[::2], told[1::2], strict=True))
    assert pairs["172.16.0.0/12"] == pairs["100.64.0.0/18"] == "169.254.64.1"
    assert 25 < len(pairs) < 40


def test_a_route_that_is_the_networks_whole_range_carries_what_nobody_has(
    hosts: list[Node], world: World, outside: str
) -> None:
    free = "100.64.9.9"
    lead(hosts, world, API0, outside, 1)
    _host, carrier = home(hosts, world, API0)
    ip("-n", carrier, "route", "add", free, "via", "10.77.1.2")
    ip("-n", outside, "address", "add", free, "dev", "lo")
    content = manifest(("100.64.0.0/18", "api", "members"))
    everywhere(hosts, world, content)
    for asker in (WEB, API1, DB):
        assert gets(home(hosts, world, asker)[1], free), asker
    for source, target in ((WEB, API0), (API1, DB), (DB, WEB), (API0, API1)):
        assert reaches(hosts, world, source, target), (source, target)
    assert [outcome.changes for outcome in everywhere(hosts, world, content)] == [[], [], []]
    everywhere(hosts, world, manifest())
    assert not gets(home(hosts, world, WEB)[1], free, tries=1)
    assert reaches(hosts, world, WEB, DB)
