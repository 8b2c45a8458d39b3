# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab consists of: pure, from a few options to hosts and addresses."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError

ROOT = Path(__file__).resolve().parents[3]
RANGE = ipaddress.IPv4Network("198.18.0.0/15")
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class Host:
    """One container: a machine of one organisation."""

    name: str
    organisation: str
    role: str  # chain, provider, tenant or extra
    address: str


@dataclass(frozen=True)
class Topology:
    """A lab's name, its network and its hosts, in the order of their addresses."""

    name: str
    subnet: ipaddress.IPv4Network
    hosts: tuple[Host, ...]

    @property
    def organisations(self) -> tuple[str, ...]:
        """Organisations in the order of their first host."""
        return tuple(dict.fromkeys(host.organisation for host in self.hosts))


def build(
    name: str = "avpn",
    subnet: str = "198.18.0.0/24",
    providers: int = 3,
    tenants: int = 2,
    extra: Iterable[str] = (),
) -> Topology:
    """Lay out a lab.

    The chain is at .10, provider N at .10+N, tenant-a at .21 and so on, extra
    hosts from .31. An extra host is `name`, an organisation of its own, or
    `name@organisation`, one more host of that organisation.
    """
    network = ipaddress.IPv4Network(subnet)
    if not network.subnet_of(RANGE) or network.prefixlen > 24:
        raise LabError(f"{subnet}: a lab's range is a /24 or larger inside {RANGE}")
    if not NAME.fullmatch(name):
        raise LabError(f"{name}: a lab's name is lower-case letters, digits and hyphens")
    if not 0 <= providers <= 60 or not 0 <= tenants <= 10:
        raise LabError("a lab has at most 60 providers and 10 tenants")
    hosts = [_host(network, "chain", "chain", "chain", 10)]
    for number in range(1, providers + 1):
        label = f"provider{number}"
        hosts.append(_host(network, label, label, "provider", number + (10 if number <= 10 else 90)))
    for number in range(tenants):
        label = f"tenant-{chr(ord('a') + number)}"
        hosts.append(_host(network, label, label, "tenant", 21 + number))
    for number, text in enumerate(extra):
        label, at, organisation = text.partition("@")
        hosts.append(_host(network, label, organisation if at else label, "extra", 31 + number))
    names = [host.name for host in hosts]
    if len(set(names)) != len(names):
        raise LabError(f"a host name stands twice in {', '.join(names)}")
    return Topology(name, network, tuple(hosts))


def _host(network: ipaddress.IPv4Network, name: str, organisation: str, role: str, offset: int) -> Host:
    for text in (name, organisation):
        if not NAME.fullmatch(text):
            raise LabError(f"{text}: a host's name is lower-case letters, digits and hyphens")
    return Host(name, organisation, role, str(network[offset]))


def default_name() -> str:
    """The lab that commands and tests use: $AVPN_LAB, or `avpn`."""
    return os.environ.get("AVPN_LAB", "avpn")


def default_subnet() -> str:
    """Its range: $AVPN_LAB_SUBNET, or 198.18.0.0/24."""
    return os.environ.get("AVPN_LAB_SUBNET", "198.18.0.0/24")


def neighbour(number: int) -> str:
    """The range of another lab beside that one: 1 is molecule's, 2 that of the tests of the lab itself."""
    own = ipaddress.IPv4Network(default_subnet())
    return str(ipaddress.IPv4Network((int(own.network_address) ^ (number << 8), 24)))


def state_directory(name: str) -> Path:
    """Where a lab keeps keys and inventories: build/lab, or build/lab-NAME."""
    return ROOT / "build" / ("lab" if name == "avpn" else f"lab-{name}")
