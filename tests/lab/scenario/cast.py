# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who plays: two tenants, their members, where each runs, and what each tenant's manifest says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CHAIN_ID = "avpn-lab-1"
# Port 8080 is what the policies permit to some, 9090 what they permit to nobody.
PORTS = (8080, 9090)
KINDS = ("8080", "9090", "ping")


@dataclass(frozen=True)
class Member:
    """A member of a network: its deployment's number and where its one group's replicas run."""

    name: str
    dseq: int
    provider: str  # name of the provider's host in the lab
    replicas: int = 1


@dataclass(frozen=True)
class Tenant:
    """A tenant's host in the lab, its network and what it wants of it."""

    host: str
    network: str
    cidr: str
    members: tuple[Member, ...]
    manifest: dict[str, Any]
    hand_in: str  # the provider that gets the manifest

    def member(self, name: str) -> Member:
        return next(member for member in self.members if member.name == name)


def _allow(*rules: tuple[list[str], list[str]]) -> dict[str, Any]:
    return {"allow": [{"peers": peers, "ports": ports} for peers, ports in rules]}


ECHO = ["icmp", "icmpv6"]

A = Tenant(
    host="tenant-a",
    network="shop",
    cidr="100.64.0.0/24",
    members=(Member("web", 1001, "provider1"), Member("api", 1002, "provider2", 2), Member("db", 1003, "provider3")),
    manifest={
        "groups": {"front": ["web", "api"]},
        "members": {
            "web": {
                "egress": _allow((["api"], ["tcp/8080"]), (["any"], ECHO)),
                "ingress": _allow((["front"], ECHO)),
            },
            "api": {
                "egress": _allow((["db"], ["tcp/8080"]), (["any"], ECHO)),
                "ingress": _allow((["web"], ["tcp/8080"]), (["any"], ECHO)),
            },
            "db": {
                "egress": _allow((["api"], ECHO)),
                "ingress": _allow((["api"], ["tcp/8000-8100"]), (["api"], ECHO)),
            },
        },
        "tests": [
            {"from": "web", "to": "api", "port": "tcp/8080", "expected": "allow"},
            {"from": "web", "to": "db", "port": "tcp/8080", "expected": "deny"},
        ],
    },
    hand_in="provider1",
)

B = Tenant(
    host="tenant-b",
    network="blog",
    cidr="100.64.0.0/24",
    members=(Member("web", 2001, "provider1"), Member("db", 2002, "provider2")),
    manifest={
        "members": {
            "web": {"egress": _allow((["db"], ["tcp/8080", *ECHO]))},
            "db": {"ingress": _allow((["web"], ["tcp/8080", *ECHO]))},
        },
        "tests": [{"from": "db", "to": "web", "port": "tcp/8080", "expected": "deny"}],
    },
    hand_in="provider2",
)

TENANTS = (A, B)
