# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests for a whole reconciliation: one small file each, dropped by the peer command as user ``avpn``."""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,127}", re.ASCII)


def take(spool: Path) -> list[str]:
    """Empty the spool and return the requests' names, sorted; names of another form are removed silently.

    Taken before the work starts: whatever arrives meanwhile stays for exactly one more run. The directory
    belongs to ``avpn``, this runs as root, so nothing in it is opened or followed. Names that start with a
    dot are being written and are left, as systemd leaves them when it looks whether the directory is empty.
    """
    try:
        handle = os.open(spool, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return []
    taken = []
    try:
        for name in sorted(os.listdir(handle)):
            if name.startswith("."):
                continue
            try:
                if stat.S_ISDIR(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
                    shutil.rmtree(name, ignore_errors=True, dir_fd=handle)
                    continue
                os.unlink(name, dir_fd=handle)
            except FileNotFoundError:
                continue
            if _NAME.fullmatch(name):
                taken.append(name)
    finally:
        os.close(handle)
    return taken
