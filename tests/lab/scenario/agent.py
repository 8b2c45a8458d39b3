# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a provider host, fed on standard input: listens and probes inside workload namespaces.

Plain Python of the host, no package. ``serve`` answers on TCP ports inside every given namespace with the
name of the endpoint, so that a prober knows whom it reached; ``probe`` tries paths and prints what it saw;
``hold`` keeps one connection going.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

CLONE_NEWNET = 0x40000000
RECORD_TYPES = {4: 1, 6: 28}


def enter(namespace: str) -> None:
    """Move this process into a network namespace by name."""
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns {namespace}")
    os.close(handle)


def serve(order: dict[str, Any]) -> dict[str, int]:
    """``{"endpoints": [{"namespace", "identity"}], "ports": [8080, 9090]}``: one listener each, for good.

    Returns the listeners' processes by identity, once all of them listen.
    """
    started = {}
    for endpoint in order["endpoints"]:
        read, write = os.pipe()
        if (process := os.fork()) == 0:
            os.close(read)
            os.setsid()
            enter(endpoint["namespace"])
            answer(endpoint["identity"].encode() + b"\n", order["ports"], write)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            if not pipe.read():
                raise OSError(f"no listener for {endpoint['identity']}")
        started[endpoint["identity"]] = process
    return started


def answer(identity: bytes, ports: list[int], ready: int) -> None:
    """Say the identity to whoever connects, over IPv4 and IPv6, and then everything back that comes.

    ready: a pipe's end that is told when it listens.
    """
    selector = selectors.DefaultSelector()
    listeners = set()
    for port in ports:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=128, dualstack_ipv6=True)
        listeners.add(listener)
        selector.register(listener, selectors.EVENT_READ)
    os.write(ready, b"listening")
    os.close(ready)
    detach()
    while True:
        for key, _unused in selector.select():
            given: Any = key.fileobj
            try:
                if given in listeners:
                    connection, _unused = given.accept()
                    connection.settimeout(2)
                    connection.sendall(identity)
                    selector.register(connection, selectors.EVENT_READ)
                    continue
                data = given.recv(4096)
                if data:
                    given.sendall(data)
                    continue
            except OSError:
                if given in listeners:
                    continue
            selector.unregister(given)
            given.close()


def hold(order: dict[str, Any]) -> None:
    """``{"namespace", "address", "port", "identity", "book"}``: keep one connection, count its echoes in a file."""
    if os.fork() != 0:
        return
    os.setsid()
    enter(order["namespace"])
    detach()
    echoed, ended = 0, None
    try:
        with socket.create_connection((order["address"], order["port"]), timeout=60) as connection:
            stream = connection.makefile("rwb")
            if stream.readline() != order["identity"].encode() + b"\n":
                raise OSError("somebody else answered")
            while not os.path.exists(order["book"] + ".stop"):
                stream.write(b"%d\n" % echoed)
                stream.flush()
                if stream.readline() != b"%d\n" % echoed:
                    raise OSError("the other side ended it")
                echoed += 1
                note(order["book"], {"echoed": echoed, "ended": None})
                time.sleep(0.2)
            ended = "as asked"
    except OSError as error:
        ended = f"{type(error).__name__}: {error}"
    note(order["book"], {"echoed": echoed, "ended": ended})


def note(path: str, state: dict[str, Any]) -> None:
    """Replace a small JSON file whole."""
    with open(f"{path}.new", "w") as file:
        json.dump(state, file)
    os.replace(f"{path}.new", path)


def detach() -> None:
    """Let go of the terminal's or the caller's streams."""
    for standard in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), standard)


def probe(order: dict[str, Any]) -> list[dict[str, Any]]:
    """``{"checks": [{"namespace", "resolver", "name", "family", "kind", …}], "timeout"}`` → the same with "seen"."""
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for check in order["checks"]:
        by_namespace.setdefault(check["namespace"], []).append(check)
    children = []
    for namespace, checks in by_namespace.items():
        read, write = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(read)
            enter(namespace)
            with ThreadPoolExecutor(len(checks)) as pool:
                seen = list(pool.map(lambda check: look(check, order["timeout"]), checks))
            with os.fdopen(write, "w") as pipe:
                json.dump(seen, pipe)
            os._exit(0)
        os.close(write)
        children.append((pid, read))
    results: list[dict[str, Any]] = []
    for pid, read in children:
        with os.fdopen(read) as pipe:
            results.extend(json.load(pipe))
        os.waitpid(pid, 0)
    return results


def look(check: dict[str, Any], timeout: float) -> dict[str, Any]:
    """One path: resolve the name, then connect or ping. ``seen`` is who answered, or null; ``how`` says more."""
    address, how = check.get("address"), ""
    if address is None:
        address, how = resolve(check["resolver"], check["name"], check["family"], timeout)
    seen = None
    if address is not None:
        if check["kind"] == "ping":
            seen, how = ping(address, timeout)
        else:
            seen, how = connect(address, int(check["kind"]), timeout)
    return {**check, "resolved": address, "seen": seen, "how": how}


def connect(address: str, port: int, timeout: float) -> tuple[str | None, str]:
    try:
        with socket.create_connection((address, port), timeout=timeout) as connection:
            connection.settimeout(timeout)
            return connection.makefile("rb").readline(200).decode().strip() or None, "connected"
    except OSError as error:
        return None, type(error).__name__


def ping(address: str, timeout: float) -> tuple[str | None, str]:
    """Two requests, since the first may be lost to a handshake. Who answered is the address itself."""
    command = ["ping", "-n", "-c", "2", "-i", "0.5", "-w", str(max(1, round(timeout))), address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (address if done.returncode == 0 else None), "echo" if done.returncode == 0 else "no echo"


def resolve(resolver: str, name: str, family: int, timeout: float) -> tuple[str | None, str]:
    """The first address of a name, asked of one resolver over UDP (RFC 1035)."""
    number = random.randrange(65536)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, RECORD_TYPES[family], 1)
    deadline = time.monotonic() + timeout
    kind = socket.AF_INET6 if ":" in resolver else socket.AF_INET
    with socket.socket(kind, socket.SOCK_DGRAM) as asker:
        while time.monotonic() < deadline:
            try:
                asker.settimeout(1)
                asker.sendto(query, (resolver, 53))
                return first_address(asker.recv(4096), number, family)
            except OSError:
                continue
    return None, "no resolver"


def first_address(answer_: bytes, number: int, family: int) -> tuple[str | None, str]:
    got, flags, questions, answers = struct.unpack("!4H", answer_[:8])
    if got != number:
        return None, "foreign answer"
    if flags & 15:
        return None, {3: "no such name", 5: "refused"}.get(flags & 15, f"rcode {flags & 15}")
    at = 12
    for _unused in range(questions):
        at = skip_name(answer_, at) + 4
    for _unused in range(answers):
        at = skip_name(answer_, at)
        kind, _class, _lifetime, length = struct.unpack("!HHIH", answer_[at : at + 10])
        data = answer_[at + 10 : at + 10 + length]
        at += 10 + length
        if kind == RECORD_TYPES[family]:
            return socket.inet_ntop(socket.AF_INET if family == 4 else socket.AF_INET6, data), "resolved"
    return None, "no address"


def skip_name(message: bytes, at: int) -> int:
    while message[at] != 0:
        if message[at] >= 0xC0:
            return at + 2
        at += 1 + message[at]
    return at + 1


if __name__ == "__main__":
    given = json.load(sys.stdin)
    if sys.argv[1] == "serve":
        json.dump(serve(given), sys.stdout)
    elif sys.argv[1] == "hold":
        hold(given)
    else:
        json.dump(probe(given), sys.stdout)
