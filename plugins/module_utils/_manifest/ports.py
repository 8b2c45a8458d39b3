# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From ``tcp/443`` and the like to a ``Port``, and what was probably meant by something else."""

from __future__ import annotations

import re
from typing import Any

from .._common.errors import InvalidInput
from . import icmp
from .grammar import ANY, WITH_PORTS
from .meant import meant
from .model import Port

_WORDS = (ANY, *icmp.BEGINNING)
# What people write for ports; names aren't taken, since what they stand for differs from system to system.
_SERVICES = {
    "http": "tcp/80",
    "https": "tcp/443",
    "ssh": "tcp/22",
    "smtp": "tcp/25",
    "dns": "[udp/53, tcp/53]",
    "ntp": "udp/123",
    "postgres": "tcp/5432",
    "postgresql": "tcp/5432",
    "mysql": "tcp/3306",
    "redis": "tcp/6379",
    "mongodb": "tcp/27017",
    "ping": "[icmp/echo-request, icmpv6/echo-request]",
    "*": ANY,
    "all": ANY,
}


def port(value: str, where: str) -> Port:
    """The port, range of ports, or type of ICMP that ``value`` names. It has the form that ``grammar`` says."""
    protocol, slash, rest = value.partition("/")
    if not slash:
        return Port(protocol)
    if protocol in icmp.BEGINNING:
        number = icmp.BEGINNING[protocol].get(rest) or int(rest)
        return Port(protocol, number, number)
    low, _hyphen, high = rest.partition("-")
    first, last = int(low), int(high or low)
    if first > last:
        raise InvalidInput(
            "is a range that ends before it starts", where=where, remedy=f"Write {protocol}/{last}-{first}"
        )
    return Port(protocol, first, last)


def explain(value: Any) -> tuple[str, str]:
    """What is wrong with something that is no port, where there is more to say than that, and the remedy."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536:
        return "", f"Write tcp/{value} or udp/{value}"
    if not isinstance(value, str):
        return "", ""
    text = value.strip().lower()[:40]
    head, slash, tail = text.partition("/")
    if head in icmp.BEGINNING and slash and tail:
        return _explain_type(head, tail, value)
    if re.fullmatch(f"(?:{'|'.join(WITH_PORTS)})/[0-9]{{1,12}}(?:-[0-9]{{1,12}})?", text, re.ASCII):
        return _explain_numbers(head, tail)
    if head in WITH_PORTS and tail in ("", "any", "*", "all"):
        return "", f"Write {head}/1-65535"
    return "", _meant(text, head)


def explain_one(value: Any) -> tuple[str, str]:
    """The same where one port is wanted: any and ranges of ports aren't."""
    ranged = isinstance(value, str) and re.fullmatch("(?:tcp|udp|sctp)/[0-9]{1,5}-[0-9]{1,5}", value, re.ASCII)
    if value == ANY or ranged:
        return "must be one port, icmp or icmpv6, or a type of them", ""
    return explain(value)


def _explain_type(protocol: str, tail: str, value: str) -> tuple[str, str]:
    if tail in icmp.BEGINNING[protocol]:
        return "", f"Write {protocol}/{tail}"
    what, remedy = icmp.why_not(protocol, tail)
    return (what, remedy) if value.isascii() else ("", remedy)


def _explain_numbers(protocol: str, tail: str) -> tuple[str, str]:
    numbers = [int(number) for number in tail.split("-")]
    if not all(1 <= number <= 65535 for number in numbers):
        return "holds a port outside 1 to 65535", ""
    return "", f"Write {protocol}/{'-'.join(map(str, numbers))}"


def _meant(text: str, head: str) -> str:
    if re.fullmatch("[0-9]{1,5}(-[0-9]{1,5})?", text, re.ASCII):
        return f"Write tcp/{text} or udp/{text}"
    swapped = re.fullmatch("([0-9]{1,5})/(tcp|udp|sctp)", text, re.ASCII)
    if swapped:
        return f"Write {swapped[2]}/{swapped[1]}"
    found = re.fullmatch("(tcp|udp|sctp)[ :=]+([0-9]{1,5}(?:-[0-9]{1,5})?)", text, re.ASCII)
    if found:
        return f"Write {found[1]}/{found[2]}"
    found = re.fullmatch("(?:tcp|udp|sctp)/([0-9]{1,5})([:,])([0-9]{1,5})", text, re.ASCII)
    if found:
        return (
            f"Write {head}/{found[1]}-{found[3]}"
            if found[2] == ":"
            else f"Write [{head}/{found[1]}, {head}/{found[3]}]"
        )
    if text in _SERVICES:
        return f"Write {_SERVICES[text]}"
    return meant(head, (*WITH_PORTS, *_WORDS))
