# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small world for the ledger's tests: a chain, providers with their voters, and a transport that fails on demand."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import (
    Deployment,
    HostRecord,
    Lease,
    LeaseState,
    NetworkRecord,
    NetworkView,
    View,
    Voter,
)
from ansible_collections.akash.avpn.plugins.module_utils._common import canonical
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, LeaseId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.acceptor import Acceptor
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import HostFacts, to_change, wish
from ansible_collections.akash.avpn.plugins.module_utils._quorum.attempt import Outcome
from ansible_collections.akash.avpn.plugins.module_utils._quorum.cache import LedgerCache
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.signing import SeedSigner
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value
from ansible_collections.akash.avpn.plugins.module_utils._quorum.voting import Membership

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def account(name: str) -> str:
    """A valid address made of a name (BIP 173)."""
    payload = hashlib.sha256(name.encode()).digest()[:20]
    number = int.from_bytes(payload, "big")
    values = [(number >> (5 * shift)) & 31 for shift in range(31, -1, -1)]
    human = [ord(char) >> 5 for char in "akash"] + [0] + [ord(char) & 31 for char in "akash"]
    checksum = 1
    for value in [*human, *values, 0, 0, 0, 0, 0, 0]:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if (top >> bit) & 1 else 0
    checksum ^= 1
    values += [(checksum >> 5 * (5 - index)) & 31 for index in range(6)]
    return "akash1" + "".join(_CHARSET[value] for value in values)


def key32(name: str) -> str:
    return base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()


def ssh_key(name: str) -> str:
    blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + hashlib.sha256(name.encode()).digest()
    return "ssh-ed25519 " + base64.b64encode(blob).decode()


OWNER = account("tenant")


def node(number: int) -> NodeId:
    return NodeId(account(f"provider {number}"), f"n{number}")


def signer(number: int) -> SeedSigner:
    return SeedSigner(hashlib.sha256(f"seed {number}".encode()).digest())


def incarnation(number: int) -> str:
    return hashlib.sha256(f"incarnation {number}".encode()).hexdigest()[:32]


def facts(number: int) -> HostFacts:
    return HostFacts(
        node=node(number),
        key=signer(number).public_key,
        wireguard=key32(f"wireguard {number}"),
        endpoint=f"198.18.0.{number}",
        port=51820,
        mtu=1420,
    )


def host_record(number: int) -> HostRecord:
    return HostRecord(
        id=node(number),
        ssh_address=f"198.18.0.{number}",
        ssh_port=2222,
        ssh_host_key=ssh_key(f"host {number}"),
        ssh_client_key=ssh_key(f"client {number}"),
        signing_key=signer(number).public_key,
        incarnation=incarnation(number),
        wireguard_address=f"198.18.0.{number}",
        gossip_address=f"198.18.0.{number}",
        gossip_port=7946,
    )


@dataclass
class Chain:
    """Deployments and leases of one network; heights only rise. Leases: dseq -> provider number, by gseq 1."""

    voters: int = 3
    hosts: int = 3
    cidr: str = "100.64.0.0/24"
    height: int = 1000
    members: dict[str, int] = field(default_factory=dict)
    replicas: dict[int, int] = field(default_factory=dict)
    leases: dict[LeaseId, Lease] = field(default_factory=dict)
    incarnations: dict[int, str] = field(default_factory=dict)
    founded: dict[int, str] = field(default_factory=dict)  # incarnations of the founders, once they are fixed
    signers: dict[int, SeedSigner] = field(default_factory=dict)  # of hosts that have another key than at first
    providers: tuple[str, ...] | None = None
    changes: dict[str, Any] = field(default_factory=dict)

    def deploy(self, member: str, dseq: int, provider: int, replicas: int = 1) -> LeaseId:
        """A member's (new) deployment with a lease at a provider."""
        self.members[member] = dseq
        self.replicas[dseq] = replicas
        return self.lease(dseq, provider)

    def lease(self, dseq: int, provider: int, oseq: int = 1) -> LeaseId:
        self.height += 1
        lease = LeaseId(OWNER, dseq, 1, oseq, node(provider).provider)
        self.leases[lease] = Lease(lease, LeaseState.ACTIVE, self.height, 0)
        return lease

    def close(self, lease: LeaseId) -> None:
        self.height += 1
        self.leases[lease] = replace(self.leases[lease], state=LeaseState.CLOSED, closed_at=self.height)

    def record(self) -> NetworkRecord:
        founded = self.founded or self.incarnations
        founders = tuple(
            Voter(node(number), founded.get(number, incarnation(number)), signer(number).public_key)
            for number in range(1, self.voters + 1)
        )
        record = NetworkRecord(
            owner=OWNER,
            name="prod",
            cidr=ipaddress.IPv4Network(self.cidr),
            members=dict(sorted(self.members.items())),
            providers=self.providers,
            founders=founders,
        )
        return replace(record, **self.changes)

    def view(self) -> View:
        record = self.record()
        network = NetworkView(
            record=record,
            deployments={dseq: Deployment(OWNER, dseq, True, {1: count}) for dseq, count in self.replicas.items()},
            leases=tuple(self.leases.values()),
        )
        hosts = {
            node(number): replace(
                host_record(number),
                incarnation=self.incarnations.get(number, incarnation(number)),
                signing_key=self.signer(number).public_key,
            )
            for number in range(1, self.hosts + 1)
        }
        return View("lab", self.height, 1_700_000_000 + self.height, {record.id: network}, hosts)

    def signer(self, number: int) -> SeedSigner:
        """A host's key as it is now."""
        return self.signers.get(number, signer(number))

    def endpoints(self, number: int) -> dict[EndpointId, LeaseId]:
        """What runs at a provider now."""
        found = {}
        for lease in self.leases.values():
            member = next((name for name, dseq in self.members.items() if dseq == lease.id.dseq), None)
            if member is not None and lease.running and lease.id.provider == node(number).provider:
                for index in range(self.replicas[lease.id.dseq]):
                    found[EndpointId(member, 1, index)] = lease.id
        return found


class Voters:
    """Acceptors of the first hosts, each with a real database, and the transports that lead to them."""

    def __init__(self, directory: Path, chain: Chain) -> None:
        self.chain = chain
        self.directory = directory
        self.views: dict[int, Callable[[], View]] = {}
        self.acceptors: dict[int, Acceptor] = {}
        self.down: set[int] = set()
        self.drained: set[int] = set()
        for number in range(1, chain.voters + 1):
            self.start(number)
            chain.incarnations[number] = self.acceptors[number].store.incarnation
        chain.founded = dict(chain.incarnations)

    def add(self, number: int) -> None:
        """One more host with a voter's software, that doesn't vote yet."""
        self.start(number)
        self.chain.incarnations[number] = self.acceptors[number].store.incarnation
        self.chain.hosts = max(self.chain.hosts, number)

    def start(self, number: int) -> None:
        """(Re)start a voter on its database."""

        def view() -> View:
            return self.views.get(number, self.chain.view)()

        self.acceptors[number] = Acceptor(
            self.directory / f"voter{number}.db",
            self.chain.signer(number),
            node(number),
            view,
            clock=lambda: 1_700_000_000 + self.chain.height,
            drained=lambda: number in self.drained,
        )

    def number(self, of: NodeId) -> int:
        return int(of.node[1:])


class Direct:
    """A transport as one host that answers at once; subclasses fail."""

    def __init__(self, voters: Voters, caller: NodeId) -> None:
        self.voters = voters
        self.caller = caller
        self.calls: list[tuple[NodeId, str]] = []

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        number = self.voters.number(node)
        self.calls.append((node, request["op"]))
        if number in self.voters.down:
            raise Unavailable("is down", where=str(node))
        # As on the wire: what isn't JSON doesn't get through.
        line = canonical.dumps({**request, "as": str(self.caller)})
        document = canonical.loads(line, where="request", limit=12 << 20)
        answer = self.voters.acceptors[number].handle(document, [self.caller])
        return canonical.loads(canonical.dumps(answer), where="answer", limit=32 << 20)


class Faulty(Direct):
    """Loses requests, loses answers after they were carried out, repeats requests; by a seed."""

    def __init__(self, voters: Voters, caller: NodeId, seed: int, loss: float) -> None:
        super().__init__(voters, caller)
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._loss = loss

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        with self._lock:
            fate = self._random.random()
        if fate < self._loss:
            raise Unavailable("request lost", where=str(node))
        answer = super().call(node, request)
        if fate < 2 * self._loss:
            raise Unavailable("answer lost", where=str(node))
        if fate < 3 * self._loss:
            return super().call(node, request)
        return answer


def builder(chain: Chain, number: int) -> Callable[[Value], Change | None]:
    """What host ``number`` wants, asked anew for each value."""

    def build(value: Value) -> Change | None:
        view, own = chain.view(), replace(facts(number), key=chain.signer(number).public_key)
        wanted = wish(value, view, own, chain.endpoints(number))
        return to_change(wanted, value, view, own, chain.signer(number))

    return build


def allocate(voters: Voters, number: int, transport: Any = None, **options: Any) -> Outcome:
    """Host ``number`` gets what it wants agreed."""
    chain = voters.chain
    transport = transport or Direct(voters, node(number))
    cache = options.pop("cache", None)
    with Proposer(
        transport, node(number), chain.record(), chain.height, cache=cache, pauses=options.pop("pauses", 0.1), **options
    ) as proposer:
        return proposer.propose(builder(chain, number))


def reshape(voters: Voters, number: int, transport: Any = None, **options: Any) -> Membership:
    """Host ``number`` brings the voters to what they should be."""
    chain = voters.chain
    transport = transport or Direct(voters, node(number))
    options = {"pauses": 0.1, **options}
    with Proposer(transport, node(number), chain.record(), chain.height, **options) as proposer:
        proposer.fetch(1)
        membership = Membership(proposer, chain.view(), seconds=2)
        membership.run()
        return membership


def cache(directory: Path) -> LedgerCache:
    directory.mkdir(exist_ok=True)
    return LedgerCache(directory)
