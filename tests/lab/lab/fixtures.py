# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab for pytest: `from lab.fixtures import lab` in a conftest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .lab import Lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab, up. It is left as it was found: up if it was up, otherwise taken down."""
    the_lab = Lab()
    was_up = the_lab.is_up()
    the_lab.up()
    yield the_lab
    if not was_up:
        the_lab.down()
