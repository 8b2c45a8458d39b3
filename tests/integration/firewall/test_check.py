# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live check on real packets: it sees what the rules in the kernel do, whatever they should, and leaves nothing."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

import pytest
from wire import Site, Wire, opened, run

from ansible_collections.akash.avpn.plugins.module_utils._check.compare import Path, look
from ansible_collections.akash.avpn.plugins.module_utils._check.probes import Port, choose, parse_port
from ansible_collections.akash.avpn.plugins.module_utils._check.probing import Prober
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters

pytestmark = pytest.mark.root

ECHO = ["icmp", "icmpv6"]
POLICY = parse(
    {
        "members": {
            "web": {"egress": {"allow": [{"peers": "any", "ports": ["tcp/5432", "udp/5000-5010", *ECHO]}]}},
            "api": {
                "ingress": {"allow": [{"peers": "web", "ports": ["tcp/5432", *ECHO]}]},
                "egress": {"allow": [{"peers": "db/2", "ports": "any"}]},
            },
            "db": {"ingress": {"allow": [{"peers": "web", "ports": ["tcp/5432", "udp/5000-5010", *ECHO]}]}},
            "db/2": {"ingress": {"allow": [{"peers": ["web", "api"], "ports": "any"}]}},
        }
    }
)


def checked(wire: Wire, site: Site, ports: list[Port | None] | None = None, seconds: float = 0.5) -> list[Path]:
    """What the check sees from one site's workloads."""
    here = [each.endpoint for each in site.workloads]
    probes, left = choose(POLICY, wire.endpoints, here, ports=ports, most=1000)
    assert left == 0
    prober = Prober({each.endpoint.id: f"/run/netns/{each.namespace}" for each in site.workloads})
    return look(POLICY, probes, prober, lambda: counters(site.namespace), seconds)


def wrong(paths: list[Path]) -> set[tuple[str, str, str, str]]:
    """Source, target, what and what was seen of all that isn't as predicted."""
    return {
        (str(path.probe.source.id), str(path.probe.target.id), path.probe.what, path.seen)
        for path in paths
        if path.as_predicted is not True
    }


def delete_rule(site: Site, chain: str, words: str) -> None:
    """As somebody might by hand: the rule of a chain that has these words and is about TCP."""
    nft = ("ip", "netns", "exec", site.namespace, "nft")
    listed = run(*nft, "-a", "list", "chain", "inet", "avpn", chain)
    (line,) = [line for line in listed.splitlines() if words in line and "l4proto tcp" in line]
    run(*nft, "delete", "rule", "inet", "avpn", chain, "handle", line.rsplit(" ", 1)[1])


def state_of_process() -> tuple[Any, ...]:
    """What a check must leave as it was."""
    return (
        os.readlink("/proc/self/ns/net"),
        os.readlink("/proc/thread-self/ns/net"),
        len(os.listdir("/proc/self/fd")),
        threading.active_count(),
    )


def test_what_is_as_it_should_be_is_seen_so_from_both_hosts_and_leaves_nothing(wire: Wire) -> None:
    wire.enforce(POLICY)
    before = state_of_process()
    for site in wire.sites:
        paths = checked(wire, site)
        assert wrong(paths) == set()
        # db may send to nobody, so from its host nothing passes.
        assert {path.seen for path in paths} == ({"passed", "dropped"} if site is wire.sites[0] else {"dropped"})
        assert {path.probe.family for path in paths} == {4, 6}
    assert state_of_process() == before


def test_services_that_listen_see_a_connection_that_ends_at_once(wire: Wire) -> None:
    wire.enforce(POLICY)
    db = next(each for each in wire.workloads if each.endpoint.policy_key == "db/1")
    with (
        opened(db.namespace, socket.AF_INET, socket.SOCK_STREAM) as server,
        opened(db.namespace, socket.AF_INET, socket.SOCK_DGRAM) as mute,
    ):
        server.bind((str(db.endpoint.ipv4), 5432))
        server.listen()
        mute.bind((str(db.endpoint.ipv4), 5000))
        paths = checked(wire, wire.sites[0])
        server.settimeout(5)
        accepted, _peer = server.accept()
        accepted.settimeout(5)
        with accepted:
            assert accepted.recv(10) == b""
        mute.settimeout(5)
        assert mute.recv(10) == b""
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()
    # A service that doesn't answer over UDP: nothing was refused here, and nothing more can be said.
    assert wrong(paths) == {("web/1/0", "db/1/0", "udp/5000", "unknown")}


@pytest.mark.parametrize(
    ("site", "chain", "how"),
    [
        (0, "e_web", "silence: refused on this host, by the egress of web"),
        (0, "i_db", "silence: refused on this host, by the ingress of db"),
        (1, "i_db", "silence: not refused on this host"),
    ],
)
def test_a_rule_deleted_by_hand_is_found_and_said_where(wire: Wire, site: int, chain: str, how: str) -> None:
    wire.enforce(POLICY)
    delete_rule(wire.sites[site], chain, f"@{chain}_allow")
    paths = [path for path in checked(wire, wire.sites[0]) if str(path.probe.target.id) == "db/1/0"]
    shut = {path for path in paths if path.as_predicted is False}
    assert {path.probe.what for path in shut} == {"tcp/5432"}
    assert all(path.probe.permitted for path in shut)
    assert {path.how for path in shut if path.probe.what == "tcp/5432"} == {how}


def test_a_hole_made_by_hand_is_found(wire: Wire) -> None:
    """Between endpoints of one host a single accept is enough; between two, the other host still refuses."""
    wire.enforce(POLICY)
    run("ip", "netns", "exec", wire.sites[0].namespace, "nft", "insert", "rule", "inet", "avpn", "forward", "accept")
    paths = checked(wire, wire.sites[0])
    open_ = {(each[1], each[2]) for each in wrong(paths) if each[3] == "passed"}
    assert {("api/1/0", "tcp/5433"), ("web/1/0", "tcp/9"), ("web/1/0", "icmp")} <= open_
    # What leaves the host is dropped there in silence; over UDP that nobody refused it here still tells.
    assert {what for target, what in open_ if target.startswith("db")} <= {"udp/4999", "udp/5011", "udp/5000", "udp/9"}


def test_asked_ports_are_tried(wire: Wire) -> None:
    wire.enforce(POLICY)
    paths = checked(wire, wire.sites[0], [parse_port("tcp/1"), parse_port("ping")])
    assert wrong(paths) == set()
    assert {path.probe.what for path in paths} == {"tcp/1", *ECHO}


def test_a_workload_that_goes_away_is_unknown_and_the_others_are_checked(wire: Wire) -> None:
    wire.enforce(POLICY)
    site, before = wire.sites[0], state_of_process()
    probes, _left = choose(POLICY, wire.endpoints, [each.endpoint for each in site.workloads], most=1000)
    spaces = {each.endpoint.id: f"/run/netns/{each.namespace}" for each in site.workloads}
    gone = site.workloads[0].endpoint.id
    spaces[gone] = "/run/netns/there-is-none"
    paths = look(POLICY, probes, Prober(spaces), lambda: counters(site.namespace), 0.3)
    assert {path.as_predicted for path in paths if path.probe.source.id == gone} == {None}
    assert {path.as_predicted for path in paths if path.probe.source.id != gone} == {True}
    assert state_of_process() == before


def test_time_is_bounded_where_nothing_answers(wire: Wire) -> None:
    for site in wire.sites:
        site.apply(site.compiled(None, wire.endpoints))
    start, before = time.monotonic(), state_of_process()
    asked = [parse_port(f"tcp/{number}") for number in range(1, 51)]
    paths = checked(wire, wire.sites[0], asked, seconds=0.2)
    assert len(paths) == 600
    assert {path.seen for path in paths} == {"dropped"}
    # Two rounds at 200 a second, and what is tried alone; with much room for a busy machine.
    assert time.monotonic() - start < 90
    assert state_of_process() == before
