# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``avpn-fastpath``: brings what is already agreed onto this host, quickly and without Ansible.

Run by systemd for hints (a path unit) and at intervals (a timer), as root. Its first half runs in a child that
is avpn for good and talks to the chain and to peers; its second half talks to nobody and plans and applies.
Nothing is kept in between but files that are replaced whole, so whatever stops it, the next run goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from .._common.errors import AvpnError
from . import config, drop
from .paths import Paths

if TYPE_CHECKING:
    from .._overlay.host import Host
    from .._overlay.model import HostPlan

_GATHER_SECONDS = 150.0  # the chain and peers have bounds of their own, which together are below this one
_RING_UNIT = "avpn-serf.service"


def main(paths: Paths) -> int:
    """Entry point. Exit status 1 when something couldn't be done; what could be is done."""
    started = time.monotonic()
    os.umask(0o022)
    try:
        host = config.load(paths.host_config)
        paths.run.mkdir(parents=True, exist_ok=True, mode=0o755)
        with open(paths.run / "fastpath.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _come_back(paths)
            try:
                found = drop.as_user(drop.USER, lambda: _gather(paths, host), seconds=_GATHER_SECONDS)
            except AvpnError as error:
                # Whatever strangers did to the first half: what was agreed before is applied all the same.
                found = {"problems": {"gathering": str(error)}, "news": []}
            problems = _lines(found["problems"]) + apply(paths)
            if "ring" in found:
                _run_ring(bool(found["ring"]), bool(found["ring_changed"]))
    except AvpnError as error:
        sys.stderr.write(f"avpn-fastpath: {error}\n")
        return 1
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    spent = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    news = ", ".join(f"{kind} {network[:12]}" for kind, network in found["news"]) or "nothing new"
    sys.stderr.write(f"avpn-fastpath: {news}; {time.monotonic() - started:.2f} s, {spent:.2f} CPU-s\n")
    return 0 if "ring" in found else 1


def _come_back(paths: Paths) -> None:
    """After a boot, apply what was agreed before anything else: the chain and peers may take long, or be down."""
    booted = paths.run / "booted"
    if booted.exists():
        return
    try:
        for line in apply(paths):
            sys.stderr.write(f"{line}\n")
    except AvpnError as error:
        # Such as a host that has never read the chain; what can be done is done below.
        sys.stderr.write(f"avpn-fastpath: nothing to come back to: {error}\n")
    booted.touch()


def _gather(paths: Paths, host: config.HostConfig) -> dict[str, Any]:
    from .gather import gather

    return gather(paths, host)


def apply(paths: Paths) -> list[str]:
    """Plan and apply from the host's files, as root; what couldn't be done, in lines."""
    from .._overlay.apply import apply_overlay, apply_resolvers
    from .._overlay.host import exclusive
    from .._overlay.inputs import load_inputs, make_host, make_plan

    with exclusive(paths):
        inputs = load_inputs(paths)
        plan, host = make_plan(inputs), make_host(inputs)
        overlay = apply_overlay(plan, host)
        problems = _apply_firewalls(plan, host)
        resolvers = apply_resolvers(plan, host)
    for outcome in (overlay, resolvers):
        for change in outcome.changes:
            sys.stderr.write(f"avpn-fastpath: {change}\n")
        problems |= outcome.problems
    return _lines(problems)


def _apply_firewalls(plan: HostPlan, host: Host) -> dict[str, str]:
    """Load each network's compiled rules; problems by network id. A new frame waits for the whole reconciliation."""
    from .._overlay import firewalls

    done, registry = firewalls.enforce(plan, host), host.registry.read()
    for network, put in done.put.items():
        if put.change:
            manifest = plan.networks[network].manifest
            sys.stderr.write(f"avpn-fastpath: {registry[network].short}: firewall of manifest {manifest}\n")
    return done.problems


def _run_ring(wanted: bool, changed: bool) -> None:
    """Have the gossip agent running exactly when there is a ring, with the ring's present key. Best effort."""
    verb = "restart" if wanted and changed else "start" if wanted else "stop"
    if not os.path.isdir("/run/systemd/system"):
        return
    try:
        command = ["systemctl", "--no-block", "--quiet", verb, _RING_UNIT]
        subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        sys.stderr.write(f"avpn-fastpath: can't {verb} {_RING_UNIT}\n")


def _lines(problems: dict[str, str]) -> list[str]:
    """Problems as log lines; JSON keeps foreign text on its line."""
    return [f"avpn-fastpath: {where}: {json.dumps(what)[1:-1]}" for where, what in sorted(problems.items())]
