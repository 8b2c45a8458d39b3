# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three network namespaces in a row: senders, the network's namespace on one host, receivers.

The host's namespace forwards between two veths, one with all its endpoints behind it, the other in the place of the
tunnel. Addresses are those of the frames; nobody but the forwarding one needs routes for them.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from filtering.network import SENDERS, TUNNEL

HOST_MAC, SENDER_MAC, RECEIVER_MAC = (f"02:00:00:00:00:{number:02x}" for number in (1, 2, 3))
NEAR, FAR = "100.127.255.1", "100.127.255.3"  # the gateway towards senders, and towards receivers
OUT = "out"  # the interface of senders, and of receivers
_SECONDS = 60


def run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:6])}: {done.stderr[-500:]}")
    return done.stdout


def packed(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


@dataclass(frozen=True)
class Gateway:
    """``name`` is the host's namespace; ``name``s and ``name``r are the senders' and the receivers'."""

    name: str

    @property
    def senders(self) -> str:
        return f"{self.name}s"

    @property
    def receivers(self) -> str:
        return f"{self.name}r"

    def open(self) -> None:
        for name in (self.name, self.senders, self.receivers):
            run("ip", "netns", "add", name)
            self.inside(name, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
            self.inside(name, "sysctl", "-qw", "net.ipv4.ip_early_demux=0")  # as the overlay's namespaces have it
            self.inside(
                name, "sysctl", "-qw", "net.ipv4.conf.default.rp_filter=0", "net.ipv6.conf.default.disable_ipv6=1"
            )
        for here, there, mac, other, address, far in (
            (SENDERS, self.senders, HOST_MAC, SENDER_MAC, NEAR, "100.127.255.0"),
            (TUNNEL, self.receivers, HOST_MAC, RECEIVER_MAC, FAR, "100.127.255.2"),
        ):
            self._ip(
                self.name, f"link add {here} address {mac} type veth peer name {OUT} address {other} netns {there}"
            )
            self._ip(self.name, f"addr add {address}/31 dev {here}", f"link set {here} up")
            self._ip(there, "link set lo up", f"addr add {far}/31 dev {OUT}", f"link set {OUT} up")
            self._ip(self.name, f"neigh replace {far} lladdr {other} dev {here} nud permanent")
            self._ip(there, f"neigh replace {address} lladdr {mac} dev {OUT} nud permanent")
            self._ip(there, f"route add default via {address}")
        # Where a packet goes depends on where it came from only: no routes for each endpoint, whose number would
        # be measured with the rest.
        self._ip(
            self.name,
            f"route add default via 100.127.255.2 dev {TUNNEL}",
            f"route add default via 100.127.255.0 dev {SENDERS} table 7",
            f"rule add iif {TUNNEL} lookup 7",
        )

    def close(self) -> None:
        for name in (self.name, self.senders, self.receivers):
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False, timeout=_SECONDS)

    def load(self, script: str) -> None:
        if script:
            self.inside(self.name, "nft", "-f", "-", text=script)

    def forget(self) -> None:
        """Drop all connections."""
        subprocess.run(
            ["ip", "netns", "exec", self.name, "conntrack", "-F"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=_SECONDS,
        )

    def received(self, name: str) -> int:
        """Packets that arrived at the senders' or receivers' interface so far."""
        return int(self.inside(name, "cat", f"/sys/class/net/{OUT}/statistics/rx_packets"))

    @staticmethod
    def inside(name: str, *command: str, text: str | None = None) -> str:
        return run("ip", "netns", "exec", name, *command, text=text)

    @staticmethod
    def _ip(name: str, *commands: str) -> None:
        run("ip", "-n", name, "-batch", "-", text="".join(f"{command}\n" for command in commands))


def unique(number: int) -> str:
    return f"fwb{os.getpid() % 100_000}x{number}"
