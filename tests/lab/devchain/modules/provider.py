# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""x/provider: the records of providers (akash-network/node, x/provider/handler)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from ..address import check_address
from ..errors import (
    PROVIDER_ATTRIBUTES,
    PROVIDER_EXISTS,
    PROVIDER_INCOMPATIBLE,
    PROVIDER_INTERNAL,
    PROVIDER_NOT_FOUND,
    PROVIDER_URI,
    PROVIDER_URI_NOT_ABSOLUTE,
    PROVIDER_WEBSITE,
    TxError,
)
from ..records import PROVIDERS, Attributes, Provider
from ..store import Reader
from . import market
from .context import Context, Event, event

_KEY = re.compile(r"[a-zA-Z][\w/.\-]{1,126}", re.ASCII)


def get(state: Reader, owner: str) -> Provider | None:
    """The record of a provider, if it is registered."""
    found: Provider | None = state.get(PROVIDERS, (owner,))
    return found


def check_attributes(attributes: Attributes) -> None:
    """Keys are unique and match the chain's pattern; values are free."""
    seen = set()
    for key, _value in attributes:
        if _KEY.fullmatch(key) is None:
            raise TxError(PROVIDER_ATTRIBUTES, f"invalid attribute key: {key!r}")
        if key in seen:
            raise TxError(PROVIDER_ATTRIBUTES, f"duplicate attribute key: {key!r}")
        seen.add(key)


def check_host_uri(uri: str) -> None:
    """``https://host[:port]`` without a path."""
    try:
        parts = urlsplit(uri)
        _unused = parts.port
    except ValueError:
        raise TxError(PROVIDER_URI, repr(uri)) from None
    if not parts.scheme:
        raise TxError(PROVIDER_URI_NOT_ABSOLUTE, f'validating "{uri}" for absolute URI')
    if parts.scheme != "https":
        raise TxError(PROVIDER_URI, f'scheme in "{uri}" should be https')
    if not parts.hostname:
        raise TxError(PROVIDER_URI, f'validating "{uri}" for valid host')
    if parts.path or parts.query or parts.fragment:
        raise TxError(PROVIDER_URI, f'path in "{uri}" should be empty')


def _record(message: Any) -> Provider:
    return Provider(
        owner=message.owner,
        host_uri=message.host_uri,
        attributes=tuple((each.key, each.value) for each in message.attributes),
        email=message.info.email,
        website=message.info.website,
    )


def check_owner(ctx: Context, message: Any) -> None:
    """The owner is an address."""
    check_address(message.owner, ctx.prefix, "invalid owner address")


def check(ctx: Context, message: Any) -> None:
    """Stateless checks of a record."""
    check_owner(ctx, message)
    check_host_uri(message.host_uri)
    check_attributes(_record(message).attributes)
    website = message.info.website
    if website and (any(char.isspace() for char in website) or not urlsplit(website).scheme):
        raise TxError(PROVIDER_WEBSITE, repr(website))


def create(ctx: Context, message: Any) -> list[Event]:
    """MsgCreateProvider: register once."""
    if get(ctx.state, message.owner) is not None:
        raise TxError(PROVIDER_EXISTS, f"id: {message.owner}")
    ctx.state.set(PROVIDERS, (message.owner,), _record(message))
    return [event("akash.provider.v1beta4.EventProviderCreated", owner=message.owner)]


def update(ctx: Context, message: Any) -> list[Event]:
    """MsgUpdateProvider: replaces the whole record.

    Attributes that an active lease's group asked for can't be taken away.
    """
    if get(ctx.state, message.owner) is None:
        raise TxError(PROVIDER_NOT_FOUND, f"id: {message.owner}")
    record = _record(message)
    for required in market.required_attributes(ctx.state, message.owner):
        if required not in record.attributes:
            raise TxError(PROVIDER_INCOMPATIBLE)
    ctx.state.set(PROVIDERS, (message.owner,), record)
    return [event("akash.provider.v1beta4.EventProviderUpdated", owner=message.owner)]


def delete(ctx: Context, message: Any) -> list[Event]:
    """MsgDeleteProvider: the chain knows it and has never implemented it."""
    if get(ctx.state, message.owner) is None:
        raise TxError(PROVIDER_NOT_FOUND, f"id: {message.owner}")
    raise TxError(PROVIDER_INTERNAL, "NOTIMPLEMENTED")
