# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib

import pytest
from scene import ALICE, P1, P2, P3, HostTree, host, network, ssh_key, view

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._peer.authorized_keys import lookup
from ansible_collections.akash.avpn.plugins.module_utils._peer.keys import fingerprint

KEY = ssh_key("alice")
KIND, BASE64 = KEY.split(" ")


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> HostTree:
    made = HostTree.make(tmp_path, P1)
    made.save(view([network(ALICE, "prod", (P1, P2), access=(KEY,))], [host(P1), host(P2)]))
    return made


def test_a_key_with_a_role_gets_the_peer_command_and_nothing_else(tree: HostTree) -> None:
    command = tree.paths.command("peer")
    assert lookup(tree.paths, "avpn", KIND, BASE64) == f'restrict,command="{command} {fingerprint(KEY)}" {KEY}'


@pytest.mark.parametrize(
    ("user", "kind", "key"),
    [
        ("root", KIND, BASE64),
        ("avpn", "ssh-rsa", BASE64),
        ("avpn", KIND, BASE64[:-4]),
        ("avpn", KIND, BASE64 + "\nssh-ed25519 AAAA"),
        ("avpn", f'command="id" {KIND}', BASE64),
        ("avpn", KIND, ssh_key("mallory").split(" ")[1]),
        ("avpn", KIND, ""),
    ],
)
def test_whatever_else_gets_nothing(tree: HostTree, user: str, kind: str, key: str) -> None:
    assert lookup(tree.paths, user, kind, key) is None


@pytest.mark.parametrize(
    "smuggled",
    [
        f'command="/bin/sh" {KEY}',
        f"no-pty {KEY}",
        f"{KEY} comment",
        f"{KEY}\n{ssh_key('mallory')}",
        f'{KEY}" ssh-ed25519',
    ],
)
def test_options_in_a_record_never_come_out(tree: HostTree, smuggled: str) -> None:
    text = tree.paths.view.read_text()
    assert json.dumps(KEY) in text
    tree.paths.view.write_text(text.replace(json.dumps(KEY), json.dumps(smuggled)))
    with pytest.raises(AvpnError, match="access"):
        lookup(tree.paths, "avpn", KIND, BASE64)


def test_a_key_that_is_in_the_view_without_a_role_here_gets_nothing(tmp_path: pathlib.Path) -> None:
    """A view also holds hosts that share no network with this one, their host keys, and networks elsewhere."""
    tree = HostTree.make(tmp_path, P1)
    elsewhere = network(ALICE, "away", (P2, P3), access=(ssh_key("alice away"),))
    tree.save(view([network(ALICE, "prod", (P1, P2), access=(KEY,)), elsewhere], [host(P1), host(P2), host(P3)]))
    for label in (f"{P3} client", "alice away", f"{P2} host"):
        key = ssh_key(label).split(" ")[1]
        assert key in tree.paths.view.read_text()
        assert lookup(tree.paths, "avpn", KIND, key) is None
    assert lookup(tree.paths, "avpn", KIND, ssh_key(f"{P2} client").split(" ")[1]) is not None


def test_a_stranger_makes_the_host_look_at_the_chain_at_most_now_and_then(tree: HostTree) -> None:
    stranger = ssh_key("new provider").split(" ")[1]
    lookup(tree.paths, "avpn", KIND, stranger)
    assert os.listdir(tree.paths.hints) == []  # the view is seconds old
    os.utime(tree.paths.view, (0, 0))
    for _unused in range(5):
        lookup(tree.paths, "avpn", KIND, stranger)
    assert os.listdir(tree.paths.hints) == ["view"]
