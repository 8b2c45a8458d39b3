# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a route may cover only if it says so (R8)."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import HostRecord, NetworkRecord
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.coverage import addresses_of, check_routes
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._manifest.store import check_hosts

OWN = (ipaddress.IPv4Network("100.64.0.0/16"), ipaddress.ip_network("fd00:1::/64"))
HOST = HostRecord(NodeId("akash1p", "host1"), "203.0.113.1", 7022, "", "", "", "", "203.0.113.2", "2001:db8:7::3", 7946)


def checked(range_: str, covers: Any = None) -> None:
    route = {"range": range_, "via": "gateway"} | ({} if covers is None else {"covers": covers})
    check_routes(parse({"routes": [route]}), OWN, addresses_of([HOST]))


@pytest.mark.parametrize(
    ("range_", "word", "what"),
    [
        ("0.0.0.0/0", "default", "is the default route"),
        ("0.0.0.0/1", "default", "is wider than /8, and so a default route"),
        ("128.0.0.0/7", "default", "is wider than /8, and so a default route"),
        ("2000::/3", "default", "is wider than /16, and so a default route"),
        ("8000::/1", "default", "is wider than /16, and so a default route"),
        ("100.64.0.0/10", "members", r"overlaps the network's own range 100\.64\.0\.0/16"),
        ("100.64.0.0/16", "members", r"overlaps the network's own range 100\.64\.0\.0/16"),
        ("100.64.200.0/24", "members", r"overlaps the network's own range 100\.64\.0\.0/16"),
        ("fd00:1::/120", "members", r"overlaps the network's own range fd00:1::/64"),
        ("203.0.113.0/24", "hosts", r"holds 203\.0\.113\.1, an address of the host akash1p/host1"),
        ("203.0.113.2/32", "hosts", r"holds 203\.0\.113\.2, an address of the host akash1p/host1"),
        ("2001:db8::/32", "hosts", r"holds 2001:db8:7::3, an address of the host akash1p/host1"),
    ],
)
def test_what_must_be_asked_for_is_refused_until_it_is(range_: str, word: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^routes\.0\.range: {what}.*'covers: {word}'"):
        checked(range_)
    others = sorted({"default", "hosts", "members"} - {word})
    with pytest.raises(InvalidInput, match=rf"^routes\.0\.range: {what}"):
        checked(range_, others)
    checked(range_, word)
    checked(range_, [*others, word])


@pytest.mark.parametrize("range_", ["10.0.0.0/8", "192.0.2.0/24", "2001:db8:8::/48", "fd01::/16", "203.0.112.0/24"])
def test_what_covers_nothing_else_needs_no_word(range_: str) -> None:
    checked(range_)


def test_the_words_that_are_there_are_told_with_the_one_that_is_missing() -> None:
    with pytest.raises(InvalidInput, match=r"write 'covers: \[hosts, members\]'"):
        checked("100.64.5.0/24", "hosts")


def test_staged_routes_are_held_to_the_same() -> None:
    document = {"staged": {"routes": [{"range": "203.0.113.0/24", "via": "gateway"}]}}
    with pytest.raises(InvalidInput, match=r"^staged\.routes\.0\.range: holds 203\.0\.113\.1"):
        check_routes(parse(document), OWN, addresses_of([HOST]))


def test_at_hand_in_the_hosts_of_today_are_looked_at() -> None:
    record = NetworkRecord("akash1q", "prod", OWN[0], {"gateway": 1}, None)
    routed = parse({"routes": [{"range": "203.0.113.0/24", "via": "gateway"}]})
    check_hosts(routed, record, [])
    with pytest.raises(InvalidInput, match=r"holds 203\.0\.113\.1, an address of the host akash1p/host1"):
        check_hosts(routed, record, [HOST])
