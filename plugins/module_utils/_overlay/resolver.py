# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""dnsmasq's files for a network: names, DHCP and router advertisements. Pure but for ``ensure`` and ``remove``.

It answers for ``<network>.avpn.internal`` and for addresses of the network, and refuses everything else: glibc's
stub resolver then asks the next server of its list, the workload's own. musl asks all servers at once and takes the
first answer that isn't a failure, which REFUSED is to it too.
No other server is configured, so nothing a workload asks leaves the host.

What ends up in the files are names of the grammar ``[a-z0-9-]`` and addresses, parsed at the edge.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .._common.errors import AvpnError
from .._peer import files
from .change import Change
from .model import Attachment, NetworkPlan
from .names import DOMAIN, GATEWAY_IPV4, AnyNetwork, gateway_ipv6, workload_mac
from .supervisor import Supervisor, resolver_unit

_LEASE_SECONDS = 3600
_OPTION = 255  # bytes
# The files dnsmasq reads again when told to; any other change needs a new process.
_RELOADED = ("hosts", "dhcp-hosts")


def configuration(plan: NetworkPlan, directory: str) -> dict[str, str]:
    """The files by name. ``directory`` is where they will be."""
    return {"dnsmasq.conf": _main(plan, directory), "hosts": _hosts(plan), "dhcp-hosts": _dhcp_hosts(plan)}


def ensure(
    label: str, plan: NetworkPlan, short: str, directory: Path, supervisor: Supervisor, running: bool, *, check: bool
) -> list[Change]:
    """Files and process as planned; reloaded when only names or addresses changed."""
    wanted = configuration(plan, str(directory))
    before = {name: _read(directory / name) for name in wanted}
    changed = [name for name, text in wanted.items() if before[name] != text]
    changes = [Change(label, f"resolver {name}", _summary(before[name]), _summary(wanted[name])) for name in changed]
    if not running:
        changes.append(Change(label, "resolver", "not running", "running"))
    if check or not changes:
        return changes
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    for name in changed:
        files.write(directory / name, wanted[name].encode("ascii"), durable=False)
    unit = resolver_unit(short)
    if not running:
        supervisor.start(unit)
    elif all(name in _RELOADED for name in changed):
        supervisor.reload(unit)
    else:
        supervisor.restart(unit)
    return changes


def _main(plan: NetworkPlan, directory: str) -> str:
    zone = f"{plan.name}.{DOMAIN}"
    resolver6 = gateway_ipv6(plan.ipv6)
    return "\n".join(
        [
            f"# Network {plan.network}; made by akash.avpn, written anew when it changes.",
            # Requests are taken from endpoints only, and from the namespace itself.
            "interface=ve*",
            "no-hosts",
            "no-resolv",
            "no-poll",
            f"addn-hosts={directory}/hosts",
            f"local=/{zone}/",
            f"rev-server={plan.ipv4}",
            f"rev-server={plan.ipv6}",
            "local-ttl=5",
            "cache-size=0",
            "user=dnsmasq",
            "pid-file=",
            "log-facility=-",
            "quiet-dhcp",
            "quiet-dhcp6",
            "quiet-ra",
            # DHCP: everybody is known by MAC, nothing is remembered, so nothing can be exhausted or forged.
            "leasefile-ro",
            "dhcp-authoritative",
            "no-ping",
            f"dhcp-hostsfile={directory}/dhcp-hosts",
            f"shared-network={GATEWAY_IPV4},{plan.ipv4.network_address}",
            f"dhcp-range={plan.ipv4.network_address},static,{plan.ipv4.netmask},{_LEASE_SECONDS}",
            # A /32 that reaches the gateway on-link and the network through it (RFC 3442); no default route.
            "dhcp-option-force=option:netmask,255.255.255.255",
            "dhcp-option=option:router",
            "dhcp-option=28",  # nor a broadcast address
            *_classless(plan),
            f"dhcp-option=option:dns-server,{GATEWAY_IPV4}",
            f"dhcp-option=option:domain-search,{zone}",
            f"dhcp-option=option:mtu,{plan.tunnel.mtu}",
            f"domain={zone}",
            # IPv6: addresses by DHCPv6. Advertisements say so, and that this is no default router (lifetime 0).
            "enable-ra",
            # Otherwise it is made from an interface's MAC, and there may be no interface yet.
            "dhcp-duid=32473,61:76:70:6e",
            f"ra-param=ve*,mtu:{plan.tunnel.mtu},600,0",
            f"dhcp-range={plan.ipv6.network_address},static,off-link,64,{_LEASE_SECONDS}",
            f"dhcp-option=option6:dns-server,[{resolver6}]",
            f"dhcp-option=option6:domain-search,{zone}",
            "",
        ]
    )


def _classless(plan: NetworkPlan) -> list[str]:
    """RFC 3442's routes, one option for each list of them that some endpoint has.

    An option holds 255 bytes. Who configures itself by DHCP gets the widest routes that fit.
    """
    listed = _tags(plan) or {(): None}
    options = []
    for routes, tag in listed.items():
        told = [f"{GATEWAY_IPV4}/32,0.0.0.0", f"{plan.ipv4},{GATEWAY_IPV4}"]
        room = _OPTION - _encoded(32) - _encoded(plan.ipv4.prefixlen)
        for range_ in sorted(routes, key=lambda each: (each.prefixlen, int(each.network_address))):
            room -= _encoded(range_.prefixlen)
            if room < 0:
                break
            told.append(f"{range_},{GATEWAY_IPV4}")
        tagged = f"tag:{tag}," if tag else ""
        options.append(f"dhcp-option={tagged}option:classless-static-route,{','.join(told)}")
    return options


def _tags(plan: NetworkPlan) -> dict[tuple[AnyNetwork, ...], str | None]:
    """Tags for the lists of IPv4 ranges that endpoints reach: most have the same one, and no tag."""
    lists = Counter(_reached4(item) for item in plan.attachments)
    ordered = sorted(lists, key=lambda each: (-lists[each], each))
    return {routes: f"r{number}" if number else None for number, routes in enumerate(ordered)}


def _reached4(item: Attachment) -> tuple[AnyNetwork, ...]:
    return tuple(range_ for range_ in item.reaches if range_.version == 4)


def _encoded(prefix: int) -> int:
    """Bytes of a route in the option: the prefix's length, as much of it as counts, the next hop."""
    return 1 + (prefix + 7) // 8 + 4


def _hosts(plan: NetworkPlan) -> str:
    """One line for each address with all its names, the endpoint's own first: reverse look-ups give that one."""
    lines: dict[object, list[str]] = {}
    for name in plan.names:
        for address in (*name.ipv4, *name.ipv6):
            lines.setdefault(address, []).append(name.name)
    return "".join(f"{address} {' '.join(found)}\n" for address, found in lines.items())


def _dhcp_hosts(plan: NetworkPlan) -> str:
    tags = _tags(plan)
    lines = []
    for item in plan.attachments:
        tag = tags[_reached4(item)]
        tagged = f"set:{tag}," if tag else ""
        lines.append(f"{workload_mac(plan.network, item.ipv4)},{tagged}{item.ipv4},[{item.ipv6}]\n")
    return "".join(lines)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise AvpnError("can't be read", where=str(path)) from error


def _summary(text: str | None) -> str | None:
    if text is None:
        return None
    return text.replace("\n", "; ") if len(text) < 4096 else f"{text.count(chr(10))} lines"
