# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""All keys of a host together: seen by their public parts, made where they are missing."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

# Imported before rights are given up: Ansible's copy of this code is readable for root alone.
from .._quorum.store import incarnation
from . import drop, keys
from .paths import Paths

_SECONDS = 30.0


@dataclass(frozen=True)
class HostKeys:
    """Public parts; empty where a key doesn't exist yet."""

    ssh_host_key: str = ""
    ssh_client_key: str = ""
    signing_key: str = ""
    incarnation: str = ""

    @property
    def complete(self) -> bool:
        return all(asdict(self).values())

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    def as_text(self) -> str:
        return "".join(f"{name}: {value}\n" for name, value in asdict(self).items())

    def with_missing(self, text: str) -> HostKeys:
        """With ``text`` in place of what doesn't exist yet: what check mode shows."""
        return replace(self, **{name: text for name, value in asdict(self).items() if not value})


def observe(paths: Paths, user: str) -> HostKeys:
    """What this host has; also when the user or the directories don't exist yet."""
    host_key = _ssh_key(paths.ssh_host_key)
    if not paths.keys.is_dir():
        return HostKeys(ssh_host_key=host_key)
    found = drop.as_user(user, lambda: _observe_own(paths), seconds=_SECONDS)
    return HostKeys(ssh_host_key=host_key, **found)


def create(paths: Paths, user: str) -> None:
    """Make what is missing: the host key as root, everything else as ``user``. The directories must exist."""
    keys.create_ssh_key(paths.ssh_host_key)
    drop.as_user(user, lambda: _create_own(paths), seconds=_SECONDS)


def _observe_own(paths: Paths) -> dict[str, str]:
    signing, database = paths.signing_key, paths.voter_database
    return {
        "ssh_client_key": _ssh_key(paths.ssh_client_key),
        "signing_key": keys.signing_public_key(keys.read_signing_key(signing)) if signing.exists() else "",
        "incarnation": incarnation(database) if database.exists() else "",
    }


def _create_own(paths: Paths) -> None:
    keys.create_ssh_key(paths.ssh_client_key)
    keys.create_signing_key(paths.signing_key)
    before = os.umask(0o077)
    try:
        incarnation(paths.voter_database)
    finally:
        os.umask(before)


def _ssh_key(path: Path) -> str:
    return keys.ssh_public_key(path) if path.exists() and path.with_name(path.name + ".pub").exists() else ""
