# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packets through a gateway, and how fast: tcpreplay for rates, fping for latencies.

tcpreplay sends from memory on one CPU, and the kernel forwards each packet on that CPU before the next one is sent:
so a packet's time is all that it costs, sending included, and nothing is lost. Both run with real-time priority,
so that other processes of the machine can't come between.
"""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Packet
from filtering import frames
from filtering.frames import Datagram
from filtering.gateway import HOST_MAC, OUT, RECEIVER_MAC, SENDER_MAC, Gateway, packed, run

_ALONE = ("chrt", "--fifo", "10", "taskset", "--cpu-list", "1")
_RATE = re.compile(r"([0-9.]+) pps")
_ANSWERED = re.compile(r" : ([0-9.e+-]+)$", re.MULTILINE)
_SINK = "chain every { type filter hook ingress device out priority 0;\nmeta l4proto udp drop; }"
_DROP = f"table netdev sink {{ {_SINK}\n}}\n"
_SECONDS = 120


class Flows:
    """Packets of many flows, as files: each flow's first packet, and its answer."""

    def __init__(self, directory: Path, pairs: Sequence[Packet], flows: int) -> None:
        first = [_datagram(pairs[number % len(pairs)], 1024 + number // len(pairs)) for number in range(flows)]
        self.flows = flows
        self.first, self.answers = directory / "first.pcap", directory / "answers.pcap"
        frames.write(self.first, first, packed(HOST_MAC), packed(SENDER_MAC))
        frames.write(self.answers, [each.reply for each in first], packed(HOST_MAC), packed(RECEIVER_MAC))


def _datagram(packet: Packet, port: int) -> Datagram:
    assert packet.source.version == packet.target.version == 4 and packet.port is not None
    return Datagram(packet.source, packet.target, port, packet.port)


def swallow(gateway: Gateway) -> None:
    """Datagrams that arrive at either end are counted and dropped there."""
    for name in (gateway.senders, gateway.receivers):
        gateway.inside(name, "nft", "-f", "-", text=_DROP)


def answer(gateway: Gateway, sources: Sequence[str], targets: Sequence[str]) -> None:
    """Both ends have these addresses, and answer pings."""
    for name, addresses in ((gateway.senders, sources), (gateway.receivers, targets)):
        run("ip", "-n", name, "-batch", "-", text="".join(f"addr add {each}/32 dev lo\n" for each in addresses))


def new_flows(gateway: Gateway, flows: Flows) -> float:
    """First packets of flows that the kernel doesn't know, a second."""
    gateway.forget()
    return _replayed(gateway, flows.first, flows.flows)


def established(gateway: Gateway, flows: Flows, times: int) -> float:
    """Packets of flows that have been answered, a second: each flow sends so many."""
    gateway.forget()
    _replayed(gateway, flows.first, flows.flows)
    _replayed(gateway, flows.answers, flows.flows, back=True)
    return _replayed(gateway, flows.first, flows.flows, times)


def _replayed(gateway: Gateway, file: Path, packets: int, times: int = 1, *, back: bool = False) -> float:
    here, there = gateway.senders, gateway.receivers
    if back:
        here, there = there, here
    before = gateway.received(there)
    command = ["tcpreplay", "-q", "-K", "-t", "-l", str(times), "-i", OUT, str(file)]
    told = gateway.inside(here, *_ALONE, *command)
    arrived, rate = gateway.received(there) - before, _RATE.search(told)
    if arrived != packets * times:
        raise RuntimeError(f"{arrived} of {packets * times} packets came through {gateway.name}")
    if rate is None:
        raise RuntimeError("tcpreplay told no rate")
    return float(rate[1])


def latencies(gateway: Gateway, source: str, targets: Sequence[str]) -> list[float]:
    """Seconds from a flow's first packet, an echo request, to its answer: one flow to each target. The kernel answers
    within the sending; what is measured are both ways through the gateway."""
    # A millisecond between requests, in which the one before has been answered; what doesn't come isn't asked again.
    command = ["fping", "-q", "-C", "1", "-r", "0", "-i", "1", "-t", "200", "-S", source]
    told = subprocess.run(
        ["ip", "netns", "exec", gateway.senders, *_ALONE, *command],
        input="\n".join(targets),
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    ).stderr
    found = _ANSWERED.findall(told)
    if len(found) != len(targets):
        raise RuntimeError(f"{len(found)} of {len(targets)} pings were answered through {gateway.name}: {told[-200:]}")
    return [float(each) / 1000 for each in found]


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that so large a share of them doesn't exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
