# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transactions: several messages that succeed or fail together (R2), built and signed by cosmpy.

The outcome is known or said to be unknown: after the broadcast the transaction is looked for by its
hash until it is in a block, and the block's code counts, not the mempool's.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from .._common.errors import AvpnError, InvalidInput, Unavailable, Unsupported
from .account import Account
from .messages import Message
from .nodes import Node, Refused, TxAnswer, connect

T = TypeVar("T")

MAX_MESSAGES = 32
_WRONG_SEQUENCE = 32  # codes of codespace "sdk" (cosmos-sdk, types/errors)
_INSUFFICIENT_FUNDS = 5
_INSUFFICIENT_FEE = 13
_IN_MEMPOOL = 19
_SDK = "sdk"
_TRIES = 4
_FIRST_POLL = 0.2  # seconds; grows to _LAST_POLL
_LAST_POLL = 2.0


@dataclass(frozen=True)
class Fees:
    """What to pay: price of a unit of gas, its coin, and either fixed gas or a factor on the simulated one."""

    gas_price: str = "0.0025"
    denom: str = "uakt"
    gas: int | None = None
    adjustment: float = 1.5

    def amount(self, gas: int) -> str:
        """The fee in cosmpy's spelling: ``512uakt``."""
        try:
            price = Decimal(self.gas_price)
        except InvalidOperation as error:
            raise InvalidInput("must be a decimal number", where="gas_price") from error
        if not price.is_finite() or not 0 <= price <= 1000:
            raise InvalidInput("must be between 0 and 1000", where="gas_price")
        return f"{math.ceil(price * gas)}{self.denom}"


@dataclass(frozen=True)
class Sent:
    """A transaction that is in a block and succeeded."""

    hash: str
    height: int


def send(
    endpoints: Sequence[str],
    chain_id: str,
    account: Account,
    messages: Sequence[Message],
    *,
    fees: Fees | None = None,
    ca_file: str | None = None,
    timeout: float = 10.0,
    inclusion_timeout: float = 60.0,
    memo: str = "",
) -> Sent:
    """Sign the messages as one transaction, hand it in and wait until it is in a block.

    ``timeout`` bounds a single call, ``inclusion_timeout`` the wait for the block, both in seconds.
    Unavailable: no endpoint answers, or the outcome is unknown (the error says which, with the hash).
    Refused: the chain said no; nothing of the transaction happened.
    """
    if not messages or len(messages) > MAX_MESSAGES:
        raise InvalidInput(f"must be 1 to {MAX_MESSAGES}", where="messages")
    _need_cosmpy()
    nodes = [connect(url, ca_file=ca_file, timeout=timeout) for url in endpoints]
    if not nodes:
        raise InvalidInput("names no endpoint of the chain", where="endpoints")
    fees = fees or Fees()
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_FIRST_POLL * 2**attempt)
        known = _first(nodes, lambda node: node.account(account.address))
        if known is None:
            raise Refused(
                f"account {account.address} is not known to the chain",
                where="transaction",
                remedy="An account exists once it has received coins",
            )
        number, sequence = known
        try:
            gas = fees.gas or _gas(nodes, account, messages, chain_id, number, sequence, fees, memo)
            tx = _signed(account, messages, chain_id, number, sequence, gas, fees.amount(gas), memo)
            answer = _broadcast(nodes, tx)
            if answer is not None and answer.code not in (0, _IN_MEMPOOL):
                raise _refusal(answer, account)
        except _WrongSequence:
            continue  # somebody used this account in between: ask for its number again
        return _wait(nodes, hashlib.sha256(tx).hexdigest().upper(), inclusion_timeout, account)
    raise Unavailable(
        f"account {account.address} is used by others at the same time: its sequence changed {_TRIES} times",
        where="transaction",
        remedy="Run it again",
    )


class _WrongSequence(Exception):
    """The account's sequence isn't what it was a moment ago."""


class _Packed:
    """A message's bytes as cosmpy's transaction wants to see a message: it packs whatever has these two."""

    def __init__(self, message: Message) -> None:
        self.DESCRIPTOR = _Named(message.type_url.removeprefix("/"))
        self._bytes = message.encode()

    def SerializeToString(self, deterministic: bool | None = None) -> bytes:  # noqa: ARG002 (protobuf's name)
        return self._bytes


@dataclass(frozen=True)
class _Named:
    full_name: str


def _signed(
    account: Account,
    messages: Sequence[Message],
    chain_id: str,
    number: int,
    sequence: int,
    gas: int,
    fee: str | None,
    memo: str,
) -> bytes:
    from cosmpy.aerial.tx import SigningCfg, Transaction, TxFee

    transaction = Transaction()
    for message in messages:
        transaction.add_message(_Packed(message))
    transaction.seal(
        SigningCfg.direct(account.wallet.public_key(), sequence), fee=TxFee(amount=fee, gas_limit=gas), memo=memo
    )
    transaction.sign(account.wallet.signer(), chain_id, number, deterministic=True)
    data: bytes = transaction.complete().tx.SerializeToString()
    return data


def _gas(
    nodes: Sequence[Node],
    account: Account,
    messages: Sequence[Message],
    chain_id: str,
    number: int,
    sequence: int,
    fees: Fees,
    memo: str,
) -> int:
    trial = _signed(account, messages, chain_id, number, sequence, 0, None, memo)
    try:
        used = _first(nodes, lambda node: node.simulate(trial))
    except Refused as error:
        raise _refusal(TxAnswer(code=-1, codespace="", log=error.what, height=0), account) from error
    return math.ceil(used * fees.adjustment)


def _broadcast(nodes: Sequence[Node], tx: bytes) -> TxAnswer | None:
    """The mempool's answer; None when nobody's answer came back, so that it may have arrived or not."""
    for node in nodes:
        try:
            return node.broadcast(tx)  # the same bytes are one transaction, however often they are handed in
        except Unavailable:
            continue
    return None


def _wait(nodes: Sequence[Node], tx_hash: str, limit: float, account: Account) -> Sent:
    deadline = time.monotonic() + limit
    pause = _FIRST_POLL
    while True:
        try:
            answer = _first(nodes, lambda node: node.result(tx_hash))
        except Unavailable:
            answer = None
        if answer is not None and answer.height:
            if answer.code:
                raise _refusal(answer, account)
            return Sent(tx_hash, answer.height)
        if time.monotonic() + pause > deadline:
            raise Unavailable(
                f"transaction {tx_hash} was handed in and is in no block after {limit:.0f} s: its outcome is unknown",
                where="transaction",
                remedy="Run it again later: what is already on chain is not written twice",
            )
        time.sleep(pause)
        pause = min(pause * 1.5, _LAST_POLL)


def _refusal(answer: TxAnswer, account: Account) -> AvpnError | _WrongSequence:
    log = ascii(answer.log)[1:-1][:400]
    sdk = answer.codespace == _SDK
    if (sdk and answer.code == _WRONG_SEQUENCE) or "account sequence mismatch" in log:
        return _WrongSequence()
    if (sdk and answer.code == _INSUFFICIENT_FUNDS) or "insufficient funds" in log:
        return Refused(
            f"account {account.address} has not enough coins: {log}",
            where="transaction",
            remedy="Send coins to it; nothing was written",
        )
    if (sdk and answer.code == _INSUFFICIENT_FEE) or "insufficient fee" in log:
        return Refused(f"the fee is too low: {log}", where="transaction", remedy="Raise gas_price")
    code = "" if answer.code < 0 else f" (code {answer.code} of {answer.codespace})"
    return Refused(f"the chain refused it{code}: {log}", where="transaction", remedy="Nothing of it was written")


def _first(nodes: Sequence[Node], call: Callable[[Node], T]) -> T:
    """The answer of the first node that gives one."""
    failures = []
    for node in nodes:
        try:
            return call(node)
        except Unavailable as error:
            failures.append(str(error))
    raise Unavailable("; ".join(failures), where="transaction")


def _need_cosmpy() -> Any:
    try:
        import cosmpy.aerial.tx
    except ImportError as error:
        raise Unsupported(
            "cosmpy is missing", where="transactions", remedy="Install cosmpy 0.12 where transactions are signed"
        ) from error
    return cosmpy.aerial.tx
