# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``avpn-ring``: what avpn-serf.service runs. Writes the agent's configuration and becomes the agent.

Everything in it comes from the host's configuration and the chain's view; addresses to join are those of the
hosts that share a network with this one. Without a ring key it ends well: a host without networks has no ring.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from typing import Any

from .._chain.addresses import check_peer_address
from .._chain.view import load_view
from .._common.errors import AvpnError, InvalidInput
from . import config, files, ring
from .config import HostConfig
from .gossip import EVENT
from .identities import Identities
from .paths import Paths


def join_addresses(identities: Identities, host: HostConfig) -> list[str]:
    """``address:port`` of every agent of a host that holds leases in a common network, sorted."""
    found = set()
    for node, record in identities.view.hosts.items():
        if node == host.id or not identities.share_a_lease(node):
            continue
        try:
            check_peer_address(record.gossip_address, own=[host.gossip_address], allowed_ranges=host.peer_ranges)
        except InvalidInput:
            continue
        wrapped = f"[{record.gossip_address}]" if ":" in record.gossip_address else record.gossip_address
        found.add(f"{wrapped}:{record.gossip_port}")
    return sorted(found)


def node_name(host: HostConfig) -> str:
    """The agent's name in the ring: Serf takes letters, digits, hyphens and dots."""
    return f"{host.node}.{host.provider}"


def agent_config(paths: Paths, host: HostConfig, token: str, join: list[str]) -> dict[str, Any]:
    """The document for ``serf agent -config-file``."""
    address = f"[{host.gossip_address}]" if ":" in host.gossip_address else host.gossip_address
    return {
        "node_name": node_name(host),
        "bind": f"{address}:{host.gossip_port}",
        "rpc_addr": f"127.0.0.1:{host.gossip_rpc_port}",
        "rpc_auth": token,
        "keyring_file": str(paths.keyring),
        "snapshot_path": str(paths.gossip / "snapshot"),
        "retry_join": join,
        "retry_interval": "15s",
        "rejoin_after_leave": True,
        "leave_on_terminate": True,
        "disable_coordinates": True,
        "event_handlers": [f"user:{EVENT}={paths.command('hint')}"],
        "log_level": "warn",
        "profile": "lan",
    }


def prepare(paths: Paths) -> bool:
    """Write the agent's configuration; tells whether there is a ring to take part in."""
    host = config.load(paths.host_config)
    if ring.current_key(paths) is None:
        return False
    token = secrets.token_hex(16)
    files.write(paths.rpc_token, token.encode() + b"\n", mode=0o600)
    join = join_addresses(Identities(load_view(paths.view), host.id), host)
    document = agent_config(paths, host, token, join)
    files.write(paths.serf_config, json.dumps(document, indent=1).encode() + b"\n", mode=0o600)
    return True


def main(paths: Paths) -> int:
    """Entry point, as avpn."""
    try:
        if not prepare(paths):
            sys.stderr.write("avpn-ring: no ring: this host shares no network with another\n")
            return 0
    except (AvpnError, OSError) as error:
        sys.stderr.write(f"avpn-ring: {error}\n")
        return 1
    environment = {"PATH": "/usr/bin:/bin"}
    os.execve("/usr/bin/serf", ["serf", "agent", f"-config-file={paths.serf_config}"], environment)  # noqa: S606
    return 1
