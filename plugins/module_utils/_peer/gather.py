# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fast path's first half, as avpn: read the chain if due, follow hints, compare with peers, keep what is proven.

What comes out is in files; the second half (root) reads them and trusts only what it verifies itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .._chain.addresses import check_peer_address
from .._chain.model import HostRecord, View
from .._chain.view import load_view, record_gone, view_age
from .._common.errors import AvpnError, Unavailable
from . import hints, keys, refresh, requests, ring
from .client import PeerClient
from .config import HostConfig
from .hints import Hint
from .identities import Identities
from .limits import Limits
from .paths import Paths
from .pull import Pull
from .recollecting import recollect
from .votes import votes

_VOTERS_EVERY = 120.0  # seconds between two requests for one network's voters
_CHAIN_SECONDS = 60.0  # for one reading; a node that drips its answers doesn't keep peers from being asked


def gather(paths: Paths, config: HostConfig) -> dict[str, Any]:
    """One round: ``{"news": [[kind, network]], "problems": {where: what}, "ring": bool, "ring_changed": bool}``.

    A failure of the chain or of peers is a problem to report; what is here already goes on to be applied.
    Raises Unavailable only when there is no view at all.
    """
    problems: dict[str, str] = {}
    taken = hints.take(paths.hints)
    _refresh(paths, config, taken, problems)
    if "chain" in problems and not paths.view.exists():
        raise Unavailable(problems["chain"], where="chain")
    view = load_view(paths.view)
    identities = Identities(view, config.id, votes(paths))
    news: set[tuple[str, str]] = {("ledger", network) for network in _from_own_voter(paths, identities, problems)}
    limits = Limits(paths.limits, "this host")
    with client(paths, config, view) as calls, contextlib.closing(limits):
        limits.prune()
        _sweep(paths)
        problems |= recollect(paths, identities, calls)
        pull = Pull(paths, identities, calls, news, problems, limits)
        if any(hint.network for hint in taken):
            pull.follow(_by_network(taken))
        due = _due(paths.state / "compare.stamp", config.intervals.compare)
        if due:
            pull.compare()
        changed = _ring(paths, identities, pull, due)
        if view_age(view) <= config.chain.max_age:
            _forget(paths, view, identities)
            _ask_for_reconciliation(paths, config, identities, limits, problems)
    return {
        "news": sorted([list(one) for one in news]),
        "problems": problems,
        "ring": ring.current_key(paths) is not None,
        "ring_changed": changed,
    }


def client(paths: Paths, config: HostConfig, view: View) -> PeerClient:
    """A client that acts as this host, for calls to peers and to itself."""

    def check(record: HostRecord) -> None:
        own = [config.peer_address, config.wireguard_address, config.gossip_address]
        where = f"{record.id} ssh_address"
        check_peer_address(record.ssh_address, own=own, allowed_ranges=config.peer_ranges, where=where)

    command = [str(paths.command("peer")), keys.fingerprint(keys.ssh_public_key(paths.ssh_client_key))]
    return PeerClient(
        config.id, view.hosts, paths.ssh_client_key, check_address=check, here=config.id, local_command=command
    )


def _refresh(paths: Paths, config: HostConfig, taken: Iterable[Hint], problems: dict[str, str]) -> None:
    """Read the chain when the view is old, or when somebody says that something happened there."""
    asked = any(hint.kind in ("view", "reconcile") for hint in taken)
    try:
        if asked or refresh.age(paths) >= config.intervals.view:
            with _within(_CHAIN_SECONDS):
                refresh.refresh_view(paths, config)
    except AvpnError as error:
        problems["chain"] = str(error)


class _Expired(Exception):
    """Not one of the family: whoever asks the next endpoint after an AvpnError must not take this for one."""


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise Unavailable once the body has taken this long. In the main thread of a process of our own only."""

    def expire(_number: int, _frame: object) -> None:
        raise _Expired

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _Expired as error:
        raise Unavailable(f"wasn't read within {seconds:g} s", where="chain") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _by_network(taken: Iterable[Hint]) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for hint in taken:
        if hint.network is not None:
            found.setdefault(hint.network, []).append((hint.kind, hint.version))
    return found


def _due(stamp: Path, interval: float) -> bool:
    """Whether ``interval`` seconds have passed since this last said so."""
    try:
        elapsed = time.time() - stamp.stat().st_mtime
    except FileNotFoundError:
        elapsed = interval
    if 0 <= elapsed < interval:
        return False
    stamp.touch()
    os.utime(stamp)
    return True


def _from_own_voter(paths: Paths, identities: Identities, problems: dict[str, str]) -> list[str]:
    """Put what this host's own voter holds into the cache; the networks that became newer by it."""
    if not paths.voter_database.exists():
        return []
    from .._quorum.store import Store
    from . import ledgers
    from .pull import keep

    store = Store(paths.voter_database)
    newer = []
    try:
        for network, entry in identities.networks.items():
            state = store.network(network)
            have = ledgers.position(paths, network)
            # One that has left keeps the way to those after it, no value.
            if state is None or state.gone or state.certificate is None:
                continue
            if state.generation != entry.record.generation or (have is not None and have >= state.certificate.position):
                continue
            try:
                if keep(paths, entry, store.update(state, have)):
                    newer.append(network)
            except AvpnError as error:
                problems[f"voter {network}"] = str(error)
    finally:
        store.close()
    return newer


def _ring(paths: Paths, identities: Identities, pull: Pull, due: bool) -> bool:
    """Keep the ring's key agreed, or forget it when this host shares no network with anybody any more."""
    partners = any(node != identities.here and identities.share_a_lease(node) for node in identities.view.hosts)
    if not partners:
        had = ring.current_key(paths) is not None
        ring.forget(paths)
        return had
    if due or ring.current_key(paths) is None:
        return pull.agree_on_ring()
    return False


def _sweep(paths: Paths) -> None:
    """Nothing that peers left while they waited stays; most of the time there is nothing."""
    if paths.waiting.is_dir() and os.listdir(paths.waiting):
        from .._quorum.waiting import Line

        Line(paths.waiting).sweep()


def _forget(paths: Paths, view: View, identities: Identities) -> None:
    """Remove what is kept of networks that this host has left for good (R12).

    Who votes goes on voting, lease or not, until it is shown that others hold what it holds. What stays then is the
    way to those others, as long as the network's record stands on chain.
    """
    from .._manifest.store import ManifestStore
    from .._quorum.cache import LedgerCache
    from . import ledgers

    manifests, voting = ManifestStore(paths.manifests), _leave(paths, view, identities)
    for network in set(ledgers.networks(paths)) | set(manifests.networks()):
        entry = identities.networks.get(network)
        gone = record_gone(view, network) or (network in view.networks and entry is None)
        left = gone or (network in view.networks and not identities.takes_part(network))
        if not left or _still_bound(paths, network, identities):
            continue
        manifests.remove(network)
        if gone or network not in voting:
            LedgerCache(paths.ledgers).remove(network)


def _leave(paths: Paths, view: View, identities: Identities) -> frozenset[str]:
    """Leave the networks that this host doesn't vote in any more, as far as its own cached ledgers prove it, and
    forget those whose record is gone. Returns the networks whose value its voter keeps."""
    if not paths.voter_database.exists():
        return frozenset()
    from .._quorum.cache import LedgerCache
    from .._quorum.leaving import leave, serves
    from .._quorum.raising import supersede
    from .._quorum.store import Store

    store, cache, voting = Store(paths.voter_database), LedgerCache(paths.ledgers), set()
    try:
        for network in store.networks():
            if record_gone(view, network):
                store.forget(network)
                continue
            entry = view.networks.get(network)
            if entry is None:
                voting.add(network)
                continue
            record = entry.record
            known = cache.load(network, record.generation, record.founders)
            leave(store, identities.here, network, known)
            supersede(store, identities.here, record, known, view.height)
            if store.left(network) and not identities.takes_part(network):
                # Those after it won't answer it any more, and release what it held; its old copy knows nothing of that.
                cache.remove(network)
            if serves(store, identities.here, network):
                voting.add(network)
            elif not (identities.takes_part(network) or store.left(network)):
                # It never voted, so there is nothing that it must not forget.
                store.forget(network)
    finally:
        store.close()
    return frozenset(voting)


def _still_bound(paths: Paths, network: str, identities: Identities) -> bool:
    """Whether the ledger still names this host: then its release has to be agreed first."""
    from .._quorum.cache import read_certified
    from . import ledgers

    if network not in identities.view.networks:
        return False
    try:
        certified = read_certified(ledgers.path_of(paths, network))
    except AvpnError:
        return False
    return certified is not None and identities.here in certified.value.hosts


def _ask_for_reconciliation(
    paths: Paths, config: HostConfig, identities: Identities, limits: Limits, problems: dict[str, str]
) -> None:
    """Drop a request when something has to be agreed, at most once in an interval."""
    from .._quorum.cache import LedgerCache
    from . import ledgers
    from .pending import pending, voters_pending
    from .votes import caught, notes

    cache, waiting, liars = LedgerCache(paths.ledgers), {}, caught(paths)
    drained = notes(paths, "drained")
    networks = identities.view.networks
    worth = ledgers.affordable(paths, {network: entry.record.owner for network, entry in networks.items()})
    for network, entry in networks.items():
        record = entry.record
        if network not in worth and ledgers.position(paths, network) is not None:
            continue
        certified = cache.load(network, record.generation, record.founders)
        value = None if certified is None else certified.value
        reason = pending(identities.view, entry, value, config)
        liar = {one.voter for one in liars if (one.network, one.generation) == (network, record.generation)}
        told = drained.get(network, "")
        voters = voters_pending(identities.view, entry, value, config, liar, told) if reason is None else None
        # A host that should vote may be away for long, and a run of the whole is dear.
        if voters is not None and limits.take(f"voters {network}", every=_VOTERS_EVERY) == 0:
            reason = voters
        if reason is not None:
            waiting[network] = reason
    if waiting and limits.take("reconcile", every=config.intervals.request) == 0:
        for network, reason in waiting.items():
            requests.put(paths.requests, network, str(config.id))
            problems[f"waiting {network}"] = reason
