# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fetching what is newer from peers, verifying it, keeping it: ledgers and manifests. Runs as avpn.

Nobody is believed: a value proves itself by its certificate, a manifest by its owner's signature, and an
offer that doesn't is an offer less.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._chain.model import NetworkView
from .._common.errors import AvpnError, InvalidInput, Unavailable
from .._common.ids import NodeId
from . import ledgers, ring, versions
from .client import PeerClient
from .identities import Identities
from .limits import Limits
from .paths import Paths
from .versions import Versions

if TYPE_CHECKING:
    from .._quorum.requests import Update

_SECONDS = 15.0
_LOOK_EVERY = 5.0  # seconds for one more look at a hint that comes to nothing
_LOOKS = 12  # of those at once
_PEERS = 6  # asked in one comparison; over a few runs everybody meets everybody
_STALLED = 3.0  # seconds: who takes longer and then fails isn't asked again in this round
_AT_ONCE = 4  # networks that hints are followed for


@dataclass
class Pull:
    """One round of fetching. ``news``: what was new, as ``(kind, network)``; ``problems``: what was refused.

    Peers may stall, answer after answer, and anybody can have a network here with hosts that do. So each is
    waited for once, and after ``seconds`` nobody is asked any more.
    """

    paths: Paths
    identities: Identities
    client: PeerClient
    news: set[tuple[str, str]] = field(default_factory=set)
    problems: dict[str, str] = field(default_factory=dict)
    limits: Limits | None = None
    seconds: float = 45.0
    _silent: set[NodeId] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.seconds

    def compare(self) -> None:
        """Ask some peers for their versions of the common networks and fetch whatever they have newer."""
        peers = self._peers()
        chosen = random.sample(peers, min(_PEERS, len(peers)))
        for node, answer in self._ask(chosen, {"op": "versions"}):
            if isinstance(answer, AvpnError):
                continue
            try:
                offered = versions.parse(answer, str(node))
            except InvalidInput as error:
                self.problems[str(node)] = str(error)
                continue
            common = set(self.identities.common_networks(node))
            for network, theirs in sorted(offered.items()):
                if network in common:
                    self._fetch_newer(node, network, theirs)

    def follow(self, hinted: Mapping[str, Iterable[tuple[str, int]]]) -> None:
        """Fetch what hints announce, by network: ``(kind, version)``. What is here already costs nothing."""
        known = {
            network: set(announced) for network, announced in hinted.items() if network in self.identities.networks
        }

        def follow(network: str) -> None:
            for kind, version in sorted(known[network]):
                self._follow(network, kind, version)

        # Side by side, and in no order that a stranger could choose: the hosts of one network don't hold up another.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(follow, random.sample(sorted(known), len(known))))

    def agree_on_ring(self) -> bool:
        """Come to one ring key with the peers; tells whether this host's changed."""
        offers = []
        partners = [node for node in self._peers() if self.identities.share_a_lease(node)]
        chosen = random.sample(partners, min(_PEERS, len(partners)))
        for _node, answer in self._ask(chosen, {"op": "ring"}):
            try:
                offers.append(None if isinstance(answer, AvpnError) else ring.parse_offer(answer))
            except InvalidInput:
                continue
        return ring.agree(self.paths, [key for key in offers if key is not None])

    def _peers(self) -> list[NodeId]:
        here = self.identities.here
        return [node for node in sorted(self.identities.view.hosts) if node != here and self._has_common(node)]

    def _ask(self, nodes: Iterable[NodeId], request: Mapping[str, Any]) -> Iterator[tuple[NodeId, Any]]:
        """The answers of those who haven't stalled in this round, while it lasts."""
        started = time.monotonic()
        seconds = min(_SECONDS, self._end - started)
        willing = [node for node in nodes if node not in self._silent] if seconds > 0 else []
        for node, answer in self.client.call_all(willing, request, seconds=seconds):
            if isinstance(answer, Unavailable) and time.monotonic() - started > _STALLED:
                self._silent.add(node)
            yield node, answer

    def _has_common(self, node: NodeId) -> bool:
        return bool(self.identities.common_networks(node))

    def _follow(self, network: str, kind: str, version: int) -> None:
        own = versions.of(self.paths, network)
        # Versions start anew with a generation, and a hint doesn't say of which it is.
        record = self.identities.networks[network].record
        ledger = own.ledger[1] if own.ledger is not None and own.ledger[0] >= record.generation else None
        have = own.manifest if kind == "manifest" else ledger
        if kind not in ("ledger", "manifest") or (have is not None and have >= version):
            return
        if kind == "manifest" and not self.identities.takes_part(network):
            return
        # Hints may be lies: looks that find nothing are limited, those that find something are free.
        # For each network, or the hosts of one could keep this host from following the hints about another.
        look = f"look {network}"
        if self.limits is not None and self.limits.take(look, every=_LOOK_EVERY, burst=_LOOKS) > 0:
            return
        if self._look(network, kind) and self.limits is not None:
            self.limits.give_back(look, every=_LOOK_EVERY)

    def _look(self, network: str, kind: str) -> bool:
        """Ask the network's hosts for what was announced until one has it; tells whether one had."""
        nodes = [host.id for host in self.identities.hosts_of(network)]
        random.shuffle(nodes)
        # Two at a time: whoever announced it is among them, and the first who has it is enough.
        for start in range(0, len(nodes), 2):
            for node, answer in self._ask(nodes[start : start + 2], self._request(network, kind)):
                if not isinstance(answer, AvpnError) and self._take(node, network, kind, answer):
                    return True
        return False

    def _fetch_newer(self, node: NodeId, network: str, theirs: Versions) -> None:
        own = versions.of(self.paths, network)
        due = []
        if theirs.ledger is not None and (own.ledger is None or theirs.ledger > own.ledger):
            due.append("ledger")
        newer = theirs.manifest is not None and (own.manifest is None or theirs.manifest > own.manifest)
        if newer and self.identities.takes_part(network):
            due.append("manifest")
        for kind in due:
            for _node, answer in self._ask([node], self._request(network, kind)):
                if not isinstance(answer, AvpnError):
                    self._take(node, network, kind, answer)

    def _request(self, network: str, kind: str) -> dict[str, Any]:
        if kind == "manifest":
            return {"op": "manifest-get", "network": network}
        have = ledgers.position(self.paths, network)
        return {"op": "fetch", "network": network, "have": None if have is None else list(have)}

    def _take(self, node: NodeId, network: str, kind: str, answer: Any) -> bool:
        """Verify and keep what a peer sent; tells whether it was new."""
        entry = self.identities.networks[network]
        try:
            new = self._take_manifest(entry, answer) if kind == "manifest" else self._take_ledger(entry, answer, node)
        except AvpnError as error:
            self.problems[f"{network} from {node}"] = str(error)
            return False
        if new:
            self.news.add((kind, network))
        return new

    def _take_manifest(self, entry: NetworkView, answer: Any) -> bool:
        from .._common import fields
        from .._manifest import envelope
        from .._manifest.store import Adopted, ManifestStore

        if answer is None:
            return False
        document = fields.obj(answer, "manifest-get", required={"manifest"})["manifest"]
        outcome = ManifestStore(self.paths.manifests).adopt(envelope.from_document(document), entry.record)
        return isinstance(outcome, Adopted)

    def _take_ledger(self, entry: NetworkView, answer: Any, node: NodeId) -> bool:
        from .._quorum import answers

        parsed = answers.parse_answer(answer, str(node))
        if not isinstance(parsed, answers.Fetched) or parsed.update is None:
            return False
        return keep(self.paths, entry, parsed.update)


def keep(paths: Paths, entry: NetworkView, update: Update) -> bool:
    """Verify an update of a ledger against the record's founders and cache it; tells whether it was newer."""
    from .._quorum.cache import LedgerCache, verify_signatures
    from .._quorum.updates import verified_update

    record, cache = entry.record, LedgerCache(paths.ledgers)
    certified = verified_update(update, cache.load(record.id, record.generation, record.founders), record)
    verify_signatures(certified.value)
    return cache.save(certified)
