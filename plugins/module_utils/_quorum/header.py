# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A value's header: what its hash is over. It names the voters in full and everything else by digests.

So who the voters of a version are is proven by a header and a certificate, without the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .._chain.model import Voter
from .._common import canonical, fields
from .._common.canonical import Json
from .._common.ids import NodeId
from .digests import batches_digest, section_digest
from .entry_codec import voter_from_json, voter_json
from .value import MAX_VOTERS, Value

_SECTIONS = ("record", "hosts", "slots", "locks", "batches", "serials")


@dataclass(frozen=True)
class Header:
    """``record`` to ``serials`` are SHA-256 digests, 64 hexadecimal digits each."""

    network: str
    generation: int
    version: int
    parent: str
    decided_by: int
    seated: int
    voters: tuple[Voter, ...]
    record: str
    hosts: str
    slots: str
    locks: str
    batches: str
    serials: str

    @classmethod
    def of(cls, value: Value, record: Json) -> Header:
        """The header of a value, whose record is, with its height, the document ``record``."""
        return cls(
            network=value.network,
            generation=value.generation,
            version=value.version,
            parent=value.parent,
            decided_by=value.decided_by,
            seated=value.seated,
            voters=value.voters,
            record=canonical.digest(record),
            hosts=section_digest("host", value.hosts),
            slots=section_digest("slot", value.slots),
            locks=section_digest("lock", value.locks),
            batches=batches_digest(value.batches),
            serials=canonical.digest(_serials(value.serials)),
        )

    @cached_property
    def hash(self) -> str:
        """The hash of the value."""
        return canonical.digest(self.to_json())

    def to_json(self) -> dict[str, Json]:
        return {
            "network": self.network,
            "generation": self.generation,
            "version": self.version,
            "parent": self.parent,
            "decided_by": self.decided_by,
            "seated": self.seated,
            "voters": [voter_json(voter) for voter in self.voters],
            **{name: getattr(self, name) for name in _SECTIONS},
        }

    @classmethod
    def from_json(cls, value: Any, where: str) -> Header:
        names = {"network", "generation", "version", "parent", "decided_by", "seated", "voters", *_SECTIONS}
        raw = fields.obj(value, where, required=names)
        return cls(
            network=fields.hex64(raw["network"], f"{where}.network"),
            generation=fields.integer(raw["generation"], f"{where}.generation"),
            version=fields.integer(raw["version"], f"{where}.version"),
            parent=fields.hex64(raw["parent"], f"{where}.parent"),
            decided_by=fields.integer(raw["decided_by"], f"{where}.decided_by", least=-1),
            seated=fields.integer(raw["seated"], f"{where}.seated", least=-1),
            voters=tuple(fields.items(raw["voters"], f"{where}.voters", voter_from_json, most=MAX_VOTERS)),
            **{name: fields.hex64(raw[name], f"{where}.{name}") for name in _SECTIONS},
        )


def _serials(serials: Mapping[NodeId, int]) -> dict[str, Json]:
    return {str(node): serial for node, serial in serials.items()}
