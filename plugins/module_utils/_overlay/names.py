# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What things are called on a host, and the addresses that follow from others. All pure.

Names of interfaces have at most 15 characters (IFNAMSIZ); everything is made from ``short``
(8 characters a-z2-7), numbers and addresses, never from a tenant's text.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Union

from .._common.ids import EndpointId, LeaseId

AnyAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
AnyNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

DOMAIN = "avpn.internal"

# Every endpoint sees the same gateway, on whichever host it runs. The IPv4 one is link-local, so that it takes
# nothing from the network's range; 169.254.169.254 and its neighbours belong to cloud metadata services.
GATEWAY_IPV4 = ipaddress.IPv4Address("169.254.64.1")
GATEWAY_LINK_LOCAL = ipaddress.IPv6Address("fe80::1")
GATEWAY_MAC = "02:61:76:70:6e:01"

# Routes of ours carry this protocol number, in the network's namespace and in workloads' (rt_protos: 97 is free).
ROUTE_PROTOCOL = 97
# Behind every route to the network: what keeps packets from the pod's default route when the interface goes.
UNREACHABLE_METRIC = 4_278_198_272


def unreachable_metric(network: str) -> int:
    """The metric of a network's unreachable routes in workloads: of two networks of a workload each has its own."""
    return UNREACHABLE_METRIC + 1 + int(network[:5], 16)


def namespace(short: str) -> str:
    """The network's namespace."""
    return f"avpn-{short}"


def namespace_path(short: str) -> str:
    return f"/run/netns/{namespace(short)}"


def tunnel(short: str) -> str:
    """The WireGuard interface; the letter leaves room for a second one while keys rotate."""
    return f"av{short}a"


def veth(ipv4: ipaddress.IPv4Address) -> str:
    """The gateway's end of an endpoint's veth, inside the network's namespace: unique because addresses are."""
    return f"ve{int(ipv4):08x}"


def workload_mac(network: str, ipv4: ipaddress.IPv4Address) -> str:
    """The MAC of an endpoint's end: locally administered, the same on every host, by which DHCP knows it."""
    digest = hashlib.sha256(f"{network}/{ipv4}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def ula(network: str) -> ipaddress.IPv6Network:
    """The network's own ULA /64 (RFC 4193): ``fd``, the first 40 bits of its id, subnet 0."""
    prefix = (0xFD << 120) | (int(network[:10], 16) << 80)
    return ipaddress.IPv6Network((prefix, 64))


def ipv6_of(prefix: ipaddress.IPv6Network, ipv4: ipaddress.IPv4Address) -> ipaddress.IPv6Address:
    """The IPv6 address that belongs to an IPv4 one: its host part equals it."""
    return ipaddress.IPv6Address(int(prefix.network_address) | int(ipv4))


def gateway_ipv6(prefix: ipaddress.IPv6Network) -> ipaddress.IPv6Address:
    """The gateway inside the ULA (``::1``), for DNS and DHCPv6; no endpoint has it, since 0.0.0.1 is no one's."""
    return prefix.network_address + 1


def workload_path(template: str, lease: LeaseId, endpoint: EndpointId) -> str:
    """The path of a workload's network namespace. ``{index}`` counts the lease's replicas from 0."""
    return template.replace("{namespace}", lease.namespace).replace("{index}", str(endpoint.index))
