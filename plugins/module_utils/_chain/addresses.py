# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which addresses of peers may be contacted.

A host record is written by a stranger. Without this check it could make every host of the
network knock on the inside of somebody's data centre.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from typing import Union

from .._common.errors import InvalidInput
from .._common.fields import IPAddress

Range = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_REMEDY = "If the address is right, the team adds its range to peer_ranges"


def check_peer_address(
    address: IPAddress | str,
    *,
    own: Collection[IPAddress | str] = (),
    allowed_ranges: Iterable[Range | str] = (),
    where: str = "address",
) -> IPAddress:
    """The address, if a peer may have it; InvalidInput otherwise.

    Loopback, link-local, multicast, unspecified, broadcast and ``own`` addresses are refused always;
    whatever isn't globally reachable is refused unless it lies in one of ``allowed_ranges``. An IPv6
    address that carries an IPv4 one (mapped, 6to4, NAT64) is judged by both.
    """
    given = _parse(address, where)
    mine = {_unwrapped(_parse(item, "own")) for item in own}
    ranges = [ipaddress.ip_network(item) if isinstance(item, str) else item for item in allowed_ranges]
    _check(given, mine, ranges, where)
    inner = _unwrapped(given)
    if inner != given:
        _check(inner, mine, ranges, where)
    return given


def _check(address: IPAddress, own: set[IPAddress], ranges: list[Range], where: str) -> None:
    for refused, what in (
        (address.is_unspecified, "the unspecified address"),
        (address.is_loopback, "a loopback address"),
        (address.is_link_local, "a link-local address"),
        (address.is_multicast, "a multicast address"),
        (str(address) == "255.255.255.255", "the broadcast address"),
        (address in own, "this host's own address"),
    ):
        if refused:
            raise InvalidInput(f"{address} is {what}, which no peer may have", where=where)
    wrapped = isinstance(address, ipaddress.IPv6Address) and _unwrapped(address) != address
    if not wrapped and not address.is_global and not any(address in allowed for allowed in ranges):
        raise InvalidInput(f"{address} is not a public address", where=where, remedy=_REMEDY)


def _parse(address: IPAddress | str, where: str) -> IPAddress:
    if not isinstance(address, str):
        return address
    try:
        return ipaddress.ip_address(address)
    except ValueError as error:
        raise InvalidInput("must be an IP address", where=where) from error


def _unwrapped(address: IPAddress) -> IPAddress:
    """The IPv4 address inside an IPv6 one, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
