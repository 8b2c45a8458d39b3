# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole way: paramiko, sshd, the key lookup, the peer command, the answer."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import scene
from scene import ALICE, BOB, P1, P2, P3, P4

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import (
    AvpnError,
    InvalidInput,
    NotPermitted,
    Unavailable,
)
from ansible_collections.akash.avpn.plugins.module_utils._peer.hints import take
from ansible_collections.akash.avpn.plugins.module_utils._peer.keys import fingerprint
from ansible_collections.akash.avpn.plugins.module_utils._peer.limits import Limits
from ansible_collections.akash.avpn.plugins.module_utils._peer.messages import MAX_REQUEST

if TYPE_CHECKING:
    from conftest import Channel

    from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId

pytestmark = pytest.mark.root


def ask(channel: Channel, identity: NodeId | str, label: str, **request: Any) -> Any:
    with channel.client(identity, label) as client:
        return client.call(P1, request)


def test_a_tenant_and_a_provider_are_answered(populated: Channel) -> None:
    assert ask(populated, ALICE, "alice", op="hello")["node"] == str(P1)
    network = populated.networks[0].record.id
    assert ask(populated, P2, str(P2), op="versions") == {network: {"ledger": None, "manifest": None}}
    status = ask(populated, ALICE, "alice", op="status", network=network)
    assert status["node"] == str(P1)
    assert status["applied"] is None


def test_a_connection_is_kept_and_counted(populated: Channel) -> None:
    with populated.client(ALICE, "alice") as client:
        for _unused in range(3):
            client.call(P1, {"op": "hello"})
        assert client.counters.connections == 1
        assert client.counters.requests == 3
        assert client.counters.sent > 0
        assert client.counters.received > 0


def test_many_peers_are_asked_at_once_and_one_failure_is_one(populated: Channel) -> None:
    populated.hosts[P3] = scene.host(P3, "127.0.0.1", 1)
    with populated.client(P2, str(P2)) as client:
        answers = dict(client.call_all([P1, P3], {"op": "hello"}))
    assert answers[P1]["node"] == str(P1)
    assert isinstance(answers[P3], Unavailable)


def test_one_tenants_key_reaches_nothing_of_anothers(populated: Channel) -> None:
    alices, bobs, away = (entry.record.id for entry in populated.networks)
    texts = set()
    for identity, label, network in (
        (ALICE, "alice", bobs),
        (BOB, "alice", bobs),
        (ALICE, "bob", alices),
        (BOB, "bob", alices),
        (BOB, "bob", away),
        (BOB, "bob", "f" * 64),
    ):
        for request in (
            {"op": "status"},
            {"op": "reconcile"},
            {"op": "manifest-get"},
            {"op": "manifest-put", "manifest": {}},
        ):
            with pytest.raises(NotPermitted) as caught:
                ask(populated, identity, label, network=network, **request)
            texts.add(str(caught.value))
    assert len(texts) == 1
    assert os.listdir(populated.tree.paths.requests) == []


def test_a_provider_without_a_lease_is_refused_by_the_quorum(populated: Channel) -> None:
    bobs = populated.networks[1].record.id
    for op in ("prepare", "accept", "learn", "fetch", "manifest-get"):
        with pytest.raises(NotPermitted):
            ask(populated, P2, str(P2), op=op, network=bobs)
        with pytest.raises(NotPermitted):
            ask(populated, P3, str(P2), op=op, network=bobs)


def test_a_tenant_may_not_speak_to_the_quorum_nor_get_the_rings_key(populated: Channel) -> None:
    network = populated.networks[0].record.id
    for request in ({"op": "prepare", "network": network}, {"op": "ring"}, {"op": "versions"}):
        with pytest.raises(NotPermitted):
            ask(populated, ALICE, "alice", **request)


def test_a_host_that_only_votes_does_not_get_the_rings_key(populated: Channel) -> None:
    """Anybody can register as a provider and be named by a tenant of its own."""
    populated.networks[0] = scene.network(
        ALICE, "prod", (P1, P2), access=(populated.public("alice"),), founders=(P1, P4)
    )
    populated.save()
    assert list(ask(populated, P4, str(P4), op="versions")) == [populated.networks[0].record.id]
    with pytest.raises(NotPermitted):
        ask(populated, P4, str(P4), op="ring")
    assert set(ask(populated, P2, str(P2), op="ring")) == {"key"}


def test_what_a_caller_asked_for_too_often_is_not_done(populated: Channel) -> None:
    network = populated.networks[0].record.id
    hint = {"op": "hint", "network": network, "kind": "ledger", "version": 5}
    put = {"op": "manifest-put", "network": network, "manifest": {}}
    with populated.client(P2, str(P2)) as client:
        client.call(P1, hint)
        assert take(populated.tree.paths.hints)
        with pytest.raises(InvalidInput):
            client.call(P1, put)
        limits = Limits(populated.tree.paths.limits, fingerprint(populated.public(str(P2))))
        with limits._times() as times:
            times |= {"hint": time.time() + 1000, "manifest-put": time.time() + 1000}
        assert client.call(P1, hint) == {}
        assert take(populated.tree.paths.hints) == []
        with pytest.raises(Unavailable, match="too many manifests"):
            client.call(P1, put)


def test_strangers_dont_get_in(populated: Channel) -> None:
    # P4 and Bob's other key stand on chain, but for nothing that this host has to do with.
    for identity, label in ((ALICE, "mallory"), (P4, str(P4)), (BOB, "bob away")):
        with pytest.raises(NotPermitted, match="doesn't accept this key"):
            ask(populated, identity, label, op="hello")


def test_a_permission_that_ends_ends_within_the_session(populated: Channel) -> None:
    network = populated.networks[0].record.id
    with populated.client(ALICE, "alice") as client:
        client.call(P1, {"op": "status", "network": network})
        populated.networks[0] = scene.network(ALICE, "prod", (P1, P2), access=(populated.public("alice new"),))
        populated.save()
        with pytest.raises(NotPermitted):
            client.call(P1, {"op": "status", "network": network})


def test_another_host_key_than_the_chains_is_refused(populated: Channel) -> None:
    populated.hosts[P1] = scene.host(P1, "127.0.0.1", populated.port, ssh_host_key=scene.ssh_key("impostor"))
    with pytest.raises(Unavailable, match="another host key"):
        ask(populated, ALICE, "alice", op="hello")


@pytest.mark.parametrize(
    ("line", "where"),
    [
        (b"\x00\xff\xfe", "request"),
        (b"[]", "request"),
        (b"{}", "op"),
        (b'{"op":"shell"}', "op"),
        (b'{"op":["status"]}', "op"),
        (b'{"op":"hello"}', "as"),
        (b'{"op":"hello","as":"root"}', "as"),
        (b'{"op":"hello","as":"%s","shell":"id"}' % ALICE.encode(), "shell"),
        (b'{"op":"status","as":"%s"}' % ALICE.encode(), "network"),
        (b'{"op":"status","as":"%s","network":"../../etc"}' % ALICE.encode(), "network"),
        (b'{"op":"hello","op":"hello","as":"%s"}' % ALICE.encode(), "request"),
        (b'{"op":"hello","as":%s}' % (b"[" * 5000 + b"]" * 5000), "request"),
    ],
)
def test_garbage_is_refused_by_the_name_of_the_field_and_the_session_goes_on(
    populated: Channel, line: bytes, where: str
) -> None:
    hello = json.dumps({"op": "hello", "as": ALICE}).encode()
    done = populated.ssh("alice", input_=line + b"\n" + hello + b"\n")
    first, second = (json.loads(text) for text in done.stdout.splitlines())
    assert first["error"]["code"] == "invalid"
    assert first["error"]["where"] == where
    assert "ok" in second


def test_an_unfinished_line_is_not_a_request(populated: Channel) -> None:
    network = populated.networks[0].record.id
    request = json.dumps({"op": "reconcile", "as": ALICE, "network": network}).encode()
    assert populated.ssh("alice", input_=request).stdout == b""
    assert os.listdir(populated.tree.paths.requests) == []


def test_a_line_without_end_is_cut_off(populated: Channel) -> None:
    done = populated.ssh("alice", input_=b"x" * (MAX_REQUEST + 1))
    answer = json.loads(done.stdout)
    assert answer["error"]["code"] == "invalid"
    assert "longer than" in answer["error"]["what"]


def test_sessions_of_one_key_are_limited(populated: Channel) -> None:
    clients = [populated.client(ALICE, "alice") for _unused in range(9)]
    try:
        for client in clients[:8]:
            client.call(P1, {"op": "hello"})
        with pytest.raises(Unavailable, match="8 sessions"):
            clients[8].call(P1, {"op": "hello"})
        clients[0].close()
        time.sleep(0.5)
        clients[8].call(P1, {"op": "hello"})
    finally:
        for client in clients:
            client.close()


def test_sessions_of_one_account_are_limited_whatever_its_keys(populated: Channel) -> None:
    """A network may name sixteen keys, and a tenant may have many networks."""
    labels = ["alice", "alice2", "alice3"]
    # A stranger's network names Alice's last key: its own sessions are not hers.
    populated.networks[0] = scene.network(ALICE, "prod", (P1, P2), access=tuple(map(populated.public, labels)))
    access = (populated.public("bob"), populated.public("alice3"))
    populated.networks[1] = scene.network(BOB, "prod", (P1, P3), access=access)
    populated.save()
    with contextlib.ExitStack() as stack:

        def session(owner: str, label: str) -> None:
            stack.enter_context(populated.client(owner, label)).call(P1, {"op": "hello"})

        for label in labels[:2]:
            for _unused in range(6):
                session(ALICE, label)
        with pytest.raises(Unavailable, match="12 sessions"):
            session(ALICE, "alice")
        for _unused in range(3):
            session(BOB, "bob")
            session(ALICE, "alice3")  # has a place among Bob's, so it is let in, as whoever it says it is


def test_a_tenant_triggers_reconciliation_but_not_endlessly(populated: Channel) -> None:
    network = populated.networks[0].record.id
    with populated.client(ALICE, "alice") as client:
        for _unused in range(3):
            assert len(client.call(P1, {"op": "reconcile", "network": network})["request"]) == 32
        with pytest.raises(Unavailable, match="too often"):
            client.call(P1, {"op": "reconcile", "network": network})
    assert os.listdir(populated.tree.paths.requests) == [network]


def test_more_keys_and_networks_are_no_more_reconciliations(populated: Channel) -> None:
    populated.networks = [
        scene.network(ALICE, f"n{number}", (P1, P2), access=(populated.public(f"alice {number}"),))
        for number in range(4)
    ]
    populated.networks.append(scene.network(BOB, "prod", (P1, P3), access=(populated.public("bob"),)))
    populated.save()

    def trigger(number: int, owner: str, label: str) -> None:
        ask(populated, owner, label, op="reconcile", network=populated.networks[number].record.id)

    for number in range(3):
        trigger(number, ALICE, f"alice {number}")
    with pytest.raises(Unavailable, match="too often"):
        trigger(3, ALICE, "alice 3")
    trigger(4, BOB, "bob")


def test_a_hint_wakes_the_fast_path_only(populated: Channel) -> None:
    network = populated.networks[0].record.id
    assert ask(populated, P2, str(P2), op="hint", network=network, kind="ledger", version=5) == {}
    assert os.listdir(populated.tree.paths.hints) == [f"ledger-{network}"]
    with pytest.raises(InvalidInput):
        ask(populated, P2, str(P2), op="hint", network=network, kind="../x", version=5)


def test_the_host_answers_itself_without_ssh_and_with_the_same_rules(populated: Channel) -> None:
    from ansible_collections.akash.avpn.plugins.module_utils._peer.keys import fingerprint

    command = [str(populated.tree.paths.command("peer")), fingerprint(populated.public(str(P1)))]
    with populated.client(P1, str(P1), here=P1, local_command=command) as client:
        assert client.call(P1, {"op": "hello"})["node"] == str(P1)
        with pytest.raises(NotPermitted):
            client.call(P1, {"op": "fetch", "network": "0" * 64})


def test_a_peer_that_doesnt_answer_costs_a_bounded_time(populated: Channel) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(4)
        populated.hosts[P2] = scene.host(P2, "127.0.0.1", silent.getsockname()[1])
        started = time.monotonic()
        with populated.client(P1, str(P1), connect_seconds=1.0) as client, pytest.raises(Unavailable):
            client.call(P2, {"op": "hello"})
        assert time.monotonic() - started < 5


def test_addresses_that_peers_must_not_have_are_not_contacted(populated: Channel) -> None:
    def refuse(_record: object) -> None:
        raise InvalidInput("is a loopback address", where="address")

    with populated.client(ALICE, "alice", check_address=refuse) as client, pytest.raises(AvpnError, match="loopback"):
        client.call(P1, {"op": "hello"})


@pytest.mark.parametrize("command", [("id",), ("sh", "-c", "id"), ("cat /etc/passwd",), ("internal-sftp",), ()])
def test_no_command_but_the_peer_command_runs(populated: Channel, command: tuple[str, ...]) -> None:
    done = populated.ssh("alice", *command)
    assert b"uid=" not in done.stdout
    assert b"root:" not in done.stdout
    assert done.stdout == b""
    answered = populated.ssh("alice", *command, input_=json.dumps({"op": "hello", "as": ALICE}).encode() + b"\n")
    assert json.loads(answered.stdout)["ok"]["node"] == str(P1)


def test_there_is_no_terminal(populated: Channel) -> None:
    done = populated.ssh("alice", "-tt", "id")
    assert b"PTY allocation request failed" in done.stderr
    assert b"uid=" not in done.stdout


def test_no_file_goes_in_or_out(populated: Channel, tmp_path: Any) -> None:
    secret = tmp_path / "file"
    secret.write_text("content")
    for command, arguments in (
        ("scp", (str(secret), "avpn@127.0.0.1:/tmp/avpn-smuggled")),
        ("scp", ("-O", str(secret), "avpn@127.0.0.1:/tmp/avpn-smuggled")),
        ("scp", ("avpn@127.0.0.1:/etc/passwd", str(tmp_path / "got"))),
        ("sftp", ("avpn@127.0.0.1:/etc/passwd", str(tmp_path / "got"))),
    ):
        # The old protocol of scp waits for a greeting that never comes.
        with contextlib.suppress(subprocess.TimeoutExpired):
            assert populated.ssh("alice", *arguments, command=command, seconds=4).returncode != 0
    assert not (tmp_path / "got").exists()
    assert not os.path.exists("/tmp/avpn-smuggled")


def test_nothing_is_forwarded(populated: Channel) -> None:
    import paramiko

    record = populated.hosts[P1]
    transport = paramiko.Transport((record.ssh_address, record.ssh_port))
    try:
        transport.connect(username="avpn", pkey=paramiko.Ed25519Key.from_private_key_file(str(populated.key("alice"))))
        with pytest.raises(paramiko.SSHException):
            transport.open_channel("direct-tcpip", ("127.0.0.1", populated.port), ("127.0.0.1", 1), timeout=5)
        with pytest.raises(paramiko.SSHException):
            transport.request_port_forward("127.0.0.1", 0)
        session = transport.open_session(timeout=5)
        assert not granted(session.request_x11)
        assert not granted(lambda: session.request_forward_agent(lambda _channel: None))
        with pytest.raises(paramiko.SSHException):
            transport.open_session(timeout=5)  # one session a connection
    finally:
        transport.close()


def granted(request: Any) -> bool:
    import paramiko

    try:
        request()
    except paramiko.SSHException:
        return False
    return True


def test_openssh_gets_no_forwarding_either(populated: Channel) -> None:
    for option in (
        ("-W", f"127.0.0.1:{populated.port}"),
        ("-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:0:127.0.0.1:22"),
        ("-o", "ExitOnForwardFailure=yes", "-R", "/tmp/avpn-test.sock:127.0.0.1:22"),
    ):
        host = ["ssh", "-p", str(populated.port), "-i", str(populated.key("alice")), "-F", "none"]
        for setting in (
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
        ):
            host += ["-o", setting]
        done = subprocess.run(
            [*host, *option, "avpn@127.0.0.1"], input=b"", capture_output=True, timeout=30, check=False
        )
        assert done.returncode != 0, (option, done.stderr)
        assert b"SSH-2.0" not in done.stdout
    assert not os.path.exists("/tmp/avpn-test.sock")


def test_no_other_user_logs_in(populated: Channel) -> None:
    for user in ("root", "nobody"):
        done = populated.ssh("alice", user=user)
        assert done.returncode == 255
        assert b"Permission denied" in done.stderr
