# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A person's YAML: the document that it says, and in which line each of its fields stands.

YAML is read down to plain maps, lists, text, numbers, true, false and nothing. Anchors are resolved, in bounds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .._common.errors import InvalidInput
from .structure import place

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 1024 * 1024  # of the file: comments and indents count here
_MAX_NODES = 100_000  # with what anchors stand for in the places where they are used
_MAX_DEPTH = 32
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")}


@dataclass(frozen=True)
class Source:
    """``file``: what it is called in errors; ``lines``: by the fields' dotted names, counted from 1."""

    document: Any
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)

    def place(self, where: str) -> str:
        """A field's dotted name with file and line: of itself, or of the nearest that it would be in."""
        name = where
        while name:
            if name in self.lines:
                return f"{self.file} line {self.lines[name]}: {where}"
            name = name.rpartition(".")[0]
        return self.file if self.file and where == "manifest" else where

    def within(self, section: str) -> Source:
        """The same lines, where the document is a section of another."""
        return replace(self, lines={f"{section}.{name}": line for name, line in self.lines.items()})

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Errors about the document name file and line, too."""
        try:
            yield
        except InvalidInput as error:
            if self.place(error.where) == error.where:
                raise
            raise InvalidInput(error.what, where=self.place(error.where), remedy=error.remedy) from error


def load(text: str | bytes, *, where: str) -> Source:
    """Read YAML. ``where``: what it is called in errors.

    Raises InvalidInput, with the line, for what is no YAML, for what JSON couldn't say, for a key that is there twice.
    """
    import yaml

    if len(text) > MAX_BYTES:
        raise InvalidInput(f"is {len(text)} bytes long, at most {MAX_BYTES} are read", where=where)

    class Loader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise InvalidInput("is nested too deeply", where=f"{where} line {self.line + 1}")
            node: yaml.Node | None = super().compose_node(parent, index)
            self.depth -= 1
            return node

    try:
        loader = Loader(text)
        try:
            reading = _Reading(loader, where)
            node = loader.get_single_node()
            document = None if node is None else reading.value(node, "", 0)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _no_yaml(error, where) from error
    return Source(document, where, reading.lines)


class _Reading:
    """From the nodes of a document to values, noting lines."""

    def __init__(self, loader: yaml.SafeLoader, where: str) -> None:
        self._loader = loader
        self._where = where
        self._nodes = 0
        self.lines: dict[str, int] = {}

    def value(self, node: yaml.Node, at: str, depth: int) -> Any:
        """What a node says. ``at``: its dotted place."""
        import yaml

        line = node.start_mark.line + 1
        if at:
            self.lines.setdefault(at, line)
        self._nodes += 1
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise self._wrong(line, "is too large, with what its anchors stand for")
        if node.tag not in _PLAIN:
            kind = node.tag.rpartition(":")[2]
            if kind == "timestamp":
                raise self._wrong(line, f"has the date {ascii(node.value)[1:-1][:30]}", "Put it in quotes")
            raise self._wrong(line, f"has the tag {ascii(kind)[1:-1][:40]}, which a manifest can't have", "Remove it")
        if isinstance(node, yaml.MappingNode):
            return self._map(node, at, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, f"{at}.{index}", depth + 1) for index, each in enumerate(node.value)]
        try:
            return self._loader.construct_object(node)
        except ValueError as error:  # 0x and the like
            raise self._wrong(line, f"has {ascii(node.value)[:40]}, which is no number", "Put it in quotes") from error

    def _map(self, node: yaml.Node, at: str, depth: int) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise self._wrong(
                    line, "merges another map (<<)", "Write its fields out, or use an anchor for a whole value"
                )
            if key_node.tag != "tag:yaml.org,2002:str":
                written = f" ({key_node.value[:20]})" if isinstance(key_node.value, str) else ""
                raise self._wrong(line, f"has a key that is not text{ascii(written)[1:-1]}", "Put it in quotes")
            key = key_node.value
            if key in pairs:
                raise self._wrong(line, f"has the key {ascii(key)[:60]} twice")
            where = f"{at}.{place(key)}" if at else place(key)
            self.lines[where] = line
            pairs[key] = self.value(value_node, where, depth + 1)
        return pairs

    def _wrong(self, line: int, what: str, remedy: str = "") -> InvalidInput:
        return InvalidInput(what, where=f"{self._where} line {line}", remedy=remedy)


def _no_yaml(error: yaml.YAMLError, where: str) -> InvalidInput:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable")
    remedy = ""
    if "\\t" in problem:
        problem, remedy = "a tab", "YAML is indented with spaces"
    elif "expected alphabetic or numeric character" in problem:
        remedy = "Text that begins with * or & goes in quotes"
    elif "expected ',' or" in problem:
        remedy = "What stands in braces or brackets is separated by commas"
    elif "found undefined alias" in problem:
        remedy = "Define it (&name) before it is used; text that begins with * goes in quotes"
    elif "mapping values are not allowed" in problem:
        remedy = "Text with a colon and a space goes in quotes; fields of one map are indented alike"
    elif "expected a single document" in str(error):
        problem, remedy = "more than one document", "Remove what follows ---"
    elif "expected <block end>" in problem or "did not find expected" in problem:
        remedy = "Fields of one map are indented alike, and so are the items of one list"
    line = f" line {mark.line + 1}" if mark is not None else ""
    return InvalidInput(f"is not YAML: {ascii(problem)[1:-1][:200]}", where=where + line, remedy=remedy)
