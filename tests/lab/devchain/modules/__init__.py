# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules of the chain that accept messages, and who must sign which message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import messages
from . import audit, bank, deployment, provider
from .context import Context, Event


@dataclass(frozen=True)
class Handler:
    """What the chain does with one message type.

    ``signer`` names the account that must sign, ``check`` is stateless (CheckTx runs
    it too), ``run`` changes the state or raises ``TxError``.
    """

    signer: Callable[[Any], str]
    check: Callable[[Context, Any], None]
    run: Callable[[Context, Any], list[Event]]


def _auditor(message: Any) -> str:
    return str(message.auditor)


def _owner(message: Any) -> str:
    return str(message.owner)


def _deployment_owner(message: Any) -> str:
    return str(message.id.owner)


def _sender(message: Any) -> str:
    return str(message.from_address)


HANDLERS: dict[str, Handler] = {
    messages.SIGN_ATTRIBUTES: Handler(_auditor, audit.check, audit.sign),
    messages.DELETE_ATTRIBUTES: Handler(_auditor, audit.check, audit.delete),
    messages.CREATE_PROVIDER: Handler(_owner, provider.check, provider.create),
    messages.UPDATE_PROVIDER: Handler(_owner, provider.check, provider.update),
    messages.DELETE_PROVIDER: Handler(_owner, provider.check_owner, provider.delete),
    messages.CREATE_DEPLOYMENT: Handler(_deployment_owner, deployment.check_create, deployment.create),
    messages.UPDATE_DEPLOYMENT: Handler(_deployment_owner, deployment.check_update, deployment.update),
    messages.CLOSE_DEPLOYMENT: Handler(_deployment_owner, deployment.check_id, deployment.close),
    messages.SEND: Handler(_sender, bank.check, bank.send),
}

__all__ = ["HANDLERS", "Context", "Event", "Handler"]
