# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The peers of a WireGuard interface: seen, compared, and changed by their differences.

An address that moves is added to its new peer, which takes it from the old one at once; the other addresses of
either are not touched. wg(8) has no way to take a single address away, so what no peer shall have any more
goes to a throwaway peer, which is then removed. Peers keep their sessions.

No keep-alive packets: hosts have public endpoints, and either side starts a session when it has something to say. But
a peer that comes, or has moved, is sent an empty packet once. The host there may still hold a session with what this
interface was before, and whoever sends into that notices only 15 s later that nobody answers.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import uapi
from .command import CommandFailed, run
from .model import Tunnel, TunnelPeer
from .names import AnyNetwork

# After this long without a handshake a peer counts as silent (WireGuard's REJECT_AFTER_TIME, in seconds).
_SILENT = 180


@dataclass(frozen=True)
class PeerSeen:
    """A peer as it is. ``handshake``: Unix seconds of the newest, 0 for none."""

    endpoint: str | None
    allowed_ips: frozenset[AnyNetwork]
    handshake: int


@dataclass(frozen=True)
class DeviceSeen:
    """An interface as it is, without its private key."""

    public_key: str | None
    port: int
    peers: Mapping[str, PeerSeen]


@dataclass(frozen=True)
class PeerChanges:
    """What to do to the peers, in this order: add (which also moves), discard, remove."""

    add: tuple[tuple[TunnelPeer, bool, tuple[AnyNetwork, ...]], ...] = ()  # peer, set its endpoint, addresses
    discard: tuple[AnyNetwork, ...] = ()
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.discard or self.remove)


def observe(interface: str) -> DeviceSeen:
    """The interface, which is in this thread's namespace or wireguard-go's."""
    first, *rest = run(["wg", "show", interface, "dump"]).splitlines()
    _private, public, port, _mark = first.split("\t")
    del first, _private
    peers = {}
    for line in rest:
        key, _preshared, endpoint, allowed, handshake, *_counters = line.split("\t")
        peers[key] = PeerSeen(
            None if endpoint == "(none)" else endpoint,
            frozenset() if allowed == "(none)" else frozenset(map(ipaddress.ip_network, allowed.split(","))),
            int(handshake),
        )
    return DeviceSeen(None if public == "(none)" else public, int(port), peers)


def difference(seen: DeviceSeen, tunnel: Tunnel, told: Mapping[str, str], now: float) -> PeerChanges:
    """What turns the peers that are there into those that should be.

    ``told``: the endpoints this host last gave its peers, by key. A peer that has moved since and talks from
    its new place is left there: WireGuard has authenticated it.
    """
    wanted = {peer.public_key: peer for peer in tunnel.peers}
    add = []
    claimed: set[AnyNetwork] = set()
    for key, peer in wanted.items():
        claimed.update(peer.allowed_ips)
        there = seen.peers.get(key)
        missing = tuple(range_ for range_ in peer.allowed_ips if there is None or range_ not in there.allowed_ips)
        moved = there is None or _moved(there, peer, told.get(key), now)
        if there is None or missing or moved:
            add.append((peer, moved, missing))
    stale = {
        range_
        for key, there in seen.peers.items()
        if key in wanted
        for range_ in there.allowed_ips - set(wanted[key].allowed_ips) - claimed
    }
    remove = tuple(sorted(key for key in seen.peers if key not in wanted))
    return PeerChanges(tuple(add), tuple(sorted(stale, key=_order)), remove)


def endpoint_text(peer: TunnelPeer) -> str:
    """``192.0.2.1:51820`` or ``[2001:db8::1]:51820``."""
    return f"[{peer.endpoint}]:{peer.port}" if ":" in peer.endpoint else f"{peer.endpoint}:{peer.port}"


def describe(peer: TunnelPeer) -> str:
    return f"{endpoint_text(peer)} key {peer.public_key} for {', '.join(map(str, peer.allowed_ips))}"


def describe_seen(key: str, seen: PeerSeen) -> str:
    ranges = ", ".join(map(str, sorted(seen.allowed_ips, key=_order)))
    return f"{seen.endpoint or 'no endpoint'} key {key} for {ranges or 'nothing'}"


def apply(interface: str, changes: PeerChanges) -> None:
    """Make the changes on the interface, which is in this thread's namespace or wireguard-go's."""
    if os.path.exists(uapi.socket_path(interface)):
        uapi.send(interface, _protocol_lines(changes))
    else:
        _with_tool(interface, changes)


def _moved(there: PeerSeen, peer: TunnelPeer, told: str | None, now: float) -> bool:
    right = endpoint_text(peer)
    if there.endpoint == right:
        return False
    return told != right or now - there.handshake > _SILENT


def _throwaway() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def _protocol_lines(changes: PeerChanges) -> Iterable[str]:
    for peer, moved, missing in changes.add:
        yield f"public_key={uapi.hex_key(peer.public_key)}"
        if moved:
            yield f"endpoint={endpoint_text(peer)}"
        yield from (f"allowed_ip={range_}" for range_ in missing)
        if moved:
            yield "persistent_keepalive_interval=1"  # sends the first at once
    for peer, moved, _missing in changes.add:
        if moved:
            yield f"public_key={uapi.hex_key(peer.public_key)}"
            yield "persistent_keepalive_interval=0"
    if changes.discard:
        key = uapi.hex_key(_throwaway())
        yield f"public_key={key}"
        yield from (f"allowed_ip={range_}" for range_ in changes.discard)
        yield f"public_key={key}"
        yield "remove=true"
    for gone in changes.remove:
        yield f"public_key={uapi.hex_key(gone)}"
        yield "remove=true"


def _with_tool(interface: str, changes: PeerChanges) -> None:
    """The kernel's own WireGuard, through wg(8). A peer that gets an address has its list written anew, in one
    netlink message; peers that don't are not touched."""
    sections = []
    for peer, moved, _missing in changes.add:
        endpoint = f"Endpoint = {endpoint_text(peer)}\nPersistentKeepalive = 1\n" if moved else ""
        ranges = "".join(f"AllowedIPs = {range_}\n" for range_ in peer.allowed_ips)
        sections.append(f"[Peer]\nPublicKey = {peer.public_key}\n{endpoint}{ranges}")
    throwaway = _throwaway()
    if changes.discard:
        ranges = "".join(f"AllowedIPs = {range_}\n" for range_ in changes.discard)
        sections.append(f"[Peer]\nPublicKey = {throwaway}\n{ranges}")
    if sections:
        with tempfile.NamedTemporaryFile("w", prefix="avpn-peers-", encoding="ascii") as file:
            file.write("".join(sections))
            file.flush()
            run(["wg", "addconf", interface, file.name])
    for peer, moved, _missing in changes.add:
        if moved:
            run(["wg", "set", interface, "peer", peer.public_key, "persistent-keepalive", "0"])
    for gone in (*changes.remove, *((throwaway,) if changes.discard else ())):
        run(["wg", "set", interface, "peer", gone, "remove"])


def wait_until_there(interface: str, seconds: float = 5.0) -> bool:
    """Whether wireguard-go has made the interface and listens, within a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.path.exists(uapi.socket_path(interface)):
            try:
                run(["wg", "show", interface, "listen-port"])
                return True
            except CommandFailed:
                pass
        time.sleep(0.02)
    return False


def _order(network: AnyNetwork) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen
