# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The quorum's operations on this host: the acceptor for what a voter does, the cached ledgers for readers."""

from __future__ import annotations

import syslog
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .._chain.model import View
from .._common.errors import InvalidInput
from .._common.ids import NodeId
from .._quorum import answers
from .._quorum.acceptor import Acceptor
from .._quorum.cache import read_certified
from .._quorum.requests import Update, parse_have
from .._quorum.signing import FileSigner
from .._quorum.survey import Position, Surveyed, show_cached, surveyed_from_json, with_cached
from . import config as host_config
from . import ledgers
from .config import HostConfig
from .hints import Hint
from .paths import Paths


class Voter:
    """Answers the quorum's operations."""

    def __init__(
        self,
        paths: Paths,
        config: HostConfig,
        view: Callable[[], View],
        refresh: Callable[[], bool],
        tell: Callable[[Hint], None],
    ) -> None:
        """``tell``: where hints of what got certified go."""
        self._paths = paths
        self._tell = tell
        self._view = view
        self._signer = FileSigner(paths.signing_key)
        self._acceptor = Acceptor(
            paths.voter_database,
            self._signer,
            config.id,
            view,
            max_age=config.chain.max_age,
            refresh=refresh,
            alarm=lambda what: syslog.syslog(syslog.LOG_ALERT, what),
            line=paths.waiting,
            # As it stands there now: a session may last for longer than what it began with.
            drained=lambda: host_config.load(paths.host_config).drain,
        )

    def answer(self, document: dict[str, Any], caller: NodeId | str) -> dict[str, Any]:
        """The acceptor's answer; whatever got certified by it is told to this host's fast path and the ring."""
        network = document["network"]
        self._signer.refresh()  # a session may last for longer than the host's key
        before = self._position(network)
        answer = self._acceptor.handle(document, [caller])
        if document["op"] == "survey":
            return self._surveyed(document, answer)
        if document["op"] == "fetch":
            return self._from_cache(document, before) or answer
        if document["op"] == "wait":
            return answer  # what got certified meanwhile was another request's doing
        after = self._position(network)
        if after is not None and after != before:
            self._tell(Hint("ledger", network, after[1]))
        return answer

    def _surveyed(self, document: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """What the acceptor says it holds, and what stands in the cache: a host that doesn't vote has only that."""
        network, generation = document["network"], document["generation"]
        cached = ledgers.position(self._paths, network)
        if cached is None or (generation is not None and cached[0] != generation):
            return answer
        told = surveyed_from_json(answer["surveyed"], "surveyed")
        try:
            certified = read_certified(ledgers.path_of(self._paths, network))
        except InvalidInput:
            return answer
        if certified is None:
            return answer
        if isinstance(told, Surveyed):
            position = Position(*certified.certificate.position, certified.certificate.hash)
            return replace(told, positions=with_cached(told.positions, position)).to_json()
        if certified.value.generation != generation:
            return answer
        return replace(told, content=show_cached(told.content, certified)).to_json()

    def _position(self, network: str) -> tuple[int, int] | None:
        state = self._acceptor.store.network(network)
        return None if state is None or state.gone else state.have

    def _from_cache(self, document: dict[str, Any], stored: tuple[int, int] | None) -> dict[str, Any] | None:
        """What the cache has beyond what the acceptor holds: a host that doesn't vote has only that."""
        network, have = document["network"], parse_have(document.get("have"), "have")
        cached = ledgers.position(self._paths, network)
        known = [one for one in (stored, have) if one is not None]
        entry = self._view().networks.get(network)
        if cached is not None and entry is not None and cached[0] < entry.record.generation:
            return None
        if cached is None or (known and cached <= max(known)):
            return None
        certified = read_certified(ledgers.path_of(self._paths, network))
        if certified is None:
            return None
        links = certified.links_since(have)
        return answers.Fetched(Update(certified.certificate, certified.value, links=links)).to_json()
