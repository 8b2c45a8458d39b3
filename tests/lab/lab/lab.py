# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab: bring it up, use it, break it, take it down."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from . import chain, collection, image, links, machine, network, status, topology, workloads
from .container import Container, Found, existing
from .docker import docker, labelled
from .errors import LabError
from .organisation import Organisation
from .process import run
from .topology import Host

# Docker's own work is the bottleneck; more at once only makes each slower.
AT_ONCE = 4

T = TypeVar("T")
R = TypeVar("R")


class Lab:
    """The lab of a name; everything about it is read from Docker when asked for."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or topology.default_name()
        self.folder = topology.state_directory(self.name)

    # --- whole

    def up(
        self,
        providers: int = 3,
        tenants: int = 2,
        extra: Iterable[str] = (),
        subnet: str | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        """Make and start what is missing; what is there and runs stays as it is.

        say is told what takes time. See topology.build for the other arguments.
        """
        wanted = topology.build(self.name, subnet or topology.default_subnet(), providers, tenants, extra)
        with machine.daemon_kept():
            machine.prepare()
            if say and not image.exists():
                say("building the host image (about a minute, once)")
            made_from = image.ensure()
            with self._alone():
                self._make(wanted, made_from)

    def _make(self, wanted: topology.Topology, made_from: str) -> None:
        net = network.ensure(wanted)
        before = existing(self.name)
        for host in (entry.host for entry in before.values()):
            if host not in wanted.hosts and host.name in {other.name for other in wanted.hosts}:
                raise LabError(f"{host.name} is there as {host}: lab down first")
        everyone = {name: entry.host for name, entry in before.items()}
        everyone.update({host.name: host for host in wanted.hosts})
        new_desks = self._write_organisations(list(everyone.values()))

        def bring(host: Host) -> None:
            state = before[host.name].state if host.name in before else "absent"
            self._bring(host, state, made_from, net, new_keys=host.organisation in new_desks)

        _each(bring, wanted.hosts)
        self._provision([host for host in wanted.hosts if host.name not in before])

    def down(self, images: bool = False, keep_daemon: bool = False) -> None:
        """Remove every trace: hosts, network, volumes, cuts, keys; with images, those too.

        The Docker daemon is stopped if bootstrap.sh started it and nobody's
        container or use of it is left, unless a lab follows at once (keep_daemon).
        """
        with self._alone():
            if not machine.daemon_answers():
                # Without a daemon there are no containers, networks or volumes of ours that could run.
                shutil.rmtree(self.folder, ignore_errors=True)
                return
            for socket in self.folder.glob("*/cp/*"):
                run(["ssh", "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", "lab"], check=False)
            found = [entry.host for entry in existing(self.name).values()]
            _each(lambda host: Container(self.name, host).remove(), found)
            network.remove(self.name)
            for volume in labelled("volume", f"avpn.lab={self.name}"):
                docker("volume", "rm", volume)
            links.clear(self.name)
            shutil.rmtree(self.folder, ignore_errors=True)
            if images:
                image.remove()
            if not keep_daemon:
                machine.give_back()

    def is_up(self) -> bool:
        """Whether the lab has hosts and all of them run."""
        states = [entry.state for entry in existing(self.name).values()]
        return bool(states) and all(state == "running" for state in states)

    def status(self) -> str:
        """A table of hosts, and of the links that are cut or lossy."""
        found = existing(self.name)
        names = {entry.host.address: name for name, entry in found.items()}

        def row(entry: Found) -> list[str]:
            host, state = entry.host, entry.state
            container = self.container(host.name)
            booted = pods = ""
            if state == "running":
                booted = container.execute(["systemctl", "is-system-running"], check=False).stdout.strip()
                pods = str(len(workloads.listed(container)))
            return [host.name, host.organisation, host.role, host.address, state, booted, pods]

        broken = [(pair, "cut") for pair in sorted(links.cuts(self.name))]
        broken += [(pair, f"loses {loss} %") for pair, loss in sorted(links.losses(self.name).items())]
        text = [f"{names.get(a, a)} -> {names.get(b, b)}: {how}" for (a, b), how in broken]
        return status.table(_each(row, list(found.values())), text)

    # --- hosts

    @property
    def hosts(self) -> dict[str, Host]:
        """Hosts by name, in the order of their addresses."""
        return {name: entry.host for name, entry in existing(self.name).items()}

    def host(self, name: str) -> Host:
        """The host of a name; LabError if the lab has none."""
        hosts = self.hosts
        if name not in hosts:
            raise LabError(f"the lab has no host {name}; it has {', '.join(hosts) or 'none: lab up'}")
        return hosts[name]

    def container(self, name: str) -> Container:
        """The container behind a host."""
        return Container(self.name, self.host(name))

    def execute(
        self,
        host: str,
        command: Sequence[str],
        *,
        data: bytes | None = None,
        check: bool = True,
        timeout: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root on a host, from the machine, without SSH."""
        return Container(self.name, Host(host, "", "", "")).execute(command, data=data, check=check, timeout=timeout)

    def stop(self, host: str) -> None:
        """Shut a host down in order."""
        self.container(host).stop()

    def kill(self, host: str) -> None:
        """Pull a host's plug."""
        self.container(host).kill()

    def pause(self, host: str) -> None:
        """Freeze a host; start lets it go on."""
        self.container(host).pause()

    def start(self, host: str) -> None:
        """Start a stopped, killed or frozen host, wait for its boot, make its workloads anew."""
        container = self.container(host)
        container.start()
        container.wait()
        workloads.recreate(container)

    def wipe(self, host: str) -> None:
        """Lose a host's disk: the same name, address and keys of the team's sshd, nothing else."""
        container = self.container(host)
        made_from = image.ensure()
        container.remove()
        self._bring(container.host, "absent", made_from, network.network_name(self.name), new_keys=False)
        self._provision([container.host])

    # --- links

    def cut(self, one: Iterable[str] | str, other: Iterable[str] | str, *, both: bool = True) -> None:
        """Cut all links from one host or group to another, or in both directions."""
        links.cut(self.name, self._pairs(one, other, both))

    def lose(self, one: Iterable[str] | str, other: Iterable[str] | str, percent: int, *, both: bool = True) -> None:
        """Lose a share of the packets from one host or group to another."""
        links.lose(self.name, self._pairs(one, other, both), percent)

    def heal(
        self,
        one: Iterable[str] | str | None = None,
        other: Iterable[str] | str | None = None,
        *,
        both: bool = True,
    ) -> None:
        """Make links whole again; without arguments all of them."""
        if one is None and other is None:
            links.clear(self.name)
        else:
            every = list(self.hosts)
            links.heal(self.name, self._pairs(one or every, other or every, both))

    def isolate(self, host: str) -> None:
        """Cut a host off from all others, in both directions."""
        self.cut(host, [name for name in self.hosts if name != host])

    # --- workloads

    def create_workloads(self, host: str, *names: str) -> None:
        """Make network namespaces /run/netns/NAME on a host; see workloads.py."""
        workloads.create(self.container(host), list(names))

    def remove_workloads(self, host: str, *names: str) -> None:
        """Remove namespaces as when pods end."""
        workloads.remove(self.container(host), list(names))

    def workloads(self, host: str) -> list[str]:
        """Names of a host's workload namespaces."""
        return workloads.listed(self.container(host))

    def leaked(self, host: str) -> int:
        """Packets for an overlay that left a host's workloads by their default route."""
        return workloads.leaked(self.container(host))

    def execute_in(
        self,
        host: str,
        namespace: str,
        command: Sequence[str],
        *,
        data: bytes | None = None,
        check: bool = True,
        timeout: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside a network namespace of a host."""
        inside = ["ip", "netns", "exec", namespace, *command]
        return self.execute(host, inside, data=data, check=check, timeout=timeout)

    # --- organisations

    def organisation(self, name: str) -> Organisation:
        """The desk of a provider's team or a tenant: keys, inventory, Ansible's configuration."""
        return self._organisation(name, list(self.hosts.values()))

    def ssh(
        self, organisation: str, host: str, command: Sequence[str], *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Log in to a host as root with an organisation's key, whether that is allowed or not."""
        return run([*self.organisation(organisation).ssh(self.host(host)), "--", *command], check=check)

    def ansible(
        self, organisation: str, *command: str, check: bool = True, timeout: float = 600.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of Ansible at an organisation's desk: ansible("provider1", "ansible", "all", …)."""
        collection.copy()
        return run(command, check=check, timeout=timeout, env=self.organisation(organisation).environment())

    def install_collection(self, *hosts: str) -> None:
        """Put the collection as it is now into the control environment of hosts."""
        archive = collection.archive()
        for name in hosts:
            container = self.container(name)
            container.execute(["rm", "-rf", "/usr/share/ansible/collections/ansible_collections/akash"])
            container.extract(archive)

    # --- parts

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One up or down of a lab at a time."""
        with open(f"/run/lock/avpn-lab-{self.name}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _bring(self, host: Host, state: str, made_from: str, net: str, *, new_keys: bool) -> None:
        container = Container(self.name, host)
        if state == "absent":
            container.create(made_from, net)
        if state == "absent" or new_keys:
            container.extract(self._organisation(host.organisation, [host]).host_files(host))
        if state != "running":
            container.start()
            container.wait()
        elif new_keys:
            container.execute(["systemctl", "restart", "ssh.service"])
        if state not in {"running", "absent"}:
            workloads.recreate(container)

    def _provision(self, hosts: list[Host]) -> None:
        """What a new host has beyond the image."""
        for host in hosts:
            if host.role == "chain":
                chain.install(self.container(host.name))
        tenants = [host.name for host in hosts if host.role == "tenant"]
        if tenants:
            self.install_collection(*tenants)

    def _write_organisations(self, hosts: list[Host]) -> set[str]:
        """Write every organisation's desk; returns those that had no key before."""
        names = dict.fromkeys(host.organisation for host in hosts)
        desks = [self._organisation(name, hosts) for name in names]
        new = {desk.name for desk in desks if not desk.key.is_file()}
        for desk in desks:
            desk.write()
        return new

    def _organisation(self, name: str, hosts: list[Host]) -> Organisation:
        own = tuple(host for host in hosts if host.organisation == name)
        if not own:
            raise LabError(f"the lab has no organisation {name}")
        return Organisation(name, self.folder / name, own)

    def _organisations(self) -> list[str]:
        return list(dict.fromkeys(host.organisation for host in self.hosts.values()))

    def _pairs(self, one: Iterable[str] | str, other: Iterable[str] | str, both: bool) -> list[tuple[str, str]]:
        hosts = self.hosts
        groups = []
        for group in (one, other):
            names = [group] if isinstance(group, str) else list(group)
            for name in names:
                if name not in hosts:
                    raise LabError(f"the lab has no host {name}")
            groups.append([hosts[name].address for name in names])
        pairs = [(a, b) for a in groups[0] for b in groups[1] if a != b]
        return list(dict.fromkeys(pairs + ([(b, a) for a, b in pairs] if both else [])))


def _each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do the same for all, a few at once; the first error is raised when all have ended."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, items))
