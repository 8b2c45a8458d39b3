# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One schema says what a manifest looks like: to our own checks, to jsonschema, to editors and to readers."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_schema import GOOD

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._manifest import grammar
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._manifest.structure import Structure

DOCS = pathlib.Path(__file__).resolve().parents[3] / "docs"

# What a JSON Schema can't say, and parse() therefore says beside it.
UNSAID = (
    "different combinations of groups",
    "is the name of a group as well",
    "is the range of routes",
    "ends before it starts",
    "is not in its usual form",
    "is an address within a range",
    "must be a range like",  # 300.0.0.0/8, 10.0.0.0/99
    "IPv4-mapped",
    "lies outside of",
    "is the whole range",
    "so that nothing is left",
    "is there twice",  # in one list of exceptions
    "range, as ",  # an exception of the other IP version
    "is the default route",
    "and so a default route",
    "never routed",
)


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    """As ECMA 262 has it, where $ is the end of the text; Python's lets a last newline pass."""
    if isinstance(instance, str) and not re.search(pattern.removesuffix("$") + r"\Z", instance, re.ASCII):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


VALIDATOR = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern})(grammar.SCHEMA)

FULL: dict[str, Any] = {
    **GOOD,
    "routes": [{"range": "192.0.2.0/24", "via": "gateway", "covers": ["hosts"]}],
    "members": {
        **GOOD["members"],
        "api": {
            "ingress": {
                "allow": [
                    {"peers": {"range": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, "ports": "icmp/echo-request"},
                    {
                        "peers": ["web", {"range": "2001:db8::/32", "except": "2001:db8:1::/48"}],
                        "ports": ["icmpv6/128"],
                    },
                ]
            }
        },
    },
}
FULL["staged"] = copy.deepcopy(FULL)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


ALPHABET = "abdgr/-.:0189 \nA_٣"
JUNK = st.one_of(
    st.sampled_from(
        ["any", "web", "db/2", "db/0", "db/65536", "any/1", "tcp/80", "tcp/080", "tcp/65536", "tcp/9-1", "udp/1-65535",
         "icmp", "icmp/0", "icmp/8", "icmpv6/128", "icmpv6/8", "10.0.0.0/8", "10.0.0.1/8", "300.0.0.0/8", "10.0.0.0/99",
         "::/0", "0.0.0.0/0", "::ffff:0:0/96", "2001:db8::/32", "fe80::/10", "allow", "deny", "default", "members", "",
         "web\n", "x" * 32, "x" * 33, "a-", "-a", "::1.2.3.4/128", "1.2.3/8", "10.1.0.0/16", "10.0.0.0/7"]
    ),
    st.text(ALPHABET, max_size=8), st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False),
    st.just([]), st.just({}), st.lists(st.sampled_from(["web", "any", "tcp/80", 5]), max_size=3),
    st.dictionaries(st.sampled_from(["range", "except", "web", "ingress", "x y"]), st.sampled_from([{}, [], "any"])),
)  # fmt: skip


@st.composite
def documents(draw: Any) -> Any:
    """A good document with a few places changed, taken out, doubled, or given another name."""
    document = copy.deepcopy(FULL)
    for _unused in range(draw(st.integers(0, 3))):
        found = [path for path in places(document) if path]
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        parent = document
        for step in way:
            parent = parent[step]
        act = draw(st.sampled_from(("replace", "replace", "remove", "add", "rename")))
        if act == "replace":
            parent[last] = draw(JUNK)
        elif act == "remove":
            del parent[last]
        elif isinstance(parent, list):
            parent.append(draw(JUNK) if act == "add" else copy.deepcopy(parent[last]))
        else:
            name = draw(st.sampled_from(["web", "any", "db/3", "db/03", "exept", "covers", "X", "groups", "w\n"]))
            parent[name] = draw(JUNK) if act == "add" else parent.pop(last)
    return document


@settings(max_examples=1000, deadline=None)
@given(documents())
def test_jsonschema_and_parse_accept_and_refuse_the_same(document: Any) -> None:
    refused = None
    try:
        parse(document)
    except InvalidInput as error:
        refused = error
    if not VALIDATOR.is_valid(document):
        assert refused is not None
    elif refused is not None:
        assert any(words in refused.what for words in UNSAID), refused


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(grammar.SCHEMA)
    VALIDATOR.validate(FULL)
    parse(FULL)


def test_what_nothing_checks_may_not_stand_in_a_schema() -> None:
    for schema in ({"type": "string", "format": "ipv4"}, {"type": "object", "minProperties": 1}):
        with pytest.raises(ValueError, match="nothing checks"):
            Structure({**schema, "pattern": "^a$", "additionalProperties": False}, {})


def test_editors_get_the_same_schema() -> None:
    written = json.dumps(grammar.SCHEMA, indent=2, ensure_ascii=False) + "\n"
    file = DOCS / "manifest.schema.json"
    if os.environ.get("AVPN_WRITE_SCHEMA"):
        file.write_text(written, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == written, "write it anew: AVPN_WRITE_SCHEMA=1 pytest -k same_schema"


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every field with what it is for; * stands for names and numbers, and what is staged is not repeated."""
    description = schema.get("description", "")
    if path and description and not path.endswith("*"):
        yield path, description
    if path == "staged":
        return
    while "$ref" in schema:
        schema = grammar.SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    for option in schema.get("anyOf", ()):
        yield from fields({**option, "description": ""}, path)
    for name, each in schema.get("properties", {}).items():
        yield from fields(each, f"{path}.{name}" if path else name)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from fields(schema["additionalProperties"], f"{path}.*")
    if "items" in schema:
        yield from fields(schema["items"], f"{path}.*")


def test_the_guides_table_of_fields_is_the_schemas() -> None:
    text = (DOCS / "manifest.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z.*]+)` \| (.+) \|$", text.partition("| field | is |")[2].partition("\n\n")[0], re.M)
    wanted: dict[str, str] = {}
    for path, description in fields(grammar.SCHEMA):
        # ingress and egress have the same below them, and so has deny what allow has.
        short = path.replace("members.*.ingress.deny.*", "rule").replace("members.*.ingress.", "side.")
        if not re.match(r"members\.\*\.egress\.|side\.allow\.\*|rule\.peers\.\*", short):
            wanted[re.sub(r"^(?:side|rule)\.", "", short)] = description
    assert dict(rows) == wanted, "\n".join(f"| `{path}` | {text} |" for path, text in wanted.items())
