# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the table's counters mean: whose rules refused packets, or what else did. Pure.

A packet is refused once: by the sender's ``egress``, or, where that permits it, by the receiver's ``ingress``. Every
host evaluates both sides, so a packet to another host is refused, and counted, where it is sent from; hosts' counters
add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

EGRESS, INGRESS = "egress", "ingress"
_SIDES = {"e_": EGRESS, "i_": INGRESS}

# Counters of the frame (``entrances.COUNTERS``), as people read them.
REASONS = {
    "crowded": "connections beyond those that one endpoint may have at a time",
    "gateway": "to the host itself, for what it doesn't serve",
    "invalid": "of no connection, and beginning none",
    "midstream": "of TCP connections that aren't known here and didn't begin now: cut, forgotten or made up",
    "relayed": "from one host to another, which a host doesn't pass on",
    "spoofed": "from an address that isn't the sender's",
    "strangers": "from or to an address that no endpoint has and no route covers",
}


def counter(key: str, side: str) -> str:
    """The name of an entry's counter: ``counter("db/2", "egress")`` is ``e_db.2``."""
    prefix = next(prefix for prefix, name in _SIDES.items() if name == side)
    return prefix + key.replace("/", ".")


def sides(counters: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """The counters of members' sides, each with the entry (``db/2``) and the side."""
    for name in sorted(counters):
        side = _SIDES.get(name[:2])
        if side is not None:
            yield name, name[2:].replace(".", "/"), side


def refused(counters: Mapping[str, int]) -> dict[str, Any]:
    """``{"members": {"web": {"egress": 3, "ingress": 0}}, "others": {"spoofed": 1}}``, in packets.

    Members are those with endpoints, written as the manifest's entries (``db/2``); of the others, only what occurred.
    """
    members: dict[str, dict[str, int]] = {}
    for name, member, side in sides(counters):
        members.setdefault(member, {EGRESS: 0, INGRESS: 0})[side] = counters[name]
    others = {reason: counters[reason] for reason in sorted(REASONS) if counters.get(reason)}
    return {"members": members, "others": others}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The same in words, a line for each member and reason that has refused anything."""
    for member, sides in sorted(found["members"].items()):
        said = []
        if sides[EGRESS]:
            said.append(f"{sides[EGRESS]} that it sent, by its own egress")
        if sides[INGRESS]:
            said.append(f"{sides[INGRESS]} sent to it, by its own ingress")
        if said:
            yield f"{member}: {'; '.join(said)}"
    for reason, packets in sorted(found["others"].items()):
        yield f"{packets} {REASONS.get(reason, reason)} ({reason})"
