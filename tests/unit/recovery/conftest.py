# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets the tests beside this file import ``ruins``, and that the ledger's world."""

from __future__ import annotations

import pathlib
import sys

_HERE = pathlib.Path(__file__).resolve().parent
for _path in (str(_HERE), str(_HERE.parent / "quorum")):
    if _path not in sys.path:
        sys.path.insert(0, _path)
