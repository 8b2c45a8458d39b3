# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whom to believe about the chain (design section 3).

An endpoint of the team's own is believed by itself. Others are believed where two of them, asked at
one height, say the same; a third, if configured, decides when two differ or one is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar

from .._common.errors import AvpnError, InvalidInput, Unavailable
from .._common.ids import LeaseId
from .http_json import Limits
from .lcd import Lcd
from .model import Block, Deployment, Lease, ProviderRecord

T = TypeVar("T")

_MAX_ENDPOINTS = 8
_GRACE = 1.0  # seconds a further endpoint may take once two have answered
_REMEDY = "Two endpoints that are not the team's own must agree, or one of its own must be configured with own: true"


@dataclass(frozen=True)
class ChainOptions:
    """How to reach the chain; what modules, the inventory and ``host.json`` configure."""

    chain_id: str
    endpoints: tuple[str, ...]
    own: bool = False
    ca_file: str | None = None
    limits: Limits = field(default_factory=Limits)


class Sources:
    """The configured endpoints with the rule of belief. Use as a context manager, or ``close`` it."""

    def __init__(self, options: ChainOptions) -> None:
        """InvalidInput: too few endpoints for the rule, the same one twice, plain http to a foreign one."""
        urls = [url.rstrip("/") for url in options.endpoints]
        if not urls:
            raise InvalidInput("names no endpoint of the chain", where="endpoints")
        if len(urls) > _MAX_ENDPOINTS:
            raise InvalidInput(f"names more than {_MAX_ENDPOINTS} endpoints", where="endpoints")
        if len(set(urls)) != len(urls):
            raise InvalidInput("names an endpoint twice", where="endpoints")
        if not options.own and len(urls) < 2:
            raise InvalidInput("names one endpoint that is not the team's own", where="endpoints", remedy=_REMEDY)
        self.chain_id = options.chain_id
        self.own = options.own
        self.readers = tuple(
            Lcd(url, ca_file=options.ca_file, plain_http=options.own, limits=options.limits) for url in urls
        )
        # Only for asking endpoints side by side; nothing that runs in it waits for another task of it.
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="avpn-chain")

    def __enter__(self) -> Sources:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for reader in self.readers:
            reader.close()

    def snapshot(self, *, not_below: int = 0) -> Snapshot:
        """The chain at the newest height that can be believed.

        Unavailable: too few answer, they are of another chain, or are behind ``not_below``
        (the height of a view read before: the chain never goes back).
        """
        newest = [(reader, self._newest(reader)) for reader in self.readers[:1]] if self.own else []
        if self.own and isinstance(newest[0][1], AvpnError):
            newest += [(reader, self._newest(reader)) for reader in self.readers[1:]]
        elif not self.own:
            newest = self._newest_of_all()
        alive = [(reader, block) for reader, block in newest if isinstance(block, Block)]
        alive.sort(key=lambda pair: -pair[1].height)
        needed = 1 if self.own else 2
        if len(alive) < needed:
            raise Unavailable(_failures("no block", [(r, b) for r, b in newest if isinstance(b, AvpnError)]))
        # The lower of two heights is one that both can answer for.
        height = alive[needed - 1][1].height
        if height < not_below:
            names = ", ".join(f"{reader.url} at {block.height}" for reader, block in alive)
            raise Unavailable(f"the endpoints are behind what was read before (height {not_below}): {names}")
        behind = [reader for reader in self.readers if reader not in [one for one, _block in alive]]
        order = [reader for reader, block in alive if block.height >= height]
        order += [reader for reader, block in alive if block.height < height] + (behind if self.own else [])
        return self._at(height, order)

    def at(self, height: int) -> Snapshot:
        """The chain at a height of the past, for as long as the nodes keep it."""
        return self._at(height, list(self.readers))

    def _at(self, height: int, readers: list[Lcd]) -> Snapshot:
        block = self.ask(readers, f"block {height}", lambda reader: reader.block(height))
        self._check_chain(block)
        return Snapshot(self, tuple(readers), block)

    def _newest_of_all(self) -> list[tuple[Lcd, Block | AvpnError]]:
        """What each endpoint says; those that are much slower than two others are not waited for."""
        futures = {self._pool.submit(self._newest, reader): reader for reader in self.readers}
        pending = set(futures)
        alive = 0
        while pending:
            done, pending = wait(pending, timeout=_GRACE if alive > 1 else None, return_when=FIRST_COMPLETED)
            alive += sum(isinstance(future.result(), Block) for future in done)
            if not done:
                break
        late = Unavailable("is much slower than the others")
        return [(reader, late if future in pending else future.result()) for future, reader in futures.items()]

    def _newest(self, reader: Lcd) -> Block | AvpnError:
        try:
            block = reader.block()
            self._check_chain(block)
        except AvpnError as error:
            return error
        return block

    def _check_chain(self, block: Block) -> None:
        if block.chain_id != self.chain_id:
            raise Unavailable(f"is of chain {block.chain_id}, not {self.chain_id}")

    def ask(self, readers: Sequence[Lcd], what: str, query: Callable[[Lcd], T]) -> T:
        """One answer to believe: the first of an own endpoint, or one that two foreign ones give alike."""
        failed: list[tuple[Lcd, AvpnError]] = []
        if self.own:
            for reader in readers:
                try:
                    return query(reader)
                except AvpnError as error:
                    failed.append((reader, error))
            raise Unavailable(_failures(what, failed))
        answers: list[tuple[Lcd, T]] = []
        waiting: list[tuple[Lcd, Future[T]]] = [(one, self._pool.submit(query, one)) for one in readers[:2]]
        further = list(readers[2:])
        while waiting:
            reader, future = waiting.pop(0)
            try:
                answer = future.result()
            except AvpnError as error:
                failed.append((reader, error))
            else:
                if any(answer == other for _reader, other in answers):
                    return answer
                answers.append((reader, answer))
            if not waiting and further:
                one = further.pop(0)
                waiting.append((one, self._pool.submit(query, one)))
        if len(answers) > 1:
            names = " and ".join(reader.url for reader, _answer in answers)
            raise Unavailable(f"{names} differ about {what}", remedy=_REMEDY)
        raise Unavailable(_failures(what, failed), remedy=_REMEDY)


class Snapshot:
    """The chain at one height, as believed. Each query raises Unavailable when no answer can be."""

    def __init__(self, sources: Sources, readers: tuple[Lcd, ...], block: Block) -> None:
        self._sources = sources
        self._readers = readers
        self.block = block

    @property
    def chain_id(self) -> str:
        return self.block.chain_id

    @property
    def height(self) -> int:
        return self.block.height

    @property
    def time(self) -> int:
        """Unix seconds of the block."""
        return self.block.time

    def running_leases(self, provider: str) -> tuple[Lease, ...]:
        """Active and reclaiming leases of a provider."""
        return self._ask(f"leases of {provider}", lambda reader: reader.running_leases(provider, self.height))

    def deployment_leases(self, owner: str, dseq: int) -> tuple[Lease, ...] | None:
        """All leases of a deployment, closed ones too; None: more than ``lcd.MAX_DEPLOYMENT_LEASES``."""
        return self._ask(f"leases of {owner}/{dseq}", lambda reader: reader.deployment_leases(owner, dseq, self.height))

    def lease(self, lease: LeaseId) -> Lease | None:
        """One lease."""
        return self._ask(f"lease {lease}", lambda reader: reader.lease(lease, self.height))

    def deployment(self, owner: str, dseq: int) -> Deployment | None:
        """One deployment."""
        return self._ask(f"deployment {owner}/{dseq}", lambda reader: reader.deployment(owner, dseq, self.height))

    def signed_attributes(self, account: str) -> tuple[tuple[str, str], ...] | None:
        """What an account signed about itself."""
        return self._ask(f"attributes of {account}", lambda reader: reader.signed_attributes(account, self.height))

    def provider(self, account: str) -> ProviderRecord | None:
        """A provider's record."""
        return self._ask(f"provider {account}", lambda reader: reader.provider(account, self.height))

    def _ask(self, what: str, query: Callable[[Lcd], T]) -> T:
        return self._sources.ask(self._readers, what, query)


def _failures(what: str, failed: Sequence[tuple[Lcd, AvpnError]]) -> str:
    told = "; ".join(f"{reader.url} {error.where}: {error.what}" for reader, error in failed)
    return f"too few endpoints answer about {what}: {told or 'none but one'}"
