# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a network off this host without a trace: processes, interfaces, routes in workloads, namespace, key, files.

Its place in the registry goes last, so that an interrupted removal is taken up again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from . import endpoints, frames, netns, state, tunnel
from .change import Change
from .host import Host
from .keys import key_path
from .names import namespace, namespace_path, workload_path
from .names import tunnel as tunnel_name
from .registry import Registration
from .supervisor import log_unit, resolver_unit, tunnel_unit


def remove_network(
    host: Host, network: str, registration: Registration, running: frozenset[str], *, keep_key: bool, check: bool
) -> list[Change]:
    """Remove what there is of the network. ``keep_key``: it may come back, so key, port and names stay."""
    short = registration.short
    inside = namespace_path(short)
    units = {tunnel_unit(tunnel_name(short)), resolver_unit(short), log_unit(short)} & running
    key = key_path(host.paths, network)
    there = netns.exists(inside)
    changes = []
    if there or units:
        changes.append(Change(short, "network", f"namespace {namespace(short)}", None))
    if not keep_key:
        changes.append(Change(short, "registration", f"port {registration.port}", None))
        if key.exists():
            changes.append(Change(short, "tunnel key", "present", None))
    if check:
        return changes
    applied = state.load(host.paths, network)
    if there and netns.usable(inside):
        ours = [name for name in netns.observe(inside).links if name.startswith("ve")]
        netns.delete_links(inside, ours)
    here = [slot for slot in applied.live.values() if slot.host == host.id]
    clean_workloads({workload_path(host.attach_path, slot.lease, slot.endpoint) for slot in here}, network)
    for unit in sorted(units & {resolver_unit(short), log_unit(short)}):
        host.supervisor.stop(unit)
    tunnel.remove(tunnel_name(short), host.supervisor, running)
    if there:
        netns.remove(namespace(short))
    host.clear_run_directory(short)
    state.forget(host.paths, network)
    frames.forget(host.paths.frames / f"{network}.json")
    if not keep_key:
        with contextlib.suppress(FileNotFoundError):
            key.unlink()
        host.registry.release(network)
    return changes


def clean_workloads(paths: Iterable[str], network: str) -> None:
    """Take a network's routes out of workloads that go on running without it."""
    for path in sorted(paths):
        if netns.exists(path) and netns.usable(path):
            netns.batch(path, endpoints.leave(netns.observe(path), network))
