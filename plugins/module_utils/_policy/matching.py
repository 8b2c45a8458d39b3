# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One list of rules as sets, and the words that look a flow up in them. Pure.

nft 1.0.6 knows the type of a connection's port only in a rule that has named a transport protocol. A rule that names
them all in braces would do, but braces make a set of their own, and both nft and the kernel go through all sets of a
table one after another for each of them: with a thousand lists that took seconds. So there is a rule for each
protocol that has ports, and one, without ports, for the rest. (The packet's own protocol isn't always its flow's: that
of a related error is ICMP. The sets hold the flow's.)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .._common.errors import InvalidInput
from .._manifest.model import RangePeer, Rule
from .boxes import Span, disjoint, port_boxes, subtract
from .classes import Classes, written
from .portline import PROTOCOLS, port_span
from .remainders import spans_of
from .ruleset import Set

MAX_ELEMENTS = 200_000  # of all rules together: beyond, a manifest is refused rather than a host exhausted
_MAX_PAIRS = 5 * MAX_ELEMENTS  # of classes and ports in one list, before they are united

_ERRORS = {"4": ("icmp",), "6": ("icmpv6",), "": ("icmp", "icmpv6")}  # protocols of errors, by a set's suffix
_PORTLESS = " ".join(f"meta l4proto != {protocol}" for protocol in PROTOCOLS)
_WITH_PORTS = tuple((number, number) for number in sorted(PROTOCOLS.values()))


@dataclass(frozen=True)
class Matched:
    """A set, and what looks a flow up in it: as many rules as ``lookups``, of which each flow meets one."""

    lookups: tuple[str, ...]
    set: Set


def too_large() -> InvalidInput:
    return InvalidInput(
        f"makes more than {MAX_ELEMENTS} elements of firewall rules for the network's endpoints",
        where="manifest",
        remedy="Use ranges of ports, and members in fewer combinations of groups",
    )


def matches(name: str, rules: Iterable[Rule], classes: Classes, address: str) -> dict[str, Matched]:
    """The sets of one list of rules by name, which begins with ``name``: by the other end's class, IPv4 address, IPv6
    address (``address``: saddr or daddr). Sets that would be empty aren't made."""
    by_class, by_address = _wanted(rules, classes)
    made = {}
    for suffix, kind, key, wanted, write in (
        ("", "classid", "meta priority", by_class, written),
        ("4", "ipv4_addr", f"ct original ip {address}", by_address[4], _ipv4),
        ("6", "ipv6_addr", f"ct original ip6 {address}", by_address[6], _ipv6),
    ):
        # Protocols or ports are always written as a range: without any range in an element, nft 1.0.6 has a class's
        # bytes in another order when it deletes than when it adds.
        elements: dict[str, str] = {}
        portless: dict[str, str] = {}
        seen: set[int] = set()
        for peer, spans in disjoint(wanted):
            other = _span(peer, write)
            for span in spans:
                for protocols, ports in port_boxes(span):
                    elements[f"{other} . {_span(protocols)} . {ports[0]}-{ports[1]}"] = ""
                    seen.update(range(protocols[0], protocols[1] + 1))
                    for first, last in subtract((protocols,), _WITH_PORTS):
                        portless[f"{other} . {first}-{last}"] = ""
        if elements:
            named = [protocol for protocol, number in PROTOCOLS.items() if number in seen]
            named += [protocol for protocol in _ERRORS[suffix] if protocol not in named]
            flow = f"{key} . ct original protocol . ct original proto-dst @{name}{suffix}"
            made[f"{name}{suffix}"] = Matched(
                tuple(f"meta l4proto {protocol} {flow}" for protocol in named),
                Set("set", f"type {kind} . inet_proto . inet_service; flags interval;", elements),
            )
        if portless:
            made[f"{name}{suffix}_portless"] = Matched(
                (f"{_PORTLESS} {key} . ct original protocol @{name}{suffix}_portless",),
                Set("set", f"type {kind} . inet_proto; flags interval;", portless),
            )
    return made


def _wanted(
    rules: Iterable[Rule], classes: Classes
) -> tuple[dict[Span, list[Span]], Mapping[int, dict[Span, list[Span]]]]:
    """Which ports the rules name for which classes, and for which addresses by version."""
    pairs = 0
    by_class: dict[Span, list[Span]] = {}
    by_address: dict[int, dict[Span, list[Span]]] = {4: {}, 6: {}}
    for rule in rules:
        ports = [port_span(port) for port in rule.ports]
        for peer in rule.peers:
            if isinstance(peer, RangePeer):
                for span in spans_of(peer):
                    by_address[peer.range.version].setdefault(span, []).extend(ports)
            else:
                for span in classes.spans(peer):
                    by_class.setdefault(span, []).extend(ports)
                    pairs += len(ports)
        if pairs > _MAX_PAIRS:
            raise too_large()
    return by_class, by_address


def _ipv4(number: int) -> str:
    return str(ipaddress.IPv4Address(number))


def _ipv6(number: int) -> str:
    return str(ipaddress.IPv6Address(number))


def _span(span: Span, write: Callable[[int], str] = str) -> str:
    first, last = span
    return write(first) if first == last else f"{write(first)}-{write(last)}"
