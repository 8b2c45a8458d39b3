# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Denied packets in the log: the real ulogd with the role's configuration, as its unit starts it."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wire import Site, Wire, Workload, opened, paths, probe, run

from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.denial_log import DenialLog
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters

pytestmark = pytest.mark.root

_CONFIGURATION = Path(__file__).resolve().parents[3] / "roles/firewall/files/ulogd.conf"
# The rights that the unit leaves, and a /dev of its own whose log is the test's.
_START = """
mount -t tmpfs -o mode=755 none /dev && mknod -m 666 /dev/null c 1 3 && ln -s "$1" /dev/log
exec nsenter --net="$2" setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+net_admin \
    --ambient-caps=-all,+net_admin --bounding-set=-all,+net_admin ulogd --configfile "$3"
"""
LOG = DenialLog("prod/0123abcd", 5)
ONLY_SSH = parse(
    {
        "members": {
            "web": {"egress": {"allow": [{"peers": "db", "ports": ["tcp/22", "udp/1-65535"]}]}},
            "db": {"ingress": {"allow": [{"peers": "web", "ports": "tcp/80"}]}},
        }
    }
)


class Journal:
    """What arrives at /dev/log."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "log"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self.path.chmod(0o666)
        for each in (directory, *directory.parents):
            if each.stat().st_uid == 0 and each != Path("/"):
                each.chmod(each.stat().st_mode | 0o011)
        self.lines: list[str] = []

    def read(self, seconds: float) -> list[str]:
        """The lines about packets that have come, also within so long from now."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                self.lines.append(self._socket.recv(65536).decode("ascii"))
        return [line for line in self.lines if "network=" in line]

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def logging(site: Site, directory: Path) -> Iterator[Journal]:
    """ulogd in the site's namespace."""
    if shutil.which("ulogd") is None:
        pytest.fail("ulogd2 is missing: tests/lab/bootstrap.sh installs it")
    journal = Journal(directory)
    command = ["unshare", "--mount", "sh", "-euc", _START, "sh"]
    command += [str(journal.path), f"/run/netns/{site.namespace}", str(_CONFIGURATION)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        for _unused in range(100):
            # The group is there once ulogd listens.
            if " 97 " in f" {' '.join(_groups(site))} ":
                break
            assert process.poll() is None, "ulogd has ended"
            time.sleep(0.1)
        else:
            pytest.fail("ulogd doesn't listen")
        yield journal
    finally:
        process.terminate()
        process.wait(10)
        journal.close()


def _groups(site: Site) -> list[str]:
    listed = run("ip", "netns", "exec", site.namespace, "cat", "/proc/net/netfilter/nfnetlink_log")
    return [line.split()[0] for line in listed.splitlines()]


def enforce(wire: Wire, log: DenialLog | None = LOG) -> None:
    options: dict[str, Any] = {"log": log}
    wire.enforce(ONLY_SSH, **options)


def web(wire: Wire) -> Workload:
    return next(each for each in wire.workloads if each.endpoint.id.member == "web")


def db(wire: Wire) -> Workload:
    return next(each for each in wire.workloads if each.endpoint.policy_key == "db/1")


def attempt(wire: Wire, port: int, version: int = 4, text: bytes = b"", times: int = 1, protocol: str = "tcp") -> None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    for _unused in range(times):
        with opened(web(wire).namespace, family, kind) as client:
            client.setblocking(False)
            client.connect_ex((str(db(wire).address(version)), port))
            if protocol == "udp":
                client.send(text)


def test_denied_packets_are_logged_with_the_side_that_refused(wire: Wire, tmp_path: Path) -> None:
    enforce(wire)
    with logging(wire.sites[0], tmp_path) as journal:
        attempt(wire, 443)  # web's own egress has no 443
        attempt(wire, 22, version=6)  # its egress has 22, db's ingress hasn't
        lines = journal.read(3)
    sender, receiver = web(wire).endpoint, db(wire).endpoint
    (first,) = {re.sub(r".*(network=.*side=\w+ ).*", r"\1", line.strip()) for line in lines if "DPT=443" in line}
    (second,) = {re.sub(r".*(network=.*side=\w+ ).*", r"\1", line.strip()) for line in lines if "DPT=22 " in line}
    assert first == "network=prod/0123abcd member=web side=egress "
    assert second == "network=prod/0123abcd member=db side=ingress "
    line = next(line for line in lines if "DPT=443" in line)
    assert f" SRC={sender.ipv4} DST={receiver.ipv4} " in line
    assert " PROTO=TCP SPT=" in line
    assert f" SRC={sender.ipv6} DST={receiver.ipv6} " in next(line for line in lines if "DPT=22 " in line)


def test_a_flood_is_counted_as_a_whole_and_logged_within_the_limit(wire: Wire, tmp_path: Path) -> None:
    enforce(wire)
    before = counters(wire.sites[0].namespace)["i_db"]
    with logging(wire.sites[0], tmp_path) as journal:
        start = time.monotonic()
        attempt(wire, 5353, text=b"x", times=600, protocol="udp")
        lasted = time.monotonic() - start
        lines = journal.read(3)
    assert counters(wire.sites[0].namespace)["i_db"] >= before + 600
    assert LOG.rate <= len(lines) <= LOG.rate * (lasted + 1) + 1


def test_nothing_that_a_workload_writes_is_in_the_log(wire: Wire, tmp_path: Path) -> None:
    enforce(wire)
    forged = b"\nNov 23 00:00:00 host sshd[1]: Accepted password for root \x1b[31m network=other member=x side=egress"
    with logging(wire.sites[0], tmp_path) as journal:
        attempt(wire, 5353, text=forged, protocol="udp")
        lines = journal.read(3)
    assert len(lines) == 1
    assert lines[0].rstrip("\n\0").isprintable()
    assert not re.search("Accepted|other|\x1b", lines[0])
    assert len(lines[0]) < 600


def test_with_and_without_a_log_the_same_passes_and_connections_stay_marked(wire: Wire) -> None:
    tried = paths(wire, [("tcp", 22), ("tcp", 80), ("tcp", 443), ("udp", 5353), ("icmp", None)])
    enforce(wire, None)
    silent = probe(tried, 1.0)
    marks = run("ip", "netns", "exec", wire.sites[0].namespace, "nft", "list", "set", "inet", "avpn", "current")
    changes = [site.apply(site.compiled(ONLY_SSH, wire.endpoints, log=LOG)) for site in wire.sites]  # type: ignore[arg-type]
    assert [(bool(change), change.scripts.whole, change.scripts.switch) for change in changes] == [
        (True, False, "")
    ] * 2
    assert marks == run("ip", "netns", "exec", wire.sites[0].namespace, "nft", "list", "set", "inet", "avpn", "current")
    assert probe(tried, 1.0) == silent
    enforce(wire, None)
    listed = run("ip", "netns", "exec", wire.sites[0].namespace, "nft", "list", "table", "inet", "avpn")
    assert not re.search("limit name|log prefix|limit log", listed)
    assert probe(tried, 1.0) == silent
