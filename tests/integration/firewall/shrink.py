# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a manifest with which something goes wrong to a small one with which it still does."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Callable, Iterator
from typing import Any

from compare import Comparison, Disagreement
from frames import Flow
from walks import Step

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse

_TRIES = 400


def shrunk(comparison: Comparison, step: Step, flow: Flow) -> Disagreement | None:
    """The disagreement about this flow alone, with as little of the manifest as it takes.

    None: the flow alone, without what came before, is treated as it must be.
    """
    found = _disagreement(comparison, step, flow, step.document)
    if found is None:
        return None
    best: list[Disagreement] = [found]
    left = _TRIES

    def still(document: dict[str, Any]) -> bool:
        nonlocal left
        left -= 1
        again = _disagreement(comparison, step, flow, document) if left >= 0 else None
        if again is not None:
            best[0] = again
        return again is not None

    smallest(step.document, still)
    return best[0]


def smallest(document: dict[str, Any], still: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """``document`` without every part that ``still`` doesn't need, one part after another."""
    again = True
    while again:
        again = False
        for smaller in _smaller(document):
            if still(smaller):
                document, again = smaller, True
                break
    return document


def _smaller(document: Any) -> Iterator[Any]:
    """The document with one part less, large parts first."""
    if isinstance(document, dict):
        for key in document:
            yield {name: value for name, value in document.items() if name != key}
        for key, value in document.items():
            for less in _smaller(value):
                yield {**document, key: less}
    elif isinstance(document, list):
        for index in range(len(document)):
            yield document[:index] + document[index + 1 :]
        for index, value in enumerate(document):
            for less in _smaller(value):
                yield [*document[:index], less, *document[index + 1 :]]


def _disagreement(comparison: Comparison, step: Step, flow: Flow, document: dict[str, Any]) -> Disagreement | None:
    try:
        manifest = parse(copy.deepcopy(document))
    except InvalidInput:
        return None
    alone = dataclasses.replace(
        step, document=document, manifest=manifest, flows=(flow,), choose=random.Random(0), whole=False
    )
    try:
        comparison.walk([alone])
    except Disagreement as error:
        return error
    return None
