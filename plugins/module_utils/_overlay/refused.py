# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a network's firewall on this host has refused, kept beside what was applied: for the team and the tenant."""

from __future__ import annotations

from .._policy.nft import counters
from .._policy.refusals import refused
from . import state
from .names import namespace


def keep(paths: state.StatePaths, network: str, short: str) -> None:
    """Read the kernel's counters into what people are shown. Raises AvpnError if there is no table to read."""
    state.counted(paths, network, refused(counters(namespace(short))))
