# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network's namespace as such: its settings, its own address and its routes. All but ``ensure`` is pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from .._common.ids import EndpointId
from . import netns
from .carriers import within
from .change import Change
from .model import Attachment, NetworkPlan
from .names import UNREACHABLE_METRIC, AnyAddress, AnyNetwork, veth
from .netns import Route, Seen

SETTINGS = {
    "ipv4/ip_forward": "1",
    # What is forwarded has no socket here: looking for one first costs each packet a look into cold memory.
    "ipv4/ip_early_demux": "0",
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
    """The routes of the namespace: the network through the tunnel, endpoints of this host through their veths, and
    what members carry.

    All name the host's own address as source, which is what ICMP errors then come from.
    """
    here = {attachment.endpoint: attachment for attachment in attached}
    carried = _carried(plan, tunnel, here)
    taken = {(route.target, route.metric) for route in carried}
    found = {
        route
        for route in (_route(plan, plan.ipv4, tunnel), _route(plan, plan.ipv6, tunnel))
        # A member may carry all that no endpoint has.
        if (route.target, route.metric) not in taken
    }
    for attachment in here.values():
        for address in (attachment.ipv4, attachment.ipv6):
            found.add(_route(plan, _host(address), veth(attachment.ipv4)))
    return frozenset(found | carried)


def _carried(plan: NetworkPlan, tunnel: str, here: Mapping[EndpointId, Attachment]) -> set[Route]:
    """To a carrier of this host by its veth, to another's through the tunnel. Behind either, and where there is none,
    the range is unreachable: it is never left to a wider one."""
    peers = {peer.node for peer in plan.tunnel.peers}
    found = set()
    for each in plan.routes:
        carrier, targets = each.carrier, _halves(each.range)
        found |= {Route(target, None, metric=UNREACHABLE_METRIC) for target in targets}
        if carrier is not None and carrier.host in peers:
            found |= {_route(plan, target, tunnel) for target in targets}
            continue
        if carrier is not None and carrier.endpoint in here:
            by = here[carrier.endpoint]
            via = by.ipv4 if each.range.version == 4 else by.ipv6
            found |= {_route(plan, target, veth(by.ipv4), str(via)) for target in targets}
        if within(each.range, plan.ipv4) or within(each.range, plan.ipv6):
            # Narrower than the network's own route: who has an address of it elsewhere needs one of its own.
            found |= {
                _route(plan, range_, tunnel)
                for peer in plan.tunnel.peers
                for range_ in peer.allowed_ips
                if range_.prefixlen == range_.max_prefixlen and within(range_, each.range)
            }
    return found


def _route(plan: NetworkPlan, target: AnyNetwork, device: str, via: str | None = None) -> Route:
    if target.version == 4:
        return Route(target, device, via=via, source=str(plan.tunnel.ipv4))
    return Route(target, device, via=via, source=str(plan.tunnel.ipv6), metric=_IPV6_METRIC)


def _halves(range_: AnyNetwork) -> tuple[AnyNetwork, ...]:
    """A default route in two halves: ``ip`` lists a whole one without saying of which family it is."""
    return (range_,) if range_.prefixlen else tuple(range_.subnets())


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
