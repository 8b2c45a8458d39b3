# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From CIDRs as text to ranges of addresses, and those with exceptions."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from .._common import fields
from .._common.errors import InvalidInput
from .model import Range, RangePeer

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_LIKE = "a range like 192.0.2.0/24 or 2001:db8::/64"


def cidr(value: Any, where: str) -> Range:
    """A CIDR in its usual form: no bits set beyond the prefix, IPv6 as RFC 5952 writes it."""
    if not isinstance(value, str) or len(value) > 43:
        raise InvalidInput(f"must be {_LIKE}", where=where)
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        network = None
    if network is None or "%" in value:
        raise InvalidInput(f"must be {_LIKE}, not '{fields.printable(value)}'", where=where)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        inner = ipaddress.ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96))  # type: ignore[arg-type]
        raise InvalidInput(
            "is a range of IPv4-mapped addresses, which never travel", where=where, remedy=f"Write {inner}"
        )
    if str(network) != value:
        if "/" not in value:
            what = "is an address, where a range is wanted"
        elif str(ipaddress.ip_interface(value).ip) != str(network.network_address):
            what = "is an address within a range"
        else:
            what = "is not in its usual form"
        raise InvalidInput(what, where=where, remedy=f"Write {network}")
    return network


def excepting(network: Range, excepted: Iterable[Range], where: str, *, listed: bool) -> RangePeer:
    """The range without its exceptions, each of which lies within it. ``where``: of the exceptions, which are
    ``listed``, or one."""
    kept: list[Range] = []
    for number, each in enumerate(excepted):
        place = f"{where}.{number}" if listed else where
        if each.version != network.version:
            raise InvalidInput(f"is no IPv{network.version} range, as {network} is", where=place)
        if each == network:
            raise InvalidInput(
                "is the whole range, so that nothing is left", where=place, remedy="Remove the rule's peer instead"
            )
        if not each.subnet_of(network):  # type: ignore[arg-type]
            raise InvalidInput(f"lies outside of {network}", where=place, remedy="Remove it")
        if each in kept:
            raise InvalidInput("is there twice", where=place, remedy="Remove it")
        kept.append(each)
    if list(ipaddress.collapse_addresses(kept)) == [network]:  # type: ignore[type-var]
        raise InvalidInput(
            f"are all of {network}, so that nothing is left", where=where, remedy="Remove the rule's peer instead"
        )
    return RangePeer(network, tuple(kept))


def explain(value: Any) -> tuple[str, str]:
    """What is wrong with something that is no range, where there is more to say than that, and the remedy."""
    if isinstance(value, str):
        try:
            cidr(value, "")
        except InvalidInput as error:
            return error.what, error.remedy
    return "", ""
