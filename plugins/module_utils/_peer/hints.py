# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hints: "there may be something newer". They are never facts; at worst they cost one bounded look.

The spool is a directory with one small file per (kind, network): many hints about one thing are one file,
so its size is bounded by the networks of the host. Files are claimed by removing them before the work
starts, so a hint that arrives meanwhile makes one more run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .._common import fields
from .._common.errors import InvalidInput
from . import files

KINDS = ("ledger", "manifest", "reconcile")
_MOST = 4096  # files in the spool
_LONGEST = 128  # bytes of a hint's text


@dataclass(frozen=True)
class Hint:
    """``kind`` is one of KINDS, or ``view`` (from this host only: the chain should be read again)."""

    kind: str
    network: str | None = None
    version: int = 0

    @property
    def file_name(self) -> str:
        return self.kind if self.network is None else f"{self.kind}-{self.network}"

    def __str__(self) -> str:
        return self.kind if self.network is None else f"{self.kind} {self.network} {self.version}"


def parse(text: str | bytes) -> Hint:
    """``<kind> <network id> <version>``, exactly; raises InvalidInput for anything else."""
    if len(text) > _LONGEST:
        raise InvalidInput(f"is longer than {_LONGEST} bytes", where="hint")
    try:
        words = (text if isinstance(text, str) else text.decode("ascii")).removesuffix("\n").split(" ")
    except UnicodeDecodeError as error:
        raise InvalidInput("is not ASCII", where="hint") from error
    if len(words) != 3 or words[0] not in KINDS:
        raise InvalidInput("must be ledger, manifest or reconcile, a network id and a version", where="hint")
    version = fields.decimal(words[2], "hint.version")
    return Hint(words[0], fields.hex64(words[1], "hint.network"), fields.integer(version, "hint.version"))


def put(spool: Path, hint: Hint) -> bool:
    """Drop a hint; tells whether it is new (one for the same thing with a version as high was there)."""
    path = spool / hint.file_name
    present = _read(path)
    if present is not None and present.version >= hint.version:
        return False
    if present is None and len(os.listdir(spool)) >= _MOST:
        return False
    files.write(path, str(hint).encode() + b"\n", durable=False)
    return True


def take(spool: Path) -> list[Hint]:
    """Remove and return all hints; whatever else lies in the spool is removed too."""
    hints = []
    for name in sorted(os.listdir(spool)):
        path = spool / name
        if name.startswith("."):
            continue  # being written; its rename wakes us again
        hint = _read(path)
        path.unlink(missing_ok=True)
        if hint is not None and hint.file_name == name:
            hints.append(hint)
    return hints


def _read(path: Path) -> Hint | None:
    try:
        with open(path, "rb") as stream:
            text = stream.read(_LONGEST + 1)
    except OSError:
        return None
    if text == b"view\n":
        return Hint("view")
    try:
        return parse(text)
    except InvalidInput:
        return None
