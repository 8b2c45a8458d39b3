# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an endpoint can be made to do wrong, while it runs.

A fault applies to the paths its pattern finds, a number of times or until it is
cleared. Kinds:

``unavailable``  HTTP 503 (or ``status``) with a gRPC error body
``slow``         the right answer, ``seconds`` late
``stale``        answers from ``blocks`` behind, or from ``height``; with ``hide`` the
                 header still claims the newest height
``lie``          the right answer with ``path`` (dotted, ``*`` for every element) set
                 to ``value``, or with ``drop`` removed
``full-page``    a page that is exactly full has a null next key (``mode``: ``always``
                 or ``boundary``, see ``paging``)
``not-found``    "not found" for what is there
``garbage``      HTTP 200 with a body that is not JSON
``disconnect``   the connection is closed without an answer
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import AdminError
from .paging import NULL_KEY_ALWAYS, NULL_KEY_BOUNDARY

_OPTIONS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "unavailable": {"status": int},
    "slow": {"seconds": (int, float)},
    "stale": {"blocks": int, "height": int, "hide": bool},
    "lie": {"path": str, "value": object, "drop": bool},
    "full-page": {"mode": str},
    "not-found": {},
    "garbage": {},
    "disconnect": {},
}
_REQUIRED = {"slow": ("seconds",), "lie": ("path",)}

KINDS = tuple(_OPTIONS)


@dataclass
class Fault:
    """One fault; ``count`` is how many more times it happens (None: until cleared)."""

    number: int
    kind: str
    route: str = ""
    count: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The fault as the admin interface lists it."""
        return {
            "number": self.number,
            "kind": self.kind,
            "route": self.route,
            "count": self.count,
            **self.options,
        }


class Faults:
    """The faults of one endpoint."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._next = 1

    def add(self, kind: str, *, route: str = "", count: int | None = None, **options: Any) -> Fault:
        """Switch a fault on; ``route`` is a pattern searched for in the path."""
        allowed = _OPTIONS.get(kind)
        if allowed is None:
            raise AdminError(f"no such fault: {kind}; there are {', '.join(KINDS)}")
        for name, value in options.items():
            if name not in allowed or not isinstance(value, allowed[name]):
                raise AdminError(f"fault {kind} does not take {name}={value!r}")
        for name in _REQUIRED.get(kind, ()):
            if name not in options:
                raise AdminError(f"fault {kind} needs {name}")
        if options.get("mode", NULL_KEY_ALWAYS) not in (NULL_KEY_ALWAYS, NULL_KEY_BOUNDARY):
            raise AdminError(f"mode is {NULL_KEY_ALWAYS} or {NULL_KEY_BOUNDARY}")
        try:
            re.compile(route)
        except re.error as error:
            raise AdminError(f"route {route!r} is not a pattern: {error}") from error
        with self._lock:
            fault = Fault(self._next, kind, route, count, options)
            self._next += 1
            self._faults.append(fault)
            return fault

    def clear(self, number: int | None = None) -> int:
        """Switch one fault off, or all; says how many."""
        with self._lock:
            before = len(self._faults)
            self._faults = [fault for fault in self._faults if number is not None and fault.number != number]
            return before - len(self._faults)

    def list(self) -> list[Fault]:
        """The faults that are on."""
        with self._lock:
            return [*self._faults]

    def take(self, path: str) -> dict[str, Fault]:
        """The faults a request meets, by kind; the last one of a kind counts. Uses them up."""
        with self._lock:
            met = [fault for fault in self._faults if re.search(fault.route, path)]
            for fault in met:
                if fault.count is not None:
                    fault.count -= 1
            self._faults = [fault for fault in self._faults if fault.count is None or fault.count > 0]
            return {fault.kind: fault for fault in met}


def alter(data: Any, fault: Fault) -> None:
    """Tell the lie: change an answer in place."""
    *way, last = str(fault.options["path"]).split(".")
    for place in _walk(data, way):
        for key in _keys(place, last):
            if fault.options.get("drop"):
                del place[key]
            else:
                place[key] = fault.options.get("value")


def _walk(data: Any, way: list[str]) -> list[Any]:
    places = [data]
    for step in way:
        places = [place[key] for place in places for key in _keys(place, step)]
    return places


def _keys(place: Any, step: str) -> list[Any]:
    if isinstance(place, list):
        if step == "*":
            return list(range(len(place)))[::-1]
        return [int(step)] if step.isdigit() and int(step) < len(place) else []
    if isinstance(place, dict):
        return list(place) if step == "*" else [step] if step in place else []
    return []
