# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A recorded campaign: JSON lines, one event each, as README.md of tests/faults describes them.

Nothing here knows how the ledger's software works: documents are those on the wire.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOREVER = float("inf")
WRITES = ("allocate", "rebind", "release", "rekey")


@dataclass(frozen=True)
class Ballot:
    """Ordered as voters order them."""

    counter: int
    node: str
    run: str
    hash: str

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Ballot | None:
        if document is None:
            return None
        return cls(document["counter"], document["node"], document["run"], document["hash"])

    def __lt__(self, other: Ballot) -> bool:
        return self._key() < other._key()

    def __le__(self, other: Ballot) -> bool:
        return self._key() <= other._key()

    def _key(self) -> tuple[int, str, str, str, str]:
        provider, _slash, node = self.node.partition("/")
        return self.counter, provider, node, self.run, self.hash


@dataclass(frozen=True)
class Statement:
    """A signed promise or acceptance of a voter, as a client got it: asked at ``sent``, received at ``received``."""

    kind: str  # promise or acceptance
    voter: str
    incarnation: str
    generation: int
    version: int
    parent: str
    ballot: Ballot
    accepted: Ballot | None  # what a promise shows as accepted before
    sent: float
    received: float
    by: str  # the node that was asked
    document: Mapping[str, Any]  # all of it but the network's id: what is signed, and the signature

    @property
    def words(self) -> str:
        return f"{'an' if self.kind == 'acceptance' else 'a'} {self.kind}"


@dataclass
class Operation:
    """One operation of a client. Without an answer it ends never: it may take effect at any time, or not at all."""

    number: int
    client: str
    kind: str  # allocate, rebind, release, rekey, confirm, read or voters
    endpoint: str  # of allocate, rebind, release
    host: str  # the node that acts
    began: float
    ended: float = FOREVER
    outcome: str = "unknown"  # ok: answered; failed: for sure without effect; unknown
    # How sure an answer is. decided: its own change was certified; confirmed: a majority promised that nothing newer
    # is even half done; fetched: a majority was asked for its newest; seen: certified once, and nothing more.
    strength: str = "seen"
    version: int = -1
    hash: str = ""
    found: Mapping[str, Any] | None = None  # the endpoint's slot at that version
    built: dict[str, str] = field(default_factory=dict)  # hash of each value it proposed itself -> record or own
    left: list[Mapping[str, Any]] = field(default_factory=list)  # slots it signed for others to bring along
    error: str = ""


@dataclass(frozen=True)
class Final:
    """What a host held in the end, as its voter handed it out."""

    host: str
    certificate: Mapping[str, Any]
    value: Mapping[str, Any]


@dataclass
class Recording:
    """All events of one campaign, sorted by kind. ``changes``: version -> each change that was seen for it."""

    start: dict[str, Any] = field(default_factory=dict)
    operations: dict[int, Operation] = field(default_factory=dict)
    changes: dict[int, list[Mapping[str, Any]]] = field(default_factory=dict)
    certificates: list[Mapping[str, Any]] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    chain: list[dict[str, Any]] = field(default_factory=list)  # lease, close, replace, publish: as they happened
    faults: list[dict[str, Any]] = field(default_factory=list)
    finals: list[Final] = field(default_factory=list)
    ended: bool = False

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> Recording:
        recording = cls()
        for event in events:
            recording.add(event)
        return recording

    @classmethod
    def load(cls, path: Path) -> Recording:
        """From a file; a last line that was cut off is left out, and the recording then has no end."""
        recording = cls()
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    recording.add(json.loads(line))
        return recording

    def add(self, event: Mapping[str, Any]) -> None:
        """Take one event; KeyError for one that is none."""
        _TAKE[event["event"]](self, event)

    # --- one method per kind of event

    def _start(self, event: Mapping[str, Any]) -> None:
        self.start = dict(event)

    def _invoke(self, event: Mapping[str, Any]) -> None:
        number = event["op"]
        self.operations[number] = Operation(
            number, event["client"], event["kind"], event.get("endpoint", ""), event["host"], event["at"]
        )

    def _begin(self, event: Mapping[str, Any]) -> None:
        self.operations[event["op"]].began = event["at"]

    def _build(self, event: Mapping[str, Any]) -> None:
        self.operations[event["op"]].built[event["hash"]] = event["what"]

    def _draft(self, event: Mapping[str, Any]) -> None:
        slots = event["slots"]
        if slots not in self.operations[event["op"]].left:
            self.operations[event["op"]].left.append(slots)

    def _answer(self, event: Mapping[str, Any]) -> None:
        operation = self.operations[event["op"]]
        operation.outcome, operation.error = event["outcome"], event.get("error", "")
        if operation.outcome != "unknown":
            operation.ended = event["at"]
        if operation.outcome == "ok":
            operation.strength, operation.found = event["strength"], event.get("found")
            operation.version, operation.hash = event["version"], event["hash"]

    def _change(self, event: Mapping[str, Any]) -> None:
        known = self.changes.setdefault(event["version"], [])
        if event["change"] not in known:
            known.append(event["change"])

    def _certificate(self, event: Mapping[str, Any]) -> None:
        self.certificates.append(event["certificate"])

    def _statement(self, event: Mapping[str, Any]) -> None:
        document, ballot = event["statement"], Ballot.of(event["statement"]["ballot"])
        if ballot is None:
            raise KeyError("ballot")
        self.statements.append(
            Statement(
                event["kind"],
                document["voter"],
                document["incarnation"],
                document["generation"],
                document["version"],
                document["parent"],
                ballot,
                Ballot.of(document.get("accepted")),
                event["sent"],
                event["received"],
                event["by"],
                document,
            )
        )

    def _on_chain(self, event: Mapping[str, Any]) -> None:
        self.chain.append(dict(event))

    def _fault(self, event: Mapping[str, Any]) -> None:
        self.faults.append(dict(event))

    def _final(self, event: Mapping[str, Any]) -> None:
        self.finals.append(Final(event["host"], event["certificate"], event["value"]))

    def _end(self, _event: Mapping[str, Any]) -> None:
        self.ended = True

    def _ignored(self, _event: Mapping[str, Any]) -> None:
        """What is in the file for people."""


_TAKE = {
    "start": Recording._start,
    "invoke": Recording._invoke,
    "begin": Recording._begin,
    "build": Recording._build,
    "draft": Recording._draft,
    "answer": Recording._answer,
    "change": Recording._change,
    "certificate": Recording._certificate,
    "statement": Recording._statement,
    "fault": Recording._fault,
    "final": Recording._final,
    "end": Recording._end,
    "chain": Recording._on_chain,
    "note": Recording._ignored,
}
