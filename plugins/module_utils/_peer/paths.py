# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where everything is on a host (the table in docs/architecture.md), below one root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """All paths of a host. ``root`` is ``/``; tests give a directory of their own."""

    root: Path = Path("/")

    @property
    def etc(self) -> Path:
        return self.root / "etc/avpn"

    @property
    def host_config(self) -> Path:
        return self.etc / "host.json"

    @property
    def ssh_host_key(self) -> Path:
        """Private; the public part is beside it with ``.pub``."""
        return self.etc / "ssh_host_ed25519_key"

    @property
    def wireguard(self) -> Path:
        return self.etc / "wireguard"

    @property
    def software(self) -> Path:
        return self.root / "usr/lib/avpn"

    def command(self, name: str) -> Path:
        """An entry point, such as ``avpn-peer``."""
        return self.software / "bin" / f"avpn-{name}"

    @property
    def state(self) -> Path:
        """What belongs to the user avpn, who answers peers."""
        return self.root / "var/lib/avpn"

    @property
    def keys(self) -> Path:
        return self.state / "keys"

    @property
    def signing_key(self) -> Path:
        return self.keys / "signing.key"

    @property
    def ssh_client_key(self) -> Path:
        return self.keys / "ssh_client_ed25519"

    @property
    def view(self) -> Path:
        return self.state / "view.json"

    @property
    def voter_database(self) -> Path:
        return self.state / "voter.db"

    @property
    def ledgers(self) -> Path:
        return self.state / "ledger"

    @property
    def manifests(self) -> Path:
        return self.state / "manifests"

    @property
    def hints(self) -> Path:
        return self.state / "hints"

    @property
    def requests(self) -> Path:
        return self.state / "requests"

    @property
    def limits(self) -> Path:
        """One small file per caller: open sessions and recent requests."""
        return self.state / "limits"

    @property
    def gossip(self) -> Path:
        return self.state / "gossip"

    @property
    def keyring(self) -> Path:
        """The ring's keys as Serf reads and writes them: a JSON list, the newest first in use."""
        return self.gossip / "keyring.json"

    @property
    def rpc_token(self) -> Path:
        return self.gossip / "rpc.token"

    @property
    def serf_config(self) -> Path:
        """Made by avpn-ring from the view; holds the RPC token."""
        return self.gossip / "serf.json"

    @property
    def host_state(self) -> Path:
        """What belongs to root, who applies."""
        return self.root / "var/lib/avpn-host"

    @property
    def registry(self) -> Path:
        return self.host_state / "registry.json"

    @property
    def applied(self) -> Path:
        """One readable file per network: what the last apply made of it."""
        return self.host_state / "applied"

    @property
    def run(self) -> Path:
        return self.root / "run/avpn"
