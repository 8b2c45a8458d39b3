# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks a document by a JSON Schema, in words for people.

It knows exactly the keywords that ``grammar`` uses, and refuses a schema with any other, so that nothing a schema says
goes unheeded. A schema becomes functions once; the path to what is wrong is put together only when something is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .._common import fields
from .._common.errors import InvalidInput
from .meant import meant

Check = Callable[[Any], None]
Explain = Callable[[Any], tuple[str, str]]  # what doesn't fit -> what is wrong with it, and the remedy; or nothing

_KINDS: Mapping[str, type] = {"object": dict, "array": list, "string": str}
_WANTED = {"object": "must be a map", "array": "must be a list", "string": "must be text"}
_EMPTY = {"object": "Write {} for an empty one, or remove it", "array": "Write [] for an empty one, or remove it"}
_SAID_ELSEWHERE = {"$schema", "$defs", "title", "description", "examples", "patternErrorMessage", "errorMessage"}
_CHECKED = {
    *("$ref", "type", "anyOf", "not", "enum", "pattern", "properties", "required", "additionalProperties"),
    *("propertyNames", "maxProperties", "items", "minItems", "maxItems", "uniqueItems"),
}


class _Wrong(Exception):
    """Something doesn't fit. ``path``: to it, innermost key first."""

    def __init__(self, what: str, remedy: str = "", at: Any = None) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.path: list[Any] = [] if at is None else [at]


class Structure:
    """A schema, ready to check documents. ``explain``: by name in ``$defs``, says more about what doesn't fit."""

    def __init__(self, schema: Mapping[str, Any], explain: Mapping[str, Explain]) -> None:
        self._schema = schema
        self._explain = explain
        self._named: dict[str, Check] = {}
        self._check = self._made(schema, "")

    def check(self, document: Any) -> None:
        """Raises InvalidInput naming the first field that doesn't fit."""
        try:
            self._check(document)
        except _Wrong as wrong:
            where = ".".join(map(place, reversed(wrong.path))) or "manifest"
            raise InvalidInput(wrong.what, where=where, remedy=wrong.remedy) from None

    def _made(self, schema: Mapping[str, Any], name: str) -> Check:
        unknown = schema.keys() - _CHECKED - _SAID_ELSEWHERE
        if unknown:
            raise ValueError(f"the schema says {sorted(unknown)}, which nothing checks")
        if "$ref" in schema:
            return self._reference(_name_of(schema))
        if "anyOf" in schema:
            return self._by_kind(schema, name)
        if schema["type"] == "object":
            return self._map(schema)
        return self._list(schema) if schema["type"] == "array" else self._text(schema, name)

    def _reference(self, name: str) -> Check:
        if name not in self._named:
            self._named[name] = self._made(self._schema["$defs"][name], name)
        return self._named[name]

    def _by_kind(self, schema: Mapping[str, Any], named: str) -> Check:
        """Alternatives that differ in their type, so that a mistake is told of the one that was meant."""
        branches: dict[type, Check] = {}
        explains: list[Explain] = []
        for option, name in self._options(schema["anyOf"], named):
            kind = _KINDS[option["type"]]
            if kind in branches:
                raise ValueError(f"the schema has two alternatives of type {option['type']}")
            branches[kind] = self._made(option, name)
            if name in self._explain:
                explains.append(self._explain[name])

        def check(value: Any) -> None:
            for kind, branch in branches.items():
                if isinstance(value, kind):
                    return branch(value)
            remedy = next((explain(value)[1] for explain in explains), "")
            raise _Wrong(f"{schema['errorMessage']}, not {shown(value)}", remedy)

        return check

    def _options(self, options: Iterable[Mapping[str, Any]], name: str) -> Iterable[tuple[Mapping[str, Any], str]]:
        for option in options:
            if "$ref" in option:
                named = _name_of(option)
                yield from self._options([self._schema["$defs"][named]], named)
            elif "anyOf" in option:
                yield from self._options(option["anyOf"], name)
            else:
                yield option, name

    def _map(self, schema: Mapping[str, Any]) -> Check:
        checks = {key: self._made(each, "") for key, each in schema.get("properties", {}).items()}
        required = tuple(schema.get("required", ()))
        most = schema.get("maxProperties")
        more = schema["additionalProperties"]
        names = self._made(schema["propertyNames"], "") if "propertyNames" in schema else None
        others = self._made(more, "") if more is not False else None

        def check(value: Any) -> None:
            if not isinstance(value, dict):
                raise _mistyped("object", value)
            if most is not None and len(value) > most:
                raise _Wrong(f"has {len(value)} entries, at most {most} are allowed")
            for key in value:
                if others is None and key not in checks:
                    remedy = meant(key[:40], checks) if isinstance(key, str) else ""
                    raise _Wrong("is not a known field", remedy or f"Known: {', '.join(checks)}", key)
            for key in required:
                if key not in value:
                    raise _Wrong("is missing", at=key)
            for key, item in value.items():
                try:
                    if names is not None:
                        names(key)
                    (checks.get(key) or others)(item)  # type: ignore[misc]
                except _Wrong as wrong:
                    wrong.path.append(key)
                    raise

        return check

    def _list(self, schema: Mapping[str, Any]) -> Check:
        each = self._made(schema["items"], "")
        most, least, unique = schema["maxItems"], schema.get("minItems", 0), schema.get("uniqueItems", False)

        def check(value: Any) -> None:
            if not isinstance(value, list):
                raise _mistyped("array", value)
            if len(value) > most:
                raise _Wrong(f"has {len(value)} items, at most {most} are allowed")
            if len(value) < least:
                raise _Wrong("is empty", "Name at least one")
            seen: set[str] = set()
            for index, item in enumerate(value):
                try:
                    each(item)
                    if unique and item in seen:
                        raise _Wrong(f"'{item}' is there twice", "Remove it")
                except _Wrong as wrong:
                    wrong.path.append(index)
                    raise
                if unique:
                    seen.add(item)

        return check

    def _text(self, schema: Mapping[str, Any], name: str) -> Check:
        explain = self._explain.get(name, _nothing)
        if "enum" in schema:
            return _one_of(tuple(schema["enum"]))
        # Anchored at both ends, as grammar writes them; Python's $ would let a last newline pass.
        matches = re.compile(schema["pattern"].removeprefix("^").removesuffix("$"), re.ASCII).fullmatch
        refused = schema.get("not", {})
        error = schema["patternErrorMessage"]

        def check(value: Any) -> None:
            if isinstance(value, str):
                if matches(value) and value != refused.get("const"):
                    return
                if value == refused.get("const"):
                    raise _Wrong(f"'{value}' is {refused['description']}")
            what, remedy = explain(value)
            raise _Wrong(what or f"{error}, not {shown(value)}", remedy)

        return check


def _nothing(_value: Any) -> tuple[str, str]:
    return "", ""


def _one_of(words: tuple[str, ...]) -> Check:
    known = ", ".join(words[:-1]) + f" or {words[-1]}"

    def check(value: Any) -> None:
        if not isinstance(value, str) or value not in words:
            remedy = meant(value[:40], words) if isinstance(value, str) else ""
            raise _Wrong(f"must be {known}, not {shown(value)}", remedy)

    return check


def _mistyped(wanted: str, value: Any) -> _Wrong:
    remedy = ""
    if value is None:
        remedy = _EMPTY[wanted]
    elif wanted == "array" and isinstance(value, dict):
        remedy = "Begin each item with '- '"
    elif wanted == "array" and isinstance(value, str):
        remedy = f"Write [{fields.printable(value)}]"
    elif wanted == "object" and isinstance(value, list):
        remedy = "Write its parts as 'name: …', without '- ' before them"
    return _Wrong(f"{_WANTED[wanted]}, not {shown(value)}", remedy)


def _name_of(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).removeprefix("#/$defs/")


def place(key: Any) -> str:
    """A key or an index as it stands in a field's dotted name."""
    return str(key) if isinstance(key, int) and not isinstance(key, bool) else fields.printable(key)


def shown(value: Any) -> str:
    """A value in an error: what it is, and itself where that is short."""
    if isinstance(value, str):
        return f"'{fields.printable(value)}'"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {str(value)[:20]}" if abs(value) < 1e18 else "a number"
    return {dict: "a map", list: "a list", type(None): "null"}.get(type(value), "something else")
