# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Links that go by themselves while they are being deleted."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._overlay import netns
from ansible_collections.akash.avpn.plugins.module_utils._overlay.command import CommandFailed

pytestmark = pytest.mark.root


@pytest.fixture
def inside() -> Iterator[str]:
    """The path of a namespace with three links."""
    name = f"avpn-lnk{os.urandom(3).hex()}"
    netns.create(name)
    path = f"/run/netns/{name}"
    netns.batch(path, [f"link add ve{number} type veth peer name peer{number}" for number in range(3)])
    yield path
    netns.remove(name)


def test_a_link_that_went_by_itself_stops_no_other(inside: str) -> None:
    netns.delete_links(inside, ["ve0", "gone", "ve1", "gone-too"])
    assert {"ve0", "ve1", "ve2"} & netns.observe(inside).links.keys() == {"ve2"}


def test_a_link_that_can_not_be_deleted_is_told(inside: str) -> None:
    with pytest.raises(CommandFailed):
        netns.delete_links(inside, ["gone", "ve0", "lo"])
    assert "ve0" not in netns.observe(inside).links
