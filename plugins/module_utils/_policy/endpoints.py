# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has which address, and what a packet is: the inputs of a policy decision besides the manifest."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Union

from .._common.ids import EndpointId
from .._manifest.model import Range

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of the network, on whatever host, with its two addresses.

    ``lease`` is the lease's id as text. It decides nothing; but when an address goes from one lease to another,
    the flows of the old one must not reach the new one.
    """

    id: EndpointId
    ipv4: ipaddress.IPv4Address
    ipv6: ipaddress.IPv6Address
    lease: str = ""

    @property
    def policy_key(self) -> str:
        """The lease of a member it belongs to, as manifests write it: ``db/2``."""
        return f"{self.id.member}/{self.id.gseq}"


class Endpoints:
    """All endpoints of a network, found by address. ``ranges``: the network's own, in which they are."""

    def __init__(self, endpoints: Iterable[Endpoint], ranges: Iterable[Range] = ()) -> None:
        self.ranges = tuple(ranges)
        self._all = tuple(sorted(endpoints, key=lambda endpoint: endpoint.id))
        self._by_address: dict[Address, Endpoint] = {}
        for endpoint in self._all:
            self._by_address[endpoint.ipv4] = endpoint
            self._by_address[endpoint.ipv6] = endpoint

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def at(self, address: Address) -> Endpoint | None:
        """The endpoint that has this address; None: nobody in the network does."""
        return self._by_address.get(address)


@dataclass(frozen=True)
class Packet:
    """The first packet of a flow. Replies, and errors about the flow, share its fate.

    ``protocol``: tcp, udp, sctp, icmp (over IPv4), icmpv6, or ``other`` for every protocol that only ``any`` covers.
    ``port``: the target port of tcp, udp and sctp; the type of icmp and icmpv6, of which None is an echo request; None
    for the rest.
    """

    source: Address
    target: Address
    protocol: str
    port: int | None = None
