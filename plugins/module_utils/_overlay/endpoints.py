# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints: the veth between a workload's network namespace and the network's.

The workload's end is ``avpn0`` (the first free number), found again by its MAC, with a /32 and a /128, routes to
the network's ranges and to those that members carry over a link-local next hop, and unreachable routes for the same
ranges behind them: when the interface goes, packets for them don't leave by the pod's default route. Those stay when
the veth goes with the gateway, and are taken away when the endpoint leaves the network.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from .._common.errors import Unsupported
from . import netns
from .model import Attachment, NetworkPlan
from .names import (
    GATEWAY_IPV4,
    GATEWAY_LINK_LOCAL,
    GATEWAY_MAC,
    UNREACHABLE_METRIC,
    gateway_ipv6,
    unreachable_metric,
    veth,
    workload_mac,
)
from .netns import Link, Route, Seen

_OURS = re.compile(r"avpn([0-9]+)", re.ASCII)
_MOST_NETWORKS = 16
# Ours come first where a workload's own DHCP client adds the same routes.
_IPV4_METRIC = 90
_IPV6_METRIC = 900


@dataclass(frozen=True)
class Work:
    """What to do for one endpoint: ``ip`` lines for the network's namespace, then for the workload's."""

    detach: bool = False  # the gateway's end of an old pair goes first
    stale: str | None = None  # and so does this interface of the workload, which isn't the other end
    gateway: tuple[str, ...] = ()
    workload: tuple[str, ...] = ()
    enable_ipv6: str | None = None  # the interface on which the workload's namespace has IPv6 switched off

    @property
    def creates(self) -> bool:
        """Whether the pair is made, rather than completed."""
        return any(line.startswith("link add") for line in self.gateway)

    def __bool__(self) -> bool:
        return bool(self.detach or self.stale or self.gateway or self.workload)


def work(plan: NetworkPlan, attachment: Attachment, path: str, gateway: Seen, workload: Seen) -> Work:
    """The difference between what is and what should be, from both ends. Pure."""
    device, mac = veth(attachment.ipv4), workload_mac(plan.network, attachment.ipv4)
    near = gateway.links.get(device)
    far = next((link for link in workload.links.values() if link.mac == mac and _OURS.fullmatch(link.name)), None)
    lines: list[str] = []
    inside: list[str] = []
    paired = near is not None and far is not None and near.peer == far.index and far.peer == near.index
    if far is not None and paired:
        name = far.name
    else:
        name = _free(workload, far)
        lines.append(
            f"link add {device} address {GATEWAY_MAC} mtu {plan.tunnel.mtu}"
            f" type veth peer name {name} address {mac} mtu {plan.tunnel.mtu} netns {path}"
        )
    lines += _near(plan, device, near if paired else None)
    inside += _far(plan, attachment, name, far if paired else None, workload)
    return Work(
        detach=near is not None and not paired,
        stale=far.name if far is not None and not paired else None,
        gateway=tuple(lines),
        workload=tuple(inside),
        enable_ipv6=name if inside else None,
    )


def leave(workload: Seen, network: str) -> list[str]:
    """Lines that take what stays of a network without its interface out of a workload's namespace."""
    return [route.removed() for route in workload.ours if _unreachable_of(network, route)]


def _unreachable_of(network: str, route: Route) -> bool:
    # Earlier versions had one metric for all.
    return route.dev is None and route.metric in (unreachable_metric(network), UNREACHABLE_METRIC)


def _near(plan: NetworkPlan, device: str, link: Link | None) -> list[str]:
    lines = []
    have = link.addresses if link is not None else frozenset()
    wanted = {
        f"{GATEWAY_IPV4}/32": " scope link",
        f"{GATEWAY_LINK_LOCAL}/64": " nodad",
        f"{gateway_ipv6(plan.ipv6)}/64": " nodad noprefixroute",
    }
    if link is None or link.mtu != plan.tunnel.mtu or not link.up:
        lines.append(f"link set {device} mtu {plan.tunnel.mtu} up")
    lines += [f"address add {address} dev {device}{flags}" for address, flags in wanted.items() if address not in have]
    return lines


def _far(plan: NetworkPlan, attachment: Attachment, name: str, link: Link | None, workload: Seen) -> list[str]:
    lines = []
    have = link.addresses if link is not None else frozenset()
    if link is None or link.mtu != plan.tunnel.mtu or not link.up:
        lines.append(f"link set {name} mtu {plan.tunnel.mtu} up")
    for address in (f"{attachment.ipv4}/32", f"{attachment.ipv6}/128"):
        if address not in have:
            lines.append(f"address replace {address} dev {name}{' nodad' if ':' in address else ''}")
    wanted = workload_routes(plan, attachment, name)
    have_routes = {(route.target, route.dev, route.metric) for route in workload.ours} if link is not None else set()
    lines += [route.added() for route in wanted if (route.target, route.dev, route.metric) not in have_routes]
    known = {(route.target, route.dev, route.metric) for route in wanted}
    lines += [
        route.removed()
        for route in workload.ours
        if ((route.dev == name and link is not None) or _unreachable_of(plan.network, route))
        and (route.target, route.dev, route.metric) not in known
    ]
    return lines


def workload_routes(plan: NetworkPlan, attachment: Attachment, name: str) -> list[Route]:
    """The routes of a workload: first to the gateway, then through it to the network, then the unreachable ones."""
    found = _OURS.fullmatch(name)
    number = int(found[1]) if found else 0
    four, six = str(attachment.ipv4), str(attachment.ipv6)
    gateway = ipaddress.ip_network(GATEWAY_IPV4)
    resolver = ipaddress.ip_network(gateway_ipv6(plan.ipv6))
    # A workload in two networks has two gateways of the same address: the first interface's is the one it asks.
    routes = [
        Route(gateway, name, source=four, metric=_IPV4_METRIC + number),
        Route(resolver, name, via=str(GATEWAY_LINK_LOCAL), source=six, metric=_IPV6_METRIC),
    ]
    reached = [plan.ipv4, plan.ipv6, *attachment.reaches]
    for range_ in reached:
        routes.append(
            Route(range_, name, via=str(GATEWAY_IPV4), source=four, metric=_IPV4_METRIC)
            if range_.version == 4
            else Route(range_, name, via=str(GATEWAY_LINK_LOCAL), source=six, metric=_IPV6_METRIC)
        )
    routes += [Route(range_, None, metric=unreachable_metric(plan.network)) for range_ in reached]
    return routes


def carry_out(inside: str, path: str, device: str, todo: Work) -> None:
    """Do the work of one endpoint; both namespaces exist."""
    if todo.detach:
        netns.delete_links(inside, [device])
    if todo.stale is not None and todo.stale in netns.observe(path).links:
        netns.delete_links(path, [todo.stale])
    netns.batch(inside, todo.gateway)
    if todo.enable_ipv6 is not None:
        with netns.entered(path):
            setting = f"ipv6/conf/{todo.enable_ipv6}/disable_ipv6"
            if netns.read_settings([setting]).get(setting) == "1":
                netns.write_settings({setting: "0"})
    netns.batch(path, todo.workload)


def _free(workload: Seen, stale: Link | None) -> str:
    names = workload.links.keys() - ({stale.name} if stale is not None else set())
    taken = {int(found[1]) for name in names if (found := _OURS.fullmatch(name))}
    for number in range(_MOST_NETWORKS):
        if number not in taken:
            return f"avpn{number}"
    raise Unsupported(f"the workload is in {_MOST_NETWORKS} networks already", where="avpn0")
