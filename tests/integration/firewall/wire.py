# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network namespaces with endpoints, and real packets between them.

A ``Site`` is one network's namespace on one host; endpoints hang on it by veths as on a provider's host. Two
sites are joined by a veth pair that stands in for the tunnel. Sockets are made inside a namespace by a thread
that enters it; afterwards any thread may use them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import ipaddress
import os
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._policy.carried import Routing
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import Local, Neighbours
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import Change, apply_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset

T = TypeVar("T")
TUNNEL = "avtunnela"
GATEWAY4, GATEWAY6 = "169.254.64.1", "fe80::1"
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def inside(namespace: str, work: Callable[[], T]) -> T:
    """Do ``work`` in a thread that is inside the network namespace."""
    result: list[Any] = []

    def enter() -> None:
        handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            if _LIBC.setns(handle, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {namespace}")
            result.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            result.append(error)
        finally:
            os.close(handle)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]  # type: ignore[no-any-return]


def opened(namespace: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    return inside(namespace, lambda: socket.socket(family, kind, protocol))


OWN = (ipaddress.IPv4Network("100.64.0.0/16"), ipaddress.IPv6Network("fd00:1::/64"))


def site_addresses(number: int) -> tuple[ipaddress.IPv4Address, ipaddress.IPv6Address]:
    """A site's own addresses in the network, those that ``Wire.join`` gives it."""
    return ipaddress.IPv4Address("100.64.255.0") + number, ipaddress.IPv6Address("fd00:1::ff:0") + number


@dataclass
class Workload:
    """An endpoint with its namespace and the gateway's end of its veth."""

    endpoint: Endpoint
    namespace: str
    interface: str
    carries: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    @property
    def local(self) -> Local:
        return Local(self.interface, self.endpoint.ipv4, self.endpoint.ipv6, self.carries)

    def address(self, version: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        return self.endpoint.ipv4 if version == 4 else self.endpoint.ipv6


@dataclass
class Site:
    """The network's namespace on one host."""

    namespace: str
    state: Path
    workloads: list[Workload] = field(default_factory=list)

    def compiled(self, manifest: Manifest | None, endpoints: Endpoints, **options: Any) -> Ruleset:
        return compile_ruleset(manifest, endpoints, [each.local for each in self.workloads], [TUNNEL], **options)

    def apply(self, ruleset: Ruleset) -> Change:
        return apply_ruleset(self.namespace, ruleset, self.state)


class Wire:
    """All namespaces of one test, removed at the end."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self._directory = directory
        self._prefix = prefix
        self._namespaces: list[str] = []
        self.sites: list[Site] = []

    def namespace(self, name: str) -> str:
        full = f"{self._prefix}-{name}"
        run("ip", "netns", "add", full)
        self._namespaces.append(full)
        run("ip", "-n", full, "link", "set", "lo", "up")
        # Addresses, link-local ones too, are there at once.
        _sysctl(full, "net/ipv6/conf/default/accept_dad", "0")
        return full

    def close(self) -> None:
        for name in self._namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False, timeout=30)

    def site(self, name: str) -> Site:
        site = Site(self.namespace(name), self._directory / f"{name}.json")
        _sysctl(site.namespace, "net/ipv4/ip_forward", "1")
        _sysctl(site.namespace, "net/ipv6/conf/all/forwarding", "1")
        self.sites.append(site)
        return site

    def attach(self, site: Site, member: str, gseq: int, index: int, number: int, lease: str = "") -> Workload:
        """An endpoint with the addresses 100.64.0.<number> and fd00:1::6440:<number>."""
        ipv4 = ipaddress.IPv4Address(f"100.64.0.{number}")
        ipv6 = ipaddress.IPv6Address(f"fd00:1::6440:{number}")
        endpoint = Endpoint(EndpointId(member, gseq, index), ipv4, ipv6, lease or f"lease-of-{member}-{gseq}")
        here = self.namespace(f"{member}{gseq}{index}x{len(self._namespaces)}")
        interface = f"ve{int(ipv4):08x}"
        ip_batch(
            site.namespace,
            f"link add {interface} type veth peer name eth0 netns {here}",
            f"link set {interface} up",
            f"addr add {GATEWAY4}/32 dev {interface}",
            f"addr add {GATEWAY6}/64 dev {interface} nodad",
            f"route add {ipv4}/32 dev {interface} src {GATEWAY4}",
            f"route add {ipv6}/128 dev {interface}",
        )
        ip_batch(
            here,
            "link set eth0 up",
            f"addr add {ipv4}/32 dev eth0",
            f"addr add {ipv6}/128 dev eth0 nodad",
            f"route add {GATEWAY4} dev eth0",
            f"route add default via {GATEWAY4} dev eth0 src {ipv4}",
            f"route add default via {GATEWAY6} dev eth0 src {ipv6}",
        )
        workload = Workload(endpoint, here, interface)
        site.workloads.append(workload)
        return workload

    def join(self, one: Site, two: Site) -> None:
        """A tunnel between two sites, with routes to each other's endpoints."""
        ip_batch(one.namespace, f"link add {TUNNEL} type veth peer name {TUNNEL} netns {two.namespace}")
        for number, (here, there) in enumerate(((one, two), (two, one))):
            ip_batch(
                here.namespace,
                f"link set {TUNNEL} address 02:00:00:00:00:0{number} up",
                f"addr add 100.64.255.{number}/31 dev {TUNNEL}",
                f"addr add fd00:1::ff:{number}/127 dev {TUNNEL} nodad",
                # WireGuard asks for no neighbours, and none may ask through it.
                f"neigh add fd00:1::ff:{1 - number} lladdr 02:00:00:00:00:0{1 - number} dev {TUNNEL}",
                *(f"route add {each.endpoint.ipv4} via 100.64.255.{1 - number}" for each in there.workloads),
                *(f"route add {each.endpoint.ipv6} via fd00:1::ff:{1 - number}" for each in there.workloads),
            )

    @property
    def workloads(self) -> list[Workload]:
        return [each for site in self.sites for each in site.workloads]

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints((each.endpoint for each in self.workloads), OWN)

    def enforce(self, manifest: Manifest | None, **options: Any) -> None:
        """The manifest on every site."""
        for site in self.sites:
            own = Neighbours(site_addresses(self.sites.index(site)))
            site.apply(site.compiled(manifest, self.endpoints, neighbours=own, routing=self.routing(site), **options))

    def routing(self, site: Site) -> Routing:
        """What a site knows of what the others carry."""
        others = (each for each in self.workloads if each not in site.workloads)
        return Routing(
            elsewhere=frozenset(range_ for each in others for range_ in each.carries),
            hosts=tuple(address for number in range(len(self.sites)) for address in site_addresses(number)),
        )


def _sysctl(namespace: str, name: str, value: str) -> None:
    run("ip", "netns", "exec", namespace, "sysctl", "-qw", f"{name.replace('/', '.')}={value}")


def ip_batch(namespace: str, *commands: str) -> None:
    run("ip", "-n", namespace, "-batch", "-", text="".join(f"{command}\n" for command in commands))


@dataclass(frozen=True)
class Path_:
    """One thing to try: from a workload (by namespace) to another's address."""

    source: str
    target: str  # namespace of the target
    packet: Packet


def paths(wire: Wire, ports: Iterable[tuple[str, int | None]]) -> list[Path_]:
    """Every workload to every other, on every port, over both families."""
    return [
        Path_(one.namespace, two.namespace, Packet(one.address(version), two.address(version), protocol, port))
        for one in wire.workloads
        for two in wire.workloads
        if one is not two
        for protocol, port in ports
        for version in {"icmp": (4,), "icmpv6": (6,)}.get(protocol, (4, 6))
    ]


_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def probe(wanted: Iterable[Path_], seconds: float = 0.5) -> dict[Path_, bool]:
    """Send a first packet along each path at once, and tell which got an answer (TCP and ICMP) or arrived (UDP)."""
    with contextlib.ExitStack() as stack:
        return _Probe(stack, list(wanted)).result(seconds)


class _Probe:
    def __init__(self, stack: contextlib.ExitStack, wanted: list[Path_]) -> None:
        self._stack = stack
        self._wanted = wanted
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._passed: set[Path_] = set()
        self._servers: dict[tuple[str, Any, str, int | None], socket.socket] = {}

    def result(self, seconds: float) -> dict[Path_, bool]:
        for path in self._wanted:
            if path.packet.port is not None:
                self._serve(path)
        for number, path in enumerate(self._wanted):
            self._send(number, path)
        end = time.monotonic() + seconds
        # A refused packet has no sign but silence, so the whole time is waited unless all have passed.
        while len(self._passed) < len(set(self._wanted)) and (left := end - time.monotonic()) > 0:
            for key, _events in self._selector.select(left):
                key.data(key.fileobj)
        return {path: path in self._passed for path in self._wanted}

    def _socket(self, namespace: str, version: int, kind: int, protocol: int = 0) -> socket.socket:
        made = self._stack.enter_context(opened(namespace, _FAMILY[version], kind, protocol))
        made.setblocking(False)
        return made

    def _serve(self, path: Path_) -> None:
        packet = path.packet
        key = (path.target, packet.target, packet.protocol, packet.port)
        if key in self._servers:
            return
        stream = packet.protocol == "tcp"
        server = self._socket(path.target, packet.target.version, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((str(packet.target), packet.port))
        if stream:
            server.listen(128)
        else:
            self._selector.register(server, selectors.EVENT_READ, self._datagram)
        self._servers[key] = server

    def _datagram(self, server: socket.socket) -> None:
        self._passed.add(self._wanted[struct.unpack("!I", server.recv(4))[0]])

    def _send(self, number: int, path: Path_) -> None:
        packet = path.packet
        version = packet.target.version
        if packet.protocol == "tcp":
            client = self._socket(path.source, version, socket.SOCK_STREAM)
            if client.connect_ex((str(packet.target), packet.port)) not in (0, errno.EINPROGRESS):
                return
            self._selector.register(client, selectors.EVENT_WRITE, lambda made: self._connected(made, path))
        elif packet.protocol == "udp":
            with contextlib.suppress(OSError):
                client = self._socket(path.source, version, socket.SOCK_DGRAM)
                client.sendto(struct.pack("!I", number), (str(packet.target), packet.port))
        else:
            protocol = socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6
            client = self._socket(path.source, version, socket.SOCK_RAW, protocol)
            self._selector.register(client, selectors.EVENT_READ, self._echo)
            client.sendto(echo_request(version, number), (str(packet.target), 0))

    def _connected(self, client: socket.socket, path: Path_) -> None:
        if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            self._passed.add(path)
        self._selector.unregister(client)

    def _echo(self, client: socket.socket) -> None:
        data = client.recv(2048)
        body = data[20:] if client.family == socket.AF_INET else data
        if body[0] in (0, 129):
            identifier, sequence = struct.unpack("!HH", body[4:8])
            number = identifier << 16 | sequence
            if number < len(self._wanted):
                self._passed.add(self._wanted[number])


def echo_request(version: int, number: int) -> bytes:
    """An echo request that carries ``number``; the kernel fills in ICMPv6's checksum."""
    if version == 6:
        return struct.pack("!BBHHH", 128, 0, 0, number >> 16, number & 0xFFFF)
    body = struct.pack("!BBHHH", 8, 0, 0, number >> 16, number & 0xFFFF)
    total = sum(struct.unpack("!4H", body))
    total = (total & 0xFFFF) + (total >> 16)
    return body[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + body[4:]


@contextlib.contextmanager
def new_wire(directory: Path) -> Iterator[Wire]:
    wire = Wire(directory, f"fwt-{os.urandom(3).hex()}")
    try:
        yield wire
    finally:
        wire.close()
