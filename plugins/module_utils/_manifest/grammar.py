# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest's grammar as a JSON Schema (draft 2020-12): fields, patterns, limits, and what each is for.

This is the one place where they are written. ``structure`` checks documents by it, ``docs/manifest.schema.json`` is it
for editors, and the guide's tables are compared with it. ``patternErrorMessage`` and ``errorMessage`` are what several
editors, and ``structure``, say instead of showing a pattern; other readers of JSON Schema ignore them.

What a schema can't say (two fields that must agree, numbers within text) is in ``schema`` and ``ranges``.
"""

from __future__ import annotations

from typing import Any

from .._common.fields import NAME
from .icmp import BEGINNING

MAX_GROUPS = 256
MAX_GROUP_MEMBERS = 1024
MAX_POLICIES = 2048
MAX_RULES = 1024  # in one list
MAX_TERMS = 256  # peers, or ports, of one rule
MAX_EXCEPTIONS = 64  # of one range
MAX_ROUTES = 256
MAX_TESTS = 1024

ANY = "any"
WITH_PORTS = ("tcp", "udp", "sctp")
COVERS = ("default", "hosts", "members")

_16_BITS = "(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_NO_ANY = "(?!any(?:/|$))"
_LEASE = f"{NAME}/{_16_BITS}"
_CIDR = r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}/[0-9]{1,2}|(?=[0-9a-f.]*:)[0-9a-f:.]{2,39}/[0-9]{1,3})"
_TYPES = "|".join(
    f"{protocol}(?:/(?:{'|'.join([*types, *map(str, types.values())])}))?" for protocol, types in BEGINNING.items()
)
_WITH_PORTS = f"(?:{'|'.join(WITH_PORTS)})"

_IS_NAME = "must be a name of 1 to 32 characters a-z, 0-9 and inner hyphens"
_IS_PEER = "must be any, a member, a lease (db/2), a group, a CIDR, or a map with range and except"
_IS_PORT = "must be tcp/443, udp/5000-5100, sctp/…, icmp, icmpv6 or any"
_RESERVED = {"not": {"const": ANY, "description": "reserved: it stands for every member"}}


def _text(pattern: str, error: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$", "patternErrorMessage": error, **more}


def _map(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": list(required)} if required else {}),
        **more,
    }


def _list(item: dict[str, Any], most: int, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": item, "maxItems": most, **more}


def _ref(name: str, **more: Any) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}", **more}


def _some(name: str, most: int, error: str, **more: Any) -> dict[str, Any]:
    """One, or a list of at least one: a rule about nobody is a mistake, not a rule."""
    return {"anyOf": [_ref(name), _list(_ref(name), most, minItems=1)], "errorMessage": error, **more}


_SECTIONS = {
    "groups": {
        "type": "object",
        "description": "Groups of members, by name: written once, and used as a peer.",
        "maxProperties": MAX_GROUPS,
        "propertyNames": _ref("name"),
        "additionalProperties": _list(
            _ref("name"), MAX_GROUP_MEMBERS, uniqueItems=True, description="Names of members of the network."
        ),
    },
    "members": {
        "type": "object",
        "description": "What each member may do, by its name; db/2 is the lease of group 2 of its deployment alone.",
        "maxProperties": MAX_POLICIES,
        "propertyNames": _ref("memberOrLease"),
        "additionalProperties": _ref("policy"),
    },
    "routes": _list(_ref("route"), MAX_ROUTES, description="Ranges outside the network that members carry traffic to."),
    "tests": _list(_ref("test"), MAX_TESTS, description="What must hold, or the manifest is refused."),
}

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Manifest of a network (akash.avpn)",
    "description": "Which members of a network may talk to which, and which carry traffic to ranges outside.",
    **_map(
        {
            **_SECTIONS,
            "staged": _ref(
                "staged",
                description="A whole manifest to try: never enforced; what it would drop of what passes is counted.",
            ),
        }
    ),
    "$defs": {
        "name": _text(NAME, _IS_NAME, **_RESERVED),
        "memberOrLease": _text(
            f"{_NO_ANY}(?:{NAME}|{_LEASE})", "must be a member, or a lease of one (db/2)", **_RESERVED
        ),
        "staged": _map(_SECTIONS),
        "policy": _map(
            {
                "ingress": _ref("rules", description="What it may receive."),
                "egress": _ref("rules", description="What it may send."),
            }
        ),
        "rules": _map(
            {
                "deny": _list(_ref("rule"), MAX_RULES, description="What is denied, whatever is allowed."),
                "allow": _list(_ref("rule"), MAX_RULES, description="What is allowed, as far as it isn't denied."),
            }
        ),
        "rule": _map(
            {
                "peers": _some("peer", MAX_TERMS, _IS_PEER, description="Who the other side is: one, or a list."),
                "ports": _some("port", MAX_TERMS, _IS_PORT, description="The receiver's ports: one, or a list."),
            },
            "peers",
            "ports",
        ),
        "peer": {
            "anyOf": [
                _text(
                    f"(?:{NAME}|{_NO_ANY}{_LEASE}|{_CIDR})", _IS_PEER, examples=["any", "web", "web/2", "100.64.5.0/24"]
                ),
                _ref("excepting"),
            ],
            "errorMessage": _IS_PEER,
        },
        "excepting": _map(
            {
                "range": _ref("range", description="Every address in this range …"),
                "except": _some(
                    "range",
                    MAX_EXCEPTIONS,
                    "must be a range, or a list of them",
                    description="… that isn't in one of these, which lie within it.",
                ),
            },
            "range",
            "except",
        ),
        "range": _text(_CIDR, "must be a range like 192.0.2.0/24 or 2001:db8::/64", examples=["192.0.2.0/24"]),
        "port": _text(
            f"(?:any|{_TYPES}|{_WITH_PORTS}/{_16_BITS}(?:-{_16_BITS})?)",
            _IS_PORT,
            examples=["tcp/443", "udp/5000-5100", "icmp", "icmp/echo-request", "any"],
        ),
        "onePort": _text(
            f"(?:{_TYPES}|{_WITH_PORTS}/{_16_BITS})",
            "must be one port, icmp or icmpv6, or a type of them",
            examples=["tcp/443"],
        ),
        "route": _map(
            {
                "range": _ref("range", description="What is reached."),
                "via": _ref("name", description="The member that carries the traffic."),
                "covers": _some(
                    "covers",
                    len(COVERS),
                    "must be default, hosts or members",
                    description="What the range may cover only if it says so: everything, hosts, members.",
                ),
            },
            "range",
            "via",
        ),
        "covers": {"type": "string", "enum": list(COVERS)},
        "test": _map(
            {
                "from": _ref("memberOrLease", description="The sender: a member, or a lease."),
                "to": _ref("memberOrLease", description="The receiver: a member, or a lease."),
                "port": _ref("onePort", description="One port of the receiver."),
                "expected": {
                    "type": "string",
                    "enum": ["allow", "deny"],
                    "description": "Whether such a connection passes.",
                },
            },
            "from",
            "to",
            "port",
            "expected",
        ),
    },
}
