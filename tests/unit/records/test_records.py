# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of strangers: what is accepted, and that everything else is refused by the name of its field."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._chain import records
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.tests.unit.chain import samples

OWNER, PROVIDERS = samples.OWNER, samples.PROVIDERS
NETWORK = samples.network_document()
HOST = samples.host_document()

HOSTILE = {
    "newline": "x\ny",
    "carriage return": "x\r",
    "nul": "x\x00",
    "authorized_keys option": 'command="sh" ssh-ed25519 AAAA',
    "authorized_keys line": samples.ssh_key("x") + "\nssh-ed25519 AAAA",
    "ssh comment": samples.ssh_key("x") + " root@host",
    "shell": "$(reboot); `id` | sh &",
    "nft": 'x; } flush ruleset; table inet t { comment "',
    "dnsmasq": "x\naddress=/example.com/192.0.2.1",
    "systemd": "x\nExecStart=/bin/sh",
    "jinja": "{{ lookup('pipe', 'id') }}",
    "path": "../../etc/shadow",
    "upper case": "WEB",
    "full-width": "ｗｅｂ",
    "leading space": " web",
    "option": "-oProxyCommand=id",
    "empty": "",
    "long": "a" * 5000,
}
WRONG_TYPES: dict[str, Any] = {
    "null": None,
    "list": [1],
    "object": {"A": 1},
    "boolean": True,
    "number": 7,
    "text": "7 ",
}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value in a document that isn't itself a container."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def places(document: Any) -> list[tuple[Any, ...]]:
    """Every place below the root, containers too."""
    found = {path[:length] for path, _value in leaves(document) for length in range(1, len(path) + 1)}
    return sorted(found, key=str)


def dotted(path: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in path)


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    spot = changed
    for part in path[:-1]:
        spot = spot[part]
    spot[path[-1]] = value
    return changed


def network(document: Any) -> Any:
    return records.parse_network_record(OWNER, "prod", json.dumps(document))


def host(document: Any) -> Any:
    return records.parse_host_record(PROVIDERS[0], "node1", json.dumps(document))


PARSERS = {"network": (network, NETWORK), "host": (host, HOST)}
TEXTS = [
    (kind, path)
    for kind, (_parse, document) in PARSERS.items()
    for path, value in leaves(document)
    if isinstance(value, str)
]
ALL = [(kind, path) for kind, (_parse, document) in PARSERS.items() for path in places(document)]


@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize(("kind", "path"), TEXTS, ids=[f"{kind}-{dotted(path)}" for kind, path in TEXTS])
def test_hostile_text_is_refused_by_the_name_of_its_field(kind: str, path: tuple[Any, ...], attack: str) -> None:
    parse, document = PARSERS[kind]
    with pytest.raises(InvalidInput) as refusal:
        parse(put(document, path, HOSTILE[attack]))
    assert refusal.value.where == dotted(path)
    assert "\n" not in str(refusal.value), "a refusal is printed: it must not carry the attack on"


@pytest.mark.parametrize("attack", sorted(HOSTILE.keys() - {"empty"}))
@pytest.mark.parametrize(("kind", "path"), TEXTS, ids=[f"{kind}-{dotted(path)}" for kind, path in TEXTS])
def test_hostile_text_after_good_text_is_refused(kind: str, path: tuple[Any, ...], attack: str) -> None:
    parse, document = PARSERS[kind]
    good = document
    for part in path:
        good = good[part]
    with pytest.raises(InvalidInput) as refusal:
        parse(put(document, path, good + HOSTILE[attack]))
    assert refusal.value.where == dotted(path)


_NUMBERS = {"web", "api", "db", "generation", "version"}
WRONG = [
    (kind, path, wrong)
    for kind, path in ALL
    for wrong in WRONG_TYPES
    if not (wrong == "null" and path in (("base",), ("manifest",))) and not (wrong == "number" and path[-1] in _NUMBERS)
]


@pytest.mark.parametrize(
    ("kind", "path", "wrong"), WRONG, ids=[f"{kind}-{dotted(path)}-{wrong}" for kind, path, wrong in WRONG]
)
def test_wrong_type_is_refused_by_the_name_of_its_field(kind: str, path: tuple[Any, ...], wrong: str) -> None:
    parse, document = PARSERS[kind]
    value = WRONG_TYPES[wrong]
    with pytest.raises(InvalidInput) as refusal:
        parse(put(document, path, value))
    assert refusal.value.where.startswith(dotted(path))


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_member_name_is_refused(attack: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        network({**NETWORK, "members": {HOSTILE[attack]: 99}})
    assert refusal.value.where.startswith("members.")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_names_around_the_record_are_refused(attack: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        records.parse_network_record(OWNER, HOSTILE[attack], json.dumps(NETWORK))
    with pytest.raises(InvalidInput, match="owner"):
        records.parse_network_record(HOSTILE[attack], "prod", json.dumps(NETWORK))
    with pytest.raises(InvalidInput, match="node"):
        records.parse_host_record(PROVIDERS[0], HOSTILE[attack], json.dumps(HOST))
    with pytest.raises(InvalidInput, match="provider"):
        records.parse_host_record(HOSTILE[attack], "node1", json.dumps(HOST))


OBJECTS = [("network", ()), ("network", ("founders", 1)), ("network", ("manifest",)), ("host", ()), ("host", ("ssh",))]


@pytest.mark.parametrize(("kind", "path"), OBJECTS)
def test_unknown_field_is_refused_everywhere(kind: str, path: tuple[Any, ...]) -> None:
    parse, document = PARSERS[kind]
    with pytest.raises(InvalidInput) as refusal:
        parse(put(document, (*path, "surprise"), 1))
    assert refusal.value.where == dotted((*path, "surprise"))


@pytest.mark.parametrize("kind", PARSERS)
def test_whole_text(kind: str) -> None:
    def parse(text: str) -> Any:
        if kind == "network":
            return records.parse_network_record(OWNER, "prod", text)
        return records.parse_host_record(PROVIDERS[0], "node1", text)

    good = json.dumps(PARSERS[kind][1])
    parse(good)
    for text in ("", "x", "[]", "null", good + "x", good[:-1], '{"v":1,"v":1}', good + " " * 40_000, "[" * 30_000):
        with pytest.raises(InvalidInput):
            parse(text)
    with pytest.raises(InvalidInput, match="v: is 2"):
        parse(json.dumps({**PARSERS[kind][1], "v": 2}))


CIDRS = {
    "0.0.0.0/0": "between",
    "10.0.0.0/7": "between",
    "10.0.0.0/1": "usual form",
    "10.0.0.0/30": "between",
    "10.0.0.1/24": "usual form",
    "10.0.0.0": "usual form",
    "10.0.0.0/255.255.255.0": "usual form",
    "010.0.0.0/24": "usual form",
    "127.0.0.0/16": "inside one of",
    "169.254.0.0/16": "inside one of",
    "224.0.0.0/8": "inside one of",
    "240.0.0.0/8": "inside one of",
    "8.8.8.0/24": "inside one of",
    "100.128.0.0/16": "inside one of",
    "172.32.0.0/16": "inside one of",
    "100.0.0.0/8": "inside one of",
    "fd00::/64": "usual form",
}


@pytest.mark.parametrize("cidr", CIDRS)
def test_bad_range(cidr: str) -> None:
    with pytest.raises(InvalidInput, match=CIDRS[cidr]) as refusal:
        network({**NETWORK, "cidr": cidr})
    assert refusal.value.where == "cidr"


@pytest.mark.parametrize(
    "cidr", ["10.0.0.0/8", "100.64.0.0/10", "100.127.255.248/29", "172.31.0.0/16", "192.168.4.0/24", "198.19.0.0/16"]
)
def test_good_range(cidr: str) -> None:
    assert str(network({**NETWORK, "cidr": cidr}).cidr) == cidr


SENSELESS: dict[str, tuple[dict[str, Any], str]] = {
    "one deployment as two members": ({"members": {"web": 11, "zoo": 11}}, "members.zoo"),
    "deployment 0": ({"members": {"web": 0}}, "members.web"),
    "deployment beyond 63 bits": ({"members": {"web": 2**63 - 1 + 1}}, "record"),
    "too many members": ({"members": {f"m{number}": number + 1 for number in range(257)}}, "members"),
    "six founders": ({"founders": [samples.founder(0)] * 6}, "founders"),
    "two founders of one provider": (
        {"founders": [samples.founder(0), {**samples.founder(1), "provider": PROVIDERS[0]}]},
        "founders.1.provider",
    ),
    "two founders with one key": (
        {"founders": [samples.founder(0), {**samples.founder(1), "key": samples.founder(0)["key"]}]},
        "founders.1.key",
    ),
    "two founders of one incarnation": (
        {"founders": [samples.founder(0), {**samples.founder(1), "incarnation": samples.founder(0)["incarnation"]}]},
        "founders.1.incarnation",
    ),
    "a base in the first generation": ({"generation": 0}, "base"),
    "negative generation": ({"generation": -1}, "generation"),
    "provider twice": ({"providers": [PROVIDERS[0], PROVIDERS[0]]}, "providers.1"),
    "evicted twice": ({"evicted": [PROVIDERS[0], PROVIDERS[0]]}, "evicted.1"),
    "witness twice": ({"witnesses": [f"{PROVIDERS[0]}/a", f"{PROVIDERS[0]}/a"]}, "witnesses.1"),
    "key twice": ({"access": [samples.ssh_key("a"), samples.ssh_key("a")]}, "access.1"),
    "too many keys": ({"access": [samples.ssh_key(str(number)) for number in range(17)]}, "access"),
    "manifest 0": ({"manifest": {"version": 0, "sha256": "0" * 64}}, "manifest.version"),
    "somebody else's": ({"owner": PROVIDERS[0]}, "owner"),
    "another name": ({"name": "test"}, "name"),
    "wrong checksum": ({"evicted": [PROVIDERS[0][:-1] + ("q" if PROVIDERS[0][-1] != "q" else "p")]}, "evicted.0"),
}


@pytest.mark.parametrize("case", SENSELESS)
def test_what_makes_no_sense_is_refused(case: str) -> None:
    change, where = SENSELESS[case]
    with pytest.raises(InvalidInput) as refusal:
        network({**NETWORK, **change})
    assert refusal.value.where == where


def test_network_record_survives_both_ways() -> None:
    record = network(NETWORK)
    assert json.loads(records.network_record_text(record)) == NETWORK
    assert records.parse_network_record(OWNER, "prod", records.network_record_text(record)) == record
    assert records.network_record_from_json(records.network_record_json(record)) == record
    assert records.record_digest(record) != records.record_digest(
        records.parse_network_record(PROVIDERS[0], "prod", json.dumps(NETWORK))
    )
    for missing in ("owner", "name"):
        document = records.network_record_json(record)
        del document[missing]
        with pytest.raises(InvalidInput, match=f"{missing}: is missing"):
            records.network_record_from_json(document)


def test_absent_fields_have_their_defaults() -> None:
    record = network({"v": 1, "cidr": "100.64.0.0/22"})
    assert (record.members, record.providers, record.evicted, record.founders) == ({}, None, (), ())
    assert (record.generation, record.base, record.witnesses, record.manifest, record.access) == (0, None, (), None, ())
    explicit = network({**json.loads(records.network_record_text(record)), "providers": "leases"})
    assert records.record_digest(explicit) == records.record_digest(record)
    assert network({"v": 1, "cidr": "100.64.0.0/22", "providers": []}).permits(PROVIDERS[0]) is False


def test_host_record_survives_both_ways() -> None:
    record = host(HOST)
    assert records.host_record_json(record) == HOST
    assert record.ssh_port == 7022
    assert record.gossip_address == "198.18.0.11"
    six = {**HOST, "gossip": "[2001:db8::1]:7946", "wireguard": "2001:db8::1"}
    assert records.host_record_json(host(six)) == six
    assert json.loads(records.host_record_text(record)) == HOST


def test_largest_record_fits() -> None:
    """The limits of the fields together must not allow a record that the size limit then refuses for members."""
    members = {hashlib.sha256(str(number).encode()).hexdigest()[:32]: 2**60 + number for number in range(256)}
    assert len(network({**NETWORK, "members": members}).members) == 256
