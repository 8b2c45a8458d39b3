# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network's namespace as such: its settings, its own address and its routes. All but ``ensure`` is pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from . import netns
from .change import Change
from .model import Attachment, NetworkPlan
from .names import AnyAddress, AnyNetwork, veth
from .netns import Route, Seen

SETTINGS = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/forwarding": "1",
    # A veth takes only what its endpoint may have as source; WireGuard checks that for the tunnel itself.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/accept_redirects": "0",
    "ipv4/conf/default/accept_redirects": "0",
    "ipv4/conf/all/accept_source_route": "0",
    "ipv4/conf/default/accept_source_route": "0",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/all/accept_redirects": "0",
    "ipv6/conf/default/accept_redirects": "0",
    # Links get the addresses they are given and no others (mode 1: none).
    "ipv6/conf/default/addr_gen_mode": "1",
}
_IPV6_METRIC = 1024


def ensure_settings(inside: str) -> list[str]:
    """Set what differs; the names of what did."""
    with netns.entered(inside):
        now = netns.read_settings(SETTINGS)
        wrong = {name: value for name, value in SETTINGS.items() if now.get(name) != value}
        # Forwarding first: writing it sets others anew.
        netns.write_settings(wrong)
    return sorted(wrong)


def differing_settings(inside: str) -> list[str]:
    """The names of settings that aren't as they should be."""
    with netns.entered(inside):
        now = netns.read_settings(SETTINGS)
    return sorted(name for name, value in SETTINGS.items() if now.get(name) != value)


def routes(plan: NetworkPlan, tunnel: str, attached: Iterable[Attachment]) -> frozenset[Route]:
    """The routes of the namespace: the network through the tunnel, endpoints of this host through their veths.

    All name the host's own address as source, which is what ICMP errors then come from.
    """
    four, six = str(plan.tunnel.ipv4), str(plan.tunnel.ipv6)
    found = {
        Route(plan.ipv4, tunnel, source=four),
        Route(plan.ipv6, tunnel, source=six, metric=_IPV6_METRIC),
    }
    here = set()
    for attachment in attached:
        device = veth(attachment.ipv4)
        found.add(Route(_host(attachment.ipv4), device, source=four))
        found.add(Route(_host(attachment.ipv6), device, source=six, metric=_IPV6_METRIC))
        for carried in attachment.carries:
            here.add(carried)
            via, source, metric = (
                (str(attachment.ipv4), four, 0) if carried.version == 4 else (str(attachment.ipv6), six, _IPV6_METRIC)
            )
            found.add(Route(carried, device, via=via, source=source, metric=metric))
    for carried in plan.routes:
        if carried not in here:
            source, metric = (four, 0) if carried.version == 4 else (six, _IPV6_METRIC)
            found.add(Route(carried, tunnel, source=source, metric=metric))
    return frozenset(found)


def lines(plan: NetworkPlan, tunnel: str, seen: Seen, wanted: frozenset[Route]) -> list[str]:
    """What ``ip`` must do in the namespace: the host's own address on lo, the tunnel up, and the routes."""
    done = []
    loopback = seen.links.get("lo")
    if loopback is None or not loopback.up:
        done.append("link set lo up")
    # On lo, not on the tunnel: what is local goes on when the tunnel's process dies.
    own = {f"{plan.tunnel.ipv4}/32", f"{plan.tunnel.ipv6}/128"}
    have = {
        address for address in (loopback.addresses if loopback else ()) if address not in ("127.0.0.1/8", "::1/128")
    }
    done += [f"address add {address} dev lo{_nodad(address)}" for address in sorted(own - have)]
    link = seen.links.get(tunnel)
    if link is not None and (link.mtu != plan.tunnel.mtu or not link.up):
        done.append(f"link set {tunnel} mtu {plan.tunnel.mtu} up")
    # New routes before old ones go, old addresses last: routes name them.
    done += [route.added() for route in sorted(wanted - seen.ours, key=_order)]
    replaced = {(route.target, route.metric) for route in wanted}
    gone = [route for route in seen.ours - wanted if (route.target, route.metric) not in replaced]
    done += [route.removed() for route in sorted(gone, key=_order)]
    done += [f"address del {address} dev lo" for address in sorted(have - own)]
    return done


def changes(label: str, done: Iterable[str]) -> list[Change]:
    """What those lines change, in words."""
    return [
        Change(label, "gateway", line, None) if " del " in line else Change(label, "gateway", None, line)
        for line in done
    ]


def _host(address: AnyAddress) -> AnyNetwork:
    return ipaddress.ip_network(address)


def _nodad(address: str) -> str:
    return " nodad" if ":" in address else ""


def _order(route: Route) -> tuple[int, int, int, int]:
    # Longest prefix last, and routes with a next hop after the one the next hop is reached by.
    return (
        0 if route.via is None else 1,
        route.target.version,
        route.target.prefixlen,
        int(route.target.network_address),
    )
