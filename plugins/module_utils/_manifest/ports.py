# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From ``tcp/443`` and the like to a ``Port``."""

from __future__ import annotations

import re
from typing import Any

from .._common import fields
from .._common.errors import InvalidInput
from . import icmp
from .meant import meant
from .model import Port

WITH_NUMBERS = ("tcp", "udp", "sctp")
WORDS = ("any", "icmp", "icmpv6")
_PORT = re.compile(r"(tcp|udp|sctp)/([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_TYPE = re.compile(r"(icmp|icmpv6)/([a-z0-9-]{1,40})", re.ASCII)


def port(value: Any, where: str) -> Port:
    """The port, or range of ports, or ICMP type, that ``value`` names."""
    if not isinstance(value, str):
        remedy = f"Write tcp/{value} or udp/{value}" if type(value) is int and 0 < value < 65536 else ""
        raise InvalidInput(
            f"must be text like tcp/443, udp/5000-5100, icmp or any, not {fields.kind(value)}",
            where=where,
            remedy=remedy,
        )
    if value in WORDS:
        return Port(value)
    if found := _TYPE.fullmatch(value):
        return _icmp(found[1], found[2], where)
    found = _PORT.fullmatch(value)
    if found is None:
        raise InvalidInput(
            f"must be tcp/443, udp/5000-5100, sctp/…, icmp, icmpv6 or any, not '{fields.printable(value)}'",
            where=where,
            remedy=_meant_port(value),
        )
    first, last = int(found[2]), int(found[3] or found[2])
    if not 1 <= first <= 65535 or not 1 <= last <= 65535:
        raise InvalidInput("holds a port outside 1 to 65535", where=where)
    if first > last:
        raise InvalidInput(
            "is a range that ends before it starts", where=where, remedy=f"Write {found[1]}/{last}-{first}"
        )
    return Port(found[1], first, last)


def _icmp(protocol: str, text: str, where: str) -> Port:
    types = icmp.BEGINNING[protocol]
    number = types.get(text)
    if number is None and text in {str(each) for each in types.values()}:
        number = int(text)
    if number is None:
        what, remedy = icmp.why_not(protocol, text)
        raise InvalidInput(what, where=where, remedy=remedy)
    return Port(protocol, number, number)


def _meant_port(value: str) -> str:
    head, _slash, tail = value.partition("/")
    if value.isascii() and value.isdigit():
        return f"Write tcp/{value[:5]} or udp/{value[:5]}"
    if tail.isascii() and tail.replace("-", "").isdigit() and head.lower() in WITH_NUMBERS:
        return f"Write {head.lower()}/{tail[:11]}"
    if head in WITH_NUMBERS and tail in ("", "any", "*"):
        return f"Write {head}/1-65535"
    return meant(head[:40], (*WITH_NUMBERS, *WORDS))
