# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A manifest's content as one byte string: canonical JSON, its size limit and its SHA-256."""

from __future__ import annotations

from typing import Any

from .._common import canonical
from .._common.errors import InvalidInput
from .model import Manifest
from .schema import parse

MAX_BYTES = 192 * 1024  # leaves room for the envelope within its 256 KiB


def sha256(document: Any) -> str:
    """The SHA-256 of the document's canonical JSON, 64 hexadecimal digits: what the chain's floor names."""
    return canonical.digest(document)


def check(document: Any) -> Manifest:
    """Parse the content of a manifest, its size included. Raises InvalidInput naming the field."""
    manifest = parse(document)
    size = len(canonical.dumps(document))
    if size > MAX_BYTES:
        raise InvalidInput(f"is {size} bytes long in canonical JSON, at most {MAX_BYTES} are allowed", where="manifest")
    return manifest


def load_yaml(text: str | bytes, *, where: str) -> Any:
    """Read the YAML of a person: plain types only, and a key that is there twice is an error."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: Loader, node: yaml.MappingNode) -> dict[Any, Any]:
        pairs: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise InvalidInput(
                    "has a key that is not text", where=f"{where} line {line}", remedy="Put it in quotes"
                )
            if key in pairs:
                raise InvalidInput(f"has the key {ascii(key)[:60]} twice", where=f"{where} line {line}")
            pairs[key] = loader.construct_object(value_node, deep=True)
        return pairs

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark is not None else ""
        raise InvalidInput(f"is not YAML: {getattr(error, 'problem', 'unreadable')}", where=where + line) from error
