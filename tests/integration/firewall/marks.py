# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the staged part of a manifest must have counted: each flow once on each host, under each epoch. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Union

from frames import Flow
from meaning import World, refusal

from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.staged import digest_of

_Key = tuple[int, Union[Flow, tuple[Packet, int]]]


class Marks:
    """The epochs that hosts' connections are marked with."""

    def __init__(self) -> None:
        self._epochs: dict[_Key, str] = {}

    def pass_(
        self, sites: Iterable[int], rulesets: dict[int, Ruleset], flow: Flow, world: World
    ) -> Counter[tuple[int, str]]:
        """A packet of a permitted flow comes by these sites. What that counts: (site, counter)."""
        counted: Counter[tuple[int, str]] = Counter()
        for site in sites:
            if site not in rulesets:
                continue
            key = site, (flow.packet, flow.number) if flow.one_a_pair else flow
            (epoch,) = rulesets[site].sets["current"].elements
            if self._epochs.get(key) != epoch:
                self._epochs[key] = epoch
                if name := staged_refusal(world, flow):
                    counted[site, name] += 1
        return counted

    def forget(self, site: int, addresses: Iterable[str]) -> None:
        """The site has forgotten the connections of these addresses."""
        gone = set(addresses)
        for key in list(self._epochs):
            packet = key[1].packet if isinstance(key[1], Flow) else key[1][0]
            if key[0] == site and gone & {str(packet.source), str(packet.target)}:
                del self._epochs[key]


def staged_refusal(world: World, flow: Flow) -> str:
    """The counter of the staged part for a flow that the enforced part permits; empty if both do."""
    if world.manifest.staged is None:
        return ""
    refused = refusal(world.manifest.staged, world.endpoints, flow.packet)
    return f"s{digest_of(world.manifest.staged)}_{refused}" if refused else ""
