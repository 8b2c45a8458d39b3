# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest's grammar: what is accepted, and how what isn't is refused."""

from __future__ import annotations

import copy
import ipaddress
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._manifest import content, grammar, schema
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import (
    AnyMember,
    GroupPeer,
    Manifest,
    MemberPeer,
    PolicyTest,
    Port,
    RangePeer,
    Route,
)

GOOD: dict[str, Any] = {
    "groups": {"backend": ["api", "db"]},
    "members": {
        "web": {
            "ingress": {
                "deny": [{"peers": "198.51.100.0/24", "ports": "any"}],
                "allow": [{"peers": ["any"], "ports": ["tcp/80", "tcp/443"]}],
            },
            "egress": {"allow": [{"peers": ["backend", "db/2", "2001:db8::/64"], "ports": ["udp/5000-5100", "icmp"]}]},
        },
        "db/2": {"ingress": {"allow": [{"peers": "web", "ports": "sctp/9"}]}},
    },
    "routes": [{"range": "192.0.2.0/24", "via": "gateway"}],
    "tests": [{"from": "web", "to": "db/2", "port": "icmpv6", "expected": "deny"}],
}
MEMBERS = ("web", "api", "db", "gateway")


def test_everything_is_understood() -> None:
    manifest = schema.parse(GOOD)
    web = manifest.policies["web"]
    assert manifest.groups == {"backend": ("api", "db")}
    assert web.ingress.deny[0].peers == (RangePeer(ipaddress.ip_network("198.51.100.0/24")),)
    assert web.ingress.deny[0].ports == (Port("any"),)
    assert web.ingress.allow[0].peers == (AnyMember(),)
    assert web.ingress.allow[0].ports == (Port("tcp", 80, 80), Port("tcp", 443, 443))
    assert web.egress.allow[0].peers == (
        GroupPeer("backend"),
        MemberPeer("db", 2),
        RangePeer(ipaddress.ip_network("2001:db8::/64")),
    )
    assert web.egress.allow[0].ports == (Port("udp", 5000, 5100), Port("icmp"))
    assert manifest.policies["db/2"].ingress.allow[0].ports == (Port("sctp", 9, 9),)
    assert manifest.routes == (Route(ipaddress.ip_network("192.0.2.0/24"), "gateway"),)
    assert manifest.tests == (PolicyTest(MemberPeer("web"), MemberPeer("db", 2), Port("icmpv6"), False),)
    schema.check_members(manifest, MEMBERS)


def test_what_has_been_added_since_is_understood() -> None:
    """Types of ICMP, exceptions, what a route covers, and what is staged."""
    document = {
        "members": {
            "web": {
                "egress": {
                    "allow": [
                        {
                            "peers": {"range": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.1.5.0/24"]},
                            "ports": ["icmp/echo-request", "icmp/13", "icmpv6/128"],
                        }
                    ]
                }
            }
        },
        "routes": [
            {"range": "0.0.0.0/0", "via": "web", "covers": ["default", "hosts"]},
            {"range": "100.64.0.0/10", "via": "db", "covers": "members"},
        ],
        "tests": [{"from": "web", "to": "db", "port": "icmp/8", "expected": "deny"}],
    }
    manifest = schema.parse({**document, "staged": document})
    rule = manifest.policies["web"].egress.allow[0]
    assert rule.peers == (
        RangePeer(
            ipaddress.ip_network("10.0.0.0/8"),
            (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("10.1.5.0/24")),
        ),
    )
    assert rule.ports == (Port("icmp", 8, 8), Port("icmp", 13, 13), Port("icmpv6", 128, 128))
    assert [route.covers for route in manifest.routes] == [{"default", "hosts"}, {"members"}]
    assert manifest.tests[0].port == Port("icmp", 8, 8)
    assert manifest.staged == schema.parse(document)
    schema.check_members(manifest, MEMBERS, (ipaddress.ip_network("100.64.0.0/20"),))


def test_missing_and_empty_are_the_same() -> None:
    assert schema.parse({}) == schema.parse({"groups": {}, "members": {}, "routes": [], "tests": []}) == Manifest()
    assert schema.parse({"members": {"web": {}}}) == schema.parse(
        {"members": {"web": {"ingress": {"deny": [], "allow": []}, "egress": {}}}}
    )


def replaced(path: str, value: Any) -> dict[str, Any]:
    """GOOD with another value at a dotted place; a place that ends with ``=`` replaces the key instead."""
    document = copy.deepcopy(GOOD)
    *steps, last = path.removesuffix("=").split(".")
    place: Any = document
    for step in steps:
        place = place[int(step)] if isinstance(place, list) else place[step]
    key = int(last) if isinstance(place, list) else last
    if path.endswith("="):
        place[value] = place.pop(key)
    else:
        place[key] = value
    return document


HOSTILE = [
    "web\n",
    "web\ncommand=id",
    'web" drop; add rule inet avpn forward accept #',
    "web; flush ruleset",
    "$(reboot)",
    "`id`",
    "../../etc/passwd",
    "web}",
    "@class4",
    "web\x00",
    "wéb",
    "Web",
    "-web",
    "",
    "w" * 33,
    "w" * 100_000,
    "{{ lookup('pipe', 'id') }}",
    "127.0.0.1\nserver=1.1.1.1",
    None,
    True,
    7,
    1.5,
    [["web"]],
    {"web": "web"},
]

# Every place where text goes, and the field that its error has to name.
PLACES = {
    "groups.backend.0": "groups.backend.0",
    "members.web.ingress.deny.0.peers": "members.web.ingress.deny.0.peers",
    "members.web.ingress.allow.0.peers.0": "members.web.ingress.allow.0.peers.0",
    "members.web.egress.allow.0.peers.1": "members.web.egress.allow.0.peers.1",
    "members.web.egress.allow.0.ports": "members.web.egress.allow.0.ports",
    "members.web.egress.allow.0.ports.0": "members.web.egress.allow.0.ports.0",
    "members.db/2.ingress.allow.0.ports": "members.db/2.ingress.allow.0.ports",
    "routes.0.range": "routes.0.range",
    "routes.0.via": "routes.0.via",
    "tests.0.from": "tests.0.from",
    "tests.0.to": "tests.0.to",
    "tests.0.port": "tests.0.port",
    "tests.0.expected": "tests.0.expected",
}
LISTS = ("members.web.ingress.deny.0.peers", "members.web.egress.allow.0.ports", "members.db/2.ingress.allow.0.ports")


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:30])
@pytest.mark.parametrize("place", PLACES)
def test_hostile_text_is_refused_by_field_name(place: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        content.check(replaced(place, value))
    # Where a list is allowed, its item is what's wrong.
    item = ".0" if isinstance(value, list) and place in LISTS else ""
    # A peer may be a map, whose field is what's wrong.
    item += ".web" if isinstance(value, dict) and ".peers" in place else ""
    assert refused.value.where == PLACES[place] + item
    assert len(str(refused.value)) < 500
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "value", [text for text in HOSTILE if isinstance(text, str)], ids=lambda value: repr(value)[:30]
)
@pytest.mark.parametrize(
    "place", ["groups.backend=", "members.web=", "members.web.ingress=", "routes.0.via=", "tests.0.from=", "groups="]
)
def test_hostile_names_are_refused_by_field_name(place: str, value: str) -> None:
    parent = place.removesuffix("=").rpartition(".")[0]
    with pytest.raises(InvalidInput) as refused:
        content.check(replaced(place, value))
    assert refused.value.where.startswith(parent)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "place",
    [
        "",
        "groups",
        "members",
        "members.web",
        "members.web.ingress",
        "routes",
        "tests",
        "members.web.ingress.allow",
        "members.web.ingress.allow.0",
        "routes.0",
        "tests.0",
    ],
)
@pytest.mark.parametrize("value", [None, True, 5, "text", [5], [[]]], ids=repr)
def test_wrong_types_are_refused_by_field_name(place: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        content.check(replaced(place, value) if place else value)
    assert refused.value.where.startswith(place or "manifest")


@pytest.mark.parametrize(
    ("document", "where", "message"),
    [
        ({"member": {}}, "member", "Did you mean 'members'?"),
        ({"members": {"web": {"ingres": {}}}}, "members.web.ingres", "Did you mean 'ingress'?"),
        ({"members": {"web": {"egress": {"allows": []}}}}, "members.web.egress.allows", "Did you mean 'allow'?"),
        ({"tests": [{"form": "web"}]}, "tests.0.form", "Did you mean 'from'?"),
        ({"zzz": 1}, "zzz", "Known: groups, members, routes, tests, staged"),
        ({"members": {"web": {"egress": {"allow": [{"peers": "any"}]}}}},
         "members.web.egress.allow.0.ports", "is missing"),
        ({"members": {"web": {"egress": {"allow": [{"peers": [], "ports": "any"}]}}}},
         "members.web.egress.allow.0.peers", "is empty"),
        ({"groups": {"any": ["web"]}}, "groups.any", "reserved"),
        ({"groups": {"x": ["any"]}}, "groups.x.0", "reserved"),
        ({"groups": {"x": ["web", "web"]}}, "groups.x.1", "twice"),
        ({"groups": {"x": []}, "members": {"x": {}}}, "members.x", "name of a group as well"),
        ({"members": {"any": {}}}, "members.any", "reserved"),
        ({"members": {"db/0": {}}}, "members.db/0", "db/2"),
        ({"members": {"db/65536": {}}}, "members.db/65536", "db/2"),
        ({"members": {"db/02": {}}}, "members.db/02", "db/2"),
        ({"routes": [{"range": "0.0.0.0/0", "via": "gw"}]}, "routes.0.range", "write 'covers: default'"),
        ({"routes": [{"range": "::/0", "via": "gw", "covers": "hosts"}]}, "routes.0.range", "default route"),
        ({"routes": [{"range": "10.0.0.0/8", "via": "gw", "covers": ["host"]}]},
         "routes.0.covers.0", "must be default, hosts or members, not 'host'. Did you mean 'hosts'?"),
        ({"routes": [{"range": "10.0.0.0/8", "via": "gw", "covers": []}]}, "routes.0.covers", "is empty"),
        ({"staged": {"members": {"web": {"ingres": {}}}}}, "staged.members.web.ingres", "Did you mean 'ingress'?"),
        ({"staged": {"staged": {}}}, "staged.staged", "is not a known field"),
        ({"staged": {"groups": {"any": []}}}, "staged.groups.any", "reserved"),
        ({"routes": [{"range": "127.0.0.0/8", "via": "gw"}]}, "routes.0.range", "never routed"),
        ({"routes": [{"range": "10.0.0.0/8", "via": "a"}, {"range": "10.0.0.0/8", "via": "b"}]},
         "routes.1.range", "routes.0 again"),
        ({"tests": [{"from": "a", "to": "b", "port": "any", "expected": "allow"}]}, "tests.0.port", "one port"),
        ({"tests": [{"from": "a", "to": "b", "port": "tcp/1-2", "expected": "allow"}]}, "tests.0.port", "one port"),
        ({"tests": [{"from": "a", "to": "b", "port": "tcp/1", "expected": True}]}, "tests.0.expected", "allow or deny"),
    ],
)  # fmt: skip
def test_mistakes_are_named(document: Any, where: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        schema.parse(document)
    assert refused.value.where == where
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("peer", "message"),
    [
        ("10.0.0.1/8", "Write 10.0.0.0/8"),
        ("10.0.0.1", "Write 10.0.0.1/32"),
        ("10.0.0.0/255.0.0.0", "Write 10.0.0.0/8"),
        ("2001:DB8::/32", "Write 2001:db8::/32"),
        ("2001:db8::1", "Write 2001:db8::1/128"),
        ("fe80::1%eth0/128", "must be a range"),
        ("::ffff:10.0.0.0/104", ""),
        ("10.0.0.0/33", "must be a range"),
        ("256.0.0.0/8", "must be a range"),
        ("1.2.3", "must be a range"),
        ("010.0.0.0/8", "must be a range"),
        ("db/x", "db/2"),
        ("db/2/3", "db/2"),
    ],
)
def test_peers_in_another_form(peer: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        schema.parse({"members": {"web": {"egress": {"allow": [{"peers": peer, "ports": "any"}]}}}})
    assert refused.value.where == "members.web.egress.allow.0.peers"
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("range_", "excepted", "place", "message"),
    [
        ("10.0.0.0/8", "11.0.0.0/16", "except", "lies outside of 10.0.0.0/8"),
        ("10.0.0.0/8", ["10.1.0.0/16", "0.0.0.0/0"], "except.1", "lies outside of 10.0.0.0/8"),
        ("10.0.0.0/8", "10.0.0.0/8", "except", "is the whole range"),
        ("10.0.0.0/8", ["10.0.0.0/9", "10.128.0.0/9"], "except", "are all of 10.0.0.0/8"),
        ("10.0.0.0/8", "2001:db8::/32", "except", "is no IPv4 range, as 10.0.0.0/8 is"),
        ("10.0.0.0/8", ["10.1.0.0/16", "10.1.0.0/16"], "except.1", "is there twice"),
        ("10.0.0.0/8", [f"10.{number}.0.0/16" for number in range(65)], "except", "at most 64 are allowed"),
        ("10.0.0.0/8", "10.0.0.1/16", "except", "Write 10.0.0.0/16"),
        ("10.0.0.0/8", "web", "except", "must be a range"),
        ("10.0.0.0/8", [], "except", "is empty"),
        ("web", "10.0.0.0/16", "range", "must be a range"),
    ],
)
def test_exceptions_lie_within_their_range(range_: str, excepted: Any, place: str, message: str) -> None:
    peer = {"range": range_, "except": excepted}
    with pytest.raises(InvalidInput) as refused:
        schema.parse({"members": {"web": {"egress": {"allow": [{"peers": peer, "ports": "any"}]}}}})
    assert refused.value.where == f"members.web.egress.allow.0.peers.{place}"
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("port", "message"),
    [
        ("443", "Write tcp/443 or udp/443"),
        ("TCP/443", "Write tcp/443"),
        ("tcp", "Write tcp/1-65535"),
        ("tcp/any", "Write tcp/1-65535"),
        ("icmp/echo-reply", "is an answer, and passes with the flow that it answers. Write icmp/echo-request"),
        ("icmpv6/129", "Write icmpv6/echo-request"),
        ("icmp/16", "Write icmp/info-request"),
        ("icmp/3", "is an error, and passes with the flow that it is about. Leave it out"),
        ("icmpv6/packet-too-big", "is an error, and passes with the flow that it is about"),
        ("icmpv6/nd-neighbor-solicit", "between an endpoint and its host"),
        ("icmp/128", "names a type of icmpv6. Write icmpv6/128"),
        ("icmpv6/timestamp-request", "names a type of icmp. Write icmp/timestamp-request"),
        ("icmp/99", "begins a flow. Write icmp, or one of icmp/echo-request, icmp/timestamp-request"),
        ("icmp/999999999999999999", "is no type that begins a flow"),
        ("icmp/", "must be tcp/443"),
        ("tpc/80", "Did you mean 'tcp'?"),
        ("icmp6", "Did you mean 'icmpv6'?"),
        ("tcp/0", "outside 1 to 65535"),
        ("tcp/65536", "outside 1 to 65535"),
        ("tcp/10-5", "ends before it starts"),
        ("tcp/80,443", "must be tcp/443"),
        ("tcp/80-", "must be tcp/443"),
        ("tcp/ 80", "must be tcp/443"),
        ("tcp/8٠", "must be tcp/443"),
    ],
)
def test_ports_in_another_form(port: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        schema.parse({"members": {"web": {"egress": {"allow": [{"peers": "any", "ports": port}]}}}})
    assert refused.value.where == "members.web.egress.allow.0.ports"
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"groups": {f"g{n}": [] for n in range(grammar.MAX_GROUPS + 1)}}, "groups"),
        ({"groups": {"g": [f"m{n}" for n in range(grammar.MAX_GROUP_MEMBERS + 1)]}}, "groups.g"),
        ({"members": {f"m{n}": {} for n in range(grammar.MAX_POLICIES + 1)}}, "members"),
        ({"members": {"web": {"egress": {"deny": [{}] * (grammar.MAX_RULES + 1)}}}}, "members.web.egress.deny"),
        ({"members": {"web": {"egress": {"deny": [{"peers": ["any"] * 257, "ports": "any"}]}}}},
         "members.web.egress.deny.0.peers"),
        ({"routes": [{}] * (grammar.MAX_ROUTES + 1)}, "routes"),
        ({"tests": [{}] * (grammar.MAX_TESTS + 1)}, "tests"),
        ({"groups": {f"g{n}": [f"member-{n}-{k}" for k in range(900)] for n in range(20)}},
         "manifest"),
    ],
    ids=["groups", "group members", "members", "rules", "peers", "routes", "tests", "bytes"],
)  # fmt: skip
def test_sizes_are_limited(document: Any, where: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        content.check(document)
    assert refused.value.where == where


def test_combinations_of_groups_are_limited() -> None:
    groups = {f"g{bit}": [f"m{n}" for n in range(1, 1024) if n >> bit & 1] for bit in range(10)}
    with pytest.raises(InvalidInput, match="1023 different combinations"):
        schema.parse({"groups": groups})


@pytest.mark.parametrize(
    ("document", "where", "message"),
    [
        ({"groups": {"x": ["wbe"]}}, "groups.x.0", "Did you mean 'web'?"),
        ({"groups": {"web": []}}, "groups.web", "name of a member as well"),
        ({"members": {"dbb/2": {}}}, "members.dbb/2", "Did you mean 'db'?"),
        ({"members": {"web": {"ingress": {"deny": [{"peers": ["any", "ap"], "ports": "any"}]}}}},
         "members.web.ingress.deny.0.peers.1", "Did you mean 'api'?"),
        ({"routes": [{"range": "192.0.2.0/24", "via": "gw"}]}, "routes.0.via", "not a member"),
        ({"routes": [{"range": "100.64.0.0/10", "via": "web"}]}, "routes.0.range", "write 'covers: members'"),
        ({"staged": {"groups": {"x": ["wbe"]}}}, "staged.groups.x.0", "Did you mean 'web'?"),
        ({"staged": {"routes": [{"range": "100.64.0.0/10", "via": "web", "covers": ["hosts"]}]}},
         "staged.routes.0.range", "own range"),
        ({"tests": [{"from": "x", "to": "db", "port": "tcp/1", "expected": "deny"}]}, "tests.0.from", "not a member"),
        ({"tests": [{"from": "db", "to": "y/2", "port": "tcp/1", "expected": "deny"}]}, "tests.0.to", "not a member"),
    ],
)  # fmt: skip
def test_names_are_checked_against_the_record(document: Any, where: str, message: str) -> None:
    manifest = schema.parse(document)
    with pytest.raises(InvalidInput) as refused:
        schema.check_members(manifest, MEMBERS, (ipaddress.ip_network("100.64.0.0/20"),))
    assert refused.value.where == where
    assert message in str(refused.value)


def test_a_group_may_be_a_peer_whatever_members_there_are() -> None:
    schema.check_members(schema.parse(GOOD), MEMBERS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("members: {web: {}}\nmembers: {}\n", "line 2: has the key 'members' twice"),
        ("members:\n  yes: {}\n", "line 2: has a key that is not text"),
        ("members: [\n", "line 2: is not YAML"),
        ("a: !!python/object/apply:os.system ['id']\n", "line 1: has the tag os.system, which a manifest can't have"),
    ],
)
def test_yaml_mistakes_name_the_line(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=r"m\.yml") as refused:
        content.load_yaml(text, where="m.yml")
    assert message in str(refused.value)


def test_yaml_and_json_say_the_same() -> None:
    text = """
members:
  web:
    egress:
      allow:
        - {peers: [db, 10.0.0.0/8], ports: tcp/5432}
"""
    assert content.load_yaml(text, where="m.yml") == {
        "members": {"web": {"egress": {"allow": [{"peers": ["db", "10.0.0.0/8"], "ports": "tcp/5432"}]}}}
    }
