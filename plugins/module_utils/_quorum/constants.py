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

# A batch stays as long as one entry refers to it, so an author must sign its entries anew (in one batch) before
# its batches name more than this many digests for each entry that they still cover.
WASTE_FACTOR = 4
WASTE_ALLOWANCE = 256

# Changes of voters within a generation. Whoever starts from the founders needs all of them, about 3 KB each.
MAX_LINKS = 1_000

FENCE_BLOCKS = 360  # 2 T at 5 s a block at least: so long a new generation rests before it votes for version 1

_TOKEN_SHIFT = 24
MAX_VERSION = 2**_TOKEN_SHIFT - 1  # of a generation


def token_of(generation: int, version: int) -> int:
    """The fencing token of a lock that this version grants: rises with versions and with generations."""
    return generation << _TOKEN_SHIFT | version


def usable(network: ipaddress.IPv4Network) -> range:
    """The addresses, as numbers, that endpoints and hosts may have: inside, and none of the three kept free.

    Kept are the network address, the first address (a name server's or gateway's that all hosts may share),
    and the broadcast address.
    """
    return range(int(network.network_address) + 2, int(network.broadcast_address))


def capacity(network: ipaddress.IPv4Network) -> int:
    """How many addresses are usable."""
    return len(usable(network))
