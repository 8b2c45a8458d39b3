# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network records and host records: their JSON on chain, parsed once and strictly.

Both are written by strangers. Every field has a grammar and a limit, every refusal names
its field, and what comes out is written anew rather than passed through.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from .._common import canonical, fields
from .._common.canonical import Json
from .._common.errors import InvalidInput
from .._common.ids import NodeId
from .model import HostRecord, ManifestFloor, NetworkRecord, Voter

T = TypeVar("T", bound=Hashable)

NETWORK_PREFIX = "avpn/network/"  # attribute key of a network record, before its name
HOST_PREFIX = "avpn/peer/"  # attribute key of a host record, before its node
MAX_RECORD_BYTES = 32 * 1024
MAX_FOUNDERS = 5

_MAX_MEMBERS = 256
_MAX_PROVIDERS = 256
_MAX_WITNESSES = 16
_MAX_ACCESS = 16
_MAX_GENERATION = 2**20 - 1  # so that tokens of locks, 24 bits longer, stay exact in JSON
_ALL_PROVIDERS = "leases"
# Ranges that never belong to somebody on the Internet: shared (RFC 6598), private (RFC 1918), benchmarking (RFC 2544).
_OVERLAY_RANGES = tuple(
    ipaddress.IPv4Network(text)
    for text in ("100.64.0.0/10", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15")
)
_SHORTEST_PREFIX = 8
_LONGEST_PREFIX = 29  # two hosts and four endpoints: less is no network


def parse_network_record(owner: str, name: str, text: str | bytes) -> NetworkRecord:
    """The record ``owner`` wrote under ``avpn/network/<name>``; InvalidInput names the field that breaks it."""
    document = canonical.loads(text, where="record", limit=MAX_RECORD_BYTES)
    return _network_record(fields.account(owner, "owner"), fields.name(name, "name"), document)


def network_record_from_json(document: Any) -> NetworkRecord:
    """The record as the ledger holds it: like the one on chain, with ``owner`` and ``name`` inside."""
    if not isinstance(document, dict):
        raise InvalidInput(f"must be an object, not {fields.kind(document)}", where="record")
    for key in ("owner", "name"):
        if key not in document:
            raise InvalidInput("is missing", where=key)
    owner = fields.account(document["owner"], "owner")
    return _network_record(owner, fields.name(document["name"], "name"), document)


def network_record_json(record: NetworkRecord) -> dict[str, Json]:
    """The record with all fields and with ``owner`` and ``name``: what the ledger holds and digests cover."""
    floor = record.manifest
    providers: Json = _ALL_PROVIDERS if record.providers is None else list(record.providers)
    return {
        "v": 1,
        "owner": record.owner,
        "name": record.name,
        "cidr": str(record.cidr),
        "members": dict(record.members),
        "providers": providers,
        "evicted": list(record.evicted),
        "founders": [
            {
                "provider": voter.node.provider,
                "node": voter.node.node,
                "incarnation": voter.incarnation,
                "key": voter.key,
            }
            for voter in record.founders
        ],
        "generation": record.generation,
        "base": record.base,
        "witnesses": [str(node) for node in record.witnesses],
        "manifest": None if floor is None else {"version": floor.version, "sha256": floor.sha256},
        "access": list(record.access),
    }


def network_record_text(record: NetworkRecord) -> str:
    """The canonical JSON that goes on chain, where the owner and the name are said by the place it stands in."""
    document = network_record_json(record)
    del document["owner"], document["name"]
    return canonical.dumps(document).decode()


def record_digest(record: NetworkRecord) -> str:
    """SHA-256 of the record's canonical JSON with owner and name, 64 hexadecimal digits."""
    return canonical.digest(network_record_json(record))


def parse_host_record(provider: str, node: str, text: str | bytes) -> HostRecord:
    """The record ``provider`` wrote under ``avpn/peer/<node>``; InvalidInput names the field that breaks it.

    Whether its addresses may be contacted is another question: ``addresses.check_peer_address``.
    """
    return host_record_from_json(provider, node, canonical.loads(text, where="record", limit=MAX_RECORD_BYTES))


def host_record_from_json(provider: str, node: str, document: Any) -> HostRecord:
    """Like ``parse_host_record``, from JSON that is parsed already (the cached view)."""
    node_id = NodeId(fields.account(provider, "provider"), fields.name(node, "node"))
    top = fields.obj(
        document,
        "",
        required={"v", "ssh", "signing_key", "incarnation", "wireguard", "gossip"},
    )
    fields.integer(top["v"], "v", least=1, most=1)
    ssh = fields.obj(top["ssh"], "ssh", required={"address", "host_key", "client_key"})
    ssh_address, ssh_port = fields.host_port(ssh["address"], "ssh.address")
    gossip_address, gossip_port = fields.host_port(top["gossip"], "gossip")
    return HostRecord(
        id=node_id,
        ssh_address=str(ssh_address),
        ssh_port=ssh_port,
        ssh_host_key=fields.ssh_key(ssh["host_key"], "ssh.host_key"),
        ssh_client_key=fields.ssh_key(ssh["client_key"], "ssh.client_key"),
        signing_key=fields.key32(top["signing_key"], "signing_key"),
        incarnation=fields.hex32(top["incarnation"], "incarnation"),
        wireguard_address=str(fields.ip(top["wireguard"], "wireguard")),
        gossip_address=str(gossip_address),
        gossip_port=gossip_port,
    )


def host_record_json(record: HostRecord) -> dict[str, Json]:
    """The host record as it stands on chain, without provider and node."""
    return {
        "v": 1,
        "ssh": {
            "address": _host_port(record.ssh_address, record.ssh_port),
            "host_key": record.ssh_host_key,
            "client_key": record.ssh_client_key,
        },
        "signing_key": record.signing_key,
        "incarnation": record.incarnation,
        "wireguard": record.wireguard_address,
        "gossip": _host_port(record.gossip_address, record.gossip_port),
    }


def host_record_text(record: HostRecord) -> str:
    """The canonical JSON that goes into the provider attribute."""
    return canonical.dumps(host_record_json(record)).decode()


def parse_overlay_range(value: Any, where: str) -> ipaddress.IPv4Network:
    """The IPv4 range of a network: /8 to /29 in its strict form, inside shared, private or benchmarking space."""
    if isinstance(value, str) and len(value) <= 18 and value.isascii():
        try:
            network = ipaddress.IPv4Network(value)
        except ValueError:
            network = None
        if network is not None and str(network) == value:
            if not _SHORTEST_PREFIX <= network.prefixlen <= _LONGEST_PREFIX:
                raise InvalidInput(f"must be between /{_SHORTEST_PREFIX} and /{_LONGEST_PREFIX}", where=where)
            if not any(network.subnet_of(allowed) for allowed in _OVERLAY_RANGES):
                allowed_text = ", ".join(str(allowed) for allowed in _OVERLAY_RANGES)
                raise InvalidInput(f"must lie inside one of {allowed_text}", where=where)
            return network
    raise InvalidInput("must be an IPv4 range in its usual form (100.64.0.0/22)", where=where)


def _network_record(owner: str, name: str, document: Any) -> NetworkRecord:
    top = fields.obj(
        document,
        "",
        required={"v", "cidr"},
        optional={
            *("owner", "name", "members", "providers", "evicted", "founders", "generation", "base"),
            *("witnesses", "manifest", "access"),
        },
    )
    fields.integer(top["v"], "v", least=1, most=1)
    for key, expected in (("owner", owner), ("name", name)):
        if top.get(key, expected) != expected:
            raise InvalidInput("is not the one the record was found under", where=key)
    generation = fields.integer(top.get("generation", 0), "generation", most=_MAX_GENERATION)
    base = None if top.get("base") is None else fields.hex64(top["base"], "base")
    if base is not None and generation == 0:
        raise InvalidInput("is for a generation above 0 only", where="base")
    return NetworkRecord(
        owner=owner,
        name=name,
        cidr=parse_overlay_range(top["cidr"], "cidr"),
        members=_members(top.get("members", {})),
        providers=_providers(top.get("providers", _ALL_PROVIDERS)),
        evicted=tuple(_distinct(top.get("evicted", []), "evicted", fields.account, most=_MAX_PROVIDERS)),
        founders=_founders(top.get("founders", [])),
        generation=generation,
        base=base,
        witnesses=tuple(_distinct(top.get("witnesses", []), "witnesses", NodeId.parse, most=_MAX_WITNESSES)),
        manifest=_floor(top.get("manifest")),
        access=tuple(_distinct(top.get("access", []), "access", fields.ssh_key, most=_MAX_ACCESS)),
    )


def _members(value: Any) -> dict[str, int]:
    members = fields.mapping(value, "members", fields.name, _dseq, most=_MAX_MEMBERS)
    _refuse_repeats(members.values(), [f"members.{name}" for name in members], "is the deployment of another member")
    return dict(sorted(members.items()))


def _dseq(value: Any, where: str) -> int:
    return fields.integer(value, where, least=1)


def _providers(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        if value != _ALL_PROVIDERS:
            raise InvalidInput(f"must be '{_ALL_PROVIDERS}' or a list of accounts", where="providers")
        return None
    return tuple(_distinct(value, "providers", fields.account, most=_MAX_PROVIDERS))


def _founders(value: Any) -> tuple[Voter, ...]:
    founders = fields.items(value, "founders", _founder, most=MAX_FOUNDERS)
    for of, values in (
        ("provider", [voter.node.provider for voter in founders]),
        ("incarnation", [voter.incarnation for voter in founders]),
        ("key", [voter.key for voter in founders]),
    ):
        places = [f"founders.{index}.{of}" for index in range(len(founders))]
        _refuse_repeats(values, places, "is that of another founder")
    return tuple(founders)


def _founder(value: Any, where: str) -> Voter:
    entry = fields.obj(value, where, required={"provider", "node", "incarnation", "key"})
    node = NodeId(
        fields.account(entry["provider"], f"{where}.provider"),
        fields.name(entry["node"], f"{where}.node"),
    )
    return Voter(
        node=node,
        incarnation=fields.hex32(entry["incarnation"], f"{where}.incarnation"),
        key=fields.key32(entry["key"], f"{where}.key"),
    )


def _floor(value: Any) -> ManifestFloor | None:
    if value is None:
        return None
    entry = fields.obj(value, "manifest", required={"version", "sha256"})
    return ManifestFloor(
        version=fields.integer(entry["version"], "manifest.version", least=1),
        sha256=fields.hex64(entry["sha256"], "manifest.sha256"),
    )


def _distinct(value: Any, where: str, parse: Callable[[Any, str], T], *, most: int) -> list[T]:
    parsed = fields.items(value, where, parse, most=most)
    _refuse_repeats(parsed, [f"{where}.{index}" for index in range(len(parsed))], "repeats an earlier item")
    return parsed


def _refuse_repeats(values: Iterable[Hashable], places: list[str], what: str) -> None:
    seen: set[Hashable] = set()
    for value, where in zip(values, places, strict=True):
        if value in seen:
            raise InvalidInput(what, where=where)
        seen.add(value)


def _host_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
