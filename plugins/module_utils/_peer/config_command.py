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
        print("avpn-config: takes the file to check", file=sys.stderr)
        return 2
    try:
        load(Path(sys.argv[1]))
    except AvpnError as error:
        print(f"avpn-config: {error}", file=sys.stderr)
        return 1
    return 0
