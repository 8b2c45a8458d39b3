# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where everything is on a host (the table in docs/architecture.md), below one root."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """All paths of a host. ``root`` is ``/``; tests give a directory of their own.

    Each is put together once: a voter asks for them with every message.
    """

    root: Path = Path("/")

    @cached_property
    def etc(self) -> Path:
        return self.root / "etc/avpn"

    @cached_property
    def host_config(self) -> Path:
        return self.etc / "host.json"

    @cached_property
    def ssh_host_key(self) -> Path:
        """Private; the public part is beside it with ``.pub``."""
        return self.etc / "ssh_host_ed25519_key"

    @cached_property
    def wireguard(self) -> Path:
        return self.etc / "wireguard"

    @cached_property
    def software(self) -> Path:
        return self.root / "usr/lib/avpn"

    def command(self, name: str) -> Path:
        """An entry point, such as ``avpn-peer``."""
        return self.software / "bin" / f"avpn-{name}"

    @cached_property
    def state(self) -> Path:
        """What belongs to the user avpn, who answers peers."""
        return self.root / "var/lib/avpn"

    @cached_property
    def keys(self) -> Path:
        return self.state / "keys"

    @cached_property
    def signing_key(self) -> Path:
        return self.keys / "signing.key"

    @cached_property
    def ssh_client_key(self) -> Path:
        return self.keys / "ssh_client_ed25519"

    @cached_property
    def view(self) -> Path:
        return self.state / "view.json"

    @cached_property
    def voter_database(self) -> Path:
        return self.state / "voter.db"

    @cached_property
    def waiting(self) -> Path:
        """One small file for each proposer that waits here for its turn."""
        return self.state / "waiting"

    @cached_property
    def ledgers(self) -> Path:
        return self.state / "ledger"

    @cached_property
    def manifests(self) -> Path:
        return self.state / "manifests"

    @cached_property
    def hints(self) -> Path:
        return self.state / "hints"

    @cached_property
    def requests(self) -> Path:
        return self.state / "requests"

    @cached_property
    def limits(self) -> Path:
        """One small file per caller: open sessions and recent requests."""
        return self.state / "limits"

    @cached_property
    def gossip(self) -> Path:
        return self.state / "gossip"

    @cached_property
    def keyring(self) -> Path:
        """The ring's keys as Serf reads and writes them: a JSON list, the newest first in use."""
        return self.gossip / "keyring.json"

    @cached_property
    def rpc_token(self) -> Path:
        return self.gossip / "rpc.token"

    @cached_property
    def serf_config(self) -> Path:
        """Made by avpn-ring from the view; holds the RPC token."""
        return self.gossip / "serf.json"

    @cached_property
    def host_state(self) -> Path:
        """What belongs to root, who applies."""
        return self.root / "var/lib/avpn-host"

    @cached_property
    def registry(self) -> Path:
        return self.host_state / "registry.json"

    @cached_property
    def applied(self) -> Path:
        """One readable file per network: what the last apply made of it."""
        return self.host_state / "applied"

    @cached_property
    def frames(self) -> Path:
        """One readable file per network: which frame of its firewall has proved itself."""
        return self.host_state / "frames"

    @cached_property
    def run(self) -> Path:
        return self.root / "run/avpn"
