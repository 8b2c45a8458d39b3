# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Constants of the protocol: the same for all voters of all networks, or they would disagree about validity.

All times are counted in blocks of the chain (about 6 s each on mainnet), never by clocks.
"""

from __future__ import annotations

import ipaddress

RELEASE_BLOCKS = 10  # k: a lease must have been closed this long before its slot is released or its host removed
COOLDOWN_BLOCKS = 200  # about 20 minutes: a released address rests this long before another endpoint may get it
MAX_LOCK_BLOCKS = 14_400  # about a day: the longest a lock may be held without renewal

# A generation that has just started rests so long before anything is built upon its version 0: twice the greatest age
# (900 s) that a voter's view may have, at no less than 5 s a block, so that nobody votes in the one before any more.
FENCE_BLOCKS = 360

# A batch stays as long as one entry refers to it, so an author must sign its entries anew (in one batch) before
# its batches name more than this many digests for each entry that they still cover.
WASTE_FACTOR = 4
WASTE_ALLOWANCE = 256

# Changes of voters within a generation. Whoever starts from the founders needs all of them, about 3 KB each.
MAX_LINKS = 1_000


def usable(network: ipaddress.IPv4Network) -> range:
    """The addresses, as numbers, that endpoints and hosts may have: inside, and none of the three kept free.

    Kept are the network address, the first address (a name server's or gateway's that all hosts may share),
    and the broadcast address.
    """
    return range(int(network.network_address) + 2, int(network.broadcast_address))


def capacity(network: ipaddress.IPv4Network) -> int:
    """How many addresses are usable."""
    return len(usable(network))
