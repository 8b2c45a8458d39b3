# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this host has of each network, as small numbers: the answer to ``versions``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._common import fields
from .._common.errors import InvalidInput
from .paths import Paths

_MOST = 16_384


@dataclass(frozen=True)
class Versions:
    """``ledger``: generation and version of the newest certified value; ``manifest``: version of the running one."""

    ledger: tuple[int, int] | None = None
    manifest: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {"ledger": None if self.ledger is None else list(self.ledger), "manifest": self.manifest}


def of(paths: Paths, network: str) -> Versions:
    """This host's versions of one network. Something damaged counts as not there, so that it is fetched again."""
    from .._manifest.store import ManifestStore
    from . import ledgers

    try:
        signed = ManifestStore(paths.manifests).current(network)
    except InvalidInput:
        signed = None
    return Versions(ledgers.position(paths, network), None if signed is None else signed.version)


def versions(paths: Paths, networks: Iterable[str]) -> dict[str, Any]:
    """The answer: by network id."""
    return {network: of(paths, network).to_json() for network in networks}


def parse(answer: Any, where: str) -> Mapping[str, Versions]:
    """A peer's answer, strictly."""
    return fields.mapping(answer, where, fields.hex64, _entry, most=_MOST)


def _entry(value: Any, where: str) -> Versions:
    entry = fields.obj(value, where, required={"ledger", "manifest"})
    ledger = None
    if entry["ledger"] is not None:
        pair = fields.items(entry["ledger"], f"{where}.ledger", fields.integer, most=2)
        if len(pair) != 2:
            raise InvalidInput("must be [generation, version]", where=f"{where}.ledger")
        ledger = (pair[0], pair[1])
    manifest = None if entry["manifest"] is None else fields.integer(entry["manifest"], f"{where}.manifest")
    return Versions(ledger, manifest)
