# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The staged part of a manifest: what it would refuse of what the enforced part permits is counted, and passes. Pure.

It is compiled like the enforced part, under names of its own, and every path through it returns. A flow goes through
it once under an epoch: what follows bears the epoch's mark and is sent past it. The epoch covers both parts, so that a
new staged part sees the flows that are there already; whoever is permitted doesn't notice.

The names of its counters hold a digest of the part, so that another one begins at zero, while a change of the
enforced part, or of the endpoints, counts on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .._common.errors import InvalidInput
from .._manifest.model import Manifest
from .decisions import Words, decisions
from .endpoints import Endpoints
from .ruleset import Chain, Ruleset, Set

_PREFIX = "s_"
_CHAIN = "staged"
_ENFORCED, _BEHIND = "goto permit", f"goto {_CHAIN}"
_COUNTER = re.compile(r"s([0-9a-f]{8})_(e|i)_(.+)|s([0-9a-f]{8})_strangers", re.ASCII)


@dataclass(frozen=True)
class WouldRefuse:
    """Flows that the staged part would have refused. ``who``: a member, or one of its leases (``db/2``).

    ``side``: egress or ingress; route, with nobody, if one end is outside and no staged route leads there.
    """

    who: str
    side: str
    flows: int


def digest_of(staged: Manifest) -> str:
    """Eight hexadecimal digits that tell one staged part from another, the same in every process."""
    routes = [(route.range, route.via, sorted(route.covers)) for route in staged.routes]
    meaning = (sorted(staged.groups.items()), sorted(staged.policies.items(), key=lambda item: item[0]), routes)
    return hashlib.sha256(repr(meaning).encode()).hexdigest()[:8]


def add_staged(
    staged: Manifest | None,
    endpoints: Endpoints,
    sets: dict[str, Set],
    chains: dict[str, Chain],
    counters: set[str],
) -> None:
    """Put the staged part behind the enforced one, whose sets, chains and counters these are.

    One that is too large for these endpoints is left out: a trial must not keep what is enforced from being loaded.
    """
    if staged is None:
        return
    try:
        words = Words(_PREFIX, f"s{digest_of(staged)}_", permit="return", refuse="return")
        made_sets, made_chains, made_counters = decisions(staged, endpoints, words)
    except InvalidInput:
        return
    for name, chain in chains.items():
        rules = tuple(
            _BEHIND.join(rule.rsplit(_ENFORCED, 1)) if rule.endswith(_ENFORCED) else rule for rule in chain.rules
        )
        chains[name] = Chain(rules, chain.hook)
    # Without an answer a flow stays new, and each of its packets comes this way; its mark says that it was counted.
    chains[_CHAIN] = Chain(("ct mark @current goto permit", f"jump {_PREFIX}decide", _ENFORCED))
    sets.update(made_sets)
    chains.update(made_chains)
    counters.update(made_counters)


def digest_in(ruleset: Ruleset) -> str | None:
    """The digest of the staged part that a table counts for; None: it has none."""
    for name in ruleset.counters:
        if found := _COUNTER.fullmatch(name):
            return found[1] or found[4]
    return None


def would_refuse(counters: Mapping[str, int], digest: str | None = None) -> tuple[WouldRefuse, ...]:
    """What was counted, from a table's counters by name; what is zero is left out, the most comes first.
    ``digest``: of which part; None: of whichever there is."""
    own = {name: flows for name, flows in counters.items() if digest is None or name.startswith(f"s{digest}_")}
    return tuple(sorted(_counted(own), key=lambda each: (-each.flows, each.who, each.side)))


def lines(kept: Mapping[str, Any]) -> Iterator[str]:
    """What is kept of it (``_overlay.trial_counts``) in words, a line for each member and side."""
    for one in kept["would_refuse"]:
        whose = f"{one['who']}'s {one['side']}" if one["who"] else "a missing route"
        yield f"{whose} would have refused {one['flows']} flows"
    if not kept["would_refuse"]:
        yield "nothing would have been refused so far"


def _counted(counters: Mapping[str, int]) -> Iterable[WouldRefuse]:
    for name, flows in counters.items():
        found = _COUNTER.fullmatch(name)
        if found is None or flows == 0:
            continue
        if found[3] is None:
            yield WouldRefuse("", "route", flows)
        else:
            yield WouldRefuse(found[3].replace(".", "/"), {"e": "egress", "i": "ingress"}[found[2]], flows)
