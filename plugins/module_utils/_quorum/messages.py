# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What voters sign: ballots, promises, acceptances, and the certificates made of them.

One Paxos instance decides one version. A ballot names the hash of its value, so one ballot can
only ever mean one value; a certificate is a majority's signed acceptances of one ballot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._chain.model import Voter
from .._common import fields
from .._common.canonical import Json
from .._common.ids import NodeId
from . import codec, entry_codec
from .errors import BadProof
from .header import Header
from .signing import Signer, signed_text, verify
from .value import MAX_VOTERS, Value


@dataclass(frozen=True, order=True)
class Ballot:
    """One attempt to decide a version. Ordered by its four parts."""

    counter: int  # from 1
    node: NodeId  # the authenticated proposer
    run: str  # hex32, random for each process that proposes
    hash: str  # of the value

    def to_json(self) -> dict[str, Json]:
        return {"counter": self.counter, "node": str(self.node), "run": self.run, "hash": self.hash}

    @classmethod
    def from_json(cls, value: Any, where: str) -> Ballot:
        raw = fields.obj(value, where, required={"counter", "node", "run", "hash"})
        return cls(
            counter=fields.integer(raw["counter"], f"{where}.counter", least=1),
            node=entry_codec.parse_node(raw["node"], f"{where}.node"),
            run=fields.hex32(raw["run"], f"{where}.run"),
            hash=fields.hex64(raw["hash"], f"{where}.hash"),
        )


@dataclass(frozen=True)
class Held:
    """What a voter holds of a generation that is over.

    The certified version and its hash (-1 and None: none), and the highest ballot accepted for the next one.
    """

    generation: int
    version: int
    hash: str | None
    accepted: Ballot | None = None

    def to_json(self) -> dict[str, Json]:
        accepted = None if self.accepted is None else self.accepted.to_json()
        return {"generation": self.generation, "version": self.version, "hash": self.hash, "accepted": accepted}

    @classmethod
    def from_json(cls, value: Any, where: str) -> Held:
        raw = fields.obj(value, where, required={"generation", "version", "hash", "accepted"})
        return cls(
            generation=fields.integer(raw["generation"], f"{where}.generation"),
            version=fields.integer(raw["version"], f"{where}.version", least=-1),
            hash=None if raw["hash"] is None else fields.hex64(raw["hash"], f"{where}.hash"),
            accepted=None if raw["accepted"] is None else Ballot.from_json(raw["accepted"], f"{where}.accepted"),
        )


@dataclass(frozen=True)
class Instance:
    """What is being decided: the version of a generation of a network that follows ``parent`` (a hash)."""

    network: str
    generation: int
    version: int
    parent: str

    FIELDS = frozenset({"network", "generation", "version", "parent"})

    def to_json(self) -> dict[str, Json]:
        return {
            "network": self.network,
            "generation": self.generation,
            "version": self.version,
            "parent": self.parent,
        }

    @classmethod
    def from_fields(cls, raw: dict[str, Any], where: str) -> Instance:
        """From an object that has these fields among others."""
        return cls(
            network=fields.hex64(raw["network"], f"{where}.network"),
            generation=fields.integer(raw["generation"], f"{where}.generation"),
            version=fields.integer(raw["version"], f"{where}.version"),
            parent=fields.hex64(raw["parent"], f"{where}.parent"),
        )

    @classmethod
    def of(cls, value: Value) -> Instance:
        """The instance that decided, or will decide, ``value``."""
        return cls(value.network, value.generation, value.version, value.parent)


@dataclass(frozen=True)
class Promise:
    """A voter's word not to take part in lower ballots, with what it had accepted when it gave it.

    ``held``: for version 0 of a generation with a base only, what it holds of the generations before.
    """

    instance: Instance
    ballot: Ballot
    voter: NodeId
    incarnation: str
    accepted: Ballot | None
    signature: str = ""
    held: tuple[Held, ...] | None = None

    def text(self) -> bytes:
        return signed_text("promise", self._document())

    def signed(self, signer: Signer) -> Promise:
        return replace(self, signature=signer.sign(self.text()))

    def to_json(self) -> dict[str, Json]:
        return {**self._document(), "signature": self.signature}

    def _document(self) -> dict[str, Json]:
        held: dict[str, Json] = {} if self.held is None else {"held": [one.to_json() for one in self.held]}
        return {
            **self.instance.to_json(),
            "ballot": self.ballot.to_json(),
            "voter": str(self.voter),
            "incarnation": self.incarnation,
            "accepted": None if self.accepted is None else self.accepted.to_json(),
            **held,
        }

    @classmethod
    def from_json(cls, value: Any, where: str) -> Promise:
        names = Instance.FIELDS | {"ballot", "voter", "incarnation", "accepted", "signature"}
        raw = fields.obj(value, where, required=set(names), optional={"held"})
        held = fields.items(raw["held"], f"{where}.held", Held.from_json, most=16) if "held" in raw else None
        return cls(
            instance=Instance.from_fields(raw, where),
            held=None if held is None else tuple(held),
            ballot=Ballot.from_json(raw["ballot"], f"{where}.ballot"),
            voter=entry_codec.parse_node(raw["voter"], f"{where}.voter"),
            incarnation=fields.hex32(raw["incarnation"], f"{where}.incarnation"),
            accepted=None if raw["accepted"] is None else Ballot.from_json(raw["accepted"], f"{where}.accepted"),
            signature=fields.base64_bytes(raw["signature"], f"{where}.signature", length=64),
        )


@dataclass(frozen=True)
class Acceptance:
    """A voter's word that it accepted a ballot and holds its value."""

    instance: Instance
    ballot: Ballot
    voter: NodeId
    incarnation: str
    signature: str = ""

    def text(self) -> bytes:
        return signed_text("acceptance", self._document())

    def signed(self, signer: Signer) -> Acceptance:
        return Acceptance(self.instance, self.ballot, self.voter, self.incarnation, signer.sign(self.text()))

    def to_json(self) -> dict[str, Json]:
        return {**self._document(), "signature": self.signature}

    def _document(self) -> dict[str, Json]:
        return {
            **self.instance.to_json(),
            "ballot": self.ballot.to_json(),
            "voter": str(self.voter),
            "incarnation": self.incarnation,
        }

    @classmethod
    def from_json(cls, value: Any, where: str) -> Acceptance:
        names = Instance.FIELDS | {"ballot", "voter", "incarnation", "signature"}
        raw = fields.obj(value, where, required=set(names))
        return cls(
            instance=Instance.from_fields(raw, where),
            ballot=Ballot.from_json(raw["ballot"], f"{where}.ballot"),
            voter=entry_codec.parse_node(raw["voter"], f"{where}.voter"),
            incarnation=fields.hex32(raw["incarnation"], f"{where}.incarnation"),
            signature=fields.base64_bytes(raw["signature"], f"{where}.signature", length=64),
        )


@dataclass(frozen=True)
class Certificate:
    """Acceptances of one ballot by a majority of the parent's voters: ``(voter, incarnation, signature)`` each."""

    instance: Instance
    ballot: Ballot
    acceptances: tuple[tuple[NodeId, str, str], ...]

    @property
    def hash(self) -> str:
        """Hash of the value that is certified."""
        return self.ballot.hash

    @property
    def position(self) -> tuple[int, int]:
        """Generation and version: later certificates are higher."""
        return self.instance.generation, self.instance.version

    @classmethod
    def of(cls, acceptances: Sequence[Acceptance]) -> Certificate:
        """From acceptances of one instance and ballot."""
        first = acceptances[0]
        entries = sorted((one.voter, one.incarnation, one.signature) for one in acceptances)
        return cls(first.instance, first.ballot, tuple(entries))

    def to_json(self) -> dict[str, Json]:
        return {
            **self.instance.to_json(),
            "ballot": self.ballot.to_json(),
            "acceptances": [
                {"voter": str(voter), "incarnation": incarnation, "signature": signature}
                for voter, incarnation, signature in self.acceptances
            ],
        }

    @classmethod
    def from_json(cls, value: Any, where: str) -> Certificate:
        raw = fields.obj(value, where, required=set(Instance.FIELDS | {"ballot", "acceptances"}))
        return cls(
            instance=Instance.from_fields(raw, where),
            ballot=Ballot.from_json(raw["ballot"], f"{where}.ballot"),
            acceptances=tuple(
                fields.items(raw["acceptances"], f"{where}.acceptances", _acceptance_entry, most=MAX_VOTERS)
            ),
        )

    def verify(self, voters: Sequence[Voter]) -> None:
        """Raise BadProof unless a majority of ``voters`` (the parent's) signed it, each once."""
        acceptances = [
            Acceptance(self.instance, self.ballot, voter, incarnation, signature)
            for voter, incarnation, signature in self.acceptances
        ]
        check_majority(acceptances, voters, "certificate")


@dataclass(frozen=True)
class Link:
    """A version whose voters are not its parent's: its header proves who decides from the next version on."""

    header: Header
    certificate: Certificate

    @property
    def version(self) -> int:
        return self.header.version

    def to_json(self) -> dict[str, Json]:
        return {"header": self.header.to_json(), "certificate": self.certificate.to_json()}

    @classmethod
    def from_json(cls, value: Any, where: str) -> Link:
        raw = fields.obj(value, where, required={"header", "certificate"})
        return cls(
            Header.from_json(raw["header"], f"{where}.header"),
            Certificate.from_json(raw["certificate"], f"{where}.certificate"),
        )


def follow(
    voters: Sequence[Voter], links: Iterable[Link], network: str, generation: int, *, seated: int = -1
) -> tuple[tuple[Voter, ...], int]:
    """Who decides after the links, and which version named them, beginning with ``voters``, whom ``seated`` named.

    Raises BadProof unless each is proven. None can be left out: each says which one was before it, and so does every
    value. Otherwise a minority's acceptances could pass for a certificate with voters of before.
    """
    deciders, last = tuple(voters), seated
    for link in links:
        header, instance = link.header, link.certificate.instance
        if (header.network, header.generation) != (network, generation) or header.version <= last:
            raise BadProof("are of another network or generation, or out of order", where="links")
        if (header.decided_by, header.seated) != (last, header.version):
            raise BadProof(f"{header.version} doesn't follow {last}, or changes no voters", where="links")
        if instance != Instance(network, generation, header.version, header.parent):
            raise BadProof(f"{header.version} has a certificate of another version or parent", where="links")
        if link.certificate.hash != header.hash:
            raise BadProof(f"{header.version} has a certificate of another value", where="links")
        link.certificate.verify(deciders)
        deciders, last = header.voters, header.version
    return deciders, last


@dataclass(frozen=True)
class Certified:
    """A fact: a value with the certificate that proves it.

    ``links``: all changes of voters before this version since the founders (or since what the receiver holds).
    """

    certificate: Certificate
    value: Value
    links: tuple[Link, ...] = ()

    def verify(self, voters: Sequence[Voter], network: str, *, seated: int = -1) -> None:
        """Raise BadProof unless certificate and links, from ``voters``, prove this value of ``network``."""
        instance = self.certificate.instance
        if any(link.version >= instance.version for link in self.links):
            raise BadProof("are of later versions than the value", where="links")
        deciders, named = follow(voters, self.links, network, instance.generation, seated=seated)
        self.certificate.verify(deciders)
        if self.value.decided_by != named:
            raise BadProof(f"are missing: version {self.value.decided_by} named who decided the value", where="links")
        if instance.network != network or instance != Instance.of(self.value):
            raise BadProof("is of another network, generation, version or parent", where="certificate")
        if codec.value_hash(self.value) != self.certificate.hash:
            raise BadProof("is of a value with another hash", where="certificate")

    def trail(self) -> tuple[Link, ...]:
        """The links with this version's own, if it changed the voters."""
        if self.value.seated != self.value.version:
            return self.links
        return (*self.links, Link(codec.header_of(self.value), self.certificate))

    def links_since(self, have: tuple[int, int] | None) -> tuple[Link, ...]:
        """Those that somebody who holds ``have`` (generation, version) doesn't have."""
        version = have[1] if have is not None and have[0] == self.certificate.instance.generation else -1
        return tuple(link for link in self.links if link.version > version)


def majority(voters: Sequence[Voter]) -> int:
    """How many voters decide."""
    return len(voters) // 2 + 1


def check_voter(statement: Promise | Acceptance, voters: Sequence[Voter], where: str) -> None:
    """Raise BadProof unless one of ``voters`` in this incarnation signed the statement."""
    for voter in voters:
        if voter.node == statement.voter:
            if voter.incarnation != statement.incarnation:
                raise BadProof(f"is by another incarnation of {voter.node} than the voter", where=where)
            if not verify(voter.key, statement.text(), statement.signature):
                raise BadProof(f"has a wrong signature of {voter.node}", where=where)
            return
    raise BadProof(f"is by {statement.voter}, which is not a voter", where=where)


def check_majority(statements: Iterable[Promise | Acceptance], voters: Sequence[Voter], where: str) -> None:
    """Raise BadProof unless the statements are of distinct voters, a majority of them, and well signed."""
    seen: set[NodeId] = set()
    for statement in statements:
        if statement.voter in seen:
            raise BadProof(f"counts {statement.voter} twice", where=where)
        seen.add(statement.voter)
        check_voter(statement, voters, where)
    if not voters or len(seen) < majority(voters):
        raise BadProof(f"is of {len(seen)} of {len(voters)} voters, which is no majority", where=where)


def check_promises(
    promises: Sequence[Promise], instance: Instance, ballot: Ballot, voters: Sequence[Voter]
) -> Ballot | None:
    """The highest ballot shown as accepted by a majority's promises for exactly this instance and ballot.

    Raises BadProof if the promises don't prove that ``ballot`` may be proposed, whatever it proposes;
    if one is returned, only its value may be.
    """
    highest: Ballot | None = None
    for promise in promises:
        if promise.instance != instance or promise.ballot != ballot:
            raise BadProof(f"of {promise.voter} is for another instance or ballot", where="promises")
        if promise.accepted is not None:
            if promise.accepted >= ballot:
                raise BadProof(f"of {promise.voter} shows an accepted ballot that is not below", where="promises")
            highest = promise.accepted if highest is None else max(highest, promise.accepted)
    check_majority(promises, voters, "promises")
    return highest


def _acceptance_entry(value: Any, where: str) -> tuple[NodeId, str, str]:
    raw = fields.obj(value, where, required={"voter", "incarnation", "signature"})
    return (
        entry_codec.parse_node(raw["voter"], f"{where}.voter"),
        fields.hex32(raw["incarnation"], f"{where}.incarnation"),
        fields.base64_bytes(raw["signature"], f"{where}.signature", length=64),
    )
