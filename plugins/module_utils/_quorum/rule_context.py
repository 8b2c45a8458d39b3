# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rule looks at: the child, its certified parent, their difference, and this voter's view of the chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from .._chain.model import HostRecord, Lease, NetworkView, View
from .._common.ids import EndpointId, LeaseId, NodeId
from .change import Change
from .errors import RuleBroken, Unseen
from .value import HostEntry, Lock, Slot, Value

Entry = TypeVar("Entry", HostEntry, Slot, Lock)


@dataclass(frozen=True)
class Context:
    """One check of a child with a parent.

    ``vouched``: the proof shows that a voter accepted exactly this value already, so that it was checked
    when what it refers to could still be seen. What this view shows to be wrong is refused all the same;
    what it merely doesn't show any more is taken on that voter's word, or a half-done round could wedge
    the register once the chain has moved on. (Voters may stop, but don't lie about what they accepted.)
    """

    parent: Value
    parent_hash: str
    child: Value
    change: Change
    view: View
    vouched: bool = False

    @cached_property
    def network(self) -> NetworkView | None:
        return self.view.networks.get(self.child.network)

    @cached_property
    def leases(self) -> Mapping[LeaseId, Lease]:
        return {} if self.network is None else {lease.id: lease for lease in self.network.leases}

    @cached_property
    def members(self) -> Mapping[int, str]:
        """Member by dseq, in the parent's copy of the record."""
        return {dseq: member for member, dseq in self.parent.record.members.items()}

    def host_record(self, node: NodeId) -> HostRecord | None:
        return self.view.hosts.get(node)

    def ran(self, provider: str, height: int) -> bool:
        """Whether the view shows a lease of a member at this provider that ran at ``height``."""
        return any(
            lease.id.provider == provider and lease.id.dseq in self.members and lease.ran_at(height)
            for lease in self.leases.values()
        )

    def permits(self, endpoint: EndpointId, lease: LeaseId) -> bool:
        """Whether the parent's record gives the endpoint to a lease like this, at its provider."""
        record = self.parent.record
        return (
            lease.owner == record.owner
            and record.members.get(endpoint.member) == lease.dseq
            and lease.gseq == endpoint.gseq
            and record.permits(lease.provider)
        )

    def seen(self, height: int, where: str) -> None:
        """Raise Unseen if the view doesn't reach ``height``."""
        if height > self.view.height:
            raise Unseen(f"height {height} is above the view's {self.view.height}", height=height, where=where)

    def lost(self, rule: str, what: str, where: str) -> None:
        """The view doesn't show what the entry refers to: broken, unless a voter has vouched for it."""
        if not self.vouched:
            raise RuleBroken(rule, what, where=where)


def refuse(broken: bool, rule: str, what: str, where: str) -> None:
    """Raise RuleBroken if ``broken``."""
    if broken:
        raise RuleBroken(rule, what, where=where)


def same_but_signature(before: Entry | None, after: Entry) -> bool:
    """Whether an entry was only signed anew."""
    return before is not None and replace(before, batch=after.batch) == after
