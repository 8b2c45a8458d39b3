# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which cached ledgers are worth their memory. A tenant whose own nodes are the voters may certify what it likes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

MOST_OF_OWNER = 16 << 20  # bytes of one owner's ledgers together: two of the largest, or dozens of usual ones


def affordable(directory: Path, owners: Mapping[str, str]) -> frozenset[str]:
    """Those of the networks (id -> owner) that are cached in ``directory`` (``cache.LedgerCache``) and may be read:
    each owner's smallest, up to MOST_OF_OWNER bytes in all."""
    sizes: list[tuple[int, str]] = []
    for network in owners:
        with contextlib.suppress(OSError):
            sizes.append((os.lstat(directory / f"{network}.json").st_size, network))
    spent: dict[str, int] = {}
    found = set()
    for size, network in sorted(sizes):
        spent[owners[network]] = spent.get(owners[network], 0) + size
        if spent[owners[network]] <= MOST_OF_OWNER:
            found.add(network)
    return frozenset(found)
