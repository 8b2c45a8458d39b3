# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about locks: a lock is free when absent or expired; only its holder renews or releases it."""

from __future__ import annotations

from .._common.checked import present
from .._common.ids import NodeId
from .constants import MAX_LOCK_BLOCKS, token_of
from .rule_context import Context, refuse, same_but_signature
from .rules_batches import Authors
from .value import Lock


def check(context: Context, authors: Authors) -> None:
    """All rules about locks; of the view they need only its height."""
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
