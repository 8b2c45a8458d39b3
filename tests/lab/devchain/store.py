# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A key-value store that remembers every height.

Each cell keeps its versions as (height, value) pairs, so a query at a height is a
binary search and a block costs only what it changed. Writing goes through caches
that nest (block, transaction) and are merged or thrown away as a whole, which is
what makes a transaction atomic.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Any, Protocol

Key = tuple[str | int, ...]
Row = tuple[Key, Any]
Change = tuple[str, Key, Any]

_SNAPSHOTS = 4
_DELETED = None


class Reader(Protocol):
    """What queries and message handlers read from."""

    @property
    def height(self) -> int:
        """Height of the state that is read."""

    def get(self, table: str, key: Key) -> Any:
        """The value of a cell, or None."""

    def items(self, table: str) -> Iterator[tuple[Key, Any]]:
        """All cells of a table, in the order of their keys."""

    def prefixed(self, table: str, prefix: Key) -> Iterator[tuple[Key, Any]]:
        """The cells whose keys begin with ``prefix``, in order."""


class _Table:
    """One table: versions per key, keys in order, the heights at which it changed."""

    def __init__(self) -> None:
        self.cells: dict[Key, list[tuple[int, Any]]] = {}
        self.keys: list[Key] = []
        self.changed: list[int] = [0]
        self.snapshots: dict[int, list[tuple[Key, Any]]] = {}

    def put(self, key: Key, value: Any, height: int) -> None:
        versions = self.cells.get(key)
        if versions is None:
            versions = self.cells[key] = []
            insort(self.keys, key)
        if versions and versions[-1][0] == height:
            versions[-1] = (height, value)
        else:
            versions.append((height, value))
        if self.changed[-1] != height:
            self.changed.append(height)
        self.snapshots.pop(height, None)

    def get(self, key: Key, height: int) -> Any:
        versions = self.cells.get(key)
        if not versions:
            return _DELETED
        if versions[-1][0] <= height:
            return versions[-1][1]
        index = bisect_right(versions, height, key=lambda version: version[0])
        return versions[index - 1][1] if index else _DELETED

    def rows(self, height: int) -> list[tuple[Key, Any]]:
        effective = self.changed[max(bisect_right(self.changed, height) - 1, 0)]
        found = self.snapshots.get(effective)
        if found is None:
            found = []
            for key in self.keys:
                value = self.get(key, height)
                if value is not _DELETED:
                    found.append((key, value))
            while len(self.snapshots) >= _SNAPSHOTS:
                del self.snapshots[next(iter(self.snapshots))]
            self.snapshots[effective] = found
        return found

    def prefixed(self, prefix: Key, height: int) -> Iterator[tuple[Key, Any]]:
        size = len(prefix)
        for index in range(bisect_left(self.keys, prefix), len(self.keys)):
            key = self.keys[index]
            if key[:size] != prefix:
                return
            value = self.get(key, height)
            if value is not _DELETED:
                yield key, value

    def prune(self, floor: int) -> None:
        gone = []
        for key, versions in self.cells.items():
            index = bisect_right(versions, floor, key=lambda version: version[0])
            if index > 1:
                del versions[: index - 1]
            if len(versions) == 1 and versions[0][1] is _DELETED and versions[0][0] <= floor:
                gone.append(key)
        for key in gone:
            del self.cells[key]
        if gone:
            dead = set(gone)
            self.keys = [key for key in self.keys if key not in dead]
        index = bisect_right(self.changed, floor)
        if index > 1:
            del self.changed[: index - 1]


class Store:
    """All tables, with their history."""

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}

    def table(self, name: str) -> _Table:
        """The table of that name, made when first used."""
        found = self._tables.get(name)
        if found is None:
            found = self._tables[name] = _Table()
        return found

    def apply(self, changes: list[Change], height: int) -> None:
        """Write the changes of a block."""
        for table, key, value in changes:
            self.table(table).put(key, value, height)

    def prune(self, floor: int) -> None:
        """Forget what only heights below ``floor`` need."""
        for table in self._tables.values():
            table.prune(floor)

    def dump(self) -> list[tuple[str, Key, int, Any]]:
        """Every version of every cell, for tests that compare whole states."""
        return [
            (name, key, height, value)
            for name, table in sorted(self._tables.items())
            for key in table.keys
            for height, value in table.cells[key]
        ]


class View:
    """The state at one height; read only."""

    def __init__(self, store: Store, height: int) -> None:
        self._store = store
        self._height = height

    @property
    def height(self) -> int:
        """Height of the state that is read."""
        return self._height

    def get(self, table: str, key: Key) -> Any:
        """The value of a cell, or None."""
        return self._store.table(table).get(key, self._height)

    def items(self, table: str) -> Iterator[tuple[Key, Any]]:
        """All cells of a table, in the order of their keys."""
        return iter(self._store.table(table).rows(self._height))

    def prefixed(self, table: str, prefix: Key) -> Iterator[tuple[Key, Any]]:
        """The cells whose keys begin with ``prefix``, in order."""
        return self._store.table(table).prefixed(prefix, self._height)


class Cache:
    """Changes over a reader, kept until they are merged or dropped."""

    def __init__(self, parent: Reader, height: int | None = None) -> None:
        self._parent = parent
        self._height = parent.height if height is None else height
        self._written: dict[str, dict[Key, Any]] = {}
        self._keys: dict[str, list[Key]] = {}

    @property
    def height(self) -> int:
        """Height of the block being built."""
        return self._height

    def get(self, table: str, key: Key) -> Any:
        """The value of a cell, or None."""
        written = self._written.get(table)
        if written is not None and key in written:
            return written[key]
        return self._parent.get(table, key)

    def set(self, table: str, key: Key, value: Any) -> None:
        """Write a cell."""
        written = self._written.setdefault(table, {})
        if key not in written:
            insort(self._keys.setdefault(table, []), key)
        written[key] = value

    def delete(self, table: str, key: Key) -> None:
        """Remove a cell."""
        self.set(table, key, _DELETED)

    def items(self, table: str) -> Iterator[tuple[Key, Any]]:
        """All cells of a table, in the order of their keys."""
        written = self._written.get(table)
        if not written:
            yield from self._parent.items(table)
            return
        merged = dict(self._parent.items(table))
        merged.update(written)
        for key in sorted(merged):
            if merged[key] is not _DELETED:
                yield key, merged[key]

    def prefixed(self, table: str, prefix: Key) -> Iterator[tuple[Key, Any]]:
        """The cells whose keys begin with ``prefix``, in order."""
        size = len(prefix)
        merged = dict(self._parent.prefixed(table, prefix))
        keys, written = self._keys.get(table, []), self._written.get(table, {})
        for index in range(bisect_left(keys, prefix), len(keys)):
            if keys[index][:size] != prefix:
                break
            merged[keys[index]] = written[keys[index]]
        for key in sorted(merged):
            if merged[key] is not _DELETED:
                yield key, merged[key]

    def branch(self) -> Cache:
        """A cache on top of this one."""
        return Cache(self)

    def merge(self, other: Cache) -> None:
        """Take over the changes of a branch."""
        for table, written in other._written.items():
            for key, value in written.items():
                self.set(table, key, value)

    def changes(self) -> list[Change]:
        """What was written, in a stable order."""
        return [
            (table, key, written[key]) for table, written in sorted(self._written.items()) for key in self._keys[table]
        ]
