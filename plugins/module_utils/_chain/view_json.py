# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A view as JSON and back: the form of ``/var/lib/avpn/view.json``, of the ``file`` carrier and of the cache.

Leases are written without their owner and in lists, since a view may hold thousands:
``["<dseq>/<gseq>/<oseq>", provider, state, created_at, closed_at]``.
"""

from __future__ import annotations

from typing import Any

from .._common import fields
from .._common.canonical import Json
from .._common.errors import InvalidInput
from .._common.ids import LeaseId, NodeId, network_id
from .model import Deployment, HostRecord, Lease, LeaseState, NetworkRecord, NetworkView, SeenRecord, View
from .records import host_record_from_json, host_record_json, network_record_from_json, network_record_json

_MOST = 1_000_000
_STATES = {state.value: state for state in LeaseState}


def view_to_json(view: View) -> dict[str, Json]:
    """The view as a JSON document (``view_from_json`` gives an equal view back)."""
    return {
        "v": 1,
        "chain_id": view.chain_id,
        "height": view.height,
        "time": view.time,
        "networks": {network: _network_json(entry) for network, entry in sorted(view.networks.items())},
        "hosts": {str(node): host_record_json(host) for node, host in sorted(view.hosts.items())},
        "seen_records": {
            network: [[seen.digest, seen.first_seen, seen.last_seen] for seen in history]
            for network, history in sorted(view.seen_records.items())
        },
        "names": {network: list(name) for network, name in sorted(view.names.items())},
        "problems": dict(sorted(view.problems.items())),
    }


def view_from_json(document: Any) -> View:
    """The view a document of ``view_to_json`` holds; InvalidInput names what is wrong with it."""
    top = fields.obj(
        document,
        "view",
        required={"v", "chain_id", "height", "time", "networks", "hosts"},
        optional={"seen_records", "names", "problems"},
    )
    fields.integer(top["v"], "view.v", least=1, most=1)
    return View(
        chain_id=fields.text(top["chain_id"], "view.chain_id", most=64),
        height=fields.integer(top["height"], "view.height"),
        time=fields.integer(top["time"], "view.time"),
        networks=_by_network(top["networks"], "view.networks", _network),
        hosts=_hosts(top["hosts"]),
        seen_records=_by_network(top.get("seen_records", {}), "view.seen_records", _history),
        names=_by_network(top.get("names", {}), "view.names", _owner_and_name),
        problems=fields.mapping(top.get("problems", {}), "view.problems", _key_text, _problem, most=_MOST),
    )


def _network_json(network: NetworkView) -> Json:
    return {
        "record": network_record_json(network.record),
        "deployments": {
            str(dseq): {"active": one.active, "replicas": {str(gseq): count for gseq, count in one.replicas.items()}}
            for dseq, one in sorted(network.deployments.items())
        },
        "leases": [
            [
                f"{lease.id.dseq}/{lease.id.gseq}/{lease.id.oseq}",
                lease.id.provider,
                lease.state.value,
                lease.created_at,
                lease.closed_at,
            ]
            for lease in network.leases
        ],
    }


def _network(value: Any, where: str) -> NetworkView:
    entry = fields.obj(value, where, required={"record", "deployments", "leases"})
    try:
        record = network_record_from_json(entry["record"])
    except InvalidInput as error:
        raise InvalidInput(error.what, where=f"{where}.record.{error.where}") from error
    if not where.endswith(f".{record.id}"):
        raise InvalidInput("is the record of another network", where=f"{where}.record")
    return NetworkView(
        record=record,
        deployments=_deployments(entry["deployments"], f"{where}.deployments", record),
        leases=tuple(
            fields.items(entry["leases"], f"{where}.leases", lambda row, at: _lease(row, at, record.owner), most=_MOST)
        ),
    )


def _deployments(value: Any, where: str, record: NetworkRecord) -> dict[int, Deployment]:
    def one(item: Any, at: str) -> tuple[bool, dict[int, int]]:
        entry = fields.obj(item, at, required={"active", "replicas"})
        if not isinstance(entry["active"], bool):
            raise InvalidInput("must be true or false", where=f"{at}.active")
        counts = fields.mapping(entry["replicas"], f"{at}.replicas", _digits, fields.integer, most=_MOST)
        return entry["active"], {int(gseq): count for gseq, count in counts.items()}

    rows = fields.mapping(value, where, _digits, one, most=_MOST)
    return {
        int(dseq): Deployment(owner=record.owner, dseq=int(dseq), active=active, replicas=replicas)
        for dseq, (active, replicas) in rows.items()
    }


def _lease(value: Any, where: str, owner: str) -> Lease:
    if not isinstance(value, list) or len(value) != 5:
        raise InvalidInput("must be a list of five", where=where)
    numbers = value[0].split("/") if isinstance(value[0], str) and len(value[0]) < 64 else []
    if len(numbers) != 3:
        raise InvalidInput("must be dseq/gseq/oseq", where=f"{where}.0")
    dseq, gseq, oseq = (fields.decimal(part, f"{where}.0") for part in numbers)
    state = _STATES.get(value[2]) if isinstance(value[2], str) else None
    if state is None:
        raise InvalidInput("is not a lease state", where=f"{where}.2")
    return Lease(
        id=LeaseId(owner, dseq, gseq, oseq, fields.account(value[1], f"{where}.1")),
        state=state,
        created_at=fields.integer(value[3], f"{where}.3"),
        closed_at=fields.integer(value[4], f"{where}.4"),
    )


def _hosts(value: Any) -> dict[NodeId, HostRecord]:
    def key(name: Any, where: str) -> str:
        return str(NodeId.parse(name, where))

    def one(item: Any, _where: str) -> Any:
        return item

    hosts = {}
    for text, item in fields.mapping(value, "view.hosts", key, one, most=_MOST).items():
        node = NodeId.parse(text, "view.hosts")
        try:
            hosts[node] = host_record_from_json(node.provider, node.node, item)
        except InvalidInput as error:
            raise InvalidInput(error.what, where=f"view.hosts.{text}.{error.where}") from error
    return hosts


def _history(value: Any, where: str) -> tuple[SeenRecord, ...]:
    def one(item: Any, at: str) -> SeenRecord:
        if not isinstance(item, list) or len(item) != 3:
            raise InvalidInput("must be a list of three", where=at)
        return SeenRecord(
            digest=fields.text(item[0], f"{at}.0", most=80),
            first_seen=fields.integer(item[1], f"{at}.1"),
            last_seen=fields.integer(item[2], f"{at}.2"),
        )

    return tuple(fields.items(value, where, one, most=64))


def _owner_and_name(value: Any, where: str) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 2:
        raise InvalidInput("must be a list of owner and name", where=where)
    owner, name = fields.account(value[0], f"{where}.0"), fields.name(value[1], f"{where}.1")
    if not where.endswith(f".{network_id(owner, name)}"):
        raise InvalidInput("is the name of another network", where=where)
    return owner, name


def _by_network(value: Any, where: str, parse: Any) -> dict[str, Any]:
    return fields.mapping(value, where, fields.hex64, parse, most=_MOST)


def _key_text(value: Any, where: str) -> str:
    return fields.text(value, where, most=128)


def _problem(value: Any, where: str) -> str:
    return fields.text(value, where, most=1024)


def _digits(value: Any, where: str) -> str:
    return str(fields.decimal(value, where))
