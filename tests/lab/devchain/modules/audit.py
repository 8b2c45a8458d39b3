# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""x/audit: what one account signs about another (akash-network/node, x/audit/keeper).

Only addresses are checked: neither side needs to be a provider.
"""

from __future__ import annotations

from typing import Any

from ..address import check_address
from ..errors import AUDIT_ATTRIBUTE_NOT_FOUND, AUDIT_NOT_FOUND, TxError
from ..records import AUDIT, Attributes, SignedAttributes
from ..store import Reader
from .context import Context, Event, event


def entry(state: Reader, owner: str, auditor: str) -> SignedAttributes | None:
    """What the auditor says of the owner, if anything."""
    found: SignedAttributes | None = state.get(AUDIT, (owner, auditor))
    return found


def _sorted(attributes: Attributes) -> Attributes:
    return tuple(sorted(attributes, key=lambda attribute: attribute[0]))


def check(ctx: Context, message: Any) -> None:
    """Stateless checks of both messages of this module."""
    check_address(message.owner, ctx.prefix, "invalid owner address")
    check_address(message.auditor, ctx.prefix, "invalid auditor address")


def sign(ctx: Context, message: Any) -> list[Event]:
    """MsgSignProviderAttributes: replace the named keys, keep the rest.

    The first signing stores what it is given as it is, a doubled key included; only
    from the second on keys are merged. The chain does just that.
    """
    given: Attributes = tuple((each.key, each.value) for each in message.attributes)
    before = entry(ctx.state, message.owner, message.auditor)
    if before is not None:
        given = tuple({**dict(before.attributes), **dict(given)}.items())
    ctx.state.set(
        AUDIT,
        (message.owner, message.auditor),
        SignedAttributes(message.owner, message.auditor, _sorted(given)),
    )
    return [event("akash.audit.v1.EventTrustedAuditorCreated", owner=message.owner, auditor=message.auditor)]


def delete(ctx: Context, message: Any) -> list[Event]:
    """MsgDeleteProviderAttributes: the named keys, or without keys the entry."""
    before = entry(ctx.state, message.owner, message.auditor)
    if before is None:
        raise TxError(AUDIT_NOT_FOUND)
    left = dict(before.attributes) if message.keys else {}
    for key in message.keys:
        if key not in left:
            raise TxError(
                AUDIT_ATTRIBUTE_NOT_FOUND,
                f'trying to delete non-existing attribute "{key}" for auditor/provider '
                f'"{message.auditor}/{message.owner}"',
            )
        del left[key]
    key = (message.owner, message.auditor)
    if left:
        ctx.state.set(AUDIT, key, SignedAttributes(message.owner, message.auditor, _sorted(tuple(left.items()))))
    else:
        ctx.state.delete(AUDIT, key)
    return [event("akash.audit.v1.EventTrustedAuditorDeleted", owner=message.owner, auditor=message.auditor)]
