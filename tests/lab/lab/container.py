# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab host as a container that boots systemd."""

from __future__ import annotations

import ipaddress
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from .docker import docker, inspect, try_docker
from .errors import LabError
from .process import run
from .topology import ROOT, Host

# systemd wants its cgroups, tunnels want /dev/net/tun, network namespaces want
# a writable /proc/sys. --privileged would do all that, but not where the
# machine itself lacks a capability.
FLAGS = (
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--device=/dev/net/tun",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--tmpfs=/run:mode=0755,exec,dev,suid",
    "--tmpfs=/tmp:mode=1777,exec,dev,suid",
    "--stop-signal=SIGRTMIN+3",
    "--sysctl=net.ipv6.conf.all.disable_ipv6=0",
    "--sysctl=net.ipv6.conf.default.disable_ipv6=0",
    # A name that is no lab host's must not be looked up by the machine for it.
    "--dns=127.0.0.1",
    "--dns-option=timeout:1",
    "--dns-option=attempts:1",
)
LABEL = "avpn.lab"


class Container:
    """The container of a host in the lab of a name."""

    def __init__(self, lab: str, host: Host) -> None:
        self.lab = lab
        self.host = host
        self.name = f"{lab}-{host.name}"

    def create(self, image: str, network: str) -> None:
        """Make the container; it does not run yet."""
        docker(
            *("container", "create", "--name", self.name, "--hostname", self.host.name),
            *("--label", f"{LABEL}={self.lab}", "--label", f"{LABEL}.checkout={ROOT}"),
            *("--label", f"{LABEL}.host={self.host.name}"),
            *("--label", f"{LABEL}.organisation={self.host.organisation}"),
            *("--label", f"{LABEL}.role={self.host.role}"),
            *("--label", f"{LABEL}.address={self.host.address}"),
            *("--network", network, "--ip", self.host.address, "--network-alias", self.host.name),
            *FLAGS,
            image,
        )

    def extract(self, archive: bytes, folder: str = "/") -> None:
        """Unpack a tar archive in the container, running or not."""
        docker("container", "cp", "-", f"{self.name}:{folder}", data=archive)

    def start(self) -> None:
        """Start it, or let it go on if it is paused; no wait for the boot."""
        if self.state() == "paused":
            docker("container", "unpause", self.name)
        docker("container", "start", self.name)

    def stop(self) -> None:
        """Shut it down in order."""
        docker("container", "stop", "--time", "20", self.name)

    def kill(self) -> None:
        """Pull the plug."""
        docker("container", "kill", self.name)

    def pause(self) -> None:
        """Freeze all its processes; its kernel still answers pings and accepts connections."""
        docker("container", "pause", self.name)

    def remove(self) -> None:
        """Remove it with its volumes, and what systemd left of its cgroups."""
        found = inspect("container", [self.name])
        try_docker("container", "rm", "--force", "--volumes", self.name)
        for entry in found:
            _remove_cgroups(str(entry["Id"]))

    def state(self) -> str:
        """created, running, paused, exited …, or absent."""
        result = try_docker("container", "inspect", "--format", "{{.State.Status}}", self.name)
        return result.stdout.strip() if result.returncode == 0 else "absent"

    def wait(self, seconds: float = 180.0) -> None:
        """Wait until systemd has booted and sshd answers; LabError says what failed.

        Not until nothing is left to start: what timers begin right after a boot may take minutes.
        """
        deadline = time.monotonic() + seconds
        state = ""
        while time.monotonic() < deadline:
            result = self.execute(["systemctl", "is-active", "multi-user.target"], check=False)
            state = result.stdout.strip()
            if state == "active":
                failed = self.execute(["systemctl", "--failed", "--plain", "--no-legend"]).stdout
                if failed.strip():
                    raise LabError(f"{self.host.name}: units failed at boot:\n{failed}")
                return
            time.sleep(0.2)
        raise LabError(f"{self.host.name}: not booted within {seconds:g} s (multi-user.target is {state!r})")

    def execute(
        self,
        command: Sequence[str],
        *,
        data: bytes | None = None,
        check: bool = True,
        timeout: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root in the host, from the machine, without SSH."""
        flags = ("--interactive",) if data is not None else ()
        return run(["docker", "exec", *flags, self.name, *command], data=data, check=check, timeout=timeout)

    def pid(self) -> int:
        """Process id, on the machine, of the host's PID 1."""
        return int(docker("container", "inspect", "--format", "{{.State.Pid}}", self.name))


@dataclass(frozen=True)
class Found:
    """A host that is there, and what Docker says of it: created, running, paused, exited …"""

    host: Host
    state: str


def existing(lab: str) -> dict[str, Found]:
    """The hosts a lab has now, by name, in the order of their addresses."""
    label = f'{{{{.Label "{LABEL}.%s"}}}}'
    row = "\t".join([label % part for part in ("host", "organisation", "role", "address")])
    lines = docker(
        *("container", "ls", "--all", "--filter", f"label={LABEL}={lab}"),
        *("--format", row + "\t{{.State}}"),
    ).splitlines()
    found = [Found(Host(*line.split("\t")[:4]), line.split("\t")[4]) for line in lines]
    found.sort(key=lambda entry: ipaddress.IPv4Address(entry.host.address))
    return {entry.host.name: entry for entry in found}


def _remove_cgroups(container: str) -> None:
    """systemd in a container makes cgroups that Docker doesn't know of."""
    command = ["find", "/sys/fs/cgroup", "-depth", "-type", "d"]
    command += ["-path", f"*/docker/{container}*", "-exec", "rmdir", "{}", "+"]
    run(command, check=False)
