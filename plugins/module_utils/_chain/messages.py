# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chain's messages that the collection writes, and foreign ones that go with them.

cosmpy doesn't know the messages of the Akash modules. They are described here at run time, in a
descriptor pool of their own, so that nothing clashes with what other packages register. Building
the protobuf bytes needs python3-protobuf and happens only when a transaction is made.

Source of names and numbers: akash-network/chain-sdk, proto/provider (audit v1, provider v1beta4, base
attributes v1).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from .._common import fields
from .._common.errors import InvalidInput, Unsupported

_TYPE_URL = re.compile(r"/[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z][a-zA-Z0-9_]*)+", re.ASCII)
_MAX_VALUE_BYTES = 1024 * 1024

_ATTRIBUTE = "akash.base.attributes.v1.Attribute"
_INFO = "akash.provider.v1beta4.Info"
_SIGN = "akash.audit.v1.MsgSignProviderAttributes"
_DELETE = "akash.audit.v1.MsgDeleteProviderAttributes"
_CREATE_PROVIDER = "akash.provider.v1beta4.MsgCreateProvider"
_UPDATE_PROVIDER = "akash.provider.v1beta4.MsgUpdateProvider"

# Per message its fields in the order of their numbers: name, kind ("string", or a message's name), repeated.
_FIELDS: dict[str, tuple[tuple[str, str, bool], ...]] = {
    _ATTRIBUTE: (("key", "string", False), ("value", "string", False)),
    _INFO: (("email", "string", False), ("website", "string", False)),
    _SIGN: (("owner", "string", False), ("auditor", "string", False), ("attributes", _ATTRIBUTE, True)),
    _DELETE: (("owner", "string", False), ("auditor", "string", False), ("keys", "string", True)),
    _CREATE_PROVIDER: (
        ("owner", "string", False),
        ("host_uri", "string", False),
        ("attributes", _ATTRIBUTE, True),
        ("info", _INFO, False),
    ),
}
_FIELDS[_UPDATE_PROVIDER] = _FIELDS[_CREATE_PROVIDER]


@dataclass(frozen=True)
class Message:
    """A message of a transaction: its type, and its content as JSON or as ready protobuf bytes."""

    type_url: str
    content: Mapping[str, Any] = field(default_factory=dict)
    encoded: bytes | None = None

    def encode(self) -> bytes:
        """The protobuf bytes. Unsupported: python3-protobuf is missing."""
        if self.encoded is not None:
            return self.encoded
        message = _classes()[self.type_url.removeprefix("/")](**self.content)
        data: bytes = message.SerializeToString(deterministic=True)
        return data


def sign_attributes(owner: str, auditor: str, attributes: Mapping[str, str]) -> Message:
    """Write attributes into the auditor's entry about the owner; keys not named stay as they are."""
    rows = [{"key": key, "value": value} for key, value in sorted(attributes.items())]
    return Message(f"/{_SIGN}", {"owner": owner, "auditor": auditor, "attributes": rows})


def delete_attributes(owner: str, auditor: str, keys: Iterable[str]) -> Message:
    """Remove attributes by key; each must exist. At least one: without keys the chain deletes the whole entry."""
    names = sorted(keys)
    if not names:
        raise InvalidInput("must name at least one attribute", where="keys")
    return Message(f"/{_DELETE}", {"owner": owner, "auditor": auditor, "keys": names})


def create_provider(
    owner: str, host_uri: str, attributes: Iterable[tuple[str, str]], email: str = "", website: str = ""
) -> Message:
    """Register a provider."""
    return _provider(_CREATE_PROVIDER, owner, host_uri, attributes, email, website)


def update_provider(
    owner: str, host_uri: str, attributes: Iterable[tuple[str, str]], email: str = "", website: str = ""
) -> Message:
    """Replace a provider's whole record: the caller puts back everything it didn't mean to change."""
    return _provider(_UPDATE_PROVIDER, owner, host_uri, attributes, email, website)


def foreign_message(document: Any, where: str) -> Message:
    """A message another tool made: ``{"type_url": "/akash…", "value": "<base64>"}`` (a protobuf Any)."""
    top = fields.obj(document, where, required={"type_url", "value"})
    type_url, value = top["type_url"], top["value"]
    if not isinstance(type_url, str) or len(type_url) > 200 or _TYPE_URL.fullmatch(type_url) is None:
        raise InvalidInput(
            "must be a type URL like /akash.deployment.v1beta4.MsgCreateDeployment", where=f"{where}.type_url"
        )
    if not isinstance(value, str) or len(value) > _MAX_VALUE_BYTES:
        raise InvalidInput("must be base64", where=f"{where}.value")
    try:
        return Message(type_url, encoded=base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("must be base64", where=f"{where}.value") from error


def _provider(
    kind: str, owner: str, host_uri: str, attributes: Iterable[tuple[str, str]], email: str, website: str
) -> Message:
    rows = [{"key": key, "value": value} for key, value in attributes]
    info = {"email": email, "website": website}
    return Message(f"/{kind}", {"owner": owner, "host_uri": host_uri, "attributes": rows, "info": info})


@lru_cache(maxsize=1)
def _classes() -> dict[str, Any]:
    """Message name to class, from a private descriptor pool."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise Unsupported(
            "Python's protobuf is missing", remedy="Install cosmpy where transactions are signed"
        ) from error
    pool = descriptor_pool.DescriptorPool()
    kinds = descriptor_pb2.FieldDescriptorProto
    for full_name, entries in _FIELDS.items():  # in an order in which what is used comes first
        package, _dot, name = full_name.rpartition(".")
        file = descriptor_pb2.FileDescriptorProto(name=f"{full_name}.proto", package=package, syntax="proto3")
        message = file.message_type.add(name=name)
        for number, (field_name, kind, repeated) in enumerate(entries, start=1):
            entry = message.field.add(name=field_name, number=number)
            entry.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if kind == "string":
                entry.type = kinds.TYPE_STRING
            else:
                entry.type = kinds.TYPE_MESSAGE
                entry.type_name = f".{kind}"
                file.dependency.append(f"{kind}.proto")
        pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in _FIELDS}
