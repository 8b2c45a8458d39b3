# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of a network's endpoints, below ``<network>.avpn.internal``.

| name | stands for |
| --- | --- |
| ``web`` | every live replica of the member |
| ``0.web`` | one replica: its place among all replicas the member's groups ever had, by group and index |
| ``g2.web`` | every live replica of the lease of group 2 (``web/2`` in the manifest) |

Slots are never deleted, so a replica keeps its number while others come and go; it changes only when an
earlier group of the same member grows.
"""

from __future__ import annotations

from collections.abc import Iterable

from .._common.ids import EndpointId
from .model import LiveSlot, Name
from .names import DOMAIN


def names(network: str, slots: Iterable[EndpointId], live: Iterable[LiveSlot]) -> tuple[Name, ...]:
    """All names of the network called ``network``.

    ``slots``: every endpoint of the ledger, live or not. An endpoint's own name comes before those that it
    shares, because reverse look-ups answer with the first.
    """
    numbers = _numbers(slots)
    own: dict[str, list[LiveSlot]] = {}
    shared: dict[str, list[LiveSlot]] = {}
    for slot in sorted(live, key=lambda item: item.endpoint):
        base = f"{slot.endpoint.member}.{network}.{DOMAIN}"
        number = numbers.get(slot.endpoint)
        if number is not None:
            own[f"{number}.{base}"] = [slot]
        shared.setdefault(base, []).append(slot)
        shared.setdefault(f"g{slot.endpoint.gseq}.{base}", []).append(slot)
    return tuple(_name(name, chosen) for name, chosen in [*own.items(), *shared.items()])


def _numbers(slots: Iterable[EndpointId]) -> dict[EndpointId, int]:
    numbers: dict[EndpointId, int] = {}
    counts: dict[str, int] = {}
    for endpoint in sorted(slots):
        numbers[endpoint] = counts.get(endpoint.member, 0)
        counts[endpoint.member] = numbers[endpoint] + 1
    return numbers


def _name(name: str, slots: list[LiveSlot]) -> Name:
    return Name(name, tuple(slot.ipv4 for slot in slots), tuple(slot.ipv6 for slot in slots))
