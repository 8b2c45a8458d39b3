# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network on two hosts: web and api on one, db with two leases and a gateway member on the other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "policy"))
sys.path.insert(0, str(Path(__file__).parent))

from wire import Wire, new_wire


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Wire]:
    with new_wire(tmp_path) as wire:
        yield wire


@pytest.fixture
def wire(empty: Wire) -> Wire:
    one, two = empty.site("host1"), empty.site("host2")
    empty.attach(one, "web", 1, 0, 1)
    empty.attach(one, "api", 1, 0, 2)
    empty.attach(two, "db", 1, 0, 3)
    empty.attach(two, "db", 2, 0, 4)
    empty.join(one, two)
    return empty


@pytest.fixture(scope="module")
def shared_wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """The same, kept for a module's tests: for those that enforce a manifest of their own first."""
    with new_wire(tmp_path_factory.mktemp("wire")) as made:
        one, two = made.site("host1"), made.site("host2")
        made.attach(one, "web", 1, 0, 1)
        made.attach(one, "api", 1, 0, 2)
        made.attach(two, "db", 1, 0, 3)
        made.attach(two, "db", 2, 0, 4)
        made.join(one, two)
        yield made
