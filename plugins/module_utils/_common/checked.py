# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold here because other code saw to it; unlike an ``assert`` it is checked under ``python -O`` too."""

from __future__ import annotations

from typing import Any, TypeVar

from .errors import AvpnError

T = TypeVar("T")

_REMEDY = "This is a mistake in akash.avpn, please report it"


def present(value: T | None, what: str) -> T:
    """``value``, which can't be None here. ``what`` names it."""
    if value is None:
        raise AvpnError(f"{what} is missing", remedy=_REMEDY)
    return value


def instance(value: Any, kind: type[T], what: str) -> T:
    """``value``, which can't be anything but a ``kind`` here. ``what`` names it."""
    if not isinstance(value, kind):
        raise AvpnError(f"{what} is a {type(value).__name__}, not a {kind.__name__}", remedy=_REMEDY)
    return value
