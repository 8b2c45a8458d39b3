# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages of the Akash modules, described at run time.

The field tables are those of chain.md (akash-network/chain-sdk, proto/node/akash).
They live in a descriptor pool of their own, next to the files of cosmpy they need:
the default pool of the process belongs to the code under test, which describes the
same messages itself.
"""

from __future__ import annotations

from typing import Any

from cosmpy.protos.cosmos.bank.v1beta1 import tx_pb2 as bank_pb2
from cosmpy.protos.cosmos.base.v1beta1 import coin_pb2
from cosmpy.protos.cosmos.crypto.secp256k1 import keys_pb2
from cosmpy.protos.cosmos.tx.v1beta1 import tx_pb2
from google.protobuf import descriptor_pb2, duration_pb2, message_factory
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
}

# file: (imports, {message: ["number name type"]}, {enum: [values]}); "[]" repeats.
_FILES: list[tuple[str, list[str], dict[str, list[str]], dict[str, list[str]]]] = [
    (
        "akash.base.attributes.v1",
        [],
        {
            "Attribute": ["1 key string", "2 value string"],
            "SignedBy": ["1 all_of string[]", "2 any_of string[]"],
            "PlacementRequirements": ["1 signed_by .SignedBy", "2 attributes .Attribute[]"],
        },
        {},
    ),
    (
        "akash.base.resources.v1beta4",
        ["akash.base.attributes.v1"],
        {
            "ResourceValue": ["1 val bytes"],
            "CPU": ["1 units .ResourceValue", "2 attributes akash.base.attributes.v1.Attribute[]"],
            "Memory": ["1 quantity .ResourceValue", "2 attributes akash.base.attributes.v1.Attribute[]"],
            "Storage": [
                "1 name string",
                "2 quantity .ResourceValue",
                "3 attributes akash.base.attributes.v1.Attribute[]",
            ],
            "GPU": ["1 units .ResourceValue", "2 attributes akash.base.attributes.v1.Attribute[]"],
            "Endpoint": ["1 kind enum:Kind", "2 sequence_number uint32"],
            "Resources": [
                "1 id uint32",
                "2 cpu .CPU",
                "3 memory .Memory",
                "4 storage .Storage[]",
                "5 gpu .GPU",
                "6 endpoints .Endpoint[]",
            ],
        },
        {"Kind": ["SHARED_HTTP", "RANDOM_PORT", "LEASED_IP"]},
    ),
    (
        "akash.base.deposit.v1",
        ["cosmos/base/v1beta1/coin.proto"],
        {"Deposit": ["1 amount cosmos.base.v1beta1.Coin", "5 sources enum:Source[]"]},
        {"Source": ["invalid", "balance", "grant"]},
    ),
    (
        "akash.audit.v1",
        ["akash.base.attributes.v1"],
        {
            "MsgSignProviderAttributes": [
                "1 owner string",
                "2 auditor string",
                "3 attributes akash.base.attributes.v1.Attribute[]",
            ],
            "MsgDeleteProviderAttributes": ["1 owner string", "2 auditor string", "3 keys string[]"],
        },
        {},
    ),
    (
        "akash.provider.v1beta4",
        ["akash.base.attributes.v1"],
        {
            "Info": ["1 email string", "2 website string"],
            "MsgCreateProvider": [
                "1 owner string",
                "2 host_uri string",
                "3 attributes akash.base.attributes.v1.Attribute[]",
                "4 info .Info",
            ],
            "MsgUpdateProvider": [
                "1 owner string",
                "2 host_uri string",
                "3 attributes akash.base.attributes.v1.Attribute[]",
                "4 info .Info",
            ],
            "MsgDeleteProvider": ["1 owner string"],
        },
        {},
    ),
    ("akash.deployment.v1", [], {"DeploymentID": ["1 owner string", "2 dseq uint64"]}, {}),
    (
        "akash.deployment.v1beta4",
        [
            "akash.base.attributes.v1",
            "akash.base.resources.v1beta4",
            "akash.base.deposit.v1",
            "akash.deployment.v1",
            "cosmos/base/v1beta1/coin.proto",
            "google/protobuf/duration.proto",
        ],
        {
            "ResourceUnit": [
                "1 resource akash.base.resources.v1beta4.Resources",
                "2 count uint32",
                "3 price cosmos.base.v1beta1.DecCoin",
            ],
            "GroupSpec": [
                "1 name string",
                "2 requirements akash.base.attributes.v1.PlacementRequirements",
                "3 resources .ResourceUnit[]",
            ],
            "DeploymentReclamation": ["1 min_window google.protobuf.Duration"],
            "MsgCreateDeployment": [
                "1 id akash.deployment.v1.DeploymentID",
                "2 groups .GroupSpec[]",
                "3 hash bytes",
                "4 deposit akash.base.deposit.v1.Deposit",
                "5 reclamation .DeploymentReclamation",
            ],
            "MsgUpdateDeployment": ["1 id akash.deployment.v1.DeploymentID", "3 hash bytes"],
            "MsgCloseDeployment": ["1 id akash.deployment.v1.DeploymentID"],
        },
        {},
    ),
]


def _file_name(package_or_file: str) -> str:
    if package_or_file.endswith(".proto"):
        return package_or_file
    return f"devchain/{package_or_file.replace('.', '/')}.proto"


def _add_field(message: descriptor_pb2.DescriptorProto, package: str, text: str) -> None:
    number, name, kind = text.split()
    entry = message.field.add(name=name, number=int(number))
    entry.label = _FIELD.LABEL_REPEATED if kind.endswith("[]") else _FIELD.LABEL_OPTIONAL
    kind = kind.removesuffix("[]")
    if kind in _SCALARS:
        entry.type = _SCALARS[kind]
    elif kind.startswith("enum:"):
        entry.type = _FIELD.TYPE_ENUM
        entry.type_name = f".{package}.{kind.removeprefix('enum:')}"
    else:
        entry.type = _FIELD.TYPE_MESSAGE
        entry.type_name = f".{package}{kind}" if kind.startswith(".") else f".{kind}"


def _describe(
    package: str, imports: list[str], messages: dict[str, list[str]], enums: dict[str, list[str]]
) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=_file_name(package), package=package, syntax="proto3")
    file.dependency.extend(_file_name(each) for each in imports)
    for name, values in enums.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for text in fields:
            _add_field(message, package, text)
    return file


def _copy_file(pool: DescriptorPool, file: FileDescriptor, seen: set[str]) -> None:
    if file.name in seen:
        return
    seen.add(file.name)
    for dependency in file.dependencies:
        _copy_file(pool, dependency, seen)
    pool.AddSerializedFile(file.serialized_pb)


def _build_pool() -> DescriptorPool:
    pool = DescriptorPool()
    seen: set[str] = set()
    for module in (coin_pb2, keys_pb2, bank_pb2, tx_pb2, duration_pb2):
        _copy_file(pool, module.DESCRIPTOR, seen)
    for package, imports, messages, enums in _FILES:
        pool.AddSerializedFile(_describe(package, imports, messages, enums).SerializeToString())
    return pool


POOL = _build_pool()

SIGN_ATTRIBUTES = "akash.audit.v1.MsgSignProviderAttributes"
DELETE_ATTRIBUTES = "akash.audit.v1.MsgDeleteProviderAttributes"
CREATE_PROVIDER = "akash.provider.v1beta4.MsgCreateProvider"
UPDATE_PROVIDER = "akash.provider.v1beta4.MsgUpdateProvider"
DELETE_PROVIDER = "akash.provider.v1beta4.MsgDeleteProvider"
CREATE_DEPLOYMENT = "akash.deployment.v1beta4.MsgCreateDeployment"
UPDATE_DEPLOYMENT = "akash.deployment.v1beta4.MsgUpdateDeployment"
CLOSE_DEPLOYMENT = "akash.deployment.v1beta4.MsgCloseDeployment"
SEND = "cosmos.bank.v1beta1.MsgSend"

# The messages whose every field is known here: anything more in them is refused.
COMPLETE = frozenset(
    {
        SIGN_ATTRIBUTES,
        DELETE_ATTRIBUTES,
        CREATE_PROVIDER,
        UPDATE_PROVIDER,
        DELETE_PROVIDER,
        UPDATE_DEPLOYMENT,
        CLOSE_DEPLOYMENT,
        SEND,
    }
)


def message_class(full_name: str) -> type[Any]:
    """The class of a message by its full name; ``KeyError`` if there is none."""
    found: type[Any] = message_factory.GetMessageClass(POOL.FindMessageTypeByName(full_name))
    return found


def new(full_name: str, **fields: Any) -> Any:
    """A new message, for tests and for tools that sign transactions."""
    return message_class(full_name)(**fields)


def full_name(message: Message) -> str:
    """The full name of a message."""
    return str(message.DESCRIPTOR.full_name)
