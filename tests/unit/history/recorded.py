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
from history.replaying import child, digest, genesis, value_hash

Events = list[dict[str, Any]]

NETWORK = "ab" * 32
VOTERS = ("akash1a/n1", "akash1b/n2", "akash1c/n3")
NEW = "akash1d/n4"  # a host that may come
EDIT = Callable[[Events], object]


@lru_cache
def _key(node: str, key: str = "") -> Ed25519PrivateKey:
    """``key``: in words, another one than the host's first."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256((node + key).encode()).digest())


def public(node: str, key: str = "") -> str:
    raw = _key(node, key).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def signed(node: str, kind: str, document: dict[str, Any], key: str = "") -> str:
    return base64.b64encode(_key(node, key).sign(signed_text(kind, document))).decode()


def voter(node: str, disk: str = "", key: str = "") -> dict[str, str]:
    incarnation = hashlib.sha256(f"{node} disk{disk}".encode()).hexdigest()[:32]
    return {"node": node, "incarnation": incarnation, "key": public(node, key)}


def sign_anew(event: dict[str, Any], key: str = "") -> None:
    """A statement as its voter would have signed it."""
    document = event["statement"]
    plain = {name: value for name, value in document.items() if name != "signature"}
    document["signature"] = signed(document["voter"], event["kind"], {"network": NETWORK, **plain}, key)


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
    }


def _plain(entry: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if entry is None else {name: value for name, value in entry.items() if name != "batch"}


class Book:
    """Writes the events of a campaign that goes well; the versions follow each other with their hashes."""

    def __init__(self) -> None:
        self.events: Events = []
        self.value: dict[str, Any] | None = None
        self.hash = genesis(NETWORK, 0, None)
        self.certificate: dict[str, Any] = {}
        self.now = 0.0
        founders = [voter(node) for node in VOTERS]
        leases = {f"m{number}": node for number, node in enumerate(VOTERS)}
        self.add("start", seed=1, network=NETWORK, generation=0, base=None, voters=founders, leases=leases)
        document = {"founders": [founder(node) for node in VOTERS]}
        self.version({"record": {"height": 5, "document": document}}, 0)

    def add(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})

    def tick(self) -> float:
        self.now += 1.0
        return self.now

    def happened(self, kind: str, node: str, **fields: Any) -> None:
        """Something on chain."""
        since = self.tick()
        self.add("chain", kind=kind, node=node, since=since, at=self.tick(), **fields)

    def publish(self, node: str, disk: str = "", key: str = "") -> None:
        named = voter(node, disk, key)
        self.happened("publish", node, incarnation=named["incarnation"], key=named["key"])

    def batch(self, author: str, key: str = "", **changed: dict[str, Any]) -> dict[str, Any]:
        """A change whose entries the author has signed, all in one batch."""
        digests = sorted(
            digest({"kind": section[:-1], "key": name, "entry": _plain(entry)})
            for section, entries in changed.items()
            for name, entry in entries.items()
        )
        serials = {} if self.value is None else self.value["serials"]
        serial = serials.get(author, 0) + 1
        document = {"network": NETWORK, "generation": 0, "author": author, "serial": serial, "digests": digests}
        name = f"{author}/{serial}"
        batch = {"generation": 0, "key": public(author, key), "digests": digests}
        batch["signature"] = signed(author, "batch", document, key)
        named = {
            section: {one: None if entry is None else {**entry, "batch": name} for one, entry in entries.items()}
            for section, entries in changed.items()
        }
        return {**named, "batches": {name: batch}}

    def entry(self, node: str, key: str = "") -> dict[str, Any]:
        """A host's entry."""
        address = f"10.0.1.{1 + [*VOTERS, node].index(node)}"
        fields = {"wireguard": f"{node} tunnel", "endpoint": "198.18.0.1", "port": 51820, "mtu": 1420}
        return {"key": public(node, key), **fields, "address": address, "height": 5}

    def version(self, change: dict[str, Any], counter: int, signers: tuple[str, ...] = VOTERS[:2]) -> None:
        """One more version, with what its voters signed."""
        value = child(self.value, self.hash, change, NETWORK, 0)
        place = {"network": NETWORK, "generation": 0, "version": value["version"], "parent": value["parent"]}
        ballot = {"counter": counter + 1, "node": VOTERS[0], "run": "0" * 32, "hash": value_hash(value)}
        self.certificate = {**place, "ballot": ballot, "acceptances": []}
        for name in signers:
            node, _hash, variant = name.partition("#")  # with another disk, or another key
            disk, key = (variant, "") if variant.startswith("disk") else ("", variant)
            who = {"voter": node, "incarnation": voter(node, disk)["incarnation"]}
            signature = signed(node, "acceptance", {**place, "ballot": ballot, **who}, key)
            self.certificate["acceptances"].append({**who, "signature": signature})
            for kind in ("promise", "acceptance"):
                document = {**place, "ballot": ballot, **who}
                del document["network"]
                if kind == "promise":
                    document["accepted"] = None
                event = {"kind": kind, "by": node, "statement": document}
                sign_anew(event, key)
                self.add("statement", **event, sent=self.now, received=self.now + 0.1)
                self.now += 0.2
        self.add("change", version=value["version"], change=change)
        self.add("certificate", certificate=self.certificate)
        self.value, self.hash = value, value_hash(value)

    def change(self, endpoint: str, entry: dict[str, Any], host: str = VOTERS[0], key: str = "") -> dict[str, Any]:
        """A slot as a host writes it: with its own entry, unless that is there with this key."""
        known = {} if self.value is None else self.value["hosts"]
        if known.get(host, {}).get("key") == public(host, key):
            return self.batch(host, key, slots={endpoint: entry})
        return self.batch(host, key, hosts={host: self.entry(host, key)}, slots={endpoint: entry})

    def write(
        self, number: int, kind: str, endpoint: str, entry: dict[str, Any], host: str = VOTERS[0], key: str = ""
    ) -> None:
        """An operation that gets its own change certified."""
        change = self.change(endpoint, entry, host, key)
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
        assert self.value is not None
        for one in self.value["voters"]:
            self.add("final", host=one["node"], certificate=self.certificate, value=self.value)
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
