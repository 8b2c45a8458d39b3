# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many connections one endpoint may have at a time. Pure.

The kernel counts an endpoint's connections by going through them all, for each new one: at some thousands that takes
a hundred times as long as everything else, and an endpoint with many connections would slow its whole host down. So
only one in sixteen is counted, against a sixteenth of the limit. Which one is told by the connection's id, a keyed
hash: the same connection always gets the same answer. When those are too many, the endpoint gets no new connection
for a moment, after which the next that is counted tells whether it still has too many.
"""

from __future__ import annotations

from .ruleset import Set

CROWDED = "crowded"  # counter
_SHARE = 16  # a power of two
_COUNTED = f"ct id & {_SHARE - 1} == 0"
_EXACT = 64 * _SHARE  # a lower limit is counted exactly: of few there is no sixteenth, and they cost little
_MOMENT = "2s"


def connection_limit(connections: int) -> tuple[str, ...]:
    """The rules that a permitted flow passes or ends at."""
    drop = f'counter name "{CROWDED}" drop'
    rules: list[str] = []
    for version, ip in ((4, "ip"), (6, "ip6")):
        source = f"ct original {ip} saddr"
        if connections < _EXACT:
            rules.append(f"ct state new add @connections{version} {{ {source} ct count over {connections} }} {drop}")
            continue
        counted = f"add @connections{version} {{ {source} ct count over {connections // _SHARE} }}"
        noted = f"update @crowded{version} {{ {source} timeout {_MOMENT} }}"
        rules += [f"ct state new {_COUNTED} {counted} {noted}", f"ct state new {source} @crowded{version} {drop}"]
    return tuple(rules)


def crowds() -> dict[str, Set]:
    """What those rules fill: connections by endpoint, and endpoints that have too many."""
    sets = {}
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        sets[f"connections{version}"] = Set("set", f"type {kind}; flags dynamic; size 65535;")
        sets[f"crowded{version}"] = Set("set", f"type {kind}; flags dynamic, timeout; size 65535;")
    return sets
