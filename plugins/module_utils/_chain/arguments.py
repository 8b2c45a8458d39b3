# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that modules and the inventory share, and what they stand for (fragments ``chain`` and ``account``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .account import Account, load_account
from .http_json import Limits
from .messages import Message
from .sources import ChainOptions, Sources
from .transactions import Fees, Sent, send

CHAIN_ARGUMENTS: dict[str, dict[str, Any]] = {
    "endpoints": {"type": "list", "elements": "str", "default": []},
    "own": {"type": "bool", "default": False},
    "chain_id": {"type": "str", "default": "akashnet-2"},
    "ca_file": {"type": "path"},
    "timeout": {"type": "int", "default": 10},
}

ACCOUNT_ARGUMENTS: dict[str, dict[str, Any]] = {
    "mnemonic_file": {"type": "path", "no_log": False},
    "private_key_file": {"type": "path", "no_log": False},
    "mnemonic": {"type": "str", "no_log": True},
    "private_key": {"type": "str", "no_log": True},
    "transaction_endpoints": {"type": "list", "elements": "str", "default": []},
    "gas_price": {"type": "str", "default": "0.0025"},
    "fee_denom": {"type": "str", "default": "uakt"},
    "gas": {"type": "int"},
    "gas_adjustment": {"type": "float", "default": 1.5},
    "inclusion_timeout": {"type": "int", "default": 60},
}

ACCOUNT_SECRETS = ("mnemonic_file", "private_key_file", "mnemonic", "private_key")


def sources_of(params: Mapping[str, Any]) -> Sources:
    """The sources the options name."""
    limits = Limits(timeout=float(params["timeout"]), total=3.0 * params["timeout"])
    options = ChainOptions(
        chain_id=params["chain_id"],
        endpoints=tuple(params["endpoints"]),
        own=params["own"],
        ca_file=params["ca_file"],
        limits=limits,
    )
    return Sources(options)


def account_of(params: Mapping[str, Any]) -> Account:
    """The account the options name."""
    return load_account(**{name: params[name] for name in ACCOUNT_SECRETS})


def send_with(params: Mapping[str, Any], account: Account, messages: Sequence[Message]) -> Sent:
    """One transaction with the options' endpoints, fees and limits."""
    return send(
        params["transaction_endpoints"] or params["endpoints"],
        params["chain_id"],
        account,
        messages,
        fees=Fees(
            gas_price=params["gas_price"],
            denom=params["fee_denom"],
            gas=params["gas"],
            adjustment=params["gas_adjustment"],
        ),
        ca_file=params["ca_file"],
        timeout=float(params["timeout"]),
        inclusion_timeout=float(params["inclusion_timeout"]),
    )
