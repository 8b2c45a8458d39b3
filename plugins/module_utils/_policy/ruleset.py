# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An nftables table as a value, the script that loads it, and the script that turns one into another.

Names, rules and elements are nft's own words and are trusted here: ``compile`` makes them from parsed values only.
Every script is one transaction of ``nft -f``: it takes effect as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

FAMILY_TABLE = "inet avpn"
EPOCH_SETS = ("current", "epoch")
Count = tuple[int, int]  # packets, bytes
MOST_ENDPOINTS = 16_384  # of one network
_LINE = 2000  # elements per command: long lines cost nft memory, not correctness


@dataclass(frozen=True)
class Chain:
    """A chain: its rules in order, and ``hook`` (type, hook, priority, policy) if packets enter by it."""

    rules: tuple[str, ...]
    hook: str = ""


@dataclass(frozen=True)
class Set:
    """A set, or a map (``kind``). ``elements``: key -> value; values are empty in sets.

    A set that packets fill (``dynamic``) has no elements here, and a change of the table leaves it alone.
    """

    kind: str  # "set" or "map"
    declaration: str  # "type …; flags …;"
    elements: Mapping[str, str] = field(default_factory=dict)


def room(elements: int, least: int = MOST_ENDPOINTS) -> int:
    """The size to declare for a set or map of single values, so that the kernel makes a plain hash of it, which is
    looked up faster than one that grows.

    What is declared can't change without loading the whole table, so there is room for as many as there ever should
    be; it costs at most 16 bytes each.
    """
    return max(least, 1 << (elements - 1).bit_length()) if elements > 0 else least


@dataclass(frozen=True)
class Ruleset:
    """One network's table. ``tenancy``: an endpoint's two addresses, with a space between -> a digest of
    its lease; it is not in the kernel, but decides which flows must go."""

    chains: Mapping[str, Chain]
    sets: Mapping[str, Set]
    counters: frozenset[str]
    tenancy: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)  # name -> "rate 5/second burst 5 packets ;", never changed

    @property
    def size(self) -> int:
        """Elements plus rules."""
        return sum(len(each.elements) for each in self.sets.values()) + sum(
            len(chain.rules) for chain in self.chains.values()
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which ``from_json`` makes an equal ruleset."""
        return {
            "chains": {name: [chain.hook, *chain.rules] for name, chain in self.chains.items()},
            "sets": {name: [each.kind, each.declaration, dict(each.elements)] for name, each in self.sets.items()},
            "counters": sorted(self.counters),
            "tenancy": dict(self.tenancy),
            "limits": dict(self.limits),
        }

    @classmethod
    def from_json(cls, document: Any) -> Ruleset:
        """Raises KeyError, TypeError, ValueError or AttributeError for anything that ``to_json`` didn't make."""
        return cls(
            chains={name: Chain(tuple(rules), hook) for name, (hook, *rules) in document["chains"].items()},
            sets={name: Set(kind, text, dict(elements)) for name, (kind, text, elements) in document["sets"].items()},
            counters=frozenset(document["counters"]),
            tenancy=dict(document["tenancy"]),
            limits=dict(document["limits"]),
        )


@dataclass(frozen=True)
class Scripts:
    """A change as ``nft -f`` takes it, one transaction each: ``rules`` first, then ``switch``.

    ``switch`` changes the epoch, and nothing else. The kernel makes the parts of one transaction visible one after
    another within some microseconds; a packet in between could mark its connection as seen under the new epoch
    though it met old rules. With the epoch switched when all rules stand, that can't be. Either may be empty.
    """

    rules: str
    switch: str
    whole: bool = False  # the table is loaded anew

    def __bool__(self) -> bool:
        return bool(self.rules or self.switch)


def load(ruleset: Ruleset, counted: Mapping[str, Count] | None = None) -> Scripts:
    """Replace the whole table, whatever was there: connections and their marks stay.

    ``counted``: where counters go on from; one that isn't named there begins at 0.
    Until the switch there is no epoch, and every packet is evaluated.
    """
    nothing = Ruleset({}, {}, frozenset())
    head = [f"table {FAMILY_TABLE}", f"delete table {FAMILY_TABLE}", f"table {FAMILY_TABLE}"]
    rules = [*head, *_additions(nothing, ruleset, counted or {})]
    return Scripts(_script(rules), _script(_switch(nothing, ruleset)), whole=True)


def difference(old: Ruleset, new: Ruleset) -> Scripts:
    """Only what differs. Counters, filled sets and established connections survive."""
    if _needs_load(old, new):
        return load(new)
    return Scripts(_script([*_additions(old, new), *_removals(old, new)]), _script(_switch(old, new)))


def moved(old: Ruleset, new: Ruleset) -> tuple[str, ...]:
    """Addresses that no longer belong to the lease they belonged to: their flows must go."""
    gone = (pair for pair, lease in old.tenancy.items() if new.tenancy.get(pair) != lease)
    return tuple(sorted(address for pair in gone for address in pair.split()))


def readable(ruleset: Ruleset) -> str:
    """The table as text, for diffs: one object or element a line, in a fixed order."""
    lines = []
    for name, each in sorted(ruleset.sets.items()):
        lines.append(f"{each.kind} {name} {{ {each.declaration} }}")
        lines.extend(sorted(f"{each.kind} {name}: {_pair(key, value)}" for key, value in each.elements.items()))
    lines.extend(f"limit {name} {{ {text} }}" for name, text in sorted(ruleset.limits.items()))
    for name, chain in sorted(ruleset.chains.items()):
        lines.append(f"chain {name} {{ {chain.hook} }}")
        lines.extend(f"chain {name}: {rule}" for rule in chain.rules)
    return _script(lines)


def _needs_load(old: Ruleset, new: Ruleset) -> bool:
    """Whether an object of both changed in a way that nft can't change in place."""
    hooks = any(old.chains[name].hook != new.chains[name].hook for name in old.chains.keys() & new.chains.keys())
    return hooks or any(
        (old.sets[name].kind, old.sets[name].declaration) != (new.sets[name].kind, new.sets[name].declaration)
        for name in old.sets.keys() & new.sets.keys()
    )


def _additions(old: Ruleset, new: Ruleset, counted: Mapping[str, Count] | None = None) -> Iterator[str]:
    """What refers comes after what is referred to: objects, then elements (whose verdicts name chains), then rules."""
    for name in sorted(new.counters - old.counters):
        packets, octets = (counted or {}).get(name, (0, 0))
        start = f" {{ packets {packets} bytes {octets} ; }}" if packets else ""
        yield f"add counter {FAMILY_TABLE} {name}{start}"
    for name in sorted(new.limits.keys() - old.limits.keys()):
        yield f"add limit {FAMILY_TABLE} {name} {{ {new.limits[name]} }}"
    for name, each in new.sets.items():
        if name not in old.sets:
            yield f"add {each.kind} {FAMILY_TABLE} {name} {{ {each.declaration} }}"
    for name, chain in new.chains.items():
        if name not in old.chains:
            hook = f" {{ {chain.hook} }}" if chain.hook else ""
            yield f"add chain {FAMILY_TABLE} {name}{hook}"
    for name, each in new.sets.items():
        if name not in EPOCH_SETS:
            yield from _element_changes(name, old.sets.get(name), each)
    for name, chain in new.chains.items():
        if name not in old.chains:
            yield from _rules(name, chain.rules)
        elif old.chains[name].rules != chain.rules:
            yield f"flush chain {FAMILY_TABLE} {name}"
            yield from _rules(name, chain.rules)


def _removals(old: Ruleset, new: Ruleset) -> Iterator[str]:
    """The other way round: rules, then maps and sets, then chains, then counters."""
    gone = sorted(old.chains.keys() - new.chains.keys())
    for name in gone:
        yield f"flush chain {FAMILY_TABLE} {name}"
    for name in sorted(old.sets.keys() - new.sets.keys()):
        yield f"delete {old.sets[name].kind} {FAMILY_TABLE} {name}"
    for name in gone:
        yield f"delete chain {FAMILY_TABLE} {name}"
    for name in sorted(old.counters - new.counters):
        yield f"delete counter {FAMILY_TABLE} {name}"
    for name in sorted(old.limits.keys() - new.limits.keys()):
        yield f"delete limit {FAMILY_TABLE} {name}"


def _switch(old: Ruleset, new: Ruleset) -> Iterator[str]:
    for name in EPOCH_SETS:
        if name in new.sets:
            yield from _element_changes(name, old.sets.get(name), new.sets[name])


def _element_changes(name: str, old: Set | None, new: Set) -> Iterator[str]:
    before = old.elements if old is not None else {}
    yield from _elements("delete", name, [key for key, value in before.items() if new.elements.get(key) != value])
    fresh = [_pair(key, value) for key, value in new.elements.items() if before.get(key) != value]
    yield from _elements("add", name, fresh)


def _elements(command: str, name: str, elements: list[str]) -> Iterator[str]:
    for start in range(0, len(elements), _LINE):
        yield f"{command} element {FAMILY_TABLE} {name} {{ {', '.join(elements[start : start + _LINE])} }}"


def _rules(name: str, rules: Iterable[str]) -> Iterator[str]:
    for rule in rules:
        yield f"add rule {FAMILY_TABLE} {name} {rule}"


def _pair(key: str, value: str) -> str:
    return f"{key} : {value}" if value else key


def _script(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
