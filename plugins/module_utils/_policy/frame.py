# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frame of a table, as something that can be exchanged while the decisions stay. Pure.

The frame is what ``entrances`` makes: the chains by which packets enter and leave, and the sets that those ask. It
alone can cut a host off. Elements of its sets are not part of it: they say who is where, come from the ledger like the
addresses that decisions are about, and are never tried or taken back.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._common import canonical
from .._manifest.model import Manifest
from .compile import compile_ruleset
from .decisions import decisions
from .endpoints import Endpoints
from .ruleset import EPOCH_SETS, Chain, Ruleset, Set

_COUNTER = re.compile(r'counter name "([^"]+)"')


@functools.cache
def names() -> tuple[frozenset[str], frozenset[str]]:
    """The chains and the sets of this version's frame: all that isn't there for decisions."""
    whole = compile_ruleset(None, Endpoints(()), (), ("tunnel",))
    sets, chains, _counters = decisions(Manifest(), Endpoints(()))
    return frozenset(whole.chains.keys() - chains.keys()), frozenset(whole.sets.keys() - sets.keys() - {*EPOCH_SETS})


@dataclass(frozen=True)
class Frame:
    """Chains and sets by name. The sets' elements are those of when it was taken out of a table: they count only
    where the table that it is put into has no set of that name."""

    chains: Mapping[str, Chain]
    sets: Mapping[str, Set]

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that tell frames apart; elements play no part."""
        document: canonical.Json = {
            "chains": {name: [chain.hook, *chain.rules] for name, chain in self.chains.items()},
            "sets": {name: [each.kind, each.declaration] for name, each in self.sets.items()},
        }
        return hashlib.sha256(canonical.dumps(document)).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which ``from_json`` makes an equal frame."""
        return {
            "chains": {name: [chain.hook, *chain.rules] for name, chain in self.chains.items()},
            "sets": {name: [each.kind, each.declaration, dict(each.elements)] for name, each in self.sets.items()},
        }

    @classmethod
    def from_json(cls, document: Any) -> Frame:
        """Raises KeyError, TypeError, ValueError or AttributeError for anything that ``to_json`` didn't make."""
        return cls(
            chains={name: Chain(tuple(rules), hook) for name, (hook, *rules) in document["chains"].items()},
            sets={name: Set(kind, text, dict(elements)) for name, (kind, text, elements) in document["sets"].items()},
        )


def frame_of(ruleset: Ruleset, known: Frame | None = None) -> Frame:
    """The frame that a table has. ``known``: one of the same names, if this version's aren't the table's."""
    chains, sets = names() if known is None else (known.chains.keys(), known.sets.keys())
    return Frame(
        {name: chain for name, chain in ruleset.chains.items() if name in chains},
        {name: each for name, each in ruleset.sets.items() if name in sets},
    )


def framed(ruleset: Ruleset, before: Frame, after: Frame) -> Ruleset:
    """The table with another frame, and the same decisions. ``before``: the frame it has."""
    if before.digest == after.digest:
        return ruleset
    chains = {name: chain for name, chain in ruleset.chains.items() if name not in before.chains} | dict(after.chains)
    sets = {name: each for name, each in ruleset.sets.items() if name not in before.sets}
    for name, each in after.sets.items():
        there = ruleset.sets.get(name)
        same = there is not None and (there.kind, there.declaration) == (each.kind, each.declaration)
        sets[name] = there if same and there is not None else each
    rules = (rule for chain in chains.values() for rule in chain.rules)
    counters = {found for rule in rules for found in _COUNTER.findall(rule)}
    return replace(ruleset, chains=chains, sets=sets, counters=frozenset(counters))
