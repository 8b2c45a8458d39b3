# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""With routes, who may speak for whom: carriers, hosts, and what is behind them (R8). Every packet is a test's own.

Site one has web, which anybody may reach, and api, which carries three ranges; site two has db, and exit, which
carries everything else. Rules permit everything, so that what is dropped is dropped for where it comes from. What is
lax has no table: it sends into the tunnel what it likes.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from frames import Flow, first
from passive import PassiveWire, passive_wire
from wire import site_addresses

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import Neighbours
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters, remove
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset

pytestmark = pytest.mark.root

PLACES = {"web": 1, "api": 2, "db": 3, "exit": 4, "late": 200}
API = ("192.0.2.0/24", "2001:db8:9::/64", "100.64.0.128/25", "100.64.255.0/24", "fd00:1::ff:0/112")
EXIT = ("0.0.0.0/0", "::/0")
_ANY = {"allow": [{"peers": ["any", "0.0.0.0/0", "::/0"], "ports": "any"}]}
ROUTED = parse(
    {
        "members": {name: {"ingress": _ANY, "egress": _ANY} for name in PLACES},
        "routes": [
            *({"range": range_, "via": "api", "covers": "members"} for range_ in API),
            *({"range": range_, "via": "exit", "covers": "default"} for range_ in EXIT),
        ],
    }
)
_SECONDS = 3.0  # only what is wrong takes as long


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PassiveWire]:
    directory: Path = tmp_path_factory.mktemp("guard")
    with passive_wire(directory) as made:
        one, two = made.site("host1"), made.site("host2")
        for name in PLACES:
            ipv4, ipv6 = addresses(name)
            made.place(one if name in ("web", "api") else two, Endpoint(EndpointId(name, 1, 0), ipv4, ipv6, name))
        made.join(one, two)
        for site, name, ranges in ((one, "api", API), (two, "exit", EXIT)):
            place = [each.endpoint.id.member for each in site.workloads].index(name)
            made.lead(ranges, site.workloads[place])
            carries = tuple(map(ipaddress.ip_network, ranges))
            site.workloads[place] = dataclasses.replace(site.workloads[place], carries=carries)
        yield made


def addresses(name: str) -> tuple[ipaddress.IPv4Address, ipaddress.IPv6Address]:
    number = PLACES[name]
    return ipaddress.IPv4Address(f"100.64.0.{number}"), ipaddress.IPv6Address(f"fd00:1::6440:{number}")


def compiled(wire: PassiveWire, number: int, manifest: Manifest = ROUTED) -> Ruleset:
    site = wire.sites[number]
    own = Neighbours(site_addresses(number), site_addresses(1 - number))
    return site.compiled(manifest, wire.endpoints, neighbours=own, routing=wire.routing(site))


def enforce(wire: PassiveWire, *, lax: bool = False, manifest: Manifest = ROUTED, without: str = "") -> None:
    """The manifest on both sites, or on the first alone; ``without``: rules that hold these words are taken out."""
    for number, site in enumerate(wire.sites):
        if lax and number == 1:
            remove(site.namespace, site.state)
            continue
        ruleset = compiled(wire, number, manifest)
        chains = {
            name: dataclasses.replace(
                chain, rules=tuple(rule for rule in chain.rules if not without or without not in rule)
            )
            for name, chain in ruleset.chains.items()
        }
        site.apply(dataclasses.replace(ruleset, chains=chains))


_numbers = itertools.count(1)


def fate(wire: PassiveWire, place: str, source: str, target: str, port: int = 9) -> str:
    """What becomes of a packet: the place where it arrives, or the site and the counter that drops it."""
    number = next(_numbers) % 60000 + 1
    packet = Packet(ipaddress.ip_address(source), ipaddress.ip_address(target), "udp", port)
    lines = {name: wire.lines[addresses(name)[0]] for name in PLACES}
    for line in lines.values():
        list(line.arrived())
    before = [counted(wire, index) for index in range(2)]
    lines[place].send(first(Flow(packet, 1024 + number, 17), number))
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        for name, line in lines.items():
            if any(each.number == number for each in line.arrived()):
                return name
        for index in range(2):
            for name, count in counted(wire, index).items():
                if count != before[index].get(name, 0):
                    return f"{index} {name}"
    return "nothing"


def counted(wire: PassiveWire, number: int) -> dict[str, int]:
    site = wire.sites[number]
    return counters(site.namespace) if site.state.exists() else {}


def address_of(name: str, version: int) -> str:
    return str(addresses(name)[0 if version == 4 else 1])


# Where it is sent, as whom, to whom, and what must become of it. All sites enforce.
HONEST = [
    ("web", "web", "192.0.2.9", "api"),
    ("web", "web", "198.51.100.9", "exit"),
    ("web", "web", "2001:db8:9::9", "api"),
    ("web", "web", "2001:db8:8::9", "exit"),
    ("db", "db", "192.0.2.9", "api"),
    ("db", "db", "198.51.100.9", "exit"),
    ("api", "192.0.2.9", "web", "web"),
    ("api", "192.0.2.9", "db", "db"),
    ("api", "2001:db8:9::9", "db", "db"),
    ("exit", "198.51.100.9", "web", "web"),
    ("exit", "2001:db8:8::9", "web", "web"),
    ("exit", "198.51.100.9", "api", "api"),
    # Inside the network a route carries what nobody has, and no more.
    ("web", "web", "100.64.0.201", "api"),
    ("web", "web", "late", "late"),
    ("late", "late", "web", "web"),
    ("late", "late", "100.64.0.201", "api"),
    ("api", "100.64.0.201", "web", "web"),
]
DISHONEST = [
    # A carrier in the name of endpoints and hosts, inside and outside of what it carries.
    ("api", "late", "web", "0 spoofed"),
    ("api", "100.64.255.1", "web", "0 spoofed"),
    ("api", "fd00:1::ff:1", "web", "0 spoofed"),
    ("api", "100.64.255.0", "web", "0 spoofed"),
    ("api", "db", "web", "0 spoofed"),
    ("api", "web", "db", "0 spoofed"),
    ("exit", "web", "db", "1 spoofed"),
    ("exit", "100.64.7.7", "db", "1 spoofed"),
    # What another carries, by a longer prefix or a shorter.
    ("exit", "192.0.2.9", "web", "1 spoofed"),
    ("exit", "192.0.2.9", "db", "1 spoofed"),
    ("api", "198.51.100.9", "web", "0 spoofed"),
    ("api", "2001:db8:8::9", "web", "0 spoofed"),
    ("web", "192.0.2.9", "db", "0 spoofed"),
    ("web", "198.51.100.9", "db", "0 spoofed"),
    # What nobody carries.
    ("exit", "169.254.64.1", "db", "1 spoofed"),
    ("exit", "224.0.0.9", "db", "1 spoofed"),
    # Between two addresses outside.
    ("api", "192.0.2.9", "198.51.100.9", "0 strangers"),
    ("exit", "198.51.100.9", "192.0.2.9", "1 strangers"),
    # The gateway's services are the endpoints'.
    ("api", "192.0.2.9", "169.254.64.1", "0 gateway"),
]
# The second site has no table.
BY_TUNNEL = [
    ("db", "web", "api", "0 spoofed"),
    ("db", "100.64.255.0", "web", "0 spoofed"),
    ("exit", "fd00:1::ff:0", "web", "0 spoofed"),
    ("exit", "192.0.2.9", "web", "0 spoofed"),
    ("exit", "2001:db8:9::9", "web", "0 spoofed"),
    ("exit", "169.254.99.9", "web", "0 spoofed"),
    ("exit", "100.64.0.201", "web", "0 spoofed"),
    ("exit", "100.64.7.7", "web", "0 strangers"),
    ("db", "db", "web", "web"),
    ("late", "late", "web", "web"),
    ("exit", "198.51.100.9", "web", "web"),
    ("exit", "198.51.100.9", "192.0.2.9", "0 strangers"),
]


def wrong(wire: PassiveWire, cases: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str, str]]:
    """The cases that come out otherwise. Names stand for their places' addresses: two of them, for those of both
    families."""
    found = []
    for place, source, target, expected in cases:
        versions = [ipaddress.ip_address(each).version for each in (source, target) if each not in PLACES][:1] or [4, 6]
        for version in versions:
            one, two = (address_of(each, version) if each in PLACES else each for each in (source, target))
            port = 53 if expected.endswith("gateway") else 9
            seen = fate(wire, place, one, two, port)
            if seen != expected:
                found.append((place, one, two, expected, seen))
    return found


def test_what_may_pass_passes_by_the_longest_prefix(wire: PassiveWire) -> None:
    enforce(wire)
    assert wrong(wire, HONEST) == []


def test_no_carrier_speaks_for_another(wire: PassiveWire) -> None:
    enforce(wire)
    assert wrong(wire, DISHONEST) == []


def test_no_tunnel_brings_what_is_on_this_side(wire: PassiveWire) -> None:
    enforce(wire, lax=True)
    assert wrong(wire, BY_TUNNEL) == []


def test_without_routes_nobody_outside_takes_part(wire: PassiveWire) -> None:
    enforce(wire, lax=True, manifest=dataclasses.replace(ROUTED, routes=()))
    cases = [("exit", "198.51.100.9", "web", "0 strangers"), ("api", "192.0.2.9", "web", "0 spoofed")]
    assert wrong(wire, cases) == []


@pytest.mark.parametrize(
    ("without", "cases", "lax"),
    [
        ("ip saddr @taken4 counter", DISHONEST[:5], False),
        ("ip6 saddr @taken6 counter", DISHONEST[:5], False),
        ("ip saddr @taken4 accept", HONEST, False),
        ("ip saddr @here4", BY_TUNNEL[:2], True),
        ("ip6 saddr @here6", BY_TUNNEL[:3], True),
        ("ip saddr @untunnelled4", BY_TUNNEL[3:8], True),
        ("ip6 saddr @untunnelled6", BY_TUNNEL[3:8], True),
        ("iifname . ip saddr @carried4 counter", DISHONEST[-1:], False),
        ("iifname . ip saddr @carried4 accept", HONEST, False),
    ],
)
def test_without_a_rule_it_shows(
    wire: PassiveWire, without: str, cases: list[tuple[str, str, str, str]], lax: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    enforce(wire, lax=lax)
    assert wrong(wire, cases) == []
    monkeypatch.setattr(f"{__name__}._SECONDS", 0.5)
    enforce(wire, lax=lax, without=without)
    assert wrong(wire, cases) != []
