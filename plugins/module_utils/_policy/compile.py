# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a manifest and the network's endpoints to the nftables table of one host's namespace. Pure.

How a packet goes through the table (what it must agree with is ``evaluate``)::

    guard      prerouting, before connection tracking: from a veth only its own addresses and what it carries, by a
               tunnel nothing that is on this side of it
    clamp      forward: TCP's segment size fits the tunnel
    forward    established under the current epoch: accepted. Everything else, established or not:
    decide     the flow's ORIGINAL source address -> class -> the chain of the sender's rules
      e_<who>  the original target's class and address against the sender's deny and allow
      receiver the original target's class -> the chain of the receiver's rules
      i_<who>  the original source's class and address against the receiver's deny and allow
    staged     if the manifest has a staged part: what that would refuse is counted, and passes
    permit     the connection gets the epoch as its mark
    gateway    input: DHCP, neighbour discovery, DNS and echo from endpoints; from tunnels hosts' echo requests

The epoch is a hash of everything here that bears on a decision. When it changes, the next packet of every flow,
in either direction, is evaluated again as if it began the flow: permitted ones are marked anew and don't notice,
others end. The epoch is read before the rules are (into the packet's mark) and given to the connection after
them, so a packet that meets the rules while they change can't mark a flow as if it had seen the new ones.

Cost per packet: each chain asks at most six sets for deny and six for allow, whatever their sizes. Sizes:
two elements per endpoint, and per rule its peers × ports; never pairs of endpoints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from .._common import canonical
from .._manifest.model import Manifest
from .carried import Routing, carried_sets
from .crowding import crowds
from .decisions import decisions
from .denial_log import DenialLog, add_log
from .endpoints import Endpoints
from .entrances import COUNTERS, Local, Neighbours, check_interfaces, entrances, hosts, sources
from .ruleset import Chain, Ruleset, Set
from .staged import add_staged

CONNECTIONS = 8192  # of one endpoint at a time


def compile_ruleset(
    manifest: Manifest | None,
    endpoints: Endpoints,
    local: Iterable[Local],
    tunnels: Sequence[str],
    *,
    neighbours: Neighbours | None = None,
    connections: int = CONNECTIONS,
    routing: Routing | None = None,
    log: DenialLog | None = None,
) -> Ruleset:
    """The table for one host. ``manifest`` None: there is none yet, and nothing passes. ``endpoints``: those of
    all hosts; ``local``: those of this one; ``tunnels``: names of the network's WireGuard interfaces;
    ``neighbours``: addresses of the hosts themselves; ``routing``: what else this host knows of the manifest's routes,
    None: that no other host carries any; ``log``: how denied packets are logged, None: they aren't.

    Raises InvalidInput if the manifest is too large for these endpoints.
    """
    local = sorted(local, key=lambda each: each.interface)
    check_interfaces((*tunnels, *(each.interface for each in local)))
    manifest = manifest or Manifest()
    sets, chains, counters = decisions(manifest, endpoints)
    add_staged(manifest.staged, endpoints, sets, chains, counters)
    chains["decide"] = Chain(("meta mark set meta nfproto map @epoch", *chains["decide"].rules))
    epoch = _epoch(sets, chains)
    limits = add_log(log, chains, frozenset(counters)) if log is not None else {}
    sets["current"] = Set("set", "type mark;", {epoch: ""})
    sets["epoch"] = Set("map", "type nf_proto : mark;", {"ipv4": epoch, "ipv6": epoch})
    sets.update(crowds())
    sets.update(sources(local))
    neighbours = neighbours or Neighbours()
    sets.update(hosts(neighbours))
    ranges = [route.range for route in manifest.routes]
    sets.update(carried_sets(ranges, endpoints, local, neighbours, routing or Routing()))
    chains.update(entrances(tuple(tunnels), connections))
    tenancy = {
        f"{endpoint.ipv4} {endpoint.ipv6}": hashlib.sha256(endpoint.lease.encode()).hexdigest()[:16]
        for endpoint in endpoints
    }
    return Ruleset(chains, sets, frozenset(counters | COUNTERS), tenancy, limits)


def closed_ruleset() -> Ruleset:
    """What a namespace gets before anything else: nothing comes in, nothing passes."""
    return Ruleset(
        {
            "forward": Chain((), "type filter hook forward priority filter; policy drop;"),
            "gateway": Chain((), "type filter hook input priority filter; policy drop;"),
        },
        {},
        frozenset(),
    )


def _epoch(sets: Mapping[str, Set], chains: Mapping[str, Chain]) -> str:
    """32 bits that change with anything that bears on a decision; never 0, which is an unmarked connection's."""
    document: canonical.Json = {
        "sets": {name: dict(each.elements) for name, each in sets.items()},
        "chains": {name: list(chain.rules) for name, chain in chains.items()},
    }
    digest = hashlib.sha256(canonical.dumps(document)).digest()
    return f"0x{int.from_bytes(digest[:4], 'big') or 1:08x}"
