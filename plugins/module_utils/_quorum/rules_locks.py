# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about locks: a lock is free when absent or expired; only its holder renews or releases it.

What a provider's hosts have counts until it is released or taken by somebody else, expired or not: so that is the same
at every height.
"""

from __future__ import annotations

from .._common.checked import present
from .._common.ids import NodeId
from .constants import MAX_LOCK_BLOCKS, token_of
from .rule_context import Context, refuse, same_but_signature
from .rules_batches import Authors
from .value import MAX_PROVIDER_LOCKS, Lock, Value


def check(context: Context, authors: Authors) -> None:
    """All rules about locks; of the view they need only its height."""
    takers: set[str] = set()
    for name, lock in context.change.locks.items():
        where = f"locks.{name}"
        author = authors["lock", name]
        before = context.parent.locks.get(name)
        if lock is None:
            holder = present(before, f"the removed lock {name}").holder
            # The locks of a host that has left would stay for ever.
            orphan = holder not in context.child.hosts
            refuse(author != holder and not orphan, "lock-removal", f"is held by {holder}", where)
            continue
        refuse(author != lock.holder, "lock-author", f"is signed by {author} for {lock.holder}", where)
        refuse(author not in context.child.hosts, "lock-author", f"{author} is not a host of the network", where)
        if same_but_signature(before, lock):
            continue
        refuse(
            not lock.height < lock.expires <= lock.height + MAX_LOCK_BLOCKS,
            "lock-expiry",
            f"must expire at most {MAX_LOCK_BLOCKS} blocks after height {lock.height}",
            where,
        )
        _check_taken(lock, before, author, token_of(context.child.generation, context.child.version), where)
        context.seen(lock.height, where)
        if before is None or before.holder.provider != author.provider:
            takers.add(author.provider)
    for provider in sorted(takers):
        count = of_provider(context.child, provider)
        what = f"the hosts of {provider} would have {count} locks, at most {MAX_PROVIDER_LOCKS} are allowed"
        refuse(count > MAX_PROVIDER_LOCKS, "lock-many", what, "locks")


def of_provider(value: Value, provider: str) -> int:
    """How many locks the hosts of a provider have."""
    return sum(lock.holder.provider == provider for lock in value.locks.values())


def _check_taken(lock: Lock, before: Lock | None, author: NodeId, token: int, where: str) -> None:
    if before is not None:
        refuse(lock.height < before.height, "lock-height", "the height falls", where)
        expired = before.expires < lock.height
        refuse(
            not expired and before.holder != author,
            "lock-held",
            f"is held by {before.holder} until height {before.expires}",
            where,
        )
        if not expired:
            token = before.token  # a renewal, without a gap in which anybody else could have had it
    refuse(lock.token != token, "lock-token", f"the token must be {token}", where)
