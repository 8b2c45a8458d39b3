# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proposers as processes of their own: each a provider with its own SSH key, signing key, cache and connections.

A process lives for all rounds and keeps its connections, as a run of Ansible does. Told to, it claims one
endpoint more, asks again whenever it wasn't told an address, and says what happened.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from history.versions import Seen, Step, Told
from ledger_world import facts, node, signer
from quorum_site import Site, address_of

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import View
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, LeaseId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._peer import keys
from ansible_collections.akash.avpn.plugins.module_utils._peer.client import PeerClient
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import to_change, wish
from ansible_collections.akash.avpn.plugins.module_utils._quorum.cache import LedgerCache
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.sharing import Sharing
from ansible_collections.akash.avpn.plugins.module_utils._quorum.signing import SeedSigner
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value

DEADLINE = 20.0  # seconds of one proposal
PATIENCE = 120.0  # seconds until a proposer that is asked again and again counts as stuck


@dataclass
class Report:
    """What one proposer did in one round."""

    number: int
    run: str
    told: Told | None = None
    seen: list[Seen] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)  # each was followed by another attempt
    crash: str = ""
    round_trips: int = 0
    messages: int = 0
    connections: int = 0
    cpu: float = 0.0  # seconds
    ops: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Identity:
    """A provider's host, as far as proposing goes. ``number`` is the chain's (``ledger_world.Chain``)."""

    number: int
    node: NodeId
    signer: SeedSigner
    ssh_key: Path
    ledgers: Path


def people(site: Site, base: Path, count: int, replicas: int) -> list[Identity]:
    """So many providers with leases of so many endpoints; the first are the site's hosts, the voters, as well."""
    made = []
    for number in range(1, count + 1):
        ssh_key, ledgers = base / f"ssh{number}", base / f"ledger{number}"
        ledgers.mkdir()
        if number in site.hosts:
            ssh_key = site.hosts[number].paths.ssh_client_key
        else:
            keys.create_ssh_key(ssh_key)
            record = site.chain.view().hosts[node(number)]
            site.others[node(number)] = replace(
                record, ssh_address=address_of(number), ssh_client_key=keys.ssh_public_key(ssh_key)
            )
        made.append(Identity(number, node(number), signer(number), ssh_key, ledgers))
        site.chain.deploy(f"m{number}", 100 + number, number, replicas=replicas)
    return made


class Crowd:
    """The processes, and a pipe to each."""

    def __init__(self, identities: list[Identity], view: View) -> None:
        # Forked, so that what they all import is imported once.
        context = multiprocessing.get_context("fork")
        self._pipes: list[Connection] = []
        self._processes = []
        for identity in identities:
            here, there = context.Pipe()
            process = context.Process(target=_live, args=(identity, view, there), daemon=True)
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)

    def start(self, turn: int) -> None:
        """Everybody wants the endpoint of index ``turn`` now."""
        for pipe in self._pipes:
            pipe.send(turn)

    def done(self) -> int:
        """How many have said that they are through with the round."""
        return sum(pipe.poll() for pipe in self._pipes)

    def finish(self) -> list[Report]:
        """Wait for all."""
        deadline = time.monotonic() + 2 * PATIENCE
        reports = []
        for number, pipe in enumerate(self._pipes, 1):
            assert pipe.poll(max(0.0, deadline - time.monotonic())), f"proposer {number} never came back"
            reports.append(pipe.recv())
        return reports

    def stop(self) -> None:
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(None)
        for process in self._processes:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()


class _Recording:
    """The peer channel, with notes of what was asked for and of what got certified by it."""

    def __init__(self, client: PeerClient, report: Report) -> None:
        self._client = client
        self._report = report
        self._changes: dict[str, Any] = {}  # by the hash of the value they lead to

    def call(self, node: NodeId, request: Any) -> Any:
        self._report.ops[str(request["op"])] += 1
        if request["op"] == "accept":
            self._changes[request["ballot"]["hash"]] = request["change"]
        elif request["op"] == "learn":
            change = self._changes.pop(request["certificate"]["ballot"]["hash"], None)
            if change is not None:
                self._report.steps.append(Step.of(request["certificate"], change))
        return self._client.call(node, request)


def _live(identity: Identity, view: View, orders: Connection) -> None:
    client = PeerClient(identity.node, view.hosts, identity.ssh_key, check_address=lambda _record: None)
    while True:
        turn = orders.recv()
        if turn is None:
            client.close()
            return
        report = Report(identity.number, f"{identity.node.node} {os.getpid()}")
        cpu, connections = time.process_time(), client.counters.connections
        try:
            _claim(identity, view, client, turn, report)
        except BaseException:  # noqa: BLE001 - the test shows it
            report.crash = traceback.format_exc()
        report.cpu = time.process_time() - cpu
        report.connections = client.counters.connections - connections
        orders.send(report)


def _claim(identity: Identity, view: View, client: PeerClient, turn: int, report: Report) -> None:
    node, (entry,) = identity.node, view.networks.values()
    record = entry.record
    own = replace(facts(identity.number), endpoint=view.hosts[node].wireguard_address)
    member, cache = f"m{identity.number}", LedgerCache(identity.ledgers)
    (lease,) = (lease.id for lease in entry.leases if lease.id.provider == node.provider)
    mine: dict[EndpointId, LeaseId] = {EndpointId(member, 1, index): lease for index in range(turn + 1)}
    wanted = EndpointId(member, 1, turn)

    def build(value: Value) -> Change | None:
        return to_change(wish(value, view, own, mine), value, view, own, identity.signer)

    def build_own(value: Value) -> Change | None:
        return to_change(wish(value, view, own, mine, crowded=True), value, view, own, identity.signer)

    began = time.monotonic()
    for attempt in itertools.count():
        if time.monotonic() > began + PATIENCE:
            raise AssertionError(f"stuck: {report.errors}")
        transport = _Recording(client, report)
        with Proposer(transport, node, record, view.height, cache=cache, deadline=DEADLINE) as proposer:
            try:
                # As a run of the module address does, which goes on from what it knows if nobody answers.
                if proposer.known is None:
                    with contextlib.suppress(NoMajority):
                        proposer.fetch(min(10.0, DEADLINE))
                outcome = proposer.propose(build, Sharing(build_own, view))
            except NoMajority as error:
                report.errors.append(f"attempt {attempt}: {type(error).__name__}: {error}")
                continue
            finally:
                known = proposer.known
                if known is not None:
                    report.seen.append(Seen(report.run, known.value.version, known.certificate.hash))
        report.round_trips, report.messages = outcome.round_trips, outcome.messages
        slot = outcome.value.slots[wanted]
        ended = time.monotonic()
        report.told = Told(
            str(node),
            str(wanted),
            str(slot.address),
            outcome.value.version,
            outcome.certificate.hash,
            began,
            ended,
        )
        return
