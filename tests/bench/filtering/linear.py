# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same manifest as somebody writes it by hand: a set of addresses for each member, then one rule after another.

IPv4 only, which is in its favour. Both sides are asked, deny before allow, and established connections pass first.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import (
    GroupPeer,
    MemberPeer,
    Peer,
    Port,
    RangePeer,
    Rule,
)
from filtering.network import SENDERS, TUNNEL, Network

TABLE = "table inet linear"


def script(network: Network) -> str:
    """The table, for ``nft -f``."""
    lines = [TABLE, f"delete {TABLE}", f"{TABLE} {{"]
    for name, addresses in sorted(_members(network).items()):
        lines.append(f"set {name} {{ type ipv4_addr; elements = {{ {', '.join(addresses)} }} }}")
    local = ", ".join(str(each.ipv4) for each in network.local)
    lines += [
        f"set local {{ type ipv4_addr; elements = {{ {local} }} }}",
        "chain guard { type filter hook prerouting priority raw; policy drop;",
        f'iifname "{SENDERS}" ip saddr @local accept',
        f'iifname {{ "lo", "{TUNNEL}" }} accept',
        "}",
        "chain ingress {",
        *_side(network, "ingress"),
        "drop",
        "}",
        "chain egress {",
        *_side(network, "egress"),
        "drop",
        "}",
        "chain forward { type filter hook forward priority filter; policy drop;",
        "ct state established,related accept",
        "ct state invalid drop",
        "goto egress",
        "}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _members(network: Network) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in network.endpoints:
        found.setdefault(each.id.member, []).append(str(each.ipv4))
    for group, members in network.manifest.groups.items():
        found[group] = [address for name in members for address in found.get(name, ())]
    return found


def _side(network: Network, side: str) -> Iterator[str]:
    own, other, permit = ("saddr", "daddr", "goto ingress") if side == "egress" else ("daddr", "saddr", "accept")
    for verdict, then in (("deny", "drop"), ("allow", permit)):
        for name, policy in network.manifest.policies.items():
            for rule in getattr(getattr(policy, side), verdict):
                for peer, match in _lines(rule):
                    yield f"ip {own} @{name} ip {other} {peer} {match} {then}"


def _lines(rule: Rule) -> Iterator[tuple[str, str]]:
    """Each peer with each protocol's ports, as nft writes them."""
    by_protocol: dict[str, list[Port]] = {}
    for port in rule.ports:
        by_protocol.setdefault(port.protocol, []).append(port)
    for peer in rule.peers:
        for protocol, ports in by_protocol.items():
            if protocol == "icmp":
                yield _peer(peer), "meta l4proto icmp"
            else:
                yield _peer(peer), f"{protocol} dport {{ {', '.join(f'{each.first}-{each.last}' for each in ports)} }}"


def _peer(peer: Peer) -> str:
    if isinstance(peer, RangePeer):
        return str(peer.range)
    if isinstance(peer, GroupPeer):
        return f"@{peer.group}"
    if isinstance(peer, MemberPeer):
        return f"@{peer.member}"
    raise ValueError("the benchmark's manifests name no other peers")
