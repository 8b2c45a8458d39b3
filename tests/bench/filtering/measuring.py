# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""All sizes and rulesets side by side, measured by turns."""

from __future__ import annotations

import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from figures.figure import Figure, figure

from ansible_collections.akash.avpn.plugins.module_utils._policy import nft
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset, load
from filtering import linear, traffic
from filtering.gateway import Gateway, unique
from filtering.network import TUNNEL, Network, network, pairs
from filtering.traffic import Flows

Size = tuple[int, int]  # endpoints, rules
Runs = dict[tuple[str, Size, str], list[float]]  # by figure, size and ruleset: one a run
OURS, NOTHING, TRACKING, LINEAR = "ours", "no rules", "tracking only", "linear"
RULESETS = (OURS, NOTHING, TRACKING, LINEAR)
PAIRS = 1_000  # distinct, where there are so many
NEW_FLOWS, ESTABLISHED, TIMES = 20_000, 2_000, 20
PINGS = 400  # of each run
_TRACKED = "table inet tracked { chain every { type filter hook forward priority 0;\nct state invalid drop; }\n}\n"


def compiled(of: Network) -> Ruleset:
    return compile_ruleset(of.manifest, of.endpoints, of.local, [TUNNEL])


@dataclass(frozen=True)
class Lane:
    """One ruleset in a gateway of its own."""

    ruleset: str
    of: Network
    gateway: Gateway
    state: Path

    def open(self, pinged: Sequence[str], pinging: Sequence[str]) -> None:
        self.gateway.open()
        traffic.swallow(self.gateway)
        traffic.answer(self.gateway, pinging, pinged)
        if self.ruleset == OURS:
            nft.apply_ruleset(self.gateway.name, compiled(self.of), self.state)
        elif self.ruleset == LINEAR:
            self.gateway.load(linear.script(self.of))
        elif self.ruleset == TRACKING:
            self.gateway.load(_TRACKED)


class Bench:
    """What is measured of the sizes (endpoints, rules)."""

    def __init__(self, sizes: Sequence[Size], directory: Path) -> None:
        self._runs: Runs = defaultdict(list)
        self._sizes = tuple(sizes)
        self._directory = directory
        self._networks = {size: network(*size) for size in sizes}
        self._changed = {size: network(*size, changed=9) for size in sizes}
        self._choose = random.Random(1)

    def measure(self, runs: int) -> None:
        """Every figure once in each run, each size's rulesets one after the other."""
        with contextlib.ExitStack() as stack:
            lanes = {size: tuple(self._lanes(stack, size)) for size in self._sizes}
            flows = {size: self._flows(size) for size in self._sizes}
            for number in range(-1, runs):  # the first doesn't count: it finds caches cold
                keep = self._runs if number >= 0 else defaultdict(list)
                for size in self._sizes:
                    for lane in self._choose.sample(lanes[size], len(lanes[size])):
                        first, established = flows[size]
                        at = size, lane.ruleset
                        keep["packet_rate", *at].append(traffic.new_flows(lane.gateway, first))
                        keep["established_rate", *at].append(traffic.established(lane.gateway, established, TIMES))
                        seen = self._latencies(lane)
                        keep["latency_p50", *at].append(traffic.percentile(seen, 0.5))
                        keep["latency_p99", *at].append(traffic.percentile(seen, 0.99))
                    self._changes(size, next(lane for lane in lanes[size] if lane.ruleset == OURS), keep)
                    self._loads(size, keep)

    def figures(self) -> list[Figure]:
        made = []
        for name, unit, better, peers in (
            ("packet_rate", "packets per second", "higher", RULESETS[1:]),
            ("established_rate", "packets per second", "higher", RULESETS[1:]),
            ("latency_p50", "seconds", "lower", RULESETS[1:]),
            ("latency_p99", "seconds", "lower", RULESETS[1:]),
            ("first_load", "seconds", "lower", (LINEAR,)),
            ("compile", "seconds", "lower", ()),
            ("update_one_rule", "seconds", "lower", ()),
            ("update_whole", "seconds", "lower", ()),
        ):
            for size in self._sizes:
                at = {"endpoints": size[0], "rules": size[1]}
                own = self._runs[name, size, OURS]
                for peer in peers:
                    theirs = self._runs[name, size, peer]
                    made.append(figure(f"firewall.{name}", unit, better, at, own, (peer, theirs)))
                if not peers:
                    made.append(figure(f"firewall.{name}", unit, better, at, own))
        return made

    def _lanes(self, stack: contextlib.ExitStack, size: Size) -> Iterator[Lane]:
        of = self._networks[size]
        everybody = list(of.endpoints)
        pinging = [str(each.ipv4) for each in everybody if each.id.index % 2 == 0]
        pinged = [str(each.ipv4) for each in everybody if each.id.index % 2 == 1]
        for ruleset in RULESETS:
            name = unique(len(RULESETS) * self._sizes.index(size) + RULESETS.index(ruleset))
            lane = Lane(ruleset, of, Gateway(name), self._directory / f"{name}.json")
            stack.callback(lane.gateway.close)
            lane.open(pinged, pinging)
            yield lane

    def _flows(self, size: Size) -> tuple[Flows, Flows]:
        found = pairs(self._networks[size], PAIRS)
        made = []
        for flows in (NEW_FLOWS, ESTABLISHED):
            directory = self._directory / f"{size[0]}-{size[1]}-{flows}"
            directory.mkdir()
            made.append(Flows(directory, found, flows))
        return made[0], made[1]

    def _latencies(self, lane: Lane) -> list[float]:
        """Of so many pairs, drawn anew in each run: some senders, each to targets that it may ping."""
        by_source: dict[str, list[str]] = defaultdict(list)
        for packet in pairs(lane.of, PAIRS, seed=self._choose.randrange(1 << 30), sources=10):
            by_source[str(packet.source)].append(str(packet.target))
        lane.gateway.forget()
        seen: list[float] = []
        while len(seen) < PINGS:  # another process is another flow, also between the same two
            for source, targets in by_source.items():
                seen += traffic.latencies(lane.gateway, source, targets[: PINGS // len(by_source)])
        return seen

    def _changes(self, size: Size, lane: Lane, keep: Runs) -> None:
        """One rule's port, there and back: the kernel path alone (both scripts), and everything from the manifest."""
        for of in (self._changed[size], self._networks[size]):
            began = time.perf_counter()
            desired = compiled(of)
            planned = nft.plan_ruleset(lane.gateway.name, desired, lane.state)
            if planned.scripts.whole or not planned:
                raise RuntimeError("a change of one rule isn't a difference")
            kernel = 0.0

            def timed(namespace: str, scripts: nft.Scripts) -> None:
                nonlocal kernel
                kernel = _seconds(lambda: _LOAD(namespace, scripts))

            nft._load = timed
            try:
                change = nft.apply_ruleset(lane.gateway.name, desired, lane.state)
            finally:
                nft._load = _LOAD
            taken = time.perf_counter() - began
            if change.scripts != planned.scripts or change.difference_refused:
                raise RuntimeError(f"the table was loaded anew: {change.difference_refused}")
        keep["update_one_rule", size, OURS].append(kernel)
        keep["update_whole", size, OURS].append(taken)

    def _loads(self, size: Size, keep: Runs) -> None:
        """Compiling, and compiling with loading into a namespace that has nothing yet."""
        of = self._networks[size]
        keep["compile", size, OURS].append(_seconds(lambda: compiled(of)))
        for ruleset in (OURS, LINEAR):
            gateway = Gateway(unique(9_999))
            gateway.open()
            try:
                began = time.perf_counter()
                if ruleset == OURS:
                    scripts = load(compiled(of))
                    gateway.load(scripts.rules)
                    gateway.load(scripts.switch)
                else:
                    gateway.load(linear.script(of))
                taken = time.perf_counter() - began
            finally:
                gateway.close()
            keep["first_load", size, ruleset].append(taken)


_LOAD = nft._load


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
