# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``avpn-config <file>``: checks a host.json before it replaces the one in use."""

from __future__ import annotations

import sys
from pathlib import Path

from .._common.errors import AvpnError
from .config import load
from .paths import Paths


def main(_paths: Paths) -> int:
    """Entry point: 0 if the file is good, else the field that is wrong."""
    if len(sys.argv) != 2:
        sys.stderr.write("avpn-config: takes the file to check\n")
        return 2
    try:
        load(Path(sys.argv[1]))
    except AvpnError as error:
        sys.stderr.write(f"avpn-config: {error}\n")
        return 1
    return 0
