# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may do what on this host: from SSH keys in chain records to roles, and from roles to networks.

One SSH key may stand in several records, so a key maps to a set of roles; a request names the one
it acts in, and it is checked against the network the request names. Nothing here says why something
is refused: whoever may not learns nothing about what exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Union

from .._chain.model import HostRecord, NetworkView, View
from .._common import fields
from .._common.errors import InvalidInput, NotPermitted
from .._common.ids import NodeId
from .keys import fingerprint
from .votes import Votes


@dataclass(frozen=True)
class Tenant:
    """An account that owns networks; acts for its own only."""

    account: str

    def __str__(self) -> str:
        return self.account


@dataclass(frozen=True)
class Node:
    """A provider's host; acts for networks it takes part in or votes for."""

    id: NodeId

    def __str__(self) -> str:
        return str(self.id)


Role = Union[Tenant, Node]


def refuse() -> NotPermitted:
    """The one answer for everything that may not be, known or not."""
    return NotPermitted("is not permitted", remedy="Check that the chain names this key for this network")


def parse_role(text: object) -> Role:
    """A request's ``as``: ``akash1…/node`` or ``akash1…``."""
    if isinstance(text, str) and "/" in text:
        return Node(NodeId.parse(text, "as"))
    return Tenant(fields.account(text, "as"))


class Identities:
    """The roles that a view gives to SSH keys, as far as they concern the host ``here``."""

    def __init__(self, view: View, here: NodeId, votes: Mapping[str, Votes] | None = None) -> None:
        self.view = view
        self.here = here
        self._votes = votes or {}  # by network id: what this host's voter knows of
        self.networks = {
            network: entry
            for network, entry in view.networks.items()
            if here.provider in entry.participants() or here in _named(entry) or network in self._votes
        }

    def votes(self, network: str) -> bool:
        """Whether this host votes there, or serves until the voters after it hold the value."""
        found = self._votes.get(network)
        return found is not None and not found.gone

    def _voters(self, entry: NetworkView) -> set[NodeId]:
        """Hosts that may ask without holding a lease."""
        found = self._votes.get(entry.record.id)
        voting = {node for node in found.voters if node.provider not in entry.record.evicted} if found else set()
        return _named(entry) | voting

    def takes_part(self, network: str) -> bool:
        """Whether this host's provider holds a running lease there; a host that only votes needs no manifest."""
        entry = self.networks.get(network)
        return entry is not None and self.here.provider in entry.participants()

    def may_act(self, node: NodeId, network: str) -> bool:
        """Whether a host takes part in, or votes for, a network that this host is concerned with."""
        entry = self.networks.get(network)
        return (
            entry is not None
            and node in self.view.hosts
            and (node.provider in entry.participants() or node in self._voters(entry))
        )

    def common_networks(self, node: NodeId) -> list[str]:
        """Networks that this host and ``node`` are both concerned with, sorted."""
        return sorted(network for network in self.networks if self.may_act(node, network))

    def share_a_lease(self, node: NodeId) -> bool:
        """Whether both providers hold running leases in one network: the condition for the ring's key."""
        return node in self.view.hosts and any(
            {node.provider, self.here.provider} <= entry.participants() for entry in self.networks.values()
        )

    def hosts_of(self, network: str) -> list[HostRecord]:
        """The other hosts of a network: of its participants, and its voters; sorted."""
        return [
            host for node, host in sorted(self.view.hosts.items()) if node != self.here and self.may_act(node, network)
        ]

    def roles_of(self, key: str) -> frozenset[Role]:
        """Every role that ``ssh-ed25519 <base64>`` may act in here; empty for a stranger."""
        return self._roles(lambda one: one == key)

    def roles_of_fingerprint(self, print_: str) -> frozenset[Role]:
        """The same by the key's fingerprint."""
        return self._roles(lambda one: fingerprint(one) == print_)

    def _roles(self, same: Callable[[str], bool]) -> frozenset[Role]:
        roles: set[Role] = {
            Tenant(entry.record.owner) for entry in self.networks.values() if any(map(same, entry.record.access))
        }
        for node, host in self.view.hosts.items():
            if same(host.ssh_client_key) and self.common_networks(node):
                roles.add(Node(node))
        return frozenset(roles)

    def require(self, print_: str, role: Role, network: str | None) -> None:
        """Raise NotPermitted unless the key of this fingerprint may act as ``role`` for ``network``.

        ``network`` None: for anything at all. A tenant's key counts only for the networks whose own record
        names it, for one tenant may give different keys to different networks.
        """
        if isinstance(role, Node):
            host = self.view.hosts.get(role.id)
            if host is None or fingerprint(host.ssh_client_key) != print_:
                raise refuse()
            permitted = bool(self.common_networks(role.id)) if network is None else self.may_act(role.id, network)
        else:
            chosen = self.networks.values() if network is None else filter(None, [self.networks.get(network)])
            permitted = any(
                entry.record.owner == role.account and print_ in map(fingerprint, entry.record.access)
                for entry in chosen
            )
        if not permitted:
            raise refuse()


def parse_network(value: object) -> str:
    """A request's ``network``. A malformed id is InvalidInput: that much is about the message, not the network."""
    if value is None:
        raise InvalidInput("is missing", where="network")
    return fields.hex64(value, "network")


def _named(entry: NetworkView) -> set[NodeId]:
    """Hosts that may vote without holding a lease: founders and witnesses, unless the tenant evicted them."""
    named = {voter.node for voter in entry.record.founders} | set(entry.record.witnesses)
    return {node for node in named if node.provider not in entry.record.evicted}
