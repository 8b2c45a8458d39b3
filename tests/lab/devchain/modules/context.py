# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a message handler works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..store import Cache

Event = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """The state of the transaction and the parameters of the chain.

    ``time`` is the block's time in seconds since the epoch.
    """

    state: Cache
    prefix: str
    denom: str
    time: int

    @property
    def height(self) -> int:
        """Height of the block being built."""
        return self.state.height


def event(kind: str, **attributes: str) -> Event:
    """An event as the node lists it."""
    return {
        "type": kind,
        "attributes": [{"key": key, "value": value, "index": True} for key, value in attributes.items()],
    }
