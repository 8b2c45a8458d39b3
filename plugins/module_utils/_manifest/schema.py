# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a plain document to a ``Manifest``, strictly.

The document, as a tenant writes it in YAML (every section may be missing, which means empty)::

    groups:
      backend: [api, db]              # names of members
    members:
      web:                            # a member, or one of its leases: web/2 (its deployment's group 2)
        ingress:
          deny:  [{peers: 198.51.100.0/24, ports: any}]
          allow: [{peers: any, ports: [tcp/80, tcp/443]}]
        egress:
          allow: [{peers: [backend, db/2], ports: [tcp/5432, udp/5000-5100, icmp]}]
    routes:
      - {range: 192.0.2.0/24, via: gateway}
    tests:
      - {from: web, to: db, port: tcp/5432, expected: allow}

A peer is ``any`` (every member), a member, a lease of a member, a group, or a CIDR in its usual form.
A port is ``any``, ``icmp``, ``icmpv6``, or ``tcp/``, ``udp/``, ``sctp/`` with a number or a range.
``peers`` and ``ports`` take one text or a list. A lease's entry replaces its member's whole entry.

Every error is an InvalidInput whose ``where`` is the dotted name of the field (``members.web.ingress.allow.0.ports.1``)
and whose ``remedy`` says what was probably meant.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from .._common.errors import InvalidInput
from . import names, ports, ranges
from .coverage import LEAST_PREFIX, check_routes, is_default, wanted
from .grammar import ANY, SCHEMA
from .meant import meant
from .model import (
    AnyMember,
    GroupPeer,
    Manifest,
    MemberPeer,
    Peer,
    Policy,
    PolicyTest,
    Range,
    RangePeer,
    Route,
    Rule,
    Rules,
)
from .structure import Structure

MAX_COMBINATIONS = 1000  # of groups that some member is in; the firewall has ten bits for them

T = TypeVar("T")


@lru_cache(maxsize=1)
def _structure() -> Structure:
    return Structure(
        SCHEMA,
        {
            "name": names.explain,
            "memberOrLease": names.explain_lease,
            "peer": names.explain_peer,
            "range": ranges.explain,
            "port": ports.explain,
            "onePort": ports.explain_one,
        },
    )


def parse(document: Any) -> Manifest:
    """The manifest that ``document`` (dicts, lists and text, as JSON or YAML give them) says."""
    _structure().check(document)
    staged = None
    if "staged" in document:
        with within("staged"):
            staged = _contents(document["staged"])
    return replace(_contents(document), staged=staged)


def _contents(root: Mapping[str, Any]) -> Manifest:
    """From here on the document has the structure that the grammar says; what it can't say is checked."""
    groups = {name: tuple(members) for name, members in root.get("groups", {}).items()}
    combinations = _combinations(groups)
    if combinations > MAX_COMBINATIONS:
        raise InvalidInput(
            f"put members into {combinations} different combinations of groups, at most {MAX_COMBINATIONS} are allowed",
            where="groups",
        )
    policies = {}
    for key, value in root.get("members", {}).items():
        where = f"members.{key}"
        if key in groups:
            raise InvalidInput("is the name of a group as well", where=where, remedy="Rename one of them")
        policies[key] = Policy(
            ingress=_rules(value.get("ingress", {}), f"{where}.ingress", groups),
            egress=_rules(value.get("egress", {}), f"{where}.egress", groups),
        )
    routes = tuple(_route(value, f"routes.{index}") for index, value in enumerate(root.get("routes", [])))
    seen: dict[Range, int] = {}
    for index, route in enumerate(routes):
        if route.range in seen:
            raise InvalidInput(f"is the range of routes.{seen[route.range]} again", where=f"routes.{index}.range")
        seen[route.range] = index
    tests = tuple(_test(value, f"tests.{index}") for index, value in enumerate(root.get("tests", [])))
    return Manifest(groups=groups, policies=policies, routes=routes, tests=tests)


def _rules(value: Mapping[str, Any], where: str, groups: Mapping[str, tuple[str, ...]]) -> Rules:
    def peer(item: Any, at: str) -> Peer:
        return _peer(item, at, groups)

    def listed(verdict: str) -> tuple[Rule, ...]:
        return tuple(
            Rule(
                _some(rule["peers"], f"{where}.{verdict}.{number}.peers", peer),
                _some(rule["ports"], f"{where}.{verdict}.{number}.ports", ports.port),
            )
            for number, rule in enumerate(value.get(verdict, []))
        )

    return Rules(deny=listed("deny"), allow=listed("allow"))


def _some(value: Any, where: str, parse_one: Callable[[Any, str], T]) -> tuple[T, ...]:
    """One, or a list."""
    if not isinstance(value, list):
        return (parse_one(value, where),)
    return tuple(parse_one(item, f"{where}.{index}") for index, item in enumerate(value))


def _peer(value: Any, where: str, groups: Mapping[str, tuple[str, ...]]) -> Peer:
    if isinstance(value, dict):
        network = ranges.cidr(value["range"], f"{where}.range")
        excepted = _some(value["except"], f"{where}.except", ranges.cidr)
        listed = isinstance(value["except"], list)
        return ranges.excepting(network, excepted, f"{where}.except", listed=listed)
    if value == ANY:
        return AnyMember()
    if ":" in value or "." in value:
        return RangePeer(ranges.cidr(value, where))
    return GroupPeer(value) if value in groups else names.lease_or_member(value)


def _route(value: Mapping[str, Any], where: str) -> Route:
    network = ranges.cidr(value["range"], f"{where}.range")
    covers = frozenset([value["covers"]] if isinstance(value.get("covers"), str) else value.get("covers", ()))
    if network.is_loopback or network.is_link_local or network.is_multicast or network.is_unspecified:
        raise InvalidInput("is a range that is never routed", where=f"{where}.range")
    route = Route(network, value["via"], covers)
    if is_default(network) and "default" not in covers:
        least = LEAST_PREFIX[network.version]
        what = "is the default route" if network.prefixlen == 0 else f"is wider than /{least}, and so a default route"
        remedy = f"If it is meant to be, write '{wanted(route, 'default')}'"
        raise InvalidInput(what, where=f"{where}.range", remedy=remedy)
    return route


def _test(value: Mapping[str, Any], where: str) -> PolicyTest:
    return PolicyTest(
        names.lease_or_member(value["from"]),
        names.lease_or_member(value["to"]),
        ports.port(value["port"], f"{where}.port"),
        value["expected"] == "allow",
    )


def _combinations(groups: Mapping[str, tuple[str, ...]]) -> int:
    belongs: dict[str, list[str]] = {}
    for group, members in groups.items():
        for member in members:
            belongs.setdefault(member, []).append(group)
    return len({tuple(sorted(listed)) for listed in belongs.values()})


@contextlib.contextmanager
def within(section: str) -> Iterator[None]:
    """Errors in a part of a document name their field from the document's root."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(error.what, where=f"{section}.{error.where}", remedy=error.remedy) from error


def check_members(
    manifest: Manifest,
    members: Iterable[str],
    ranges: Iterable[Range] = (),
) -> None:
    """Check what the document alone can't tell: every named member is one of ``members`` (of the network's record),
    no group is called like a member, and no route touches the network's own ``ranges`` without saying so."""
    known = set(members)
    check_routes(manifest, ranges, {})
    if manifest.staged is not None:
        with within("staged"):
            check_members(manifest.staged, known)
    if ANY in known:
        raise InvalidInput("'any' can't be the name of a member: it stands for every member", where="record.members")
    for group, listed_members in manifest.groups.items():
        if group in known:
            raise InvalidInput("is the name of a member as well", where=f"groups.{group}", remedy="Rename the group")
        for index, name in enumerate(listed_members):
            _known(name, known, f"groups.{group}.{index}", manifest.groups)
    for key, policy in manifest.policies.items():
        _known(key.partition("/")[0], known, f"members.{key}", manifest.groups)
        for side, rules in (("ingress", policy.ingress), ("egress", policy.egress)):
            for verdict, listed in (("deny", rules.deny), ("allow", rules.allow)):
                for number, rule in enumerate(listed):
                    for index, peer in enumerate(rule.peers):
                        if isinstance(peer, MemberPeer):
                            where = f"members.{key}.{side}.{verdict}.{number}.peers.{index}"
                            _known(peer.member, known | set(manifest.groups), where)
    for number, route in enumerate(manifest.routes):
        _known(route.via, known, f"routes.{number}.via", manifest.groups)
    for number, test in enumerate(manifest.tests):
        _known(test.source.member, known, f"tests.{number}.from", manifest.groups)
        _known(test.target.member, known, f"tests.{number}.to", manifest.groups)


def _known(name: str, known: set[str], where: str, groups: Iterable[str] = ()) -> None:
    if name in known:
        return
    remedy = meant(name, known)
    if name in groups:
        remedy = "It is a group: name its members one by one"
    elif name in ("ingress", "egress") and where.startswith("members."):
        remedy = "It belongs under a member: look at how far it is indented"
    raise InvalidInput(f"'{name}' is not a member of the network", where=where, remedy=remedy)
