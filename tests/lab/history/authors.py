# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who wrote what was changed: checked with the authors' keys (Ed25519), which the chain has to have named by then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .events import FOREVER, Recording
from .proofs import is_signed, signed_text
from .replaying import Chain, digest

_SECTIONS = (("host", "hosts"), ("slot", "slots"), ("lock", "locks"))


def unsigned(recording: Recording, chain: Chain) -> Iterator[str]:
    """Changed entries that no new batch of their author covers, and batches with a key that isn't the author's."""
    network, published = recording.start["network"], Published(recording)
    seen = first_seen(recording)
    before: Mapping[str, Any] = {}
    for version, change, hosts in zip(chain.versions, chain.changes, chain.hosts, strict=True):
        authors: dict[str, str] = {}  # digest -> who signed it
        for name, batch in change.get("batches", {}).items():
            author, _slash, serial = name.rpartition("/")
            document = {"network": network, "generation": batch["generation"], "author": author}
            text = signed_text("batch", {**document, "serial": int(serial), "digests": batch["digests"]})
            if not is_signed(batch["key"], text, batch["signature"]):
                yield f"version {version.number}: {name} is not signed with its key"
            if batch["key"] not in {entries[author]["key"] for entries in (before, hosts) if author in entries}:
                yield f"version {version.number}: {name} has another key than the entry of its author"
            if not published.names(author, seen.get(version.hash, FOREVER), key=batch["key"]):
                yield f"version {version.number}: {name} has a key that the chain had not named"
            authors.update(dict.fromkeys(batch["digests"], author))
        for kind, section in _SECTIONS:
            for key, entry in change.get(section, {}).items():
                plain = None if entry is None else {name: value for name, value in entry.items() if name != "batch"}
                signed_by = authors.get(digest({"kind": kind, "key": key, "entry": plain}))
                if signed_by is None or (entry and _author(kind, key, entry) not in (None, signed_by)):
                    yield f"version {version.number}: {section}.{key} is signed by {signed_by or 'nobody'}"
        before = hosts


def _author(kind: str, key: str, entry: Mapping[str, Any]) -> str | None:
    """Who alone may write an entry; None: anybody, as with a release."""
    if kind == "host":
        return key
    if kind == "lock":
        return str(entry["holder"])
    return str(entry["host"]) if entry["bound"] else None


class Published:
    """What the chain named of each host: (since when at the earliest, incarnation, key), in that order."""

    def __init__(self, recording: Recording) -> None:
        self._of: dict[str, list[tuple[float, str, str]]] = {
            voter["node"]: [(0.0, voter["incarnation"], voter["key"])] for voter in recording.start["voters"]
        }
        for event in recording.chain:
            if event["kind"] == "publish":
                self._of.setdefault(event["node"], []).append((event["since"], event["incarnation"], event["key"]))

    def names(self, node: str, by: float, *, key: str = "", incarnation: str = "") -> bool:
        """Whether a key (and incarnation) had been named for a host by a time."""
        return any(
            since <= by and (not key or key == one_key) and (not incarnation or incarnation == one_incarnation)
            for since, one_incarnation, one_key in self._of.get(node, ())
        )

    def replaced(self, voter: Mapping[str, str], by: float) -> bool:
        """Whether another database or key than this voter's had been named after it by a time."""
        own = [(voter["incarnation"], voter["key"]) == one[1:] for one in self._of.get(voter["node"], ())]
        later = self._of.get(voter["node"], [])[own.index(True) + 1 :] if any(own) else []
        return any(since <= by for since, _incarnation, _key in later)


def first_seen(recording: Recording) -> dict[str, float]:
    """By hash of a value: when somebody was first told that it had been accepted; so it was proposed before that."""
    seen: dict[str, float] = {}
    for one in recording.statements:
        if one.kind == "acceptance":
            seen[one.ballot.hash] = min(one.received, seen.get(one.ballot.hash, FOREVER))
    return seen
