# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sites whose workloads have no network stack of their own: tests write and read every packet themselves.

The namespaces, veths, forwarding, connection tracking and the table are as on a host (``wire``). But a workload's
namespace has no addresses, so that its kernel answers nothing and asks nothing: what arrives there was sent by a
test, and what a test sends arrives, or is dropped and counted by the table. So nobody has to wait for silence.

Nor for time to pass. A processor takes packets that were sent on it from one queue, hop by hop; so when a packet that
was sent last, from one end of a veth to the other, has arrived, all others have made at least one hop (``settle``).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from frames import Arrival, read
from wire import GATEWAY4, GATEWAY6, TUNNEL, Site, Wire, Workload, inside, ip_batch, run

from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Address, Endpoint

_ALL = 0x0003
_SOL_PACKET, _IGNORE_OUTGOING, _RECEIVE_BUFFER = 263, 23, 33  # socket(7), packet(7): SO_RCVBUFFORCE
_BUFFER = 4 << 20
_MAC_SITE, _MAC_WORKLOAD = "02:00:00:00:01:{:02x}", "02:00:00:00:02:{:02x}"
_HOPS = 4  # veths that a packet crosses at most, and one more
_HANGS = 30.0  # seconds after which the machine, not a packet, is to blame
_TIMEOUTS = (
    "generic_timeout", "gre_timeout", "gre_timeout_stream", "icmp_timeout", "icmpv6_timeout", "udp_timeout",
    "udp_timeout_stream", "sctp_timeout_cookie_wait", "sctp_timeout_cookie_echoed", "tcp_timeout_syn_sent",
    "tcp_timeout_syn_recv", "tcp_timeout_unacknowledged", "tcp_timeout_max_retrans",
)  # fmt: skip
_NETFILTER = 12
_LIBC = ctypes.CDLL(None)
_DELETE_ALL = struct.pack("=IHHII", 20, 1 << 8 | 2, 1 | 4, 1, 0) + bytes(4)  # nfnetlink's CT_DELETE, no filter


@dataclass
class Line:
    """One end of a veth, held open: what is written there goes out, what arrives is read."""

    name: str  # of the namespace
    socket: socket.socket
    to: bytes  # the MAC address at the other end
    own: bytes

    def send(self, packets: Iterable[bytes]) -> None:
        for packet in packets:
            kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
            self.socket.send(self.to + self.own + kind + packet)

    def arrived(self) -> Iterator[Arrival]:
        for frame in self.frames():
            found = read(frame[14:])
            if found is not None and found.number:  # kernels number their own chatter 0, tests from 1
                yield found

    def frames(self) -> Iterator[bytes]:
        """Whole Ethernet frames with IP in them, as they arrived."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self.socket.recv(4096)
                if data[12:14] in (b"\x08\x00", b"\x86\xdd"):
                    yield data


class PassiveWire(Wire):
    """``sites`` of workloads without a stack. ``lines`` by endpoint's IPv4 address."""

    def __init__(self, directory: Path, prefix: str) -> None:
        super().__init__(directory, prefix)
        self.lines: dict[Address, Line] = {}
        self._netlink: list[socket.socket] = []
        fence = self.namespace("fence")
        ip_batch(fence, "link add one type veth peer name two", "link set one up", "link set two up")
        self._fence = [line(fence, name, "02:00:00:00:03:01", "02:00:00:00:03:02") for name in ("one", "two")]

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """What is sent in here, by this thread and those it starts, has arrived or has been dropped at the end."""
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {_LIBC.sched_getcpu()})
        try:
            yield
            self._settle()
        finally:
            os.sched_setaffinity(0, allowed)

    def _settle(self) -> None:
        there, here = self._fence
        for _unused in range(_HOPS):
            there.send([b"\x40fence"])
            found = False
            while not found:
                if not select.select([here.socket], [], [], _HANGS)[0]:
                    raise TimeoutError("a packet doesn't cross a veth")
                found = any(frame.endswith(b"fence") for frame in here.frames())

    def close(self) -> None:
        for each in (*(line.socket for line in (*self.lines.values(), *self._fence)), *self._netlink):
            each.close()
        super().close()

    def site(self, name: str) -> Site:
        site = super().site(name)
        # Nothing here but what tests send: and what they send may have any source.
        quiet = [
            f"net.ipv4.conf.{which}.{what}=0"
            for which in ("all", "default")
            for what in ("rp_filter", "send_redirects")
        ]
        quiet += ["net.ipv6.conf.default.dad_transmits=0"]
        # A slow machine must not be what ends a flow.
        quiet += [f"net.netfilter.nf_conntrack_{which}=600" for which in _TIMEOUTS]
        run("ip", "netns", "exec", site.namespace, "sysctl", "-qw", *quiet)
        self._netlink.append(
            inside(site.namespace, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER))
        )
        return site

    def place(self, site: Site, endpoint: Endpoint) -> Workload:
        """The endpoint at the site, by a veth whose other end only tests use."""
        number = len(self.lines) + 1
        here = self.namespace(f"w{number}")
        run("ip", "netns", "exec", here, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        interface = f"ve{int(endpoint.ipv4):08x}"
        gateway, workload = _MAC_SITE.format(number), _MAC_WORKLOAD.format(number)
        ip_batch(
            site.namespace,
            f"link add {interface} address {gateway} type veth peer name eth0 address {workload} netns {here}",
            f"link set {interface} up",
            f"addr add {GATEWAY4}/32 dev {interface}",
            f"addr add {GATEWAY6}/64 dev {interface} nodad",
            f"route add {endpoint.ipv4}/32 dev {interface} src {GATEWAY4}",
            f"route add {endpoint.ipv6}/128 dev {interface}",
            f"neigh add {endpoint.ipv4} lladdr {workload} dev {interface}",
            f"neigh add {endpoint.ipv6} lladdr {workload} dev {interface}",
        )
        ip_batch(here, "link set eth0 up")
        self.lines[endpoint.ipv4] = line(here, "eth0", gateway, workload)
        made = Workload(endpoint, here, interface)
        site.workloads.append(made)
        return made

    def join(self, one: Site, two: Site) -> None:
        super().join(one, two)
        for number, site in enumerate((one, two)):
            ip_batch(
                site.namespace,
                f"neigh add 100.64.255.{1 - number} lladdr 02:00:00:00:00:0{1 - number} dev {TUNNEL}",
            )

    def lead(self, ranges: Sequence[str], carrier: Workload) -> None:
        """Routes for addresses that no workload has, to the one that carries them."""
        home = next(number for number, site in enumerate(self.sites) if carrier in site.workloads)
        for number, site in enumerate(self.sites):
            commands = []
            for text in ranges:
                version = 6 if ":" in text else 4
                if number == home:
                    commands.append(f"route add {text} via {carrier.address(version)} dev {carrier.interface} onlink")
                else:
                    via = f"fd00:1::ff:{home}" if version == 6 else f"100.64.255.{home}"
                    commands.append(f"route add {text} via {via} dev {TUNNEL}")
            ip_batch(site.namespace, *commands)

    def forget_flows(self) -> None:
        """Connection tracking begins anew on every site."""
        for netlink in self._netlink:
            netlink.send(_DELETE_ALL)
            length, kind, _flags, _sequence, _port, error = struct.unpack("=IHHIIi", netlink.recv(4096)[:20])
            if (length, kind, error) != (length, 2, 0):
                raise OSError(-error, "conntrack can't be emptied")

    def flows(self, site: Site) -> int:
        """How many connections the site's kernel follows."""
        return int(run("ip", "netns", "exec", site.namespace, "sysctl", "-n", "net.netfilter.nf_conntrack_count"))


def line(namespace: str, interface: str, to: str, own: str) -> Line:
    """The end of a veth with the MAC address ``own``; ``to``: that of the other end."""

    def open_() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        made.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        made.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER, _BUFFER)
        made.bind((interface, _ALL))
        made.setblocking(False)
        return made

    return Line(
        namespace, inside(namespace, open_), bytes.fromhex(to.replace(":", "")), bytes.fromhex(own.replace(":", ""))
    )


@contextlib.contextmanager
def passive_wire(directory: Path) -> Iterator[PassiveWire]:
    wire = PassiveWire(directory, f"fwt-{os.urandom(3).hex()}")
    try:
        yield wire
    finally:
        wire.close()
