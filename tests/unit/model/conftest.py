# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets the tests beside this file import ``ledger_model`` from tests/model."""

from __future__ import annotations

import pathlib
import sys

_MODEL = str(pathlib.Path(__file__).resolve().parents[2] / "model")
if _MODEL not in sys.path:
    sys.path.insert(0, _MODEL)
