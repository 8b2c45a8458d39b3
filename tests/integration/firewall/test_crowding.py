# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The limit of connections: it counts who begins them, so nobody is crowded out by others."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
from collections.abc import Iterator

import pytest
from wire import Site, Wire, Workload, opened, run

from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters

pytestmark = pytest.mark.root

EVERY = {"allow": [{"peers": "any", "ports": "any"}]}
OPEN = parse({"members": {name: {"ingress": EVERY, "egress": EVERY} for name in ("web", "api", "db")}})
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
LIMIT = 4


def find(wire: Wire, member: str, gseq: int = 1) -> Workload:
    return next(each for each in wire.workloads if (each.endpoint.id.member, each.endpoint.id.gseq) == (member, gseq))


@contextlib.contextmanager
def listening(workload: Workload, version: int, port: int = 5000) -> Iterator[socket.socket]:
    with opened(workload.namespace, FAMILY[version], socket.SOCK_DGRAM) as server:
        server.bind((str(workload.address(version)), port))
        server.settimeout(0.5)
        yield server


def arrives(sender: Workload, receiver: Workload, server: socket.socket, version: int, port: int = 5000) -> bool:
    """Whether the first packet of a new flow reaches the server."""
    with opened(sender.namespace, FAMILY[version], socket.SOCK_DGRAM) as client:
        client.sendto(b"x", (str(receiver.address(version)), port))
    try:
        return bool(server.recv(10))
    except TimeoutError:
        return False


def crowd(sender: Workload, receiver: Workload, server: socket.socket, version: int) -> list[bool]:
    """As many flows as are permitted, and two more."""
    return [arrives(sender, receiver, server, version) for _unused in range(LIMIT + 2)]


@pytest.mark.parametrize("version", [4, 6])
def test_a_receiver_is_not_crowded_out_by_those_who_call_it(wire: Wire, version: int) -> None:
    wire.enforce(OPEN, connections=LIMIT)
    web, api, db = find(wire, "web"), find(wire, "api"), find(wire, "db")
    with listening(db, version) as server, listening(web, version) as back:
        assert crowd(web, db, server, version) == [True] * LIMIT + [False] * 2
        assert counters(wire.sites[0].namespace)["crowded"] == 2
        # Others reach db as before, though web has as many connections to it as one may have;
        assert crowd(api, db, server, version) == [True] * LIMIT + [False] * 2
        # and db, which has received twice what it may begin, has begun none yet.
        assert crowd(db, web, back, version) == [True] * LIMIT + [False] * 2
        # web is crowded by its own alone: what it receives doesn't count for it either.
        assert arrives(find(wire, "db", 2), web, back, version)


def entries(site: Site, version: int) -> str:
    return run("ip", "netns", "exec", site.namespace, "nft", "list", "set", "inet", "avpn", f"connections{version}")


@pytest.mark.parametrize("version", [4, 6])
def test_who_has_no_connections_any_more_takes_no_room(wire: Wire, version: int) -> None:
    wire.enforce(OPEN, connections=LIMIT)
    web, db = find(wire, "web"), find(wire, "db")
    address = str(web.address(version))
    with listening(db, version) as server:
        assert crowd(web, db, server, version)[-1] is False
        assert all(address in entries(site, version) for site in wire.sites)
        for site in wire.sites:
            run("ip", "netns", "exec", site.namespace, "conntrack", "-F")
        end = time.monotonic() + 60
        while any(address in entries(site, version) for site in wire.sites):
            assert time.monotonic() < end, "the entry is still there"
            time.sleep(0.2)
        assert arrives(web, db, server, version), "it may begin connections again"


@pytest.mark.parametrize("version", [4, 6])
def test_a_full_table_of_senders_shuts_nobody_out(wire: Wire, version: int) -> None:
    """Beyond its size a sender isn't counted: members that carry routes bring addresses as many as they like, and
    whoever filled the table must not silence the others by it."""
    name = f"connections{version}"
    for site in wire.sites:
        ruleset = site.compiled(OPEN, wire.endpoints, connections=LIMIT)
        assert "size 65535;" in ruleset.sets[name].declaration
        small = dataclasses.replace(
            ruleset.sets[name], declaration=ruleset.sets[name].declaration.replace("65535", "2")
        )
        site.apply(dataclasses.replace(ruleset, sets={**ruleset.sets, name: small}))
    web, api, db, other = find(wire, "web"), find(wire, "api"), find(wire, "db"), find(wire, "db", 2)
    with listening(db, version) as server, listening(web, version, 5001) as back:
        assert crowd(web, db, server, version) == [True] * LIMIT + [False] * 2
        assert crowd(api, db, server, version) == [True] * LIMIT + [False] * 2
        # The table is full. Who isn't in it passes; who is stays limited.
        assert all(arrives(other, web, back, version, 5001) for _unused in range(LIMIT + 2))
        assert not arrives(web, db, server, version)
