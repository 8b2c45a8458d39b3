# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Getting what this host wants agreed: addresses for its endpoints, locks for its plays.

Root prepares what only root may see (tunnel keys); the rounds run as avpn, whose keys they need. What can't be
had for one network is reported for that one.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .._chain.model import NetworkView, View, Voter
from .._chain.view import load_view, view_age
from .._common.checked import present
from .._common.errors import AvpnError, InvalidInput, NotPermitted, Unavailable
from .._common.ids import EndpointId, LeaseId, NodeId
from .._overlay.keys import key_path, prepare_tunnel, public_key
from .._overlay.registry import Registry
from .._quorum import allocate, drafting, membership
from .._quorum.allocate import HostFacts
from .._quorum.cache import LedgerCache
from .._quorum.change import Change, genesis
from .._quorum.errors import NoMajority
from .._quorum.locking import Acquire, Release, held
from .._quorum.proposer import Proposer
from .._quorum.resigning import Resigning
from .._quorum.sharing import Sharing
from .._quorum.signing import SeedSigner
from .._quorum.store import Store
from .._quorum.value import MAX_SLOTS, Value
from .._quorum.watching import Watch
from . import config as host_config
from . import drop, gather
from .client import PeerClient
from .config import HostConfig
from .paths import Paths
from .reshaping import frozen, reshape

_AT_ONCE = 8  # networks
_MOST_OTHERS = 8
_NO_KEY = "A" * 43 + "="  # stands for a tunnel key that check mode doesn't make


@dataclass(frozen=True)
class Job:
    """One network of this host: its own side of it, and the endpoints that run here."""

    network: str
    facts: HostFacts
    endpoints: Mapping[EndpointId, LeaseId]
    drain: bool = False  # the host is to leave the voters


def run(paths: Paths, *, check: bool, deadline: float) -> dict[str, dict[str, Any]]:
    """Allocate and release for all networks that concern this host.

    By network id: ``{"name", "owner", "changed", "version", "allocated": {endpoint: address}, "released",
    "waiting": {endpoint: reason}, "voters": [node], "voters_changed": [step], "voters_waiting": {node: reason},
    "voters_frozen": {node: what it did}}``, or ``{"name", "owner", "error"}``. With ``check`` nothing is changed, and
    the same says what would be.
    """
    config = host_config.load(paths.host_config)
    view = load_view(paths.view)
    if view_age(view) > config.chain.max_age:
        raise Unavailable(
            f"the view of the chain is {view_age(view):.0f} s old",
            where=str(paths.view),
            remedy="Nothing is allocated or released by it; see why the chain can't be read",
        )
    cached = LedgerCache(paths.ledgers)
    jobs: list[Job] = []
    found: dict[str, dict[str, Any]] = {}
    for network, entry in sorted(view.networks.items()):
        if entry.record.founders and _concerns(config, entry, cached):
            try:
                jobs.append(_job(paths, config, view, network, check=check))
            except AvpnError as error:
                # Such as no free port: whoever made so many networks doesn't stop the others.
                found[network] = {"name": entry.record.name, "owner": entry.record.owner, "error": str(error)}

    def rounds() -> dict[str, dict[str, Any]]:
        with gather.client(paths, config, view) as client, ThreadPoolExecutor(_AT_ONCE) as pool:
            results = pool.map(lambda job: _attempt(paths, view, client, job, check, deadline), jobs)
            return {job.network: result for job, result in zip(jobs, results, strict=True)}

    if jobs:
        turns = 4 * deadline * (1 + len(jobs) // _AT_ONCE) + 30
        found |= drop.as_user(drop.USER, rounds, seconds=turns)
    for network, entry in sorted(view.networks.items()):
        if not entry.record.founders and config.provider in entry.participants():
            what = "the network has no ledger yet: its record names no founders"
            found[network] = {"name": entry.record.name, "owner": entry.record.owner, "error": what}
    return found


def lock(paths: Paths, network: str, wanted: Acquire | Release, *, wait: float, deadline: float) -> dict[str, Any]:
    """Acquire, renew or release a lock: ``{"changed", "held", "token", "holder", "expires", "height", "version"}``.

    Raises Unavailable if it is somebody else's for longer than ``wait`` seconds.
    """
    config = host_config.load(paths.host_config)
    loaded = load_view(paths.view)
    entry = find_network(loaded, network)

    def rounds() -> dict[str, Any]:
        with gather.client(paths, config, loaded) as client:
            return _lock(paths, config, client, entry, wanted, wait, deadline)

    result: dict[str, Any] = drop.as_user(drop.USER, rounds, seconds=wait + 2 * deadline + 30)
    return result


def find_network(view: View, named: str) -> NetworkView:
    """The network by id, ``owner/name``, or a name that only one network of the view has."""
    found = [
        entry
        for network, entry in view.networks.items()
        if named in (network, f"{entry.record.owner}/{entry.record.name}", entry.record.name)
    ]
    if len(found) != 1:
        what = "is not a network of this host" if not found else "names several networks"
        raise InvalidInput(what, where="network", remedy="Give its id, or its owner and name as owner/name")
    return found[0]


def local_endpoints(config: HostConfig, view: View, entry: NetworkView) -> dict[EndpointId, LeaseId]:
    """The endpoints of this provider's running leases that run on this host.

    A provider with one host has them all here; with several, an endpoint is where its workload's namespace is.
    """
    alone = len(view.hosts_of(config.provider)) <= 1
    found: dict[EndpointId, LeaseId] = {}
    for lease in entry.running_leases():
        member = entry.record.member_of(lease.id.dseq)
        deployment = entry.deployments.get(lease.id.dseq)
        if lease.id.provider != config.provider or member is None or deployment is None:
            continue
        for index in range(min(deployment.replicas.get(lease.id.gseq, 0), MAX_SLOTS)):
            path = config.attach_path.format(namespace=lease.id.namespace, index=index)
            if alone or os.path.lexists(path):
                found[EndpointId(member, lease.id.gseq, index)] = lease.id
    return found


def _concerns(config: HostConfig, entry: NetworkView, cached: LedgerCache) -> bool:
    """Whether this host may have something to claim, release or give up there."""
    if config.provider in entry.participants():
        return True
    known = cached.load(entry.record.id, entry.record.generation, entry.record.founders)
    if known is None:
        return False
    votes = any(voter.node == config.id for voter in known.value.voters)
    return config.id in known.value.hosts or (config.drain and votes)


def _job(paths: Paths, config: HostConfig, view: View, network: str, *, check: bool) -> Job:
    registry = Registry(paths.registry, config.wireguard_first_port)
    entry = view.networks[network]
    if check or not (config.provider in entry.participants() or registry.read().get(network)):
        # A witness that is drained has no tunnel, and needs none to go.
        registered, path = registry.read().get(network), key_path(paths, network)
        port = registered.port if registered is not None else config.wireguard_first_port
        wireguard = public_key(path) if path.exists() else _NO_KEY
    else:
        wireguard, port = prepare_tunnel(paths, registry, network)
    # The signing key is avpn's secret; its public part is filled in where the rounds run.
    facts = HostFacts(config.id, "", wireguard, config.wireguard_address, port, config.wireguard_mtu)
    return Job(network, facts, local_endpoints(config, view, entry), config.drain)


def _attempt(paths: Paths, view: View, client: PeerClient, job: Job, check: bool, deadline: float) -> dict[str, Any]:
    record = view.networks[job.network].record
    named = {"name": record.name, "owner": record.owner}
    try:
        return {**named, **_one(paths, view, client, job, check, deadline)}
    except AvpnError as error:
        return {**named, "error": str(error)}


def _one(paths: Paths, view: View, client: PeerClient, job: Job, check: bool, deadline: float) -> dict[str, Any]:
    signer = SeedSigner.from_file(paths.signing_key)
    facts = HostFacts(
        job.facts.node, signer.public_key, job.facts.wireguard, job.facts.endpoint, job.facts.port, job.facts.mtu
    )
    record = view.networks[job.network].record
    allocated: dict[str, str] = {}
    released: set[str] = set()
    last = allocate.Wish()

    def build(value: Value) -> Change | None:
        nonlocal last
        last = allocate.wish(value, view, facts, job.endpoints)
        return allocate.to_change(last, value, view, facts, signer)

    def build_own(value: Value) -> Change | None:
        wanted = allocate.wish(value, view, facts, job.endpoints, crowded=True)
        return allocate.to_change(wanted, value, view, facts, signer)

    with (
        contextlib.closing(Store(paths.voter_database)) as store,
        Proposer(
            client,
            facts.node,
            record,
            view.height,
            cache=LedgerCache(paths.ledgers),
            deadline=deadline,
            others=_others(view, job.network, facts.node),
            watch=Watch(job.network, record.generation, store),
        ) as proposer,
    ):
        me = Voter(facts.node, store.incarnation, facts.key)
        resigning = Resigning(me, signer) if job.drain else None
        known = proposer.known
        if check or known is None:
            # Otherwise whoever proposes is told what is newer, and saves the question.
            with contextlib.suppress(NoMajority):
                proposer.fetch(min(10.0, deadline))
            known = proposer.known
        before = known.value if known is not None else None
        if check:
            # What a newer record would lead to is shown as if it were agreed already.
            start = genesis(record, view.height) if before is None else before
            wanted = allocate.wish(start, view, facts, job.endpoints)
            if wanted.record:
                start = _with_record(start, view)
                wanted = allocate.wish(start, view, facts, job.endpoints)
            version = -1 if before is None else before.version
            step = membership.wanted(
                start, view, caught=proposer.watch.caught, resigns=None if resigning is None else resigning.voter
            )
            return {
                "changed": bool(wanted) or before is None or start is not before or step is not None,
                "version": version,
                "voters": [str(voter.node) for voter in start.voters],
                "voters_changed": [] if step is None else [str(step)],
                "voters_waiting": {},
                "voters_frozen": frozen(proposer.watch),
                "allocated": {str(endpoint): str(address) for endpoint, address in wanted.claims.items()},
                "released": sorted(map(str, wanted.releases)),
                "waiting": {str(endpoint): why for endpoint, why in wanted.waiting.items()},
            }
        outcome = proposer.propose(build, Sharing(build_own, view))
        changes = reshape(store, proposer, view, facts.node, outcome.value, resigning)
        newest = present(proposer.known, "the newest value").value
    for endpoint, slot in outcome.value.slots.items():
        old = before.slots.get(endpoint) if before is not None else None
        if slot.bound and slot.host == facts.node and (old is None or not old.bound or old.lease != slot.lease):
            allocated[str(endpoint)] = str(slot.address)
        if not slot.bound and old is not None and old.bound:
            released.add(str(endpoint))
    return {
        "changed": outcome.changed or before is None or bool(allocated) or bool(changes["voters_changed"]),
        "version": newest.version,
        "voters": [str(voter.node) for voter in newest.voters],
        **changes,
        "allocated": allocated,
        "released": sorted(released),
        "waiting": {str(endpoint): why for endpoint, why in last.waiting.items()},
    }


def _others(view: View, network: str, here: NodeId) -> list[NodeId]:
    """Hosts that hold the ledger, when all voters that are known here have left: those of lease holders, a few."""
    holding = view.networks[network].participants()
    return [node for node in sorted(view.hosts) if node != here and node.provider in holding][:_MOST_OTHERS]


def _with_record(value: Value, view: View) -> Value:
    from dataclasses import replace

    return replace(value, record=view.networks[value.network].record, record_height=view.height)


def _lock(
    paths: Paths,
    config: HostConfig,
    client: PeerClient,
    entry: NetworkView,
    wanted: Acquire | Release,
    wait: float,
    deadline: float,
) -> dict[str, Any]:
    signer, node = SeedSigner.from_file(paths.signing_key), config.id
    give_up = time.monotonic() + wait
    while True:
        view = load_view(paths.view)
        if isinstance(wanted, Acquire):
            wanted = Acquire(wanted.name, wanted.ttl, view.height)

        def build(value: Value, wanted: Acquire | Release = wanted) -> Change | None:
            if node not in value.hosts:
                raise NotPermitted(
                    "this host is not part of the network", where=entry.record.name, remedy="Reconcile it first"
                )
            if value.hosts[node].key != signer.public_key:
                raise NotPermitted(
                    "the ledger doesn't know this host's signing key yet",
                    where=entry.record.name,
                    remedy="Publish the key (module provider) and reconcile the host first",
                )
            draft = wanted.draft(value, node)
            return drafting.sign(draft, value, node, signer) if draft else None

        with Proposer(
            client, node, entry.record, view.height, cache=LedgerCache(paths.ledgers), deadline=deadline
        ) as proposer:
            try:
                proposer.fetch(min(10.0, deadline))
                outcome = proposer.propose(build)
                break
            except NoMajority:
                raise
            except Unavailable:
                if time.monotonic() >= give_up:
                    raise
        time.sleep(min(2.0, max(0.1, give_up - time.monotonic())))
    found = outcome.value.locks.get(wanted.name)
    mine = held(outcome.value, wanted.name, node, view.height)
    return {
        "changed": outcome.changed,
        "held": mine is not None,
        "token": None if mine is None else mine.token,
        "holder": None if found is None or found.expires < view.height else str(found.holder),
        "expires": None if mine is None else mine.expires,
        "height": view.height,
        "version": outcome.value.version,
    }
