# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes on TCP connections as the kernel counts them: payload, both ways, what is underneath (SSH, gRPC) included."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable

_COUNTS = re.compile(r"\bbytes_(?:sent|received):(\d+)")


def tcp_bytes(ports: Iterable[int], source: str = "0.0.0.0/0") -> int:
    """Of all connections that stand, seen from the side that listens on one of ``ports`` in the range ``source``."""
    listening = " or ".join(f"sport = :{port}" for port in sorted(ports))
    command = ["ss", "--tcp", "--info", "--numeric", "--no-header", "state", "established"]
    done = subprocess.run(
        [*command, f"( {listening} ) and src {source}"], capture_output=True, text=True, timeout=30, check=True
    )
    return sum(map(int, _COUNTS.findall(done.stdout)))
