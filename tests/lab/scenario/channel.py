# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The peer channel as a stranger's client speaks it: OpenSSH and JSON lines, nothing of this collection."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from lab.errors import LabError
from lab.lab import Lab

PORT = 7022
KNOWN = "/tmp/lab-known-hosts"
PROVIDER_KEY = "/var/lib/avpn/keys/ssh_client_ed25519"
TENANT_KEY = "/root/avpn/tenant_ed25519"


def trust(lab: Lab, source: str, peers: Sequence[str]) -> None:
    """Pin the peers' host keys on a source host: the peer channel's and the team's own sshd's."""
    lines = []
    for peer in peers:
        for port, folder in ((PORT, "/etc/avpn"), (22, "/etc/ssh")):
            key = lab.execute(peer, ["cat", f"{folder}/ssh_host_ed25519_key.pub"]).stdout.split()[:2]
            address = lab.host(peer).address
            lines.append(f"{address if port == 22 else f'[{address}]:{port}'} {' '.join(key)}\n")
    lab.execute(source, ["tee", KNOWN], data="".join(lines).encode())


def options(key: str, port: int = PORT, port_flag: str = "-p") -> list[str]:
    """What ssh, sftp and scp (port flag -P) take."""
    given = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={KNOWN}"]
    given += ["GlobalKnownHostsFile=/dev/null", "ConnectTimeout=20", "HostKeyAlgorithms=ssh-ed25519"]
    return ["-F", "none", "-i", key, port_flag, str(port), *(part for option in given for part in ("-o", option))]


def ssh(
    lab: Lab,
    source: str,
    peer: str,
    key: str,
    *arguments: str,
    flags: Sequence[str] = (),
    data: bytes = b"",
    user: str = "avpn",
    port: int = PORT,
) -> subprocess.CompletedProcess[str]:
    """OpenSSH's client to a peer, with flags before and a command after the destination; 124 if it doesn't end."""
    target = f"{user}@{lab.host(peer).address}"
    command = ["timeout", "60", "ssh", *options(key, port), *flags, target, *arguments]
    return lab.execute(source, command, data=data, check=False, timeout=90)


def ask(lab: Lab, source: str, peer: str, key: str, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """Send requests over one connection; the answers."""
    trust(lab, source, [peer])
    lines = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
    done = ssh(lab, source, peer, key, data=lines)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(requests):
        raise LabError(f"{peer} answered {len(answers)} of {len(requests)} requests: {done.stdout} {done.stderr}")
    return answers
