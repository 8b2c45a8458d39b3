# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the chain stores: one frozen dataclass per kind of record.

Amounts are integers in the smallest denomination; heights are block heights.
``as_json`` and ``from_json`` are for the state file, not for the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

ACCOUNTS: Final = "accounts"
BALANCES: Final = "balances"
AUDIT: Final = "audit"
PROVIDERS: Final = "providers"
DEPLOYMENTS: Final = "deployments"
LEASES: Final = "leases"
COUNTERS: Final = "counters"

Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Account:
    """Key: (address,). ``public_key`` is hex, empty until the first transaction."""

    address: str
    number: int
    sequence: int = 0
    public_key: str = ""


@dataclass(frozen=True)
class SignedAttributes:
    """Key: (owner, auditor). What the auditor says of the owner."""

    owner: str
    auditor: str
    attributes: Attributes


@dataclass(frozen=True)
class Provider:
    """Key: (owner,)."""

    owner: str
    host_uri: str
    attributes: Attributes = ()
    email: str = ""
    website: str = ""


@dataclass(frozen=True)
class Group:
    """A group of a deployment; ``spec`` is its GroupSpec in the shape of the LCD."""

    gseq: int
    state: str
    spec: Mapping[str, Any]
    created_at: int

    @property
    def name(self) -> str:
        """Name of the group."""
        return str(self.spec["name"])


@dataclass(frozen=True)
class Deployment:
    """Key: (owner, dseq). ``hash`` is hex; ``deposit`` is what its escrow account holds."""

    owner: str
    dseq: int
    state: str
    hash: str
    created_at: int
    groups: tuple[Group, ...]
    deposit: int = 0

    def group(self, gseq: int) -> Group | None:
        """The group with that sequence number."""
        return next((group for group in self.groups if group.gseq == gseq), None)


@dataclass(frozen=True)
class Reclamation:
    """The window (seconds) agreed with the bid, and the running reclamation if any."""

    window: int
    started_at: int = 0
    deadline: int = 0
    reason: str = "lease_closed_invalid"


@dataclass(frozen=True)
class Lease:
    """Key: (owner, dseq, gseq, oseq, provider, bseq). ``price`` is a decimal per block."""

    owner: str
    dseq: int
    gseq: int
    oseq: int
    provider: str
    bseq: int
    state: str
    price: str
    created_at: int
    closed_on: int = 0
    reason: str = "lease_closed_invalid"
    reclamation: Reclamation | None = field(default=None)

    @property
    def key(self) -> tuple[str, int, int, int, str, int]:
        """The key of this lease."""
        return (self.owner, self.dseq, self.gseq, self.oseq, self.provider, self.bseq)

    @property
    def runs(self) -> bool:
        """Whether the workload is still there (a reclaiming lease runs)."""
        return self.state in ("active", "reclaiming")


def as_json(value: Any) -> Any:
    """A stored value as JSON data (integers for balances, objects for records)."""
    return value if value is None or isinstance(value, int) else asdict(value)


def from_json(table: str, data: Any) -> Any:
    """The inverse of ``as_json`` for a table."""
    if data is None or isinstance(data, int):
        return data
    if table == ACCOUNTS:
        return Account(**data)
    if table == DEPLOYMENTS:
        groups = tuple(Group(**group) for group in data["groups"])
        return Deployment(**{**data, "groups": groups})
    if table == LEASES:
        window = data["reclamation"]
        return Lease(**{**data, "reclamation": Reclamation(**window) if window else None})
    attributes = tuple((str(key), str(value)) for key, value in data["attributes"])
    if table == AUDIT:
        return SignedAttributes(**{**data, "attributes": attributes})
    if table == PROVIDERS:
        return Provider(**{**data, "attributes": attributes})
    raise ValueError(f"no such table: {table}")
