# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON shapes of the LCD: 64-bit integers as strings, decimals with 18 places.

Source: gogoproto's jsonpb as the Cosmos SDK uses it (original field names, defaults
written out), with the custom types ``Int`` (text of the number) and ``Dec`` (on the
wire the number times 10^18, in JSON a decimal).
"""

from __future__ import annotations

import base64
import binascii
from decimal import Decimal
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from .messages import POOL
from .records import Attributes, Deployment, Group, Lease, Provider, SignedAttributes

_PLACES = Decimal(10) ** -18

Json = dict[str, Any]


def decimal(value: str | int | Decimal) -> str:
    """A decimal the way the SDK prints one: 18 places."""
    return format(Decimal(value).quantize(_PLACES), "f")


def message_json(message: Message) -> Json:
    """A protobuf message in the shape of the LCD."""
    data: Json = MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        descriptor_pool=POOL,
    )
    _custom_types(data)
    return data


def _custom_types(data: Any) -> None:
    if isinstance(data, list):
        for each in data:
            _custom_types(each)
    if not isinstance(data, dict):
        return
    for key, value in data.items():
        if key == "val" and len(data) == 1 and isinstance(value, str):
            data[key] = _int_text(value)
        elif key == "price" and isinstance(value, dict) and str(value.get("amount", "")).isdigit():
            value["amount"] = decimal(Decimal(value["amount"]) * _PLACES)
        else:
            _custom_types(value)


def _int_text(encoded: str) -> str:
    try:
        text = base64.b64decode(encoded).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return encoded
    return text or "0"


def group_spec(spec: Message) -> Json:
    """A GroupSpec as the LCD prints it; parts that were left out get their defaults."""
    data = message_json(spec)
    requirements = data.setdefault("requirements", {})
    requirements.setdefault("signed_by", {"all_of": [], "any_of": []})
    requirements.setdefault("attributes", [])
    for unit in data["resources"]:
        unit.setdefault("resource", {"id": 0, "cpu": None, "memory": None, "storage": [], "gpu": None, "endpoints": []})
        unit.setdefault("price", {"denom": "", "amount": decimal(0)})
    return data


def plain_group_spec(name: str, count: int, attributes: Attributes, denom: str) -> Json:
    """A GroupSpec for deployments made by the operator of the lab."""
    return {
        "name": name,
        "requirements": {"signed_by": {"all_of": [], "any_of": []}, "attributes": attribute_list(attributes)},
        "resources": [
            {
                "resource": {
                    "id": 1,
                    "cpu": {"units": {"val": "100"}, "attributes": []},
                    "memory": {"quantity": {"val": "134217728"}, "attributes": []},
                    "storage": [{"name": "default", "quantity": {"val": "134217728"}, "attributes": []}],
                    "gpu": {"units": {"val": "0"}, "attributes": []},
                    "endpoints": [],
                },
                "count": count,
                "price": {"denom": denom, "amount": decimal(1)},
            }
        ],
    }


def attribute_list(attributes: Attributes) -> list[Json]:
    """Attributes as the LCD lists them."""
    return [{"key": key, "value": value} for key, value in attributes]


def signed_attributes(entry: SignedAttributes) -> Json:
    """One row of the audit module."""
    return {"owner": entry.owner, "auditor": entry.auditor, "attributes": attribute_list(entry.attributes)}


def provider(entry: Provider) -> Json:
    """One row of the provider module."""
    return {
        "owner": entry.owner,
        "host_uri": entry.host_uri,
        "attributes": attribute_list(entry.attributes),
        "info": {"email": entry.email, "website": entry.website},
    }


def _group(deployment: Deployment, group: Group) -> Json:
    return {
        "id": {"owner": deployment.owner, "dseq": str(deployment.dseq), "gseq": group.gseq},
        "state": group.state,
        "group_spec": dict(group.spec),
        "created_at": str(group.created_at),
    }


def deployment(entry: Deployment, denom: str) -> Json:
    """A deployment with its groups and its escrow account."""
    is_open = entry.state == "active"
    funds = entry.deposit if is_open else 0
    return {
        "deployment": {
            "id": {"owner": entry.owner, "dseq": str(entry.dseq)},
            "state": entry.state,
            "hash": base64.b64encode(bytes.fromhex(entry.hash)).decode(),
            "created_at": str(entry.created_at),
        },
        "groups": [_group(entry, group) for group in entry.groups],
        "escrow_account": {
            "id": {"scope": "deployment", "xid": f"{entry.owner}/{entry.dseq}"},
            "state": {
                "owner": entry.owner,
                "state": "open" if is_open else "closed",
                "transferred": [{"denom": denom, "amount": decimal(0)}],
                "settled_at": str(entry.created_at),
                "funds": [{"denom": denom, "amount": decimal(funds)}],
                "deposits": [
                    {
                        "owner": entry.owner,
                        "height": str(entry.created_at),
                        "source": "balance",
                        "balance": {"denom": denom, "amount": decimal(funds)},
                    }
                ]
                if entry.deposit
                else [],
            },
        },
    }


def lease(entry: Lease, denom: str) -> Json:
    """A lease with its escrow payment."""
    window = entry.reclamation
    price = {"denom": denom, "amount": decimal(entry.price)}
    zero = {"denom": denom, "amount": decimal(0)}
    return {
        "lease": {
            "id": {
                "owner": entry.owner,
                "dseq": str(entry.dseq),
                "gseq": entry.gseq,
                "oseq": entry.oseq,
                "provider": entry.provider,
                "bseq": entry.bseq,
            },
            "state": entry.state,
            "price": price,
            "created_at": str(entry.created_at),
            "closed_on": str(entry.closed_on),
            "reason": entry.reason,
            "reclamation": {
                "window": f"{window.window}s",
                "started_at": str(window.started_at),
                "deadline": str(window.deadline),
                "reason": window.reason,
            }
            if window
            else None,
        },
        "escrow_payment": {
            "id": {
                "aid": {"scope": "deployment", "xid": f"{entry.owner}/{entry.dseq}"},
                "xid": f"{entry.gseq}/{entry.oseq}/{entry.provider}",
            },
            "state": {
                "owner": entry.provider,
                "state": {"insufficient_funds": "overdrawn", "closed": "closed"}.get(entry.state, "open"),
                "rate": price,
                "balance": zero,
                "unsettled": zero,
                "withdrawn": {"denom": denom, "amount": "0"},
            },
        },
    }
