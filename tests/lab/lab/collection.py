# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as a tree ansible_collections/akash/avpn.

ansible-test refuses a symbolic link, so it is a copy of what git would commit:
tracked files and new ones, as they are in the work tree.
"""

from __future__ import annotations

import fcntl
import io
import shutil
import tarfile
from pathlib import Path

from .process import run
from .topology import ROOT

COLLECTIONS = ROOT / "build" / "collections"
TREE = COLLECTIONS / "ansible_collections" / "akash" / "avpn"


def copy() -> Path:
    """Bring the copy up to date, touching only what differs; return its folder. One at a time, whoever asks."""
    COLLECTIONS.mkdir(parents=True, exist_ok=True)
    with (COLLECTIONS.parent / "collections.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _copy()


def _copy() -> Path:
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = {name for name in run(listing).stdout.split("\0") if name and (ROOT / name).is_file()}
    TREE.mkdir(parents=True, exist_ok=True)
    for path in sorted(TREE.rglob("*"), reverse=True):
        name = str(path.relative_to(TREE))
        if name.startswith(("tests/output", ".git/")) or name == ".git":
            continue
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif name not in names:
            path.unlink()
    for name in names:
        source, target = ROOT / name, TREE / name
        if not target.is_file() or not _same(source, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return TREE


def archive() -> bytes:
    """The collection without its tests, as a tar archive for a host's root directory."""
    tree = copy()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(tree.rglob("*")):
            name = path.relative_to(tree)
            if path.is_file() and name.parts[0] not in {"tests", ".git", ".ci"}:
                tar.add(path, f"usr/share/ansible/collections/ansible_collections/akash/avpn/{name}")
    return buffer.getvalue()


def _same(source: Path, target: Path) -> bool:
    one, other = source.stat(), target.stat()
    if (one.st_size, one.st_mode) != (other.st_size, other.st_mode):
        return False
    return one.st_mtime_ns == other.st_mtime_ns or source.read_bytes() == target.read_bytes()
