# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets the tests beside this file import the campaign of tests/faults."""

from __future__ import annotations

import pathlib
import sys

_FAULTS = str(pathlib.Path(__file__).resolve().parents[2] / "faults")
if _FAULTS not in sys.path:
    sys.path.insert(0, _FAULTS)
