# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state machine: blocks, transactions, history.

Pure apart from the clock, which is a parameter, and the state file, which is
optional. Every public method may be called from any thread.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from . import tx as transactions
from .blocks import Block, TxResult
from .errors import (
    INVALID_ARGUMENT,
    NOT_FOUND,
    TX_IN_MEMPOOL,
    UNKNOWN,
    AdminError,
    DevchainError,
    QueryError,
    TxError,
)
from .modules import HANDLERS, Context, Event
from .modules.context import event
from .records import as_json
from .state_file import StateFile
from .store import Cache, Change, Store, View
from .tx import Rules, Tx

T = TypeVar("T")

CHAIN_ID = "avpn-lab-1"
PREFIX = "akash"
DENOM = "uakt"
MIN_GAS_PRICE = Decimal("0.0025")
KEEP = 2000

_PRUNE_EVERY = 100
_SECOND = 1_000_000_000


class Chain:
    """A chain of one validator.

    ``keep`` is how many heights back queries can go. ``clock`` gives nanoseconds
    since the epoch. With ``block_on_tx`` every accepted transaction makes a block at
    once, which suits tests. ``state`` is a file that survives restarts.
    """

    def __init__(
        self,
        chain_id: str = CHAIN_ID,
        *,
        prefix: str = PREFIX,
        denom: str = DENOM,
        min_gas_price: Decimal = MIN_GAS_PRICE,
        keep: int = KEEP,
        block_on_tx: bool = False,
        clock: Callable[[], int] = time.time_ns,
        state: Path | None = None,
    ) -> None:
        self.chain_id = chain_id
        self.prefix = prefix
        self.denom = denom
        self.min_gas_price = min_gas_price
        self.block_on_tx = block_on_tx
        self.lock = threading.RLock()
        self.new_block = threading.Condition(self.lock)
        self._rules = Rules(chain_id, min_gas_price)
        self._keep = keep
        self._clock = clock
        self._store = Store()
        self._blocks: dict[int, Block] = {}
        self._results: dict[str, TxResult] = {}
        self._mempool: dict[str, Tx] = {}
        self._building: Cache | None = None
        self._building_time = 0
        self._delivered: list[TxResult] = []
        self._file = StateFile(state, chain_id) if state is not None else None
        self._height = 0
        if self._file is not None:
            self._load(self._file)
        if self._height == 0:
            self.block()
        self._check = self._fresh_cache()

    # -- reading ---------------------------------------------------------------

    @property
    def height(self) -> int:
        """Height of the newest block."""
        return self._height

    @property
    def oldest(self) -> int:
        """The lowest height queries can ask for."""
        return max(self._height - self._keep, min(self._blocks))

    @property
    def pending(self) -> int:
        """Transactions waiting for the next block."""
        return len(self._mempool)

    def view(self, height: int | None = None) -> View:
        """The state after the block at ``height`` (None or 0: the newest)."""
        with self.lock:
            if height is None or height == 0:
                return View(self._store, self._height)
            if height < 0:
                raise QueryError(
                    INVALID_ARGUMENT, "cannot query with height < 0; please provide a valid height: invalid height"
                )
            if height > self._height:
                raise QueryError(
                    INVALID_ARGUMENT,
                    "cannot query with height in the future; please provide a valid height: invalid height",
                )
            if height < self.oldest:
                raise QueryError(
                    INVALID_ARGUMENT,
                    f"failed to load state at height {height}; version does not exist "
                    f"(latest height: {self._height}): invalid request",
                )
            return View(self._store, height)

    def block_at(self, height: int | None = None) -> Block:
        """The block at ``height`` (None: the newest)."""
        with self.lock:
            wanted = self._height if height is None else height
            if wanted > self._height:
                raise QueryError(INVALID_ARGUMENT, "requested block height is bigger then the chain length")
            found = self._blocks.get(wanted)
            if found is None:
                raise QueryError(UNKNOWN, f"height {wanted} is not available, lowest height is {min(self._blocks)}")
            return found

    def result(self, tx_hash: str) -> TxResult:
        """The result of a transaction that is in a block."""
        with self.lock:
            found = self._results.get(tx_hash.upper())
            if found is None:
                raise QueryError(NOT_FOUND, f"tx not found: {tx_hash}")
            return found

    def transactions(self) -> list[TxResult]:
        """All results, oldest first."""
        with self.lock:
            return list(self._results.values())

    # -- transactions ----------------------------------------------------------

    def check_tx(self, raw: bytes) -> TxResult:
        """CheckTx: admit a transaction to the mempool, or say why not."""
        with self.lock:
            tx_hash = transactions.hash_of(raw)
            if tx_hash in self._mempool or tx_hash in self._results:
                return TxResult(tx_hash, code=TX_IN_MEMPOOL.code, codespace=TX_IN_MEMPOOL.codespace)
            branch = self._check.branch()
            try:
                tx = transactions.decode(raw)
                transactions.admit(self._context(branch, self._now()), tx, self._rules)
            except TxError as error:
                return TxResult(
                    tx_hash,
                    code=error.kind.code,
                    codespace=error.kind.codespace,
                    log=error.log,
                )
            self._check.merge(branch)
            self._mempool[tx_hash] = tx
            result = TxResult(tx_hash, gas_wanted=tx.gas_wanted, gas_used=tx.gas_before_messages)
            if self.block_on_tx:
                self.block()
            return result

    def simulate(self, raw: bytes) -> TxResult:
        """Run a transaction on a throw-away state; ``QueryError`` if it would fail."""
        with self.lock:
            branch = self._check.branch()
            now = self._now()
            try:
                tx = transactions.decode(raw)
                context = self._context(branch, now)
                transactions.admit(context, tx, self._rules, simulate=True)
            except TxError as error:
                raise QueryError(UNKNOWN, error.log) from error
            events: list[Event] = []
            used = tx.gas_before_messages
            for index, message in enumerate(tx.messages):
                used += tx.gas_of_message(index)
                try:
                    events += HANDLERS[message.DESCRIPTOR.full_name].run(context, message)
                except TxError as error:
                    raise QueryError(UNKNOWN, error.in_message(index)) from error
            return TxResult(tx.hash, gas_wanted=tx.gas_wanted, gas_used=used, events=tuple(events))

    def deliver_tx(self, raw: bytes) -> TxResult:
        """Run a transaction in the block being built (see ``begin_block``)."""
        with self.lock:
            if self._building is None:
                raise DevchainError("no block is being built: call begin_block first")
            result = self._deliver(self._building, raw)
            self._delivered.append(result)
            return result

    def _deliver(self, block: Cache, raw: bytes) -> TxResult:
        base = TxResult(transactions.hash_of(raw), height=block.height, time=self._building_time, raw=raw)
        admitted = block.branch()
        try:
            tx = transactions.decode(raw)
            transactions.admit(self._context(admitted, self._building_time), tx, self._rules)
        except TxError as error:
            return _failed(base, error, error.log, 0, 0)
        block.merge(admitted)
        fee_events = _fee_events(tx)
        branch = block.branch()
        context = self._context(branch, self._building_time)
        used = tx.gas_before_messages
        events: list[Event] = []
        for index, message in enumerate(tx.messages):
            used += tx.gas_of_message(index)
            try:
                if used > tx.gas_wanted:
                    raise transactions.out_of_gas("WriteFlat", tx.gas_wanted, used)
                events.append(_message_event(message, index))
                events += HANDLERS[message.DESCRIPTOR.full_name].run(context, message)
            except TxError as error:
                log = error.log if "out of gas" in error.log else error.in_message(index)
                return _failed(base, error, log, tx.gas_wanted, used, fee_events)
        block.merge(branch)
        return TxResult(
            base.hash,
            base.height,
            gas_wanted=tx.gas_wanted,
            gas_used=used,
            time=base.time,
            raw=raw,
            events=tuple(fee_events + events),
        )

    # -- blocks ----------------------------------------------------------------

    def begin_block(self, time_ns: int | None = None) -> int:
        """Start the next block and say its height; its time never goes backwards."""
        with self.lock:
            if self._building is not None:
                raise DevchainError("a block is being built already")
            last = self._blocks[self._height].time if self._height else 0
            self._building_time = max(self._clock() if time_ns is None else time_ns, last + 1)
            self._building = Cache(View(self._store, self._height), self._height + 1)
            self._delivered = []
            return self._height + 1

    def end_block(self) -> Block:
        """Commit the block that was begun."""
        with self.lock:
            if self._building is None:
                raise DevchainError("no block is being built: call begin_block first")
            changes = self._building.changes()
            parent = self._blocks.get(self._height)
            block = Block(
                self.chain_id,
                self._height + 1,
                self._building_time,
                parent.hash if parent else "00" * 32,
                _app_hash(parent.app_hash if parent else "", changes),
                tuple(result.raw for result in self._delivered),
            )
            if self._file is not None:
                self._file.save(block, changes, self._delivered)
            self._store.apply(changes, block.height)
            self._blocks[block.height] = block
            self._height = block.height
            for result in self._delivered:
                self._results[result.hash] = result
                self._mempool.pop(result.hash, None)
            self._building = None
            self._recheck()
            if self._height % _PRUNE_EVERY == 0:
                self._prune()
            self.new_block.notify_all()
            return block

    def block(self, time_ns: int | None = None) -> Block:
        """Make the next block out of the mempool."""
        with self.lock:
            self.begin_block(time_ns)
            for tx in list(self._mempool.values()):
                self.deliver_tx(tx.raw)
            return self.end_block()

    def advance(self, blocks: int, seconds_each: float = 0) -> int:
        """Make that many blocks at once and say the new height.

        ``seconds_each`` is by how much the chain's time moves with each; with 0 the
        blocks are as good as simultaneous.
        """
        with self.lock:
            for _unused in range(blocks):
                if seconds_each:
                    last = self._blocks[self._height].time
                    self.block(last + int(seconds_each * _SECOND))
                else:
                    self.block()
            return self._height

    def act(self, act: Callable[[Context], T]) -> T:
        """An act of the operator, in a block of its own after the mempool's.

        If the act raises, nothing of it remains; the block is made without it.
        """
        return self.act_all([act])[0]

    def act_all(self, acts: Iterable[Callable[[Context], T]]) -> list[T]:
        """Several acts in one block: all or nothing."""
        with self.lock:
            self.begin_block()
            for tx in list(self._mempool.values()):
                self.deliver_tx(tx.raw)
            assert self._building is not None
            branch = self._building.branch()
            try:
                context = self._context(branch, self._building_time)
                results = [act(context) for act in acts]
                self._building.merge(branch)
            except TxError as error:
                raise AdminError(error.log) from error
            finally:
                self.end_block()
            return results

    def wait_for(self, height: int, timeout: float = 30) -> int:
        """Wait until the chain has reached a height and say where it is."""
        with self.new_block:
            if not self.new_block.wait_for(lambda: self._height >= height, timeout):
                raise DevchainError(f"the chain is at height {self._height}, not yet at {height}")
            return self._height

    def close(self) -> None:
        """Close the state file."""
        with self.lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    # -- inside ----------------------------------------------------------------

    def _now(self) -> int:
        return max(self._clock(), self._blocks[self._height].time if self._height else 0)

    def _context(self, state: Cache, time_ns: int) -> Context:
        return Context(state, self.prefix, self.denom, time_ns // _SECOND)

    def _fresh_cache(self) -> Cache:
        return Cache(View(self._store, self._height), self._height + 1)

    def _recheck(self) -> None:
        self._check = self._fresh_cache()
        for tx_hash, tx in list(self._mempool.items()):
            branch = self._check.branch()
            try:
                transactions.admit(self._context(branch, self._now()), tx, self._rules)
            except TxError:
                del self._mempool[tx_hash]
            else:
                self._check.merge(branch)

    def _prune(self) -> None:
        floor = self._height - self._keep
        if floor <= 0:
            return
        self._store.prune(floor)
        for height in [height for height in self._blocks if height < floor]:
            del self._blocks[height]
        if self._file is not None:
            self._file.prune(floor)

    def _load(self, file: StateFile) -> None:
        for block in file.blocks():
            self._blocks[block.height] = block
            self._height = block.height
        for height, change in file.changes():
            self._store.apply([change], height)
        for result in file.results():
            self._results[result.hash] = result


def _failed(
    base: TxResult, error: TxError, log: str, wanted: int, used: int, events: list[Event] | None = None
) -> TxResult:
    return TxResult(
        base.hash,
        base.height,
        error.kind.code,
        error.kind.codespace,
        log,
        wanted,
        used,
        base.time,
        base.raw,
        tuple(events or ()),
    )


def _fee_events(tx: Tx) -> list[Event]:
    fee = ",".join(f"{coin.amount}{coin.denom}" for coin in tx.auth_info.fee.amount)
    return [event("tx", fee=fee, fee_payer=tx.fee_payer)]


def _message_event(message: object, index: int) -> Event:
    name = message.DESCRIPTOR.full_name  # type: ignore[attr-defined]
    return event(
        "message",
        action=f"/{name}",
        sender=HANDLERS[name].signer(message),
        module=name.split(".")[1],
        msg_index=str(index),
    )


def _app_hash(parent: str, changes: list[Change]) -> str:
    written = [[table, list(key), as_json(value)] for table, key, value in changes]
    text = json.dumps([parent, written], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
