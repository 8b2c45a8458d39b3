# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network's firewall on this host, from what planning knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from .._manifest.model import Manifest
from .._policy.carried import Routing
from .._policy.compile import compile_ruleset
from .._policy.denial_log import DenialLog
from .._policy.endpoints import Endpoint, Endpoints
from .._policy.entrances import Local, Neighbours
from .._policy.ruleset import Ruleset
from .model import Attachment, LiveSlot
from .names import AnyNetwork, tunnel, veth


class Compiler(Protocol):
    """Makes the ruleset: ``manifest`` None lets nothing pass; ``live`` on all hosts, ``attachments`` on this one;
    ``neighbours``: the hosts' own addresses; ``ranges``: the network's own; ``log``: how denied packets are logged,
    None: they aren't."""

    def __call__(
        self,
        manifest: Manifest | None,
        live: Iterable[LiveSlot],
        attachments: Iterable[Attachment],
        short: str,
        neighbours: Neighbours,
        *,
        ranges: Iterable[AnyNetwork] = (),
        routing: Routing | None = None,
        log: DenialLog | None = None,
    ) -> Ruleset: ...


def compile_rules(
    manifest: Manifest | None,
    live: Iterable[LiveSlot],
    attachments: Iterable[Attachment],
    short: str,
    neighbours: Neighbours,
    *,
    ranges: Iterable[AnyNetwork] = (),
    routing: Routing | None = None,
    log: DenialLog | None = None,
) -> Ruleset:
    """The compiled table. ``ranges``: the network's own.

    Raises InvalidInput if the manifest is too large for these endpoints.
    """
    return compile_ruleset(
        manifest,
        endpoints_of(live, ranges),
        [Local(veth(item.ipv4), item.ipv4, item.ipv6, item.carries) for item in attachments],
        (tunnel(short),),
        neighbours=neighbours,
        routing=routing,
        log=log,
    )


def endpoints_of(live: Iterable[LiveSlot], ranges: Iterable[AnyNetwork]) -> Endpoints:
    """The endpoints that the policy is about. ``ranges``: the network's own."""
    return Endpoints((Endpoint(slot.endpoint, slot.ipv4, slot.ipv6, str(slot.lease)) for slot in live), ranges)
