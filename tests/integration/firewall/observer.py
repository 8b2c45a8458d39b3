# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table of the test's own beside the product's: what packets look like that leave a host, and what enters it."""

from __future__ import annotations

import json

from wire import TUNNEL, Site, run

_TABLE = f"""
table inet observer {{
    counter marked {{}}
    counter classed {{}}
    counter unmarked {{}}
    counter entered {{}}
    counter tunnelled {{}}
    chain forwarded {{
        ct state untracked return  # what the host's kernel itself says to its neighbours
        meta mark != 0 counter name "marked"
        meta priority != 0 counter name "classed"
        ct mark 0 counter name "unmarked"
    }}
    chain leaves {{
        type filter hook postrouting priority 300;
        iifname "ve*" jump forwarded
        iifname "{TUNNEL}" jump forwarded
    }}
    chain enters {{
        type filter hook input priority 300;
        iifname "ve*" counter name "entered"
        iifname "{TUNNEL}" counter name "tunnelled"
    }}
}}
"""


def observe(site: Site) -> None:
    """From now on. ``marked``, ``classed``: packets that are forwarded with a mark or a priority left on them;
    ``unmarked``: whose connection has no epoch. ``entered``, ``tunnelled``: for the host itself, from where."""
    run("ip", "netns", "exec", site.namespace, "nft", "-f", "-", text=_TABLE)


def observed(site: Site) -> dict[str, int]:
    """Packets so far."""
    listed = run("ip", "netns", "exec", site.namespace, "nft", "-j", "list", "counters", "table", "inet", "observer")
    return {
        item["counter"]["name"]: item["counter"]["packets"]
        for item in json.loads(listed)["nftables"]
        if "counter" in item
    }
