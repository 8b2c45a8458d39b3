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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .._common.errors import InvalidInput
from .._manifest.model import RangePeer, Rule
from .boxes import Span, disjoint, port_boxes, subtract
from .classes import Classes, written
from .portline import PROTOCOLS, port_span
from .remainders import spans_of
from .ruleset import Set, room

MAX_ELEMENTS = 200_000  # of all rules together: beyond, a manifest is refused rather than a host exhausted
_MAX_PAIRS = 5 * MAX_ELEMENTS  # of classes and ports in one list, before they are united

_LEAST = 16  # elements in a hash that there is room for
_FEW = 4  # classes that a rule's peer is written out as
_ERRORS = ("icmp", "icmpv6")  # protocols of errors about flows
_NOBODY = "meta priority 0:0 "  # before sets of ranges where no endpoint is: endpoints needn't be looked up in them
_PORTLESS = " ".join(f"meta l4proto != {protocol}" for protocol in PROTOCOLS)
Box = tuple[Span, Span, Span]  # peers, protocols, ports
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
    exact, others = _exact(disjoint(by_class), classes)
    made = {}
    if exact.elements:
        # A hash costs less than intervals, and most rules are about a member's one lease and one port: asked first.
        # The kernel's plainest hash has a size that can't change; so a set that grows beyond it is another set.
        size = room(len(exact.elements), _LEAST)
        kind = f"type classid . inet_proto . inet_service; size {size};"
        made[f"{name}_exact{size}"] = _matched(f"{name}_exact{size}", "meta priority", kind, exact, _ERRORS)
    made.update(_intervals(name, "meta priority", "classid", others, written, _ERRORS))
    for version, ip, write, error in ((4, "ip", _ipv4, "icmp"), (6, "ip6", _ipv6, "icmpv6")):
        key, kind = f"ct original {ip} {address}", f"ipv{version}_addr"
        boxes = list(_boxes(disjoint(by_address[version])))
        for suffix, first, occupied in ((f"{version}", "", True), (f"{version}_outside", _NOBODY, False)):
            chosen = [box for box in boxes if classes.occupied(version, box[0]) is occupied]
            made.update(_intervals(f"{name}{suffix}", key, kind, chosen, write, (error,), first))
    return made


def _intervals(
    name: str,
    key: str,
    kind: str,
    boxes: Iterable[Box],
    write: Callable[[int], str],
    errors: tuple[str, ...],
    first: str = "",
) -> dict[str, Matched]:
    """Up to two sets of intervals: of flows with ports, and of the rest. ``first``: what is asked before."""
    flows, portless = _Elements(), {}
    for peer, protocols, ports in boxes:
        # Protocols or ports are always written as a range: without any range in an element, nft 1.0.6 has a class's
        # bytes in another order when it deletes than when it adds.
        other = _span(peer, write)
        flows.add(f"{other} . {_span(protocols)} . {ports[0]}-{ports[1]}", protocols)
        for low, high in subtract((protocols,), _WITH_PORTS):
            portless[f"{other} . {low}-{high}"] = ""
    made = {}
    if flows.elements:
        full = f"type {kind} . inet_proto . inet_service; flags interval;"
        made[name] = _matched(name, key, full, flows, errors, first)
    if portless:
        made[f"{name}_portless"] = Matched(
            (f"{first}{_PORTLESS} {key} . ct original protocol @{name}_portless",),
            Set("set", f"type {kind} . inet_proto; flags interval;", portless),
        )
    return made


class _Elements:
    """Elements of a set, and the numbers of the protocols in them."""

    def __init__(self) -> None:
        self.elements: dict[str, str] = {}
        self.protocols: set[int] = set()

    def add(self, element: str, protocols: Span) -> None:
        self.elements[element] = ""
        self.protocols.update(range(protocols[0], protocols[1] + 1))


def _matched(name: str, key: str, kind: str, found: _Elements, errors: tuple[str, ...], first: str = "") -> Matched:
    named = [protocol for protocol, number in PROTOCOLS.items() if number in found.protocols]
    named += [protocol for protocol in errors if protocol not in named]
    flow = f"{key} . ct original protocol . ct original proto-dst @{name}"
    lookups = tuple(f"{first}meta l4proto {protocol} {flow}" for protocol in named)
    return Matched(lookups, Set("set", kind, found.elements))


def _boxes(wanted: Iterable[tuple[Span, tuple[Span, ...]]]) -> Iterator[Box]:
    for peer, spans in wanted:
        for span in spans:
            for protocols, ports in port_boxes(span):
                yield peer, protocols, ports


def _exact(wanted: Iterable[tuple[Span, tuple[Span, ...]]], classes: Classes) -> tuple[_Elements, list[Box]]:
    """What is about few classes and single ports, by each class; and the rest."""
    exact, rest = _Elements(), []
    for peer, protocols, ports in _boxes(wanted):
        single = protocols[0] == protocols[1] and ports[0] == ports[1]
        few = classes.within(peer) if single else []
        if 0 < len(few) <= _FEW:
            for number in few:
                exact.add(f"{written(number)} . {protocols[0]} . {ports[0]}", protocols)
        else:
            rest.append((peer, protocols, ports))
    return exact, rest


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
