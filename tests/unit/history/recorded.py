# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small recording as a good campaign writes it: three voters with real keys, and what two clients did."""

from __future__ import annotations

import base64
import copy
import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from history.events import Recording
from history.proofs import signed_text
from history.replaying import child, genesis, value_hash

Events = list[dict[str, Any]]

NETWORK = "ab" * 32
VOTERS = ("akash1a/n1", "akash1b/n2", "akash1c/n3")
EDIT = Callable[[Events], object]


@lru_cache
def _key(node: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(node.encode()).digest())


def voter(node: str) -> dict[str, str]:
    public = _key(node).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    incarnation = hashlib.sha256(f"{node} disk".encode()).hexdigest()[:32]
    return {"node": node, "incarnation": incarnation, "key": base64.b64encode(public).decode()}


def founder(node: str) -> dict[str, str]:
    """The same as a record on chain names it."""
    provider, _slash, name = node.partition("/")
    return {**voter(node), "provider": provider, "node": name}


def slot(address: str, host: str, lease: str, height: int, *, bound: bool = True) -> dict[str, Any]:
    return {
        "address": address,
        "lease": lease,
        "created": height,
        "host": host,
        "height": height,
        "bound": bound,
        "batch": f"{host}/{height}",
    }


class Book:
    """Writes the events of a campaign that goes well; the versions follow each other with their hashes."""

    def __init__(self) -> None:
        self.events: Events = []
        self.value: dict[str, Any] | None = None
        self.hash = genesis(NETWORK, 0, None)
        self.certificate: dict[str, Any] = {}
        self.now = 0.0
        founders = [voter(node) for node in VOTERS]
        self.add("start", seed=1, network=NETWORK, generation=0, base=None, voters=founders)
        document = {"founders": [founder(node) for node in VOTERS]}
        self.version({"record": {"height": 5, "document": document}}, 0)

    def add(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})

    def tick(self) -> float:
        self.now += 1.0
        return self.now

    def version(self, change: dict[str, Any], counter: int, signers: tuple[str, ...] = VOTERS[:2]) -> None:
        """One more version, with what its voters signed."""
        value = child(self.value, self.hash, change, NETWORK, 0)
        place = {"network": NETWORK, "generation": 0, "version": value["version"], "parent": value["parent"]}
        ballot = {"counter": counter + 1, "node": VOTERS[0], "run": "0" * 32, "hash": value_hash(value)}
        self.certificate = {**place, "ballot": ballot, "acceptances": []}
        for node in signers:
            who = {"voter": node, "incarnation": voter(node)["incarnation"]}
            signature = base64.b64encode(_key(node).sign(signed_text("acceptance", {**place, "ballot": ballot, **who})))
            self.certificate["acceptances"].append({**who, "signature": signature.decode()})
            for kind in ("promise", "acceptance"):
                document = {**place, "ballot": ballot, **who}
                if kind == "promise":
                    document["accepted"] = None
                self.add("statement", kind=kind, statement=document, sent=self.now, received=self.now + 0.1)
                self.now += 0.2
        self.add("change", version=value["version"], change=change)
        self.add("certificate", certificate=self.certificate)
        self.value, self.hash = value, value_hash(value)

    def write(self, number: int, kind: str, endpoint: str, entry: dict[str, Any], host: str = VOTERS[0]) -> None:
        """An operation that gets its own change certified."""
        batch = {entry["batch"]: {"generation": 0, "key": "k", "digests": ["d"], "signature": "s"}}
        change = {"slots": {endpoint: entry}, "batches": batch}
        self.add("invoke", op=number, client="n1/0", kind=kind, endpoint=endpoint, host=host, at=self.tick())
        hash_ = value_hash(child(self.value, self.hash, change, NETWORK, 0))
        assert self.value is not None
        self.add("build", op=number, version=self.value["version"] + 1, hash=hash_, what="own")
        self.version(change, number)
        self.answer(number, "decided", endpoint)

    def read(self, number: int, strength: str, endpoint: str = "") -> None:
        kind = {"confirmed": "confirm"}.get(strength, "read")
        self.add("invoke", op=number, client="n2/0", kind=kind, endpoint=endpoint, host=VOTERS[1], at=self.tick())
        self.answer(number, strength, endpoint)

    def answer(self, number: int, strength: str, endpoint: str) -> None:
        assert self.value is not None
        shown = {"version": self.value["version"], "hash": self.hash, "found": self.value["slots"].get(endpoint)}
        self.add("answer", op=number, at=self.tick(), outcome="ok", strength=strength, **copy.deepcopy(shown))

    def unanswered(self, number: int, kind: str, endpoint: str, outcome: str) -> None:
        self.add("invoke", op=number, client="n1/1", kind=kind, endpoint=endpoint, host=VOTERS[0], at=self.tick())
        self.add("answer", op=number, at=self.tick(), outcome=outcome, error="no majority")

    def finish(self) -> Events:
        for node in VOTERS:
            self.add("final", host=node, certificate=self.certificate, value=self.value)
        self.add("end")
        return self.events


def good() -> Events:
    """Version 0, then: web bound, db bound, web moved to a later lease, db released, db bound again."""
    book = Book()
    book.write(1, "allocate", "web/1/0", slot("10.0.0.2", VOTERS[0], "1/1/1", 11))
    book.write(2, "allocate", "db/1/0", slot("10.0.0.3", VOTERS[0], "2/1/1", 12))
    book.read(3, "confirmed")
    book.write(4, "rebind", "web/1/0", slot("10.0.0.2", VOTERS[0], "3/1/1", 13))
    book.read(5, "fetched")
    book.write(6, "release", "db/1/0", slot("10.0.0.3", VOTERS[0], "2/1/1", 14, bound=False))
    book.unanswered(7, "allocate", "db/1/0", "failed")
    book.write(8, "allocate", "db/1/0", slot("10.0.0.3", VOTERS[0], "4/1/1", 15))
    book.read(9, "confirmed", "web/1/0")
    book.unanswered(10, "release", "web/1/0", "unknown")
    return book.finish()


def recording(edit: EDIT | None = None) -> Recording:
    """The good one, after an edit of its events."""
    events = good()
    if edit is not None:
        edit(events)
    return Recording.of(events)


def events_of(events: Events, event: str, /, **fields: Any) -> list[dict[str, Any]]:
    """Events of a name that have these fields."""
    return [
        one for one in events if one["event"] == event and all(one.get(key) == want for key, want in fields.items())
    ]
