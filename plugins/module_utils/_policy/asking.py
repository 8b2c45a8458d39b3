# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what a person gives to an answer: for module ``path_info`` without a host, and for filter ``paths``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .._common import canonical
from .._manifest import content
from .._manifest.model import Manifest
from .._manifest.ranges import cidr as parse_cidr
from .answers import Lines, answer, asked
from .subjects import Network


def manifest_of(document: Any) -> Manifest:
    """A manifest's content, checked as far as it can be without the network's record."""
    plain = canonical.loads(canonical.dumps(document), where="manifest", limit=4 * content.MAX_BYTES)
    return content.check(plain)


def network_in(cidr: str | None) -> Network:
    """What is known of a network without its record: its IPv4 range, if that."""
    return Network(() if cidr is None else (parse_cidr(cidr, "cidr"),))


def ask(
    document: Any,
    *,
    source: str | None = None,
    target: str | None = None,
    port: str | None = None,
    against: Any = None,
    cidr: str | None = None,
    lines: Lines = MappingProxyType({}),
) -> Mapping[str, Any]:
    """The answer of ``answers.answer`` about a document. ``against``: the one it is compared with, or None."""
    before = None if against is None else manifest_of(against)
    return answer(manifest_of(document), network_in(cidr), asked(source, target, port), before=before, lines=lines)
