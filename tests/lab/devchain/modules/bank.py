# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts and balances: x/auth and x/bank as far as the lab needs them."""

from __future__ import annotations

from typing import Any

from ..address import check_address
from ..errors import INSUFFICIENT_FUNDS, INVALID_COINS, TxError
from ..records import ACCOUNTS, BALANCES, COUNTERS, Account
from ..store import Cache, Reader
from .context import Context, Event, event

_NEXT_ACCOUNT = ("account",)


def account(state: Reader, address: str) -> Account | None:
    """The account of an address, if it exists."""
    found: Account | None = state.get(ACCOUNTS, (address,))
    return found


def balance(state: Reader, address: str) -> int:
    """What an address holds, in the smallest denomination."""
    return state.get(BALANCES, (address,)) or 0


def add(state: Cache, address: str, amount: int) -> None:
    """Credit an address; its account is created when it first receives something."""
    if account(state, address) is None:
        number = state.get(COUNTERS, _NEXT_ACCOUNT) or 0
        state.set(ACCOUNTS, (address,), Account(address, number))
        state.set(COUNTERS, _NEXT_ACCOUNT, number + 1)
    state.set(BALANCES, (address,), balance(state, address) + amount)


def take(state: Cache, address: str, amount: int, denom: str) -> None:
    """Debit an address, or raise ``TxError`` (sdk 5)."""
    held = balance(state, address)
    if held < amount:
        raise TxError(INSUFFICIENT_FUNDS, f"spendable balance {held}{denom} is smaller than {amount}{denom}")
    state.set(BALANCES, (address,), held - amount)


def amount_of(coins: Any, denom: str) -> int:
    """The amount of the chain's denomination in a list of coins; others are refused."""
    total = 0
    for coin in coins:
        if coin.denom != denom or not coin.amount.isdigit() or int(coin.amount) == 0:
            raise TxError(INVALID_COINS, f"{coin.amount}{coin.denom}")
        total += int(coin.amount)
    return total


def check(ctx: Context, message: Any) -> None:
    """Stateless checks of MsgSend."""
    check_address(message.from_address, ctx.prefix, "invalid from address")
    check_address(message.to_address, ctx.prefix, "invalid to address")
    if amount_of(message.amount, ctx.denom) == 0:
        raise TxError(INVALID_COINS, "")


def send(ctx: Context, message: Any) -> list[Event]:
    """MsgSend: move coins from one account to another."""
    amount = amount_of(message.amount, ctx.denom)
    take(ctx.state, message.from_address, amount, ctx.denom)
    add(ctx.state, message.to_address, amount)
    return [
        event(
            "transfer",
            recipient=message.to_address,
            sender=message.from_address,
            amount=f"{amount}{ctx.denom}",
        )
    ]
