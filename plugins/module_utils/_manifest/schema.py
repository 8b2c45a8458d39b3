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
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from .._common import fields
from .._common.errors import InvalidInput
from .coverage import LEAST_PREFIX, check_routes, is_default, wanted
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
from .ports import port as parse_port
from .ranges import cidr, excepting

MAX_GROUPS = 256
MAX_GROUP_MEMBERS = 1024
MAX_POLICIES = 2048
MAX_RULES = 1024  # in one list
MAX_TERMS = 256  # peers, or ports, of one rule
MAX_EXCEPTIONS = 64  # of one range
MAX_ROUTES = 256
MAX_TESTS = 1024
MAX_GSEQ = 65_535
MAX_COMBINATIONS = 1000  # of groups that some member is in; the firewall has ten bits for them

ANY = "any"
COVERS = ("default", "hosts", "members")
_SECTIONS = ("groups", "members", "routes", "tests")
_LEASE = re.compile(r"([a-z0-9-]{1,32})/([1-9][0-9]{0,4})", re.ASCII)

T = TypeVar("T")


def parse(document: Any) -> Manifest:
    """The manifest that ``document`` (dicts, lists and text, as JSON or YAML give them) says."""
    root = _fields(document, "", (), (*_SECTIONS, "staged"))
    staged = None
    if "staged" in root:
        _fields(root["staged"], "staged", (), _SECTIONS)
        with within("staged"):
            staged = _contents(root["staged"])
    return replace(_contents(root), staged=staged)


def _contents(root: Mapping[str, Any]) -> Manifest:
    groups = fields.mapping(root.get("groups", {}), "groups", _group_name, _group_members, most=MAX_GROUPS)
    combinations = _combinations(groups)
    if combinations > MAX_COMBINATIONS:
        raise InvalidInput(
            f"put members into {combinations} different combinations of groups, at most {MAX_COMBINATIONS} are allowed",
            where="groups",
        )

    def policy(value: Any, where: str) -> Policy:
        return _policy(value, where, groups)

    policies = fields.mapping(root.get("members", {}), "members", _policy_key, policy, most=MAX_POLICIES)
    for key in policies:
        if key in groups:
            raise InvalidInput("is the name of a group as well", where=f"members.{key}", remedy="Rename one of them")
    routes = tuple(fields.items(root.get("routes", []), "routes", _route, most=MAX_ROUTES))
    seen: dict[Range, int] = {}
    for index, route in enumerate(routes):
        if route.range in seen:
            raise InvalidInput(f"is the range of routes.{seen[route.range]} again", where=f"routes.{index}.range")
        seen[route.range] = index
    tests = tuple(fields.items(root.get("tests", []), "tests", _test, most=MAX_TESTS))
    return Manifest(groups=groups, policies=policies, routes=routes, tests=tests)


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
    for group, names in manifest.groups.items():
        if group in known:
            raise InvalidInput("is the name of a member as well", where=f"groups.{group}", remedy="Rename the group")
        for index, name in enumerate(names):
            _known(name, known, f"groups.{group}.{index}")
    for key, policy in manifest.policies.items():
        _known(key.partition("/")[0], known, f"members.{key}")
        for side, rules in (("ingress", policy.ingress), ("egress", policy.egress)):
            for verdict, listed in (("deny", rules.deny), ("allow", rules.allow)):
                for number, rule in enumerate(listed):
                    for index, peer in enumerate(rule.peers):
                        if isinstance(peer, MemberPeer):
                            where = f"members.{key}.{side}.{verdict}.{number}.peers.{index}"
                            _known(peer.member, known | set(manifest.groups), where)
    for number, route in enumerate(manifest.routes):
        _known(route.via, known, f"routes.{number}.via")
    for number, test in enumerate(manifest.tests):
        _known(test.source.member, known, f"tests.{number}.from")
        _known(test.target.member, known, f"tests.{number}.to")


def _known(name: str, known: set[str], where: str) -> None:
    if name not in known:
        raise InvalidInput(f"'{name}' is not a member of the network", where=where, remedy=meant(name, known))


def _combinations(groups: Mapping[str, tuple[str, ...]]) -> int:
    belongs: dict[str, list[str]] = {}
    for group, names in groups.items():
        for name in names:
            belongs.setdefault(name, []).append(group)
    return len({tuple(sorted(listed)) for listed in belongs.values()})


def _group_name(value: Any, where: str) -> str:
    if value == ANY:
        raise InvalidInput("'any' is reserved: it stands for every member", where=where)
    return fields.name(value, where)


def _group_members(value: Any, where: str) -> tuple[str, ...]:
    names = tuple(fields.items(value, where, _member_name, most=MAX_GROUP_MEMBERS))
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InvalidInput(f"'{name}' is there twice", where=f"{where}.{index}")
    return names


def _member_name(value: Any, where: str) -> str:
    if value == ANY:
        raise InvalidInput("'any' is reserved: it stands for every member", where=where)
    return fields.name(value, where)


def _policy_key(value: Any, where: str) -> str:
    if isinstance(value, str) and "/" in value:
        return str_of(_lease(value, where))
    return _member_name(value, where)


def str_of(peer: MemberPeer) -> str:
    """``web`` or ``db/2``."""
    return peer.member if peer.gseq is None else f"{peer.member}/{peer.gseq}"


def _lease(value: str, where: str) -> MemberPeer:
    found = _LEASE.fullmatch(value)
    if found is None or int(found[2]) > MAX_GSEQ:
        raise InvalidInput(
            f"must be a member and the number of a group of its deployment (db/2), not '{fields.printable(value)}'",
            where=where,
        )
    return MemberPeer(_member_name(found[1], where), int(found[2]))


def _policy(value: Any, where: str, groups: Mapping[str, tuple[str, ...]]) -> Policy:
    sides = _fields(value, where, (), ("ingress", "egress"))

    def rules(side: str) -> Rules:
        lists = _fields(sides.get(side, {}), f"{where}.{side}", (), ("deny", "allow"))

        def rule(item: Any, at: str) -> Rule:
            given = _fields(item, at, ("peers", "ports"), ())
            return Rule(
                _some(given["peers"], f"{at}.peers", lambda peer, there: _peer(peer, there, groups)),
                _some(given["ports"], f"{at}.ports", parse_port),
            )

        def listed(verdict: str) -> tuple[Rule, ...]:
            return tuple(fields.items(lists.get(verdict, []), f"{where}.{side}.{verdict}", rule, most=MAX_RULES))

        return Rules(deny=listed("deny"), allow=listed("allow"))

    return Policy(ingress=rules("ingress"), egress=rules("egress"))


def _some(value: Any, where: str, parse_one: Callable[[Any, str], T], *, most: int = MAX_TERMS) -> tuple[T, ...]:
    """One item, or a list of at least one: a rule about nobody is a mistake, not a rule."""
    if not isinstance(value, list):
        return (parse_one(value, where),)
    if value == []:
        raise InvalidInput("is empty", where=where, remedy="Name at least one, or remove the rule")
    return tuple(fields.items(value, where, parse_one, most=most))


def _peer(value: Any, where: str, groups: Mapping[str, tuple[str, ...]]) -> Peer:
    if isinstance(value, dict):
        given = _fields(value, where, ("range", "except"), ())
        network = cidr(given["range"], f"{where}.range")
        excepted = _some(given["except"], f"{where}.except", cidr, most=MAX_EXCEPTIONS)
        return excepting(network, excepted, f"{where}.except")
    if not isinstance(value, str):
        raise InvalidInput(
            f"must be any, a member, a lease (db/2), a group or a CIDR, not {fields.kind(value)}", where=where
        )
    if value == ANY:
        return AnyMember()
    if ":" in value or "." in value:
        return RangePeer(cidr(value, where))
    if "/" in value:
        return _lease(value, where)
    name = fields.name(value, where)
    return GroupPeer(name) if name in groups else MemberPeer(name)


def _route(value: Any, where: str) -> Route:
    given = _fields(value, where, ("range", "via"), ("covers",))
    network = cidr(given["range"], f"{where}.range")
    covers = frozenset(_some(given["covers"], f"{where}.covers", _cover) if "covers" in given else ())
    if network.is_loopback or network.is_link_local or network.is_multicast or network.is_unspecified:
        raise InvalidInput("is a range that is never routed", where=f"{where}.range")
    route = Route(network, _member_name(given["via"], f"{where}.via"), covers)
    if is_default(network) and "default" not in covers:
        least = LEAST_PREFIX[network.version]
        what = "is the default route" if network.prefixlen == 0 else f"is wider than /{least}, and so a default route"
        remedy = f"If it is meant to be, write '{wanted(route, 'default')}'"
        raise InvalidInput(what, where=f"{where}.range", remedy=remedy)
    return route


def _cover(value: Any, where: str) -> str:
    if value not in COVERS:
        shown = f"'{fields.printable(value)}'" if isinstance(value, str) else fields.kind(value)
        remedy = meant(value[:40], COVERS) if isinstance(value, str) else ""
        raise InvalidInput(f"must be default, hosts or members, not {shown}", where=where, remedy=remedy)
    return str(value)


def _test(value: Any, where: str) -> PolicyTest:
    given = _fields(value, where, ("from", "to", "port", "expected"), ())
    port = parse_port(given["port"], f"{where}.port")
    if port.protocol == ANY or port.first != port.last:
        raise InvalidInput("must be one port, icmp or icmpv6, or a type of them", where=f"{where}.port")
    if given["expected"] not in ("allow", "deny"):
        raise InvalidInput("must be allow or deny", where=f"{where}.expected")
    return PolicyTest(
        _test_end(given["from"], f"{where}.from"),
        _test_end(given["to"], f"{where}.to"),
        port,
        given["expected"] == "allow",
    )


def _test_end(value: Any, where: str) -> MemberPeer:
    if isinstance(value, str) and "/" in value:
        return _lease(value, where)
    return MemberPeer(_member_name(value, where))


def _fields(value: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    """An object with these fields; for an unknown one the error says which was probably meant."""
    names = (*required, *optional)
    if not isinstance(value, dict):
        raise InvalidInput(f"must be an object, not {fields.kind(value)}", where=where or "manifest")
    for key in value:
        if key not in names:
            place = f"{where}.{fields.printable(key)}" if where else fields.printable(key)
            remedy = meant(key[:40], names) if isinstance(key, str) else ""
            raise InvalidInput("is not a known field", where=place, remedy=remedy or f"Known: {', '.join(names)}")
    return fields.obj(value, where, required=set(required), optional=set(optional))
