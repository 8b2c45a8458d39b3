# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Allocating with the ledger: voters behind real sshds, one proposer in this process, networks made as needed.

The connections are kept for all of a benchmark, as those of one run of Ansible are for all its networks. Each
measurement has a network of its own, whose version 0 is agreed before the clock starts.
"""

from __future__ import annotations

import ipaddress
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from figures.wire import tcp_bytes
from ledger_world import Chain, facts, node, signer
from quorum_site import PORT, Site, address_of

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import View
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, LeaseId
from ansible_collections.akash.avpn.plugins.module_utils._peer import keys
from ansible_collections.akash.avpn.plugins.module_utils._peer.client import PeerClient
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import to_change, wish
from ansible_collections.akash.avpn.plugins.module_utils._quorum.cache import LedgerCache
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import slot_json
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value

CIDR = "100.64.0.0/18"  # 16,384 addresses
_MEMBER, _DSEQ = "web", 4711
_DEADLINE = 120.0
_GONE_SECONDS = 10.0


class Cpu(NamedTuple):
    """Seconds of CPU, by what runs: the proposer, the sshds of the voters, their peer commands."""

    proposer: float
    ssh: float
    voters: float


@dataclass(frozen=True)
class Cost:
    """What one allocation took, all voters told at the end. ``messages``: requests, each answered.

    ``wire``: bytes of TCP's payload, both ways.
    """

    seconds: float
    round_trips: int
    messages: int
    wire: int
    cpu: Cpu


class Ledgers:
    """A provider that votes nowhere, calling the site's voters."""

    def __init__(self, site: Site, base: Path, count: Callable[[], int]) -> None:
        """``count``: bytes on the wire so far."""
        self._site = site
        self._number = site.chain.voters + 1
        self.count = count
        self._networks = 0
        self._caches = base / "ledgers"
        self._caches.mkdir()
        self.ssh_key = base / "ssh"
        keys.create_ssh_key(self.ssh_key)
        chain = site.chain
        chain.cidr, chain.hosts = CIDR, self._number
        chain.deploy(_MEMBER, _DSEQ, self._number)
        site.others[self.node] = replace(
            chain.view().hosts[self.node],
            ssh_address=address_of(self._number),
            ssh_client_key=keys.ssh_public_key(self.ssh_key),
        )
        site.publish()
        self.client = self.connected()

    @property
    def node(self) -> Any:
        return node(self._number)

    def connected(self) -> PeerClient:
        """A client without connections yet."""
        return PeerClient(self.node, self._site.view().hosts, self.ssh_key, check_address=lambda _record: None)

    def network(self) -> Network:
        """A new network, which nothing is agreed of yet."""
        self._networks += 1
        self._site.chain.changes = {"name": f"run{self._networks}"}
        return Network(self, self._site, self._number, self._caches)

    def close(self) -> None:
        self.client.close()


class Network:
    """One network and its proposer."""

    def __init__(self, ledgers: Ledgers, site: Site, number: int, caches: Path) -> None:
        self._ledgers = ledgers
        self._site = site
        self._number = number
        self._cache = LedgerCache(caches)
        self.value: Value | None = None

    def allocate(self, endpoints: int) -> Cost:
        """Ask for so many endpoints in all. The newest version is known, and connections stand, before the clock."""
        view, known = self._grown(endpoints)
        client = self._ledgers.client
        self._start(client, view)
        with self._proposer(client, view) as proposer:
            requests, wire, others = client.counters.requests, self._ledgers.count(), self._voters_cpu()
            own, began = time.process_time(), time.perf_counter()
            outcome = proposer.propose(self._build(view, known))
            seconds = time.perf_counter() - began
        own = time.process_time() - own
        ssh, voters = (now - then for now, then in zip(self._voters_cpu(), others, strict=True))
        self.value = outcome.value
        requests, wire = client.counters.requests - requests, self._ledgers.count() - wire
        return Cost(seconds, outcome.round_trips, requests, wire, Cpu(own, ssh, voters))

    def allocate_cold(self, endpoints: int) -> float:
        """Seconds with everything that a run of the module does: connect, look what is newest, then propose."""
        view, known = self._grown(endpoints)
        self._start(self._ledgers.client, view)
        running = self._processes()
        client = self._ledgers.connected()
        try:
            began = time.perf_counter()
            with self._proposer(client, view) as proposer:
                proposer.fetch()
                proposer.propose(self._build(view, known))
                return time.perf_counter() - began
        finally:
            client.close()
            # Its sessions are gone before anything else is counted.
            deadline = time.monotonic() + _GONE_SECONDS
            while self._processes() > running and time.monotonic() < deadline:
                time.sleep(0.02)

    def slots(self) -> dict[str, dict[str, Any]]:
        """What was agreed, as documents without the batch."""
        assert self.value is not None
        return {str(endpoint): slot_json(slot, signed=True) for endpoint, slot in self.value.slots.items()}

    def _start(self, client: PeerClient, view: View) -> None:
        """Agree on version 0 if there is nothing yet, learn what is newest, and tell all voters."""
        with self._proposer(client, view) as proposer:
            proposer.fetch()
            proposer.propose(lambda _value: None)

    def _processes(self) -> int:
        return sum(len(host.processes()) for host in self._site.hosts.values())

    def _grown(self, endpoints: int) -> tuple[View, Mapping[EndpointId, LeaseId]]:
        chain: Chain = self._site.chain
        chain.replicas[_DSEQ] = endpoints
        self._site.publish()
        return self._site.view(), chain.endpoints(self._number)

    def _proposer(self, client: PeerClient, view: View) -> Proposer:
        (entry,) = view.networks.values()
        return Proposer(client, self._ledgers.node, entry.record, view.height, cache=self._cache, deadline=_DEADLINE)

    def _build(self, view: View, endpoints: Mapping[EndpointId, LeaseId]) -> Any:
        own = replace(facts(self._number), endpoint=view.hosts[self._ledgers.node].wireguard_address)
        key = signer(self._number)

        def build(value: Value) -> Change | None:
            return to_change(wish(value, view, own, endpoints), value, view, own, key)

        return build

    def _voters_cpu(self) -> tuple[float, float]:
        """Seconds that the voters' sshds and their peer commands have run."""
        ssh = voters = 0.0
        for host in self._site.hosts.values():
            for pid in host.processes():
                seconds, name = _process(pid)
                if name == "sshd":
                    ssh += seconds
                else:
                    voters += seconds
        return ssh, voters


def _process(pid: int) -> tuple[float, str]:
    """Seconds that a process has run, and its name; nothing if it has gone."""
    try:
        nanoseconds = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, ""
    return int(nanoseconds) / 1e9, name


@contextmanager
def opened(site: Site) -> Iterator[Ledgers]:
    """The provider and what it keeps, gone at the end."""
    voters = f"{ipaddress.ip_network(f'{address_of(1)}/24', strict=False)}"
    with tempfile.TemporaryDirectory(prefix="avpn-bench-", dir="/srv") as directory:
        ledgers = Ledgers(site, Path(directory), lambda: tcp_bytes({PORT}, voters))
        try:
            yield ledgers
        finally:
            ledgers.close()
