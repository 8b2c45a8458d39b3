# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that follow from a lease, as a provider's cluster derives them."""

from __future__ import annotations

import base64
import hashlib


def lease_namespace(owner: str, dseq: int, gseq: int, oseq: int, provider: str) -> str:
    """Kubernetes namespace of a lease: 45 characters of lower-case base32hex."""
    digest = hashlib.sha224(f"{owner}/{dseq}/{gseq}/{oseq}/{provider}".encode()).digest()
    return base64.b32hexencode(digest).decode().rstrip("=").lower()


def workload_name(namespace: str, index: int) -> str:
    """Name of the network namespace of one replica; its path is /run/netns/NAME."""
    return f"{namespace}-{index}"
