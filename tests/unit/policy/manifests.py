# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generated manifests, endpoints and packets: small worlds in which rules meet often."""

from __future__ import annotations

import ipaddress
from typing import Any

from hypothesis import strategies as st

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.icmp import BEGINNING
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints, Packet

MEMBERS = ("web", "api", "db", "log-1")
GROUPS = ("front", "back", "all")
LEASES = tuple(f"{member}/{gseq}" for member in MEMBERS for gseq in (1, 2))
# Ranges, each within the one before it: any can be excepted from those before.
NESTED = (
    ("0.0.0.0/0", "100.64.0.0/24", "100.64.0.0/29", "100.64.0.4/31", "100.64.0.5/32"),
    ("100.64.0.0/29", "100.64.0.0/30", "100.64.0.1/32"),
    ("192.0.2.0/24", "192.0.2.128/25", "192.0.2.129/32"),
    ("::/0", "fd00:1::/64", "fd00:1::6440:0/125", "fd00:1::6440:2/128"),
    ("::/0", "2001:db8::/32", "2001:db8::1/128"),
)
RANGES = (
    "0.0.0.0/0", "100.64.0.0/24", "100.64.0.0/29", "100.64.0.1/32", "100.64.0.4/31", "192.0.2.0/24", "192.0.2.128/25",
    "::/0", "fd00:1::/64", "fd00:1::6440:0/125", "fd00:1::6440:2/128", "2001:db8::/32", "2001:db8::1/128",
)  # fmt: skip
PORTS = (
    "any", "icmp", "icmpv6", "tcp/80", "tcp/1-100", "tcp/79-81", "tcp/1-65535", "tcp/65535", "udp/80", "udp/1-79",
    "udp/53-5353", "sctp/80", "sctp/1-2", "udp/65535", "icmp/echo-request", "icmp/13", "icmpv6/128",
    "icmpv6/node-information-query",
)  # fmt: skip


def endpoints() -> Endpoints:
    """One or two replicas of each lease, with the addresses 100.64.0.1 and following."""
    made = []
    for number, (member, gseq, index) in enumerate(
        [("web", 1, 0), ("web", 1, 1), ("web", 2, 0), ("api", 1, 0), ("db", 1, 0), ("db", 2, 0), ("log-1", 1, 0)], 1
    ):
        ipv4 = ipaddress.IPv4Address("100.64.0.0") + number
        made.append(
            Endpoint(EndpointId(member, gseq, index), ipv4, ipaddress.IPv6Address("fd00:1::6440:0") + number, member)
        )
    return Endpoints(made)


def lists(of: Any, least: int = 0, most: int = 3) -> Any:
    return st.lists(of, min_size=least, max_size=most, unique=True)


@st.composite
def excepting(draw: Any) -> dict[str, Any]:
    nested = draw(st.sampled_from(NESTED))
    outer = draw(st.integers(0, len(nested) - 2))
    return {"range": nested[outer], "except": draw(lists(st.sampled_from(nested[outer + 1 :]), 1))}


peers = st.sampled_from(("any", *MEMBERS, *LEASES, *GROUPS, *RANGES)) | excepting()
rule = st.fixed_dictionaries(
    {"peers": st.lists(peers, min_size=1, max_size=3), "ports": lists(st.sampled_from(PORTS), 1)}
)
rules = st.fixed_dictionaries({}, optional={"deny": st.lists(rule, max_size=3), "allow": st.lists(rule, max_size=4)})
policy = st.fixed_dictionaries({}, optional={"ingress": rules, "egress": rules})
documents = st.fixed_dictionaries(
    {
        "groups": st.fixed_dictionaries({name: lists(st.sampled_from(MEMBERS), 0, 4) for name in GROUPS}),
        "members": st.dictionaries(st.sampled_from((*MEMBERS, *LEASES)), policy, max_size=6),
        "routes": st.lists(
            st.sampled_from(("192.0.2.0/24", "192.0.2.64/26", "2001:db8::/32")).map(
                lambda text: {"range": text, "via": "web"}
            ),
            max_size=2,
            unique_by=lambda route: route["range"],
        ),
    }
)

_OUTSIDE4 = ("192.0.2.1", "192.0.2.65", "192.0.2.129", "203.0.113.1", "100.64.0.200")
_OUTSIDE6 = ("2001:db8::1", "2001:db8::2", "2001:db9::1", "fd00:1::ffff")


@st.composite
def packets(draw: Any) -> Packet:
    version = draw(st.sampled_from((4, 6)))
    inside = [each.ipv4 if version == 4 else each.ipv6 for each in endpoints()]
    outside = [ipaddress.ip_address(text) for text in (_OUTSIDE4 if version == 4 else _OUTSIDE6)]
    source, target = (draw(st.sampled_from(inside * 2 + outside)) for _unused in range(2))
    protocol = draw(st.sampled_from(("tcp", "udp", "sctp", "icmp" if version == 4 else "icmpv6", "other")))
    port = None
    if protocol in ("tcp", "udp", "sctp"):
        port = draw(st.sampled_from((1, 2, 3, 53, 78, 79, 80, 81, 100, 101, 5353, 5354, 65535)))
    elif protocol != "other":
        port = draw(st.sampled_from((None, *BEGINNING[protocol].values())))
    return Packet(source, target, protocol, port)
