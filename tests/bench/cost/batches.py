# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One proposer, from one endpoint to thousands in one batch, in the ledger and in etcd by turns."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from etcd.allocating import Allocator, Documents, documents
from etcd.client import Client
from etcd.cluster import Cluster
from figures.figure import Figure, figure
from figures.wire import tcp_bytes
from ledger.allocating import Cpu, Ledgers

CHUNKS = (128, 1_000, 10_000)  # endpoints in one transaction: etcd's limit by default, and more if told so


@dataclass
class _Runs:
    """Values by (way, what, endpoints), one a run."""

    values: dict[tuple[str, str, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, way: str, endpoints: int, **found: float) -> None:
        for what, value in found.items():
            self.values[way, what, endpoints].append(value)

    def get(self, way: str, what: str, endpoints: int) -> list[float]:
        return self.values[way, what, endpoints]


class Batches:
    """The measurements of one number of voters. ``cluster``: None measures the ledger alone."""

    def __init__(self, ledgers: Ledgers, cluster: Cluster | None, locked_at_most: int) -> None:
        self._ledgers = ledgers
        self._cluster = cluster
        self._client = None if cluster is None else Client(cluster.leader)
        self._locked_at_most = locked_at_most
        self._tables = 0
        self._runs = _Runs()

    def measure(self, sizes: Sequence[int], runs: int) -> None:
        """All sizes once in each run, after one that doesn't count."""
        self._run(min(sizes), _Runs())
        for _unused in range(runs):
            for size in sizes:
                self._run(size, self._runs)

    def figures(self, sizes: Sequence[int], voters: int) -> list[Figure]:
        """What was measured, each of ours beside each way of etcd's."""
        made = []
        for size in sizes:
            at = {"endpoints": size, "voters": voters}
            made += self._compared("allocation.batch", "seconds", at, size)
            made.append(figure("allocation.round_trips", "round trips", "lower", at, self._of("ours", "trips", size)))
            made += self._compared("allocation.messages", "messages", at, size, what="messages")
            made += self._compared("allocation.bytes", "bytes", at, size, what="wire")
            for part in Cpu._fields:
                made.append(figure(f"allocation.cpu_{part}", "seconds", "lower", at, self._of("ours", part, size)))
        for size in sizes:
            more = {"endpoints": 1, "existing": size, "voters": voters}
            peer = ("etcd lock", self._of("etcd lock", "more", size)) if self._cluster else None
            made.append(figure("allocation.more", "seconds", "lower", more, self._of("ours", "more", size), peer))
        for size in sizes:
            at = {"endpoints": size, "voters": voters}
            made.append(figure("allocation.cold", "seconds", "lower", at, self._of("ours", "cold", size)))
        return made

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _of(self, way: str, what: str, size: int) -> list[float]:
        return self._runs.get(way, what, size)

    def _compared(self, name: str, unit: str, at: Mapping[str, int], size: int, what: str = "seconds") -> list[Figure]:
        own = self._of("ours", what, size)
        if self._cluster is None:
            return [figure(name, unit, "lower", at, own)]
        made = []
        chunk, part = self._best_chunk(size), min(size, self._locked_at_most)
        note = "" if part == size else f"measured for {part:,}, times {size / part:g}"
        for way in ("etcd lock", "etcd lock kept"):
            theirs = [one * size / part for one in self._of(way, what, size)]
            made.append(figure(name, unit, "lower", at, own, (way, theirs), note=note))
        note = f"{chunk:,} in a transaction" if size > chunk else ""
        best = self._of(f"etcd batch {chunk}", what, size)
        made.append(figure(name, unit, "lower", at, own, ("etcd batch", best), note=note))
        return made

    def _run(self, size: int, runs: _Runs) -> None:
        network = self._ledgers.network()
        cost = network.allocate(size)
        runs.add("ours", size, seconds=cost.seconds, trips=cost.round_trips, messages=cost.messages, wire=cost.wire)
        runs.add("ours", size, **cost.cpu._asdict())
        wanted = documents(network.slots())
        runs.add("ours", size, more=network.allocate(size + 1).seconds)
        runs.add("ours", size, cold=self._ledgers.network().allocate_cold(size))
        if self._client is None:
            return
        part = dict(list(wanted.items())[: self._locked_at_most])
        one_more = {"more/1/0": next(iter(wanted.values()))}
        for chunk in CHUNKS:
            runs.add(f"etcd batch {chunk}", size, **self._timed(partial(_batch, wanted, chunk)))
        runs.add("etcd lock kept", size, **self._timed(lambda table: table.locked(part, keep=True)))
        table = self._table()
        runs.add("etcd lock", size, **self._timed(lambda _unused: table.locked(part)))
        runs.add("etcd lock", size, more=self._timed(lambda _unused: table.locked(one_more))["seconds"])

    def _timed(self, allocate: Callable[[Allocator], object]) -> dict[str, float]:
        assert self._client is not None and self._cluster is not None
        table = self._table()
        table.look()
        calls, wire = self._client.calls, tcp_bytes(self._cluster.ports)
        began = time.perf_counter()
        allocate(table)
        seconds = time.perf_counter() - began
        return {
            "seconds": seconds,
            "messages": self._client.calls - calls,
            "wire": tcp_bytes(self._cluster.ports) - wire,
        }

    def _table(self) -> Allocator:
        assert self._client is not None
        self._tables += 1
        return Allocator(self._client, f"avpn{self._tables}")

    def _best_chunk(self, size: int) -> int:
        """How many endpoints in one of etcd's transactions were fastest for so many."""
        return min(CHUNKS, key=lambda chunk: statistics.median(self._of(f"etcd batch {chunk}", "seconds", size)))


def _batch(wanted: Documents, chunk: int, table: Allocator) -> None:
    table.batch(wanted, chunk)
