# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The few messages of etcd's gRPC interface that allocating takes (v3.4: etcdserverpb, mvccpb, v3lockpb).

Built from their field numbers, so that no generated code has to be kept: protobuf and grpcio are here anyway, with
cosmpy. Of the kinds that an etcd client can speak this is the fastest one: no JSON, no gateway.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TYPES = descriptor_pb2.FieldDescriptorProto
_PLAIN = {
    "bytes": _TYPES.TYPE_BYTES,
    "int64": _TYPES.TYPE_INT64,
    "uint64": _TYPES.TYPE_UINT64,
    "int32": _TYPES.TYPE_INT32,  # stands for enumerations: the same on the wire
    "bool": _TYPES.TYPE_BOOL,
    "string": _TYPES.TYPE_STRING,
}

# Message -> fields as "type name number"; "*" repeats a field, and other names than the plain ones are messages.
_MESSAGES = {
    "Header": ("uint64 cluster_id 1", "uint64 member_id 2", "int64 revision 3", "uint64 raft_term 4"),
    "KeyValue": ("bytes key 1", "int64 create_revision 2", "int64 mod_revision 3", "int64 version 4", "bytes value 5"),
    "RangeRequest": ("bytes key 1", "bytes range_end 2", "int64 limit 3"),
    "RangeResponse": ("Header header 1", "*KeyValue kvs 2", "bool more 3", "int64 count 4"),
    "PutRequest": ("bytes key 1", "bytes value 2", "int64 lease 3"),
    "PutResponse": ("Header header 1",),
    "DeleteRangeRequest": ("bytes key 1", "bytes range_end 2"),
    "DeleteRangeResponse": ("Header header 1", "int64 deleted 2"),
    "RequestOp": ("RangeRequest request_range 1", "PutRequest request_put 2"),
    "ResponseOp": ("RangeResponse response_range 1", "PutResponse response_put 2"),
    "Compare": (
        "int32 result 1",
        "int32 target 2",
        "bytes key 3",
        "int64 version 4",
        "int64 create_revision 5",
        "int64 mod_revision 6",
    ),
    "TxnRequest": ("*Compare compare 1", "*RequestOp success 2", "*RequestOp failure 3"),
    "TxnResponse": ("Header header 1", "bool succeeded 2", "*ResponseOp responses 3"),
    "LeaseGrantRequest": ("int64 TTL 1", "int64 ID 2"),
    "LeaseGrantResponse": ("Header header 1", "int64 ID 2", "int64 TTL 3", "string error 4"),
    "LockRequest": ("bytes name 1", "int64 lease 2"),
    "LockResponse": ("Header header 1", "bytes key 2"),
    "UnlockRequest": ("bytes key 1",),
    "UnlockResponse": ("Header header 1",),
    "StatusRequest": (),
    "StatusResponse": ("Header header 1", "string version 2", "int64 db_size 3", "uint64 leader 4"),
    "CompactionRequest": ("int64 revision 1", "bool physical 2"),
    "CompactionResponse": ("Header header 1",),
}

# Method -> path, request, answer
METHODS = {
    "range": ("/etcdserverpb.KV/Range", "RangeRequest", "RangeResponse"),
    "put": ("/etcdserverpb.KV/Put", "PutRequest", "PutResponse"),
    "delete": ("/etcdserverpb.KV/DeleteRange", "DeleteRangeRequest", "DeleteRangeResponse"),
    "txn": ("/etcdserverpb.KV/Txn", "TxnRequest", "TxnResponse"),
    "compact": ("/etcdserverpb.KV/Compact", "CompactionRequest", "CompactionResponse"),
    "grant": ("/etcdserverpb.Lease/LeaseGrant", "LeaseGrantRequest", "LeaseGrantResponse"),
    "status": ("/etcdserverpb.Maintenance/Status", "StatusRequest", "StatusResponse"),
    "lock": ("/v3lockpb.Lock/Lock", "LockRequest", "LockResponse"),
    "unlock": ("/v3lockpb.Lock/Unlock", "UnlockRequest", "UnlockResponse"),
}

EQUAL, GREATER = 0, 1  # Compare.result
VERSION, CREATE, MOD = 0, 1, 2  # Compare.target


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="avpn_bench/etcd.proto", package="avpn_bench", syntax="proto3")
    for name, described in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in described:
            kind, field, number = line.split()
            repeated, kind = kind.startswith("*"), kind.lstrip("*")
            added = message.field.add(name=field, number=int(number))
            added.label = _TYPES.LABEL_REPEATED if repeated else _TYPES.LABEL_OPTIONAL
            if kind in _PLAIN:
                added.type = _PLAIN[kind]
            else:
                added.type, added.type_name = _TYPES.TYPE_MESSAGE, f".avpn_bench.{kind}"
            if name == "Compare" and int(number) > 3:
                # One of them is always sent, also when it is 0.
                added.oneof_index = 0
        if name == "Compare":
            message.oneof_decl.add(name="target_union")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"avpn_bench.{name}")) for name in _MESSAGES
    }


MESSAGE = _classes()  # message class by name
