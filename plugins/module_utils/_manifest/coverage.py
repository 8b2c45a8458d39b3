# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a route covers beyond the outside, and whether its tenant has asked for that (R8). Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Union

from .._chain.model import HostRecord
from .._common.errors import InvalidInput
from .model import Manifest, Range, Route

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

# Whatever isn't at least this long counts as a default route, so that halves and quarters of everything do, too. An
# IPv4 /8 is the widest range that belongs to one owner (10.0.0.0/8); IPv6 space is allocated in far smaller parts.
LEAST_PREFIX = {4: 8, 6: 16}


def is_default(network: Range) -> bool:
    """Whether a range is so wide that it counts as a default route."""
    return network.prefixlen < LEAST_PREFIX[network.version]


def unasked(route: Route, own: Iterable[Range], hosts: Mapping[Address, str]) -> Iterator[tuple[str, str]]:
    """The words that are missing under the route's ``covers``, each with what it would cover unasked.

    ``own``: the network's own ranges; ``hosts``: addresses of its hosts outside of them, and whose they are. A
    default route holds everything by its nature, so that one word says it all: what is narrower keeps its own way.
    """
    if is_default(route.range):
        if "default" not in route.covers:
            yield "default", "is a default route"
        return
    if "members" not in route.covers:
        for network in own:
            if route.range.version == network.version and route.range.overlaps(network):
                yield "members", f"overlaps the network's own range {network}"
    if "hosts" not in route.covers:
        for address, host in hosts.items():
            if address in route.range:
                yield "hosts", f"holds {address}, an address of the host {host}"
                return


def wanted(route: Route, word: str) -> str:
    """What to write so that the route covers that, too."""
    words = sorted(route.covers | {word})
    return f"covers: {words[0]}" if len(words) == 1 else f"covers: [{', '.join(words)}]"


def check_routes(manifest: Manifest, own: Iterable[Range], hosts: Mapping[Address, str]) -> None:
    """Raises InvalidInput for the first route that covers what its tenant hasn't asked for."""
    own = tuple(own)
    for section, content in (("", manifest), ("staged.", manifest.staged)):
        for number, route in enumerate(content.routes if content is not None else ()):
            for word, what in unasked(route, own, hosts):
                remedy = f"If it is meant to, write '{wanted(route, word)}'"
                raise InvalidInput(what, where=f"{section}routes.{number}.range", remedy=remedy)


def addresses_of(records: Iterable[HostRecord]) -> dict[Address, str]:
    """The addresses that host records name, and whose they are."""
    found: dict[Address, str] = {}
    for record in records:
        for text in (record.ssh_address, record.wireguard_address, record.gossip_address):
            found.setdefault(ipaddress.ip_address(text), str(record.id))
    return found
