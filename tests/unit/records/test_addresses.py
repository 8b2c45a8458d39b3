# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses a stranger's record may not make a host contact."""

from __future__ import annotations

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._chain.addresses import check_peer_address
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput

NEVER = {
    "127.0.0.1": "loopback",
    "127.9.9.9": "loopback",
    "::1": "loopback",
    "::ffff:127.0.0.1": "loopback",
    "2002:7f00:1::": "loopback",
    "64:ff9b::7f00:1": "loopback",
    "169.254.169.254": "link-local",
    "::ffff:169.254.169.254": "link-local",
    "fe80::1": "link-local",
    "224.0.0.251": "multicast",
    "ff02::1": "multicast",
    "0.0.0.0": "unspecified",
    "::": "unspecified",
    "255.255.255.255": "broadcast",
    "203.0.114.9": "own",
    "::ffff:203.0.114.9": "own",
}
PRIVATE = ["10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "198.18.0.1", "fd00::1", "240.0.0.1", "192.0.2.1"]


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("allowed", [(), ("0.0.0.0/0", "::/0")], ids=["default", "everything allowed"])
def test_never(address: str, allowed: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match=NEVER[address]) as refusal:
        check_peer_address(address, own={"203.0.114.9"}, allowed_ranges=allowed, where="ssh.address")
    assert refusal.value.where == "ssh.address"


@pytest.mark.parametrize("address", PRIVATE)
def test_private_only_where_the_team_says_so(address: str) -> None:
    with pytest.raises(InvalidInput, match="not a public address"):
        check_peer_address(address, own=set(), allowed_ranges=["198.51.100.0/24"])
    width = 128 if ":" in address else 32
    assert str(check_peer_address(address, own=set(), allowed_ranges=[f"{address}/{width}"])) == address


def test_wrapped_private_address_is_judged_by_what_it_wraps() -> None:
    with pytest.raises(InvalidInput, match=r"10\.0\.0\.1 is not a public"):
        check_peer_address("::ffff:10.0.0.1", own=set(), allowed_ranges=["::/0"])
    assert check_peer_address("::ffff:10.0.0.1", own=set(), allowed_ranges=["10.0.0.0/8"])
    with pytest.raises(InvalidInput, match="own"):
        check_peer_address("8.8.8.8", own={"::ffff:8.8.8.8"})


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_public_address_passes(address: str) -> None:
    assert str(check_peer_address(address, own={"8.8.4.4"}, allowed_ranges=[])) == address


@pytest.mark.parametrize("address", ["", "example.com", "8.8.8.8\n", "8.8.8.8/32", "fe80::1%eth0"])
def test_text_that_is_no_address(address: str) -> None:
    with pytest.raises(InvalidInput):
        check_peer_address(address)
