# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading files that lie where a less privileged user may write.

Root plans from files of the user avpn, who answers strangers. Whoever got hold of that user could put a link, a
pipe or a device there, at which root would hang, or read until its memory ends.
"""

from __future__ import annotations

import errno
import os
import stat


def read_regular(path: str | os.PathLike[str], *, most: int) -> bytes:
    """The content of a regular file, at most ``most`` + 1 bytes of it (so that who limits it can tell).

    Raises OSError: FileNotFoundError, or EINVAL for what is no regular file; a link (ELOOP) isn't followed.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return file.read(most + 1)
