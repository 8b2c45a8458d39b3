# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Denied packets to whoever reads the namespace's log (NFLOG), with a limit for the network. Pure.

Each side's refusal becomes a chain of its own, which logs if the limit permits it and refuses in any case: were both
one rule, a packet beyond the limit would go on to the next one. The kernel's own log is no place for it: it takes no
packets from other network namespaces than the first (``nf_log_all_netns``), and all of the machine shares it.

This is put around decisions that are made, so it is not part of the epoch: switching it on has nothing evaluated again.
"""

from __future__ import annotations

from dataclasses import dataclass

from .decisions import ENFORCED
from .refusals import sides
from .ruleset import Chain

GROUP = 97  # of NFLOG; a namespace's groups are its own
_SNAPLEN = 128  # bytes of a packet: headers, and next to nothing of what a workload wrote
_PREFIX = "d_"


@dataclass(frozen=True)
class DenialLog:
    """``network``: how a line names it; ``rate``: lines a second, and at once, for the whole network."""

    network: str
    rate: int


def add_log(log: DenialLog, chains: dict[str, Chain], counters: frozenset[str]) -> dict[str, str]:
    """Have the chains of both sides log what they refuse; the limits that takes, by name."""
    # Named after its rate, since an existing one can't be changed in place.
    limit = f"log{log.rate}"
    for name, member, side in sides(counters):
        chain, refusal = chains[name], ENFORCED.refusal(name)
        own = f"{_PREFIX}{name}"
        rules = tuple(
            f"{rule.removesuffix(refusal)}goto {own}" if rule.endswith(refusal) else rule for rule in chain.rules
        )
        chains[name] = Chain(rules, chain.hook)
        line = f"network={log.network} member={member} side={side}"
        chains[own] = Chain(
            (f'limit name "{limit}" log prefix "{line}" group {GROUP} snaplen {_SNAPLEN}', refusal),
        )
    return {limit: f"rate {log.rate}/second burst {log.rate} packets ;"}
