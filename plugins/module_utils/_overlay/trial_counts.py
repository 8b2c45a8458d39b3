# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the staged part of a network's manifest would have refused here, kept beside what was applied: for the team and
the tenant."""

from __future__ import annotations

from dataclasses import asdict

from .._policy.nft import counters
from .._policy.ruleset import Ruleset
from .._policy.staged import digest_in, would_refuse
from . import state
from .names import namespace


def keep(paths: state.StatePaths, network: str, short: str, ruleset: Ruleset, manifest: int | None) -> None:
    """Read the kernel's counters into what people are shown. ``manifest``: the version that is enforced, which is the
    one that the staged part is counted since, unless an earlier one brought the same."""
    digest = digest_in(ruleset)
    if digest is None:
        state.staged(paths, network, None)
        return
    before = state.staged_before(paths, network)
    since = before["since"] if before is not None and before["digest"] == digest else manifest
    refused = [asdict(each) for each in would_refuse(counters(namespace(short)), digest)]
    state.staged(paths, network, {"digest": digest, "since": since, "would_refuse": refused})
