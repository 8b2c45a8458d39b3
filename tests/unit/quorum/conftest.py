# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets the tests beside this file import ``ledger_world``, and gives them what several of them begin with."""

from __future__ import annotations

import pathlib
import sys

import pytest

_HERE = str(pathlib.Path(__file__).resolve().parent)
if _HERE not in sys.path:
    sys.path.insert(0, _HERE)

from test_acceptor import Desk  # noqa: E402
from test_voters import Town  # noqa: E402


@pytest.fixture
def desk(tmp_path: pathlib.Path) -> Desk:
    """Three voters that are asked one request at a time."""
    return Desk(tmp_path)


@pytest.fixture
def town(tmp_path: pathlib.Path) -> Town:
    """Three voters with leases and addresses; further hosts that can come."""
    return Town(tmp_path)
