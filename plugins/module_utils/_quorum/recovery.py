# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What version 0 of a generation with a base begins with, and the proof of it: part of its change, not of the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._common import fields
from .._common.canonical import Json
from .._common.errors import InvalidInput
from . import codec
from .constants import MAX_LINKS
from .header import Header
from .messages import Certificate, Link, Promise
from .value import MAX_VOTERS, Value


@dataclass(frozen=True)
class Recovery:
    """``base``: header of the value that the record names. ``value``: that value, or a certified one above it.

    ``certificate`` and ``links`` (those above the base) prove the latter; None and empty for the base itself.
    ``accepted``: the change, as JSON, of the version after ``value`` that was accepted and may have been agreed.
    ``promises``: of all founders, for version 0; they say what each holds, and that it votes there no more.
    """

    base: Header
    value: Value
    promises: tuple[Promise, ...]
    certificate: Certificate | None = None
    links: tuple[Link, ...] = ()
    accepted: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Json]:
        return {
            "base": self.base.to_json(),
            "value": codec.value_json(self.value),
            "promises": [promise.to_json() for promise in self.promises],
            "certificate": None if self.certificate is None else self.certificate.to_json(),
            "links": [link.to_json() for link in self.links],
            "accepted": self.accepted,
        }

    @classmethod
    def from_json(cls, value: Any, where: str) -> Recovery:
        raw = fields.obj(value, where, required={"base", "value", "promises", "certificate", "links", "accepted"})
        certificate, accepted = raw["certificate"], raw["accepted"]
        if accepted is not None and not isinstance(accepted, dict):
            raise InvalidInput("must be an object or null", where=f"{where}.accepted")
        promises = fields.items(raw["promises"], f"{where}.promises", Promise.from_json, most=MAX_VOTERS)
        return cls(
            base=Header.from_json(raw["base"], f"{where}.base"),
            value=codec.value_from_json(raw["value"], f"{where}.value"),
            promises=tuple(promises),
            certificate=None if certificate is None else Certificate.from_json(certificate, f"{where}.certificate"),
            links=tuple(fields.items(raw["links"], f"{where}.links", Link.from_json, most=MAX_LINKS)),
            accepted=accepted,
        )
