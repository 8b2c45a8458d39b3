# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and addresses, asked for by the programs that workloads have."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._overlay import netns
from ansible_collections.akash.avpn.plugins.module_utils._overlay.names import GATEWAY_IPV4, gateway_ipv6, ula
from ansible_collections.akash.avpn.plugins.module_utils._overlay.supervisor import resolver_unit
from ansible_collections.akash.avpn.tests.integration.overlay.machinery import Node, wait_for, within
from ansible_collections.akash.avpn.tests.integration.overlay.test_overlay import (
    API0,
    API1,
    DB,
    OPEN,
    WEB,
    addresses,
    everywhere,
    home,
    reaches,
)
from ansible_collections.akash.avpn.tests.unit.overlay.builders import World, slot

pytestmark = pytest.mark.root

_A, _PTR, _AAAA = 1, 12, 28
_NOERROR, _NXDOMAIN, _REFUSED = 0, 3, 5


def query(space: str, name: str, kind: int, server: str = str(GATEWAY_IPV4)) -> tuple[int, list[str]]:
    """One question to a server, from inside a workload: the response code and the answers."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    message = struct.pack("!HHHHHH", 4711, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", kind, 1)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with netns.entered(f"/run/netns/{space}"), socket.socket(family, socket.SOCK_DGRAM) as asker:
        asker.settimeout(3)
        asker.sendto(message, (server, 53))
        answer = asker.recv(4096)
    _id, flags, _questions, count, _authorities, _more = struct.unpack("!HHHHHH", answer[:12])
    position, found = 12 + len(labels) + 4, []
    for _record in range(count):
        position += 2  # the name, as a pointer
        type_, _class, _ttl, length = struct.unpack("!HHIH", answer[position : position + 10])
        data = answer[position + 10 : position + 10 + length]
        position += 10 + length
        if type_ == _PTR:
            found.append(_name(data))
        else:
            found.append(str(ipaddress.ip_address(data)))
    return flags & 15, found


def _name(data: bytes) -> str:
    parts, position = [], 0
    while data[position]:
        parts.append(data[position + 1 : position + 1 + data[position]].decode())
        position += 1 + data[position]
    return ".".join(parts)


def ready(hosts: list[Node], world: World) -> None:
    everywhere(hosts, world)
    for each in hosts:
        pid = each.daemons.processes[resolver_unit(each.short(world.network))].pid
        with netns.entered(f"/proc/{pid}/ns/net"):
            wait_for("the resolver's start", lambda: ":0035 " in Path("/proc/thread-self/net/udp").read_text())


def test_names_of_members_replicas_and_addresses(hosts: list[Node], world: World) -> None:
    ready(hosts, world)
    _host, space = home(hosts, world, WEB)
    four = [addresses(world, endpoint)[0] for endpoint in (API0, API1)]
    six = [addresses(world, endpoint)[1] for endpoint in (API0, API1)]
    for server in (str(GATEWAY_IPV4), str(gateway_ipv6(ula(world.network)))):
        code, found = query(space, "api.prod.avpn.internal", _A, server)
        assert (code, sorted(found)) == (_NOERROR, four)
        code, found = query(space, "api.prod.avpn.internal", _AAAA, server)
        assert (code, sorted(found)) == (_NOERROR, six)
    assert query(space, "1.api.prod.avpn.internal", _A) == (_NOERROR, four[1:])
    assert query(space, "g1.db.prod.avpn.internal", _A) == (_NOERROR, [addresses(world, DB)[0]])
    for address in addresses(world, API1):
        pointer = ipaddress.ip_address(address).reverse_pointer
        assert query(space, pointer, _PTR) == (_NOERROR, ["1.api.prod.avpn.internal"])


def test_what_is_not_the_networks_is_refused_so_that_the_next_server_is_asked(hosts: list[Node], world: World) -> None:
    ready(hosts, world)
    _host, space = home(hosts, world, WEB)
    assert query(space, "nobody.prod.avpn.internal", _A) == (_NXDOMAIN, [])
    assert query(space, "web.staging.avpn.internal", _A) == (_REFUSED, [])
    assert query(space, "example.org", _A) == (_REFUSED, [])
    assert query(space, ipaddress.ip_address("100.64.9.9").reverse_pointer, _PTR)[0] == _NXDOMAIN


def test_changed_names_are_taken_over_without_a_restart(hosts: list[Node], world: World) -> None:
    ready(hosts, world)
    host, space = home(hosts, world, WEB)
    unit = resolver_unit(host.short(world.network))
    before = host.daemons.processes[unit].pid
    world.slots[API1] = slot(2, 2, addresses(world, API1)[0], bound=False)
    world.slots[EndpointId("db", 1, 1)] = slot(3, 3, "100.64.0.77")
    everywhere(hosts, world)
    wait_for("the new name", lambda: query(space, "1.db.prod.avpn.internal", _A) == (_NOERROR, ["100.64.0.77"]))
    assert query(space, "api.prod.avpn.internal", _A) == (_NOERROR, [addresses(world, API0)[0]])
    assert query(space, "1.api.prod.avpn.internal", _A) == (_NXDOMAIN, [])
    assert host.daemons.processes[unit].pid == before


def test_a_resolver_that_died_is_started_again(hosts: list[Node], world: World) -> None:
    ready(hosts, world)
    host, space = home(hosts, world, WEB)
    process = host.daemons.processes[resolver_unit(host.short(world.network))]
    process.kill()
    process.wait()
    assert [change.what for change in host.apply(host.plan(world, OPEN)).changes] == ["resolver"]
    ready(hosts, world)
    assert query(space, "web.prod.avpn.internal", _A)[0] == _NOERROR


def _bare(hosts: list[Node], world: World) -> tuple[str, str]:
    """A workload that has its link and nothing else, as a virtual machine has; and its MAC."""
    _host, space = home(hosts, world, WEB)
    netns.batch(f"/run/netns/{space}", ["address flush dev avpn0 scope global", "route flush dev avpn0 proto 97"])
    link = netns.observe(f"/run/netns/{space}").links["avpn0"]
    assert addresses(world, WEB)[0] + "/32" not in link.addresses
    return space, link.mac


def _configured(space: str, world: World) -> None:
    found = netns.observe(f"/run/netns/{space}")
    four = addresses(world, WEB)[0]
    assert f"{four}/32" in found.links["avpn0"].addresses
    routes = {str(route.target): route for route in found.routes if route.dev == "avpn0"}
    assert routes["100.64.0.0/18"].via == str(GATEWAY_IPV4)
    assert "0.0.0.0/0" not in routes
    default = [route.dev for route in found.routes if str(route.target) == "0.0.0.0/0"]
    assert default == ["eth0"]


# What busybox' own example script does, which Debian's leaves out: the classless routes.
_UDHCPC = """#!/bin/sh
test "$1" = bound || exit 0
ip address add "$ip/$mask" dev "$interface"
set -- $staticroutes
while test $# -ge 2; do
  if test "$2" = 0.0.0.0; then ip route add "$1" dev "$interface"; else ip route add "$1" via "$2" dev "$interface"; fi
  shift 2
done
echo "$dns $domain $mtu" > "$REPORT"
"""


def _needs(program: str, package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"Debian's {package} is not installed")


@_needs("udhcpc", "udhcpc")
def test_udhcpc(hosts: list[Node], world: World, tmp_path: Path) -> None:
    ready(hosts, world)
    space, _mac = _bare(hosts, world)
    script, report = tmp_path / "script", tmp_path / "report"
    script.write_text(_UDHCPC)
    script.chmod(0o755)
    wanted = [f"-O{option}" for option in ("staticroutes", "mtu")]
    done = within(
        space, "env", f"REPORT={report}", "udhcpc", "-f", "-q", "-n", "-i", "avpn0", "-s", str(script), *wanted
    )
    assert done.returncode == 0, done.stderr
    _configured(space, world)
    assert report.read_text().split() == [str(GATEWAY_IPV4), "prod.avpn.internal", "1420"]
    four = addresses(world, DB)[0]
    wait_for("an answer", lambda: within(space, "ping", "-c1", "-W1", four).returncode == 0)


def _with_own_etc(space: str, tmp_path: Path, script: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a script in a workload that may write /etc and /run as it likes."""
    etc = tmp_path / "etc"
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True)
    text = f"mount --bind {etc} /etc\nmount -t tmpfs none /run\n{script}"
    with netns.entered(f"/run/netns/{space}"):
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", text], check=False, capture_output=True, text=True, timeout=timeout
        )


@_needs("dhclient", "isc-dhcp-client")
def test_dhclient(hosts: list[Node], world: World, tmp_path: Path) -> None:
    ready(hosts, world)
    space, _mac = _bare(hosts, world)
    common = "-1 -lf /run/leases -pf /run/pid avpn0"
    done = _with_own_etc(
        space, tmp_path, f"dhclient -4 {common} && cat /etc/resolv.conf; kill $(cat /run/pid); sleep 0.2"
    )
    _configured(space, world)
    assert f"nameserver {GATEWAY_IPV4}" in done.stdout
    assert "search prod.avpn.internal" in done.stdout


@_needs("dhclient", "isc-dhcp-client")
def test_dhclient_over_ipv6(hosts: list[Node], world: World, tmp_path: Path) -> None:
    ready(hosts, world)
    space, _mac = _bare(hosts, world)
    time.sleep(2)  # duplicate address detection of the link-local address it asks from
    done = _with_own_etc(
        space,
        tmp_path,
        "dhclient -6 -1 -lf /run/leases -pf /run/pid avpn0 && cat /etc/resolv.conf; kill $(cat /run/pid); sleep 0.2",
    )
    found = netns.observe(f"/run/netns/{space}")
    assert f"{addresses(world, WEB)[1]}/128" in found.links["avpn0"].addresses, done.stderr
    assert [route.dev for route in found.routes if str(route.target) == "::/0"] == ["eth0"]
    assert f"nameserver {gateway_ipv6(ula(world.network))}" in done.stdout


# With /sys read-only it doesn't wait for udev, which a container has not.
_NETWORKD = """
mount -t sysfs -o ro none /sys
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp /run/dbus
chown -R systemd-network:systemd-network /run/systemd/netif
cat > /run/systemd/network/10-avpn.network <<END
[Match]
Name=avpn0
[Network]
DHCP=yes
IPv6AcceptRA=yes
[DHCPv4]
UseRoutes=yes
END
cat > /run/systemd/network/05-eth.network <<END
[Match]
Name=eth*
[Link]
Unmanaged=yes
END
SYSTEMD_LOG_LEVEL=info /lib/systemd/systemd-networkd & pid=$!
for try in $(seq 80); do
  sleep 0.25
  ip -4 addr show dev avpn0 | grep -q inet && ip -6 addr show dev avpn0 scope global | grep -q inet6 && break
done
sleep 0.5
cat /run/systemd/netif/links/*
kill -KILL $pid  # asked to end, it would take everything back
"""


@pytest.mark.skipif(not os.path.exists("/lib/systemd/systemd-networkd"), reason="systemd-networkd is not installed")
def test_networkd(hosts: list[Node], world: World, tmp_path: Path) -> None:
    ready(hosts, world)
    space, _mac = _bare(hosts, world)
    done = _with_own_etc(space, tmp_path, _NETWORKD)
    found = netns.observe(f"/run/netns/{space}")
    assert f"{addresses(world, WEB)[1]}/128" in found.links["avpn0"].addresses, done.stdout + done.stderr
    _configured(space, world)
    assert [route.dev for route in found.routes if str(route.target) == "::/0"] == ["eth0"]
    assert str(GATEWAY_IPV4) in done.stdout


@_needs("dhclient", "isc-dhcp-client")
def test_a_dhcp_client_does_not_stand_in_the_way_of_an_apply(hosts: list[Node], world: World, tmp_path: Path) -> None:
    ready(hosts, world)
    space, _mac = _bare(hosts, world)
    _with_own_etc(space, tmp_path, "dhclient -4 -1 -lf /run/leases -pf /run/pid avpn0; kill $(cat /run/pid); sleep 0.2")
    everywhere(hosts, world)
    assert [outcome.changes for outcome in everywhere(hosts, world)] == [[], [], []]
    assert reaches(hosts, world, WEB, DB)
