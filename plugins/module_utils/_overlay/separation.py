# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workloads that are in several networks of their tenant: every address is reached by one of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .._common.ids import LeaseId
from .carriers import apart, within
from .model import Attachment, NetworkPlan


def separated(networks: Mapping[str, NetworkPlan]) -> dict[str, NetworkPlan]:
    """Of two networks with overlapping IPv4 ranges that share a workload, the later (by id) doesn't get it:
    the workload couldn't tell them apart. Nor does it get twice what both carry, or by one what is in the other."""
    sharing: dict[tuple[LeaseId, int], list[tuple[NetworkPlan, Attachment]]] = {}
    notes: dict[str, list[str]] = {network: list(planned.notes) for network, planned in networks.items()}
    for network, planned in networks.items():
        for attachment in planned.attachments:
            others = sharing.setdefault((attachment.lease, attachment.endpoint.index), [])
            rival = next((other for other, _there in others if other.ipv4.overlaps(planned.ipv4)), None)
            if rival is None:
                others.append((planned, attachment))
            else:
                notes[network].append(
                    f"{attachment.endpoint} is already in {rival.name}, which has an overlapping range"
                )
    kept: dict[str, list[Attachment]] = {network: [] for network in networks}
    for others in sharing.values():
        for place, (planned, attachment) in enumerate(others):
            left = attachment.reaches
            for number, (other, there) in enumerate(others if left else ()):
                if number == place:
                    continue
                mine = tuple(each for each in left if not within(each, other.ipv4) and not within(each, other.ipv6))
                if number < place and any(one.overlaps(two) for one in mine for two in there.reaches):
                    mine = apart(mine, there.reaches)
                if mine != left:
                    notes[planned.network].append(f"{attachment.endpoint} reaches by {other.name} what that has, too")
                    left = mine
            kept[planned.network].append(replace(attachment, reaches=left))
    return {
        network: replace(
            planned,
            attachments=tuple(sorted(kept[network], key=lambda each: each.endpoint)),
            notes=tuple(notes[network]),
        )
        for network, planned in networks.items()
    }
