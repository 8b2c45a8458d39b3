# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks for other plays: what a host wants of a network's ``locks``. Pure.

The holder is a host. A lock is free when nobody has it or its expiry (a chain height) lies behind; the fencing
token is made of generation and version of the ledger that granted it, so a later holder's token is always higher.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .._common.errors import Unavailable
from .._common.ids import NodeId
from .constants import token_of
from .drafting import Draft
from .fence import rests_until, why
from .rules_locks import of_provider
from .value import MAX_LOCKS, MAX_PROVIDER_LOCKS, Lock, Value


@dataclass(frozen=True)
class Acquire:
    """Take or renew a lock until ``height`` + ``ttl`` (blocks)."""

    name: str
    ttl: int
    height: int

    def draft(self, parent: Value, node: NodeId) -> Draft:
        """What to ask for; empty if this host holds it until then already. Unavailable if somebody else does."""
        rests = rests_until(parent, self.height)
        if rests is not None:
            raise Unavailable(why(rests), where=f"lock {self.name}")
        before = parent.locks.get(self.name)
        expires = self.height + self.ttl
        if before is not None and before.expires >= self.height:
            if before.holder != node:
                left = before.expires - self.height + 1
                raise Unavailable(
                    f"is held by {before.holder} for {left} more blocks, token {before.token}",
                    where=f"lock {self.name}",
                )
            if before.expires >= expires:
                return Draft()
            return Draft(locks={self.name: replace(before, expires=expires, height=self.height, batch="")})
        dropped = self._room(parent, node, before)
        lock = Lock(
            holder=node,
            token=token_of(parent.generation, parent.version + 1),
            expires=expires,
            height=self.height,
            batch="",
        )
        return Draft(locks={**dropped, self.name: lock})

    def _room(self, parent: Value, node: NodeId, before: Lock | None) -> dict[str, None]:
        """What makes room for one more lock: this host's own that have expired, where there is none; empty if there
        is some. Unavailable if there is none to be made."""
        more = before is None or before.holder.provider != node.provider
        many = more and of_provider(parent, node.provider) >= MAX_PROVIDER_LOCKS
        full = before is None and len(parent.locks) >= MAX_LOCKS
        if not (many or full):
            return {}
        own = {name: None for name, lock in parent.locks.items() if lock.holder == node and lock.expires < self.height}
        if not own:
            what = f"this provider has {MAX_PROVIDER_LOCKS} locks" if many else f"the network has {MAX_LOCKS} locks"
            raise Unavailable(f"{what} already", where=f"lock {self.name}", remedy="Give one back that isn't needed")
        return own


@dataclass(frozen=True)
class Release:
    """Give a lock back, if this host has it."""

    name: str

    def draft(self, parent: Value, node: NodeId) -> Draft:
        """What to ask for; empty if this host doesn't have it."""
        before = parent.locks.get(self.name)
        return Draft() if before is None or before.holder != node else Draft(locks={self.name: None})


def held(value: Value, name: str, node: NodeId, height: int) -> Lock | None:
    """The lock, if the host holds it at this height."""
    lock = value.locks.get(name)
    return lock if lock is not None and lock.holder == node and lock.expires >= height else None
