# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests for the whole reconciliation: a spool of one small file per network, watched by a systemd path unit.

The fast path never allocates; when it sees that something has to be allocated or released, it asks here,
and so does a tenant over the peer channel. Many requests for one network are one file.
``_reconcile.requests`` takes them.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from . import files


def put(spool: Path, network: str | None, by: str) -> str:
    """Ask for reconciliation of one network, or of the host (None); returns the request's id (32 hex digits)."""
    request = secrets.token_hex(16)
    text = json.dumps({"request": request, "network": network, "by": by}, sort_keys=True)
    files.write(spool / (network or "host"), text.encode() + b"\n", durable=False)
    return request
