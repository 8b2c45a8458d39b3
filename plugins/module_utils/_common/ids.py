# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Identities: of networks, nodes, leases and endpoints, and how each is written.

Tuples, for a ledger has thousands of them in each of its mappings: as data classes they cost several times as much to
make, hash and compare.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, NamedTuple

from . import fields
from .errors import InvalidInput


def network_id(owner: str, name: str) -> str:
    """The full SHA-256 over ``owner/name``, 64 hexadecimal digits: the network in protocol and storage."""
    return hashlib.sha256(f"{owner}/{name}".encode()).hexdigest()


class NodeId(NamedTuple):
    """One host of a provider, written ``akash1…/node``."""

    provider: str
    node: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.node}"

    @classmethod
    def parse(cls, value: Any, where: str) -> NodeId:
        provider, slash, node = value.partition("/") if isinstance(value, str) else ("", "", "")
        if not slash:
            raise InvalidInput("must be provider/node", where=where)
        return cls(fields.account(provider, where), fields.name(node, where))


class LeaseId(NamedTuple):
    """A lease, written ``owner/dseq/gseq/oseq/provider``."""

    owner: str
    dseq: int
    gseq: int
    oseq: int
    provider: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.dseq}/{self.gseq}/{self.oseq}/{self.provider}"

    @property
    def namespace(self) -> str:
        """The Kubernetes namespace a provider runs it in: base32hex of SHA-224, 45 characters."""
        return base64.b32hexencode(hashlib.sha224(str(self).encode()).digest()).decode().rstrip("=").lower()

    @classmethod
    def parse(cls, value: Any, where: str) -> LeaseId:
        parts = value.split("/") if isinstance(value, str) and len(value) < 256 else []
        if len(parts) != 5:
            raise InvalidInput("must be owner/dseq/gseq/oseq/provider", where=where)
        dseq, gseq, oseq = (_number(part, where) for part in parts[1:4])
        return cls(fields.account(parts[0], where), dseq, gseq, oseq, fields.account(parts[4], where))


_ENDPOINT = re.compile(
    r"([a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)/(0|[1-9][0-9]{0,8})/(0|[1-9][0-9]{0,8})",
    re.ASCII,
)


class EndpointId(NamedTuple):
    """One workload replica, written ``member/gseq/index`` (index from 0)."""

    member: str
    gseq: int
    index: int  # type: ignore[assignment]  # tuple.index, which nobody needs of an identity

    def __str__(self) -> str:
        return f"{self.member}/{self.gseq}/{self.index}"

    @classmethod
    def parse(cls, value: Any, where: str) -> EndpointId:
        if isinstance(value, str) and (found := _ENDPOINT.fullmatch(value)) is not None:
            return cls(found[1], int(found[2]), int(found[3]))
        # Whatever is wrong, or an unusually large number.
        parts = value.split("/") if isinstance(value, str) and len(value) < 64 else []
        if len(parts) != 3:
            raise InvalidInput("must be member/gseq/index", where=where)
        return cls(fields.name(parts[0], where), _number(parts[1], where), _number(parts[2], where))


def _number(text: str, where: str) -> int:
    number = fields.decimal(text, where)
    if str(number) != text or number > 2**63 - 1:
        raise InvalidInput("holds a number that is not in its usual form", where=where)
    return number
