# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Telling the ring: best effort, bounded, and nothing depends on it."""

from __future__ import annotations

import os
import subprocess

from . import hints
from .config import HostConfig
from .hints import Hint
from .paths import Paths

EVENT = "avpn"
_SECONDS = 2.0


def serf(paths: Paths, config: HostConfig, *arguments: str, seconds: float = _SECONDS) -> str | None:
    """The output of a serf command against this host's agent; None when there is no ring or it fails."""
    try:
        token = paths.rpc_token.read_text("ascii").strip()
        # Through the environment, which other users can't read; an argument they could.
        environment = {
            "PATH": "/usr/bin:/bin",
            "SERF_RPC_ADDR": f"127.0.0.1:{config.gossip_rpc_port}",
            "SERF_RPC_AUTH": token,
        }
        done = subprocess.run(
            ["serf", *arguments],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def emit(paths: Paths, config: HostConfig, hint: Hint) -> bool:
    """Send a hint round the ring; tells whether the agent took it."""
    if hint.network is None or not os.path.exists(paths.rpc_token):
        return False
    # Serf's own coalescing waits for up to three seconds and keeps the last event of a name, whatever it is about.
    return serf(paths, config, "event", "-coalesce=false", EVENT, str(hint)) is not None


def announce(paths: Paths, config: HostConfig, hint: Hint) -> None:
    """Something is newer here: tell this host's fast path and the ring."""
    hints.put(paths.hints, hint)
    emit(paths, config, hint)
