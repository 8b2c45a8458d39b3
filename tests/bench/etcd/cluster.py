# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster of etcd on loopback addresses: Debian's server, data on a real disk, synchronised as it does by default.

What is not the default, and why: transactions and requests may be as large as 10,000 puts take, or the best batch
would be 128 of them; there is no TLS and nobody logs in, which favours etcd against the SSH on our side.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from .client import Client

MAX_TXN_OPS = 20_000
MAX_REQUEST_BYTES = 10 << 20
_START_SECONDS = 30.0


@dataclass(frozen=True)
class Cluster:
    """A running cluster. ``leader``: the client address of the member that leads."""

    version: str
    leader: str
    ports: frozenset[int]  # that its members listen on, for clients and for each other


@contextlib.contextmanager
def running(directory: Path, members: int) -> Iterator[Cluster]:
    """A cluster of so many members, stopped at the end; their data lies in ``directory``."""
    binary = shutil.which("etcd")
    if binary is None:
        raise RuntimeError("etcd is not installed: make bench PART=allocation installs it (etcd-server)")
    ports = _free_ports(2 * members)
    clients, peers = ports[:members], ports[members:]
    initial = ",".join(f"m{number}=http://127.0.0.1:{port}" for number, port in enumerate(peers, 1))
    processes = []
    try:
        for number in range(1, members + 1):
            own, peer = f"http://127.0.0.1:{clients[number - 1]}", f"http://127.0.0.1:{peers[number - 1]}"
            options = {
                "name": f"m{number}",
                "data-dir": str(directory / f"member{number}"),
                "listen-client-urls": own,
                "advertise-client-urls": own,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": initial,
                "initial-cluster-state": "new",
                "max-txn-ops": str(MAX_TXN_OPS),
                "max-request-bytes": str(MAX_REQUEST_BYTES),
                "quota-backend-bytes": str(4 << 30),
                "logger": "zap",
                "log-level": "error",
                "log-outputs": str(directory / f"member{number}.log"),
            }
            command = [binary, *(f"--{name}={value}" for name, value in options.items())]
            processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=directory))
        yield _ready(clients, frozenset(ports))
    finally:
        for process in processes:
            process.kill()
            process.wait(10)


def _ready(clients: list[int], ports: frozenset[int]) -> Cluster:
    """Wait until there is a leader that every member names."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(grpc.RpcError):
            answers = []
            for port in clients:
                client = Client(f"127.0.0.1:{port}")
                try:
                    answers.append(client.call("status"))
                finally:
                    client.close()
            (leader, *others) = {answer.leader for answer in answers}
            if leader and not others:
                of = {answer.header.member_id: port for answer, port in zip(answers, clients, strict=True)}
                return Cluster(answers[0].version, f"127.0.0.1:{of[leader]}", ports)
        time.sleep(0.1)
    raise RuntimeError("etcd has found no leader")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _unused in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
