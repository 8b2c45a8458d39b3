# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting a content beside the one that runs, to be tried. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._common.errors import InvalidInput


def beside(document: Mapping[str, Any], version: int, running: Mapping[str, Any] | None) -> dict[str, Any]:
    """The document that goes on enforcing what runs and stages ``document``. ``version``: the one that runs, 0: none.

    Raises InvalidInput if there is nothing to be enforced meanwhile, or nobody can say what that is.
    """
    if "staged" in document:
        raise InvalidInput(
            "is there already", where="staged", remedy="Give the content alone, or hand all of it in without the option"
        )
    if running is None and version == 0:
        raise InvalidInput(
            "there is no manifest yet to be enforced meanwhile", where="staged", remedy="Publish one without the option"
        )
    if running is None:
        raise InvalidInput(
            f"what runs as version {version} can't be told: no provider hands it out",
            where="staged",
            remedy="Hand in a whole manifest, with what is to be tried under staged",
        )
    return {**{name: part for name, part in running.items() if name != "staged"}, "staged": dict(document)}
