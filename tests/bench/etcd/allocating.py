# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Allocating addresses with etcd: under its lock, one transaction per address; and as the best batch it takes.

What is kept for an endpoint is what the ledger keeps for it (a slot's document), under a key per endpoint, beside a
counter with the next free address. So looking for a free one costs one read; who reads the whole table of used
addresses instead, as many do, pays more. Under the lock every transaction checks that the endpoint has none yet and
that the lock is still held (its fencing); a batch checks the revision of the counter, which nobody else may have moved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .client import Client
from .wire import CREATE, EQUAL, GREATER, MESSAGE, MOD

LEASE_SECONDS = 600
Documents = Mapping[str, bytes]  # endpoint -> document without its address


class Allocator:
    """One client's way to addresses of one network (``prefix``)."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._counter = f"{prefix}/next".encode()
        self._lock = f"{prefix}/lock".encode()
        self._lease = client.lease(LEASE_SECONDS)
        self._known: tuple[int, int] | None = None  # next address and its revision, as last seen

    def locked(self, documents: Documents, *, keep: bool = False) -> list[int]:
        """One transaction per address, each under the lock; with ``keep`` the lock is taken once for all of them.

        Returns the numbers of the addresses.
        """
        found: list[int] = []
        if keep:
            key = self._client.call("lock", name=self._lock, lease=self._lease).key
            number = self._read()[0]
            for endpoint, document in documents.items():
                self._write(key, number, {endpoint: document})
                found.append(number)
                number += 1
            self._client.call("unlock", key=key)
            return found
        for endpoint, document in documents.items():
            key = self._client.call("lock", name=self._lock, lease=self._lease).key
            number = self._read()[0]
            self._write(key, number, {endpoint: document})
            self._client.call("unlock", key=key)
            found.append(number)
        return found

    def batch(self, documents: Documents, size: int) -> None:
        """All in transactions of at most ``size`` endpoints without a lock: the counter's revision guards them.

        The counter is read only if this client doesn't know it yet, or if somebody else was faster.
        """
        endpoints = list(documents)
        done = 0
        while done < len(endpoints):
            chunk = {endpoint: documents[endpoint] for endpoint in endpoints[done : done + size]}
            number, revision = self._known or self._read()
            guard = _compare(self._counter, MOD, EQUAL, mod_revision=revision)
            answer = self._put(number, chunk, [guard])
            if not answer.succeeded:
                self._known = None
                continue
            self._known = number + len(chunk), answer.header.revision
            done += len(chunk)

    def look(self) -> None:
        """Read the counter, as the ledger's proposer knows the newest version."""
        self._known = self._read()

    def _read(self) -> tuple[int, int]:
        kvs = self._client.call("range", key=self._counter).kvs
        return (int(kvs[0].value), kvs[0].mod_revision) if kvs else (2, 0)

    def _write(self, lock: bytes, number: int, documents: Documents) -> None:
        guards = [_compare(lock, CREATE, GREATER, create_revision=0)]
        guards += [_compare(self._key(endpoint), CREATE, EQUAL, create_revision=0) for endpoint in documents]
        if not self._put(number, documents, guards).succeeded:
            raise RuntimeError("the lock was lost, or an endpoint has an address already")

    def _put(self, number: int, documents: Documents, guards: Sequence[Any]) -> Any:
        put, request = MESSAGE["PutRequest"], MESSAGE["RequestOp"]
        puts = [
            put(key=self._key(endpoint), value=document % at)
            for at, (endpoint, document) in enumerate(documents.items(), number)
        ]
        puts.append(put(key=self._counter, value=b"%d" % (number + len(documents))))
        message = MESSAGE["TxnRequest"](compare=guards, success=[request(request_put=one) for one in puts])
        return self._client.send("txn", message)

    def _key(self, endpoint: str) -> bytes:
        return f"{self._prefix}/{endpoint}".encode()


def documents(slots: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """Documents of slots, with a place for the address's number. None of their texts has a per cent sign."""
    made = {}
    for endpoint, slot in slots.items():
        text = json.dumps({**slot, "address": 0}, separators=(",", ":"), sort_keys=True)
        made[endpoint] = text.replace('"address":0', '"address":%d').encode()
    return made


def _compare(key: bytes, target: int, result: int, **value: int) -> Any:
    return MESSAGE["Compare"](key=key, target=target, result=result, **value)
