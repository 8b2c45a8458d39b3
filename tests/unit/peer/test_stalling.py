# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Peers and chain nodes that take a call and never answer: they cost a bounded time, and the rest goes on."""

from __future__ import annotations

import pathlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import scene
from scene import P1, P2, P3

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._peer import config, fastpath, gather, keys, pull
from ansible_collections.akash.avpn.plugins.module_utils._peer.client import PeerClient
from ansible_collections.akash.avpn.plugins.module_utils._peer.hints import Hint
from ansible_collections.akash.avpn.plugins.module_utils._peer.identities import Identities
from ansible_collections.akash.avpn.plugins.module_utils._peer.limits import Limits


class Staller:
    """Accepts connections, counts them, and says nothing (or ``drip``, byte by byte)."""

    def __init__(self, drip: bytes = b"") -> None:
        self.accepted: list[socket.socket] = []
        self._drip = drip
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            self.accepted.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            for byte in self._drip:
                connection.sendall(bytes([byte]))
                time.sleep(0.2)
        except OSError:
            return

    def close(self) -> None:
        self._listener.close()
        for connection in self.accepted:
            connection.close()


@pytest.fixture
def staller() -> Iterator[Staller]:
    made = Staller()
    yield made
    made.close()


def _client(tmp_path: pathlib.Path, hosts: list[scene.HostRecord]) -> PeerClient:
    key = tmp_path / "key"
    keys.create_ssh_key(key)
    return PeerClient(P1, {one.id: one for one in hosts}, key, check_address=lambda _record: None, connect_seconds=1.0)


def test_a_host_that_stalls_is_waited_for_once_a_round(
    tmp_path: pathlib.Path, staller: Staller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "_STALLED", 0.5)
    tree = scene.HostTree.make(tmp_path / "root", P1)
    hosts = [scene.host(P1), scene.host(P2, "127.0.0.1", staller.port)]
    networks = [scene.network(scene.ALICE, f"n{number}", (P1, P2)) for number in range(12)]
    identities = Identities(scene.view(networks, hosts), P1)
    with _client(tmp_path, hosts) as client:
        one = pull.Pull(tree.paths, identities, client)
        started = time.monotonic()
        one.follow({entry.record.id: [("ledger", 9), ("manifest", 9)] for entry in networks})
        one.compare()
        assert time.monotonic() - started < 10
    # Those that were under way side by side, and nobody after the first had failed.
    assert 1 <= len(staller.accepted) <= 5


def test_a_round_ends(tmp_path: pathlib.Path, staller: Staller) -> None:
    tree = scene.HostTree.make(tmp_path / "root", P1)
    nodes = [scene.NodeId(P2.provider, f"n{number}") for number in range(40)]
    hosts = [scene.host(P1), *(scene.host(node, "127.0.0.1", staller.port) for node in nodes)]
    networks = [scene.network(scene.ALICE, "many", (P1, P2))]
    with _client(tmp_path, hosts) as client:
        one = pull.Pull(tree.paths, Identities(scene.view(networks, hosts), P1), client, seconds=2.0)
        started = time.monotonic()
        one.follow({networks[0].record.id: [("ledger", 9)]})
        assert time.monotonic() - started < 8
        asked = len(staller.accepted)
        one.compare()
        assert len(staller.accepted) == asked, "nobody is asked after the end"


def test_hints_about_one_network_leave_those_about_another(tmp_path: pathlib.Path) -> None:
    """Lies about one network use up its looks, and no others."""
    tree = scene.HostTree.make(tmp_path / "root", P1)
    hosts = [scene.host(node, "127.0.0.1", 9) for node in (P1, P2, P3)]
    mine, theirs = scene.network(scene.ALICE, "prod", (P1, P2)), scene.network(scene.BOB, "prod", (P1, P3))
    limits = Limits(tree.paths.limits, "this host")
    with _client(tmp_path, hosts) as client:
        identities = Identities(scene.view([mine, theirs], hosts), P1)
        for version in range(20):
            lying = pull.Pull(tree.paths, identities, client, limits=limits)
            lying.follow({theirs.record.id: [("ledger", version)]})
        before = client.counters.connections
        pull.Pull(tree.paths, identities, client, limits=limits).follow({theirs.record.id: [("ledger", 99)]})
        assert client.counters.connections == before, "lies are not followed without end"
        pull.Pull(tree.paths, identities, client, limits=limits).follow({mine.record.id: [("ledger", 1)]})
        assert client.counters.connections == before + 1


@pytest.mark.parametrize("address", ["127.0.0.1", "198.18.0.1", "169.254.169.254", "10.0.0.1", "::1"])
def test_the_hosts_own_client_contacts_no_address_that_a_peer_must_not_have(
    tmp_path: pathlib.Path, staller: Staller, address: str
) -> None:
    """198.18.0.1 is this host's own; the network around it is allowed."""
    tree = scene.HostTree.make(tmp_path / "root", P1)
    keys.create_ssh_key(tree.paths.ssh_client_key)
    view = scene.view([scene.network(scene.ALICE, "prod", (P1, P2))], [scene.host(P2, address, staller.port)])
    with (
        gather.client(tree.paths, config.load(tree.paths.host_config), view) as client,
        pytest.raises(InvalidInput, match=r"no peer may have|not a public address"),
    ):
        client.call(P2, {"op": "hello"}, seconds=2)
    assert staller.accepted == []


def test_a_dripping_chain_node_does_not_keep_peers_from_being_asked(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Staller(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 1000)
    monkeypatch.setattr(gather, "_CHAIN_SECONDS", 1.0)
    chain = {"chain_id": "akashnet-2", "endpoints": [f"http://127.0.0.1:{node.port}"], "own": True}
    tree = scene.HostTree.make(tmp_path / "root", P1, chain=chain)
    problems: dict[str, str] = {}
    started = time.monotonic()
    gather._refresh(tree.paths, config.load(tree.paths.host_config), [Hint("view")], problems)
    node.close()
    assert time.monotonic() - started < 5
    assert "within 1 s" in problems["chain"]


def test_what_is_agreed_is_applied_when_gathering_fails(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = scene.HostTree.make(tmp_path / "root", P1)
    applied: list[object] = []

    def fail(*_: object, **__: object) -> None:
        raise Unavailable("took longer than 150 s")

    monkeypatch.setattr(fastpath.drop, "as_user", fail)
    monkeypatch.setattr(fastpath, "apply", lambda paths: applied.append(paths) or [])
    fastpath.main(tree.paths)
    applied.clear()
    assert fastpath.main(tree.paths) == 1
    assert applied == [tree.paths]
    assert "took longer" in capsys.readouterr().err


def test_after_a_boot_what_was_agreed_is_applied_before_anybody_is_asked(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = scene.HostTree.make(tmp_path / "root", P1)
    did: list[str] = []
    nothing = {"problems": {}, "news": [], "ring": False, "ring_changed": False}
    monkeypatch.setattr(fastpath.drop, "as_user", lambda *_args, **_kwargs: did.append("asked") or nothing)
    monkeypatch.setattr(fastpath, "apply", lambda _paths: did.append("applied") or [])
    assert fastpath.main(tree.paths) == 0
    assert fastpath.main(tree.paths) == 0
    assert did == ["applied", "asked", "applied", "asked", "applied"]


def test_a_host_that_has_nothing_to_come_back_to_goes_on(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = scene.HostTree.make(tmp_path / "root", P1)
    did: list[str] = []
    nothing = {"problems": {}, "news": [], "ring": False, "ring_changed": False}

    def apply(_paths: object) -> list[str]:
        if not did:
            raise Unavailable("there is no view yet")
        return []

    monkeypatch.setattr(fastpath.drop, "as_user", lambda *_args, **_kwargs: did.append("asked") or nothing)
    monkeypatch.setattr(fastpath, "apply", apply)
    assert fastpath.main(tree.paths) == 0
    assert did == ["asked"]
    assert "there is no view yet" in capsys.readouterr().err
