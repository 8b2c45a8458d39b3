# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts as network namespaces on one machine: real interfaces, wireguard-go, dnsmasq and nftables.

A host's part of the code runs inside its namespace; its daemons are started from the very unit files of the roles,
since there is no systemd here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._overlay import netns
from ansible_collections.akash.avpn.plugins.module_utils._overlay.apply import apply_overlay, apply_resolvers
from ansible_collections.akash.avpn.plugins.module_utils._overlay.change import Outcome
from ansible_collections.akash.avpn.plugins.module_utils._overlay.firewalls import enforce
from ansible_collections.akash.avpn.plugins.module_utils._overlay.host import Host
from ansible_collections.akash.avpn.plugins.module_utils._overlay.keys import prepare_tunnel
from ansible_collections.akash.avpn.plugins.module_utils._overlay.model import HostPlan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.names import workload_path
from ansible_collections.akash.avpn.plugins.module_utils._overlay.plan import Ran, plan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.registry import Registry
from ansible_collections.akash.avpn.plugins.module_utils._overlay.state import load_all
from ansible_collections.akash.avpn.plugins.module_utils._peer import files
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.tests.unit.overlay.builders import World, host_entry, node
from ansible_collections.akash.avpn.tests.unit.overlay.test_plan import Config

PREFIX = "ovt"
_ROLES = Path(__file__).resolve().parents[3] / "roles"
_UNITS = {
    "avpn-wg": _ROLES / "wireguard/files/avpn-wg@.service",
    "avpn-dns": _ROLES / "resolver/files/avpn-dns@.service",
    "avpn-log": _ROLES / "firewall/files/avpn-log@.service",
}


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=30).stdout


def within(name: str, *command: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
    """A command inside a named namespace."""
    return subprocess.run(
        ["ip", "netns", "exec", name, *command], check=False, capture_output=True, text=True, timeout=timeout
    )


class Daemons:
    """A supervisor that starts what the unit files say, without systemd."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.timers: dict[str, subprocess.Popen[bytes]] = {}
        self.hurry: int | None = None  # seconds after which timers run, whatever they were armed for

    def running(self) -> frozenset[str]:
        return frozenset(unit for unit, process in self.processes.items() if process.poll() is None)

    def start(self, unit: str) -> None:
        if unit in self.running():
            return
        name, instance = unit.removesuffix(".service").split("@")
        text = _UNITS[name].read_text().replace("%i", instance)
        command = re.search(r"^ExecStart=(.*)$", text, re.M)
        place = re.search(r"^NetworkNamespacePath=(.*)$", text, re.M)
        assert command is not None
        with netns.entered(place[1] if place else None), (self._logs / unit).open("ab") as log:
            self.processes[unit] = subprocess.Popen(shlex.split(command[1]), stdout=log, stderr=log)

    def restart(self, unit: str) -> None:
        self.stop(unit)
        self.start(unit)

    def reload(self, unit: str) -> None:
        self.processes[unit].send_signal(signal.SIGHUP)

    def stop(self, unit: str) -> None:
        process = self.processes.pop(unit, None)
        if process is not None:
            process.terminate()
            process.wait(10)

    def arm(self, name: str, seconds: int, command: Sequence[str]) -> None:
        wait = seconds if self.hurry is None else self.hurry
        words = ["sh", "-c", 'sleep "$0"; exec "$@"', str(wait), *command]
        with (self._logs / name).open("ab") as log:
            self.timers[name] = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)

    def disarm(self, name: str) -> None:
        process = self.timers.pop(name, None)
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@dataclass
class Node:
    """One provider host of the test."""

    number: int
    host: Host
    daemons: Daemons

    @property
    def space(self) -> str:
        return f"{PREFIX}-h{self.number}"

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        with netns.entered(f"/run/netns/{self.space}"):
            yield

    def prepare(self, world: World) -> None:
        """Make the tunnel's key and enter the host in the ledger, as the module address does."""
        registry = self.host.registry.read()
        if world.network not in registry and self.number > 1:
            # All hosts share the machine's list of namespaces, and mustn't come to the same name.
            short = f"ovt{'abcdefg'[self.number]}{'abcdefg'[len(registry)]}aaa"
            entries = {network: {"short": entry.short, "port": entry.port} for network, entry in registry.items()}
            entries[world.network] = {"short": short, "port": 51820 + len(registry)}
            files.write(self.host.paths.registry, json.dumps(entries).encode())
        with self.inside():
            public, port = prepare_tunnel(self.host.paths, self.host.registry, world.network)
        world.hosts[node(self.number)] = host_entry(self.number, wireguard=public, port=port)

    def plan(self, world: World, manifest: Manifest | None = None, *, fresh: bool = True) -> HostPlan:
        return self.plan_all([(world, manifest)], fresh=fresh)

    def plan_all(self, worlds: Sequence[tuple[World, Manifest | None]], *, fresh: bool = True) -> HostPlan:
        first, *others = [world for world, _manifest in worlds]
        return plan(
            first.view(*others),
            {world.network: world.value for world, _manifest in worlds},
            {world.network: (manifest, 1) for world, manifest in worlds if manifest is not None},
            Config(node(self.number), f"198.18.77.{self.number}"),
            self.host.registry.read(),
            fresh=fresh,
            ran={network: Ran(applied.live) for network, applied in load_all(self.host.paths).items()},
        )

    def apply(self, planned: HostPlan, *, check: bool = False, resolver: bool = True) -> Outcome:
        """Everything, in the order of the playbook."""
        with self.inside():
            outcome = apply_overlay(planned, self.host, check=check)
            if not check:
                outcome.problems.update(enforce(planned, self.host).problems)
            if resolver:
                more = apply_resolvers(planned, self.host, check=check)
                outcome.changes += more.changes
                outcome.problems.update(more.problems)
        return outcome

    def short(self, network: str) -> str:
        return self.host.registry.read()[network].short

    def run(self, network: str) -> Path:
        return self.host.run_directory(self.short(network))

    def workload(self, world: World, endpoint: EndpointId) -> str:
        """The name of a workload's namespace."""
        return Path(workload_path(self.host.attach_path, world.slots[endpoint].lease, endpoint)).name


def make_node(number: int, root: Path) -> Node:
    """A host with files of its own; what dnsmasq reads is where its unit says, which is the machine's."""
    space = f"{PREFIX}-h{number}"
    ip("netns", "add", space)
    ip("-n", space, "link", "set", "lo", "up")
    ip("link", "add", f"{PREFIX}{number}", "type", "veth", "peer", "name", "eth0", "netns", space)
    ip("link", "set", f"{PREFIX}{number}", "netns", f"{PREFIX}-net", "up")
    ip("-n", f"{PREFIX}-net", "link", "set", f"{PREFIX}{number}", "up", "master", "br0")
    ip("-n", space, "addr", "add", f"198.18.77.{number}/24", "dev", "eth0")
    ip("-n", space, "link", "set", "eth0", "up")
    logs = root / "logs"
    logs.mkdir(parents=True)
    daemons = Daemons(logs)
    paths = TestPaths(root)
    paths.host_state.mkdir(parents=True)
    registry = Registry(paths.registry, 51820)
    attach = f"/run/netns/{PREFIX}-{number}-{{namespace}}-{{index}}"
    identity: NodeId = node(number)
    return Node(number, Host(identity, paths, registry, daemons, attach), daemons)


class TestPaths(Paths):
    """A host's files below a directory, except /run/avpn, which the resolver's unit names."""

    __test__ = False

    @property
    def run(self) -> Path:
        return Path("/run/avpn")


def wait_for(what: str, condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} didn't happen within {seconds} s"
        time.sleep(0.05)


def sweep() -> None:
    """Remove what a test that died left behind, by our own names only."""
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else []:
        if name.startswith(f"{PREFIX}-"):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
