# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``avpn-hint``: Serf's event handler. Turns a user event of the ring into a hint for the fast path.

Whoever holds the ring's key can send anything, so everything but an exact hint about a network that this
host knows is dropped without a word.
"""

from __future__ import annotations

import os
import sys

from .._common.errors import AvpnError
from .hints import parse, put
from .paths import Paths

_EVENT = "avpn"  # gossip.EVENT, which would import subprocess
_LONGEST = 512


def main(paths: Paths) -> int:
    """Entry point, called with the event's kind and name in the environment and its payload on standard input."""
    if os.environ.get("SERF_EVENT") != "user" or os.environ.get("SERF_USER_EVENT") != _EVENT:
        return 0
    try:
        hint = parse(sys.stdin.buffer.read(_LONGEST))
        # Finding the id in the view's text is enough: a false hint costs a look.
        if hint.network is not None and hint.network.encode() in paths.view.read_bytes():
            put(paths.hints, hint)
    except (AvpnError, OSError):
        return 0
    return 0
