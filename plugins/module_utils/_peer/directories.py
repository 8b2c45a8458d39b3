# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directories of a host: who owns them and who may look in."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .._common.errors import Unsupported
from . import drop
from .paths import Paths

_SECONDS = 10.0


@dataclass(frozen=True)
class Directory:
    """One directory; ``user`` is root or the user that answers peers."""

    path: Path
    user: str
    mode: int

    def __str__(self) -> str:
        return f"{self.path} {self.user} {self.mode:04o}"


def wanted(paths: Paths, user: str) -> list[Directory]:
    """Every directory, parents first."""
    own = [(paths.keys, 0o700), (paths.ledgers, 0o755), (paths.manifests, 0o755), (paths.hints, 0o750)]
    own += [(paths.requests, 0o750), (paths.waiting, 0o700), (paths.limits, 0o700), (paths.gossip, 0o700)]
    return [
        Directory(paths.etc, "root", 0o755),
        Directory(paths.wireguard, "root", 0o700),
        Directory(paths.host_state, "root", 0o755),
        Directory(paths.applied, "root", 0o755),
        # sshd changes into this one before it knows the caller; Debian makes it for its own unit only.
        Directory(paths.root / "run/sshd", "root", 0o755),
        Directory(paths.state, user, 0o755),
        *(Directory(path, user, mode) for path, mode in own),
    ]


def missing(directories: Sequence[Directory]) -> list[Directory]:
    """Those that don't exist or differ in owner or mode."""
    return [directory for directory in directories if not _is_right(directory)]


def make(directories: Sequence[Directory], state: Path) -> None:
    """Make them so. What lies below ``state``, which its user can write, is made with that user's rights."""
    for directory in directories:
        if directory.path.parent == state:
            drop.as_user(directory.user, lambda one=directory: _make(one), seconds=_SECONDS)  # type: ignore[misc]
        else:
            _make(directory)
            entry = _user(directory.user)
            os.chown(directory.path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def _make(directory: Directory) -> None:
    directory.path.mkdir(mode=directory.mode, parents=True, exist_ok=True)
    os.chmod(directory.path, directory.mode)


def _is_right(directory: Directory) -> bool:
    try:
        found = os.lstat(directory.path)
    except FileNotFoundError:
        return False
    try:
        owner = _user(directory.user).pw_uid
    except Unsupported:
        return False
    return stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == directory.mode and found.st_uid == owner


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError as error:
        raise Unsupported(f"there is no user {name}", remedy="The role akash.avpn.peer makes it") from error
