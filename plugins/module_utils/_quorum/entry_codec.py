# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The entries of a value (voters, hosts, slots, locks, batches) to canonical JSON and back, strictly.

A slot's lease is written ``dseq/gseq/oseq``: its owner is the network's and its provider is its
host's, so a value that says otherwise can't be written at all.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from typing import Any

from .._chain.model import Voter
from .._common import fields
from .._common.canonical import Json
from .._common.errors import InvalidInput
from .._common.ids import LeaseId, NodeId
from .value import MAX_HOSTS, MAX_LOCKS, MAX_SLOTS, Batch, HostEntry, Lock, Slot

MAX_BATCHES = MAX_SLOTS + MAX_HOSTS + MAX_LOCKS
_MAX_DIGESTS = MAX_BATCHES
_MAX_HEIGHT = 2**63 - 1
_SLOT = {"address", "lease", "created", "host", "height", "bound", "batch"}


def voter_json(voter: Voter) -> dict[str, Json]:
    return {"node": str(voter.node), "incarnation": voter.incarnation, "key": voter.key}


def voter_from_json(value: Any, where: str) -> Voter:
    raw = fields.obj(value, where, required={"node", "incarnation", "key"})
    return Voter(
        node=parse_node(raw["node"], f"{where}.node"),
        incarnation=fields.hex32(raw["incarnation"], f"{where}.incarnation"),
        key=fields.key32(raw["key"], f"{where}.key"),
    )


def host_json(entry: HostEntry, *, signed: bool = False) -> dict[str, Json]:
    """A host entry; with ``signed`` without its batch, which is what the author signs."""
    document: dict[str, Json] = {
        "key": entry.key,
        "wireguard": entry.wireguard,
        "endpoint": entry.endpoint,
        "port": entry.port,
        "mtu": entry.mtu,
        "address": str(entry.address),
        "height": entry.height,
    }
    if not signed:
        document["batch"] = entry.batch
    return document


def host_from_json(value: Any, where: str) -> HostEntry:
    names = {"key", "wireguard", "endpoint", "port", "mtu", "address", "height", "batch"}
    raw = fields.obj(value, where, required=names)
    return HostEntry(
        key=fields.key32(raw["key"], f"{where}.key"),
        wireguard=fields.key32(raw["wireguard"], f"{where}.wireguard"),
        endpoint=str(fields.ip(raw["endpoint"], f"{where}.endpoint")),
        port=fields.integer(raw["port"], f"{where}.port", least=1, most=65535),
        mtu=fields.integer(raw["mtu"], f"{where}.mtu", least=1280, most=65_000),
        address=_ipv4(raw["address"], where),
        height=fields.integer(raw["height"], f"{where}.height", least=1),
        batch=parse_batch_name(raw["batch"], f"{where}.batch"),
    )


def slot_json(slot: Slot, *, signed: bool = False) -> dict[str, Json]:
    """A slot; with ``signed`` without its batch. Its lease must be of its host's provider."""
    _check_provider(slot)
    document: dict[str, Json] = {
        "address": None if slot.address is None else _dotted(slot.address),
        "lease": f"{slot.lease.dseq}/{slot.lease.gseq}/{slot.lease.oseq}",
        "created": slot.created,
        "host": str(slot.host),
        "height": slot.height,
        "bound": slot.bound,
    }
    if not signed:
        document["batch"] = slot.batch
    return document


def slot_text(slot: Slot) -> str:
    """The canonical JSON of ``slot_json(slot, signed=True)``, by hand: there are thousands, with nothing to escape."""
    _check_provider(slot)
    address = "null" if slot.address is None else f'"{_dotted(slot.address)}"'
    lease, bound = slot.lease, "true" if slot.bound else "false"
    return (
        f'{{"address":{address},"bound":{bound},"created":{slot.created},"height":{slot.height},'
        f'"host":"{slot.host}","lease":"{lease.dseq}/{lease.gseq}/{lease.oseq}"}}'
    )


def _check_provider(slot: Slot) -> None:
    if slot.lease.provider != slot.host.provider:
        raise InvalidInput("binds a lease of another provider than its host's", where=str(slot.host))


def slot_from_json(value: Any, where: str, owner: str) -> Slot:
    """Parse a slot of a network of ``owner``."""
    raw = fields.obj(value, where, required=_SLOT)
    address, bound = raw["address"], raw["bound"]
    if not isinstance(bound, bool):
        raise InvalidInput("must be true or false", where=f"{where}.bound")
    try:
        host = _node(raw["host"])
        dseq, gseq, oseq = _lease_numbers(raw["lease"])
        batch = _batch_name(raw["batch"])
    except (InvalidInput, TypeError, AttributeError):
        # Whatever is wrong, the slow way says what, and where.
        host = parse_node(raw["host"], f"{where}.host")
        dseq, gseq, oseq = _lease(raw["lease"], f"{where}.lease")
        batch = parse_batch_name(raw["batch"], f"{where}.batch")
    return Slot(
        None if address is None else _ipv4(address, where),
        LeaseId(owner, dseq, gseq, oseq, host.provider),
        _height(raw, "created", where),
        host,
        _height(raw, "height", where),
        bound,
        batch,
    )


def _height(raw: dict[str, Any], name: str, where: str) -> int:
    value = raw[name]
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_HEIGHT:
        return value
    return fields.integer(value, f"{where}.{name}", least=1, most=_MAX_HEIGHT)


def lock_json(lock: Lock, *, signed: bool = False) -> dict[str, Json]:
    document: dict[str, Json] = {
        "holder": str(lock.holder),
        "token": lock.token,
        "expires": lock.expires,
        "height": lock.height,
    }
    if not signed:
        document["batch"] = lock.batch
    return document


def lock_from_json(value: Any, where: str) -> Lock:
    raw = fields.obj(value, where, required={"holder", "token", "expires", "height", "batch"})
    return Lock(
        holder=parse_node(raw["holder"], f"{where}.holder"),
        token=fields.integer(raw["token"], f"{where}.token", least=1),
        expires=fields.integer(raw["expires"], f"{where}.expires", least=1),
        height=fields.integer(raw["height"], f"{where}.height", least=1),
        batch=parse_batch_name(raw["batch"], f"{where}.batch"),
    )


def batch_json(batch: Batch) -> dict[str, Json]:
    """A batch; its author and serial are in the name it is kept under."""
    return {
        "generation": batch.generation,
        "key": batch.key,
        "digests": list(batch.digests),
        "signature": batch.signature,
    }


def batch_from_json(name: str, value: Any, where: str) -> Batch:
    raw = fields.obj(value, where, required={"generation", "key", "digests", "signature"})
    author, _slash, serial = name.rpartition("/")
    return Batch(
        author=parse_node(author, where),
        generation=fields.integer(raw["generation"], f"{where}.generation"),
        serial=int(serial),
        key=fields.key32(raw["key"], f"{where}.key"),
        digests=fields.hex64s(raw["digests"], f"{where}.digests", most=_MAX_DIGESTS),
        signature=fields.base64_bytes(raw["signature"], f"{where}.signature", length=64),
    )


def batches_from_json(value: Any, where: str) -> dict[str, Batch]:
    raw = section(value, where, parse_batch_name, lambda item, _at: item, MAX_BATCHES)
    return {name: batch_from_json(name, item, f"{where}.{name}") for name, item in raw.items()}


def section(value: Any, where: str, key: Any, parse: Any, most: int) -> dict[Any, Any]:
    """Like ``fields.mapping``, for keys that are parsed into identities. Equal keys in two spellings are refused."""
    if not isinstance(value, dict):
        raise InvalidInput(f"must be an object, not {fields.kind(value)}", where=where)
    if len(value) > most:
        raise InvalidInput(f"has {len(value)} entries, at most {most} are allowed", where=where)
    parsed = {}
    for name, item in value.items():
        # Only short names are identities; what is said about others is cut short.
        at = f"{where}.{name if len(name) <= 40 and name.isascii() and name.isprintable() else fields.printable(name)}"
        identity = key(name, at)
        if str(identity) != name:
            raise InvalidInput("is not in its usual form", where=at)
        parsed[identity] = parse(item, at)
    return parsed


def parse_node(value: Any, where: str) -> NodeId:
    """``provider/node``; remembered, because checking an account's checksum for every slot would cost most."""
    if not isinstance(value, str) or len(value) > 128:
        raise InvalidInput("must be provider/node", where=where)
    try:
        return _node(value)
    except InvalidInput as error:
        raise InvalidInput(error.what, where=where) from error


def parse_batch_name(value: Any, where: str) -> str:
    """``provider/node/serial``, serial from 1."""
    if not isinstance(value, str) or len(value) > 160:
        raise InvalidInput("must be provider/node/serial", where=where)
    try:
        return _batch_name(value)
    except InvalidInput as error:
        raise InvalidInput(error.what, where=where) from error


@lru_cache(maxsize=4096)
def _node(value: str) -> NodeId:
    return NodeId.parse(value, "")


@lru_cache(maxsize=4096)
def _batch_name(value: str) -> str:
    author, slash, serial = value.rpartition("/")
    if not slash:
        raise InvalidInput("must be provider/node/serial")
    _node(author)
    if _usual(serial, "") < 1:
        raise InvalidInput("has a serial below 1")
    return value


def _usual(text: str, where: str) -> int:
    number = fields.decimal(text, where)
    if str(number) != text or number > 2**63 - 1:
        raise InvalidInput("holds a number that is not in its usual form", where=where)
    return number


def _lease(value: Any, where: str) -> tuple[int, int, int]:
    if not isinstance(value, str) or len(value) > 64:
        raise InvalidInput("must be dseq/gseq/oseq", where=where)
    try:
        return _lease_numbers(value)
    except InvalidInput as error:
        raise InvalidInput(error.what, where=where) from error


@lru_cache(maxsize=4096)
def _lease_numbers(value: str) -> tuple[int, int, int]:
    parts = value.split("/")
    if len(parts) != 3:
        raise InvalidInput("must be dseq/gseq/oseq")
    dseq, gseq, oseq = (_usual(part, "") for part in parts)
    return dseq, gseq, oseq


def _ipv4(value: Any, where: str) -> ipaddress.IPv4Address:
    """The ``address`` of the entry at ``where``, in the usual form only.

    Not by ipaddress's own parser, which would be most of the cost of reading 10,000 slots.
    """
    try:
        packed = socket.inet_pton(socket.AF_INET, value)
        if socket.inet_ntop(socket.AF_INET, packed) == value:
            return ipaddress.IPv4Address(packed)
    except (OSError, TypeError, ValueError):
        pass
    raise InvalidInput("must be an IPv4 address in its usual form", where=f"{where}.address")


def _dotted(address: ipaddress.IPv4Address) -> str:
    number = int(address)
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
