# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network's WireGuard interface on this host: made outside, so that its encrypted socket stays there, then
moved into the network's namespace."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from .._common.errors import AvpnError, Unavailable
from . import keys, netns, uapi, wireguard
from .change import Change
from .command import CommandFailed, run
from .model import Tunnel
from .netns import Seen
from .supervisor import Supervisor, tunnel_unit


def ensure(
    label: str,
    interface: str,
    inside: str,
    tunnel: Tunnel,
    key: Path,
    told: Mapping[str, str],
    seen: Seen,
    supervisor: Supervisor,
    *,
    check: bool,
) -> list[Change]:
    """The interface as planned, inside the namespace at path ``inside`` (``seen`` there before).

    Raises AvpnError if the key on disk isn't the one in the ledger, and before any peer is touched.
    """
    changes = []
    link = seen.links.get(interface)
    if link is None:
        changes.append(Change(label, f"tunnel {interface}", None, f"key {tunnel.public_key} port {tunnel.port}"))
        if check:
            added = [Change(label, f"peer {peer.node}", None, wireguard.describe(peer)) for peer in tunnel.peers]
            return changes + added
        _make(interface, inside, tunnel, key, supervisor)
    with netns.entered(inside):
        device = wireguard.observe(interface)
    if device.public_key != tunnel.public_key or device.port != tunnel.port:
        _check_key(key, tunnel)
        before = f"key {device.public_key} port {device.port}"
        changes.append(Change(label, f"tunnel {interface}", before, f"key {tunnel.public_key} port {tunnel.port}"))
        if not check:
            with netns.entered(inside):
                _configure(interface, tunnel, key)
    changes += _peers(label, interface, inside, tunnel, told, device, check=check)
    return changes


def remove(interface: str, supervisor: Supervisor, running: frozenset[str]) -> None:
    """Take the interface away wherever it is outside a network's namespace, and the process behind it."""
    if tunnel_unit(interface) in running:
        supervisor.stop(tunnel_unit(interface))
    if interface in (name for _index, name in socket.if_nameindex()):
        with contextlib.suppress(CommandFailed):  # gone with its process in between
            run(["ip", "link", "delete", interface])
    _forget_socket(interface)


def _forget_socket(interface: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(uapi.socket_path(interface))


def _make(interface: str, inside: str, tunnel: Tunnel, key: Path, supervisor: Supervisor) -> None:
    _check_key(key, tunnel)
    if interface not in (name for _index, name in socket.if_nameindex()):
        _create(interface, supervisor)
    _configure(interface, tunnel, key)
    # wireguard-go learns the MTU only while it shares the namespace.
    netns.batch(None, [f"link set {interface} mtu {tunnel.mtu}", f"link set {interface} netns {inside}"])
    netns.batch(inside, [f"link set {interface} mtu {tunnel.mtu} up"])


def _create(interface: str, supervisor: Supervisor) -> None:
    """The kernel's WireGuard where there is one, else wireguard-go under the supervisor."""
    try:
        run(["ip", "link", "add", interface, "type", "wireguard"])
        return
    except CommandFailed as error:
        refused = error
    try:
        # One that runs without its interface here lost it, with a namespace for instance.
        if tunnel_unit(interface) in supervisor.running():
            supervisor.stop(tunnel_unit(interface))
        # wg(8) removes a socket that nobody listens on. If it met the one that a killed process left, it could remove
        # the new one just when that takes its place, and wireguard-go ends with its socket.
        _forget_socket(interface)
        supervisor.start(tunnel_unit(interface))
    except AvpnError as error:
        raise Unavailable(
            f"neither the kernel ({refused.what}) nor wireguard-go ({error.what}) makes a WireGuard interface",
            where=interface,
            remedy="Install the package wireguard-go and run the role akash.avpn.wireguard",
        ) from error
    if not wireguard.wait_until_there(interface):
        raise Unavailable("wireguard-go was started but made no interface", where=tunnel_unit(interface))


def _check_key(key: Path, tunnel: Tunnel) -> None:
    public = keys.public_key(key)
    if public != tunnel.public_key:
        raise AvpnError(
            f"the ledger names the tunnel key {tunnel.public_key}, this host has {public}",
            where=str(key),
            remedy="The module address enters the host's key in the ledger",
        )


def _configure(interface: str, tunnel: Tunnel, key: Path) -> None:
    run(["wg", "set", interface, "private-key", str(key), "listen-port", str(tunnel.port)])
    _expect_key(interface, tunnel)


def _expect_key(interface: str, tunnel: Tunnel) -> None:
    public = run(["wg", "show", interface, "public-key"]).strip()
    if public != tunnel.public_key:
        raise AvpnError(f"has the key {public} after the change, {tunnel.public_key} was expected", where=interface)


def _peers(
    label: str,
    interface: str,
    inside: str,
    tunnel: Tunnel,
    told: Mapping[str, str],
    device: wireguard.DeviceSeen,
    *,
    check: bool,
) -> list[Change]:
    difference = wireguard.difference(device, tunnel, told, time.time())
    if not difference:
        return []
    if not check:
        with netns.entered(inside):
            wireguard.apply(interface, difference)
            _expect_key(interface, tunnel)
    before = {key: wireguard.describe_seen(key, seen) for key, seen in device.peers.items()}
    after = {peer.public_key: wireguard.describe(peer) for peer in tunnel.peers}
    names = {peer.public_key: str(peer.node) for peer in tunnel.peers}
    return [
        Change(label, f"peer {names.get(key, key)}", before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys(), key=lambda item: names.get(item, item))
        if before.get(key) != after.get(key)
    ]
