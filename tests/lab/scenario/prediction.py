# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the policy says of each path: the collection's own evaluator, fed with the tenant's manifest."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate

from .matrix import Place


class Prediction:
    """The policy of one network over the endpoints that are there."""

    def __init__(self, manifest: Mapping[str, Any], places: Iterable[Place]) -> None:
        self._manifest = parse(dict(manifest))
        self._endpoints = Endpoints(
            Endpoint(
                EndpointId.parse(place.label, "endpoint"),
                ipaddress.IPv4Address(place.ipv4),
                ipaddress.IPv6Address(place.ipv6),
            )
            for place in places
        )

    def permits(self, source: Place, target: Place, kind: str, family: int) -> bool:
        """Whether a connection to a TCP port, or a ping, passes."""
        protocol, port = ("icmp" if family == 4 else "icmpv6", None) if kind == "ping" else ("tcp", int(kind))
        packet = Packet(
            ipaddress.ip_address(source.address(family)), ipaddress.ip_address(target.address(family)), protocol, port
        )
        return evaluate(self._manifest, self._endpoints, packet).permitted
