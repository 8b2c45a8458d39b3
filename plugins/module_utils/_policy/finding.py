# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A warning about a manifest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What is probably not meant. ``where``: dotted from the document's root (``members.web.egress.allow.0``).

    ``superfluous``: it is about a rule, or a part of one, that can be taken out without a change of what passes; so can
    all of which that is said, together.
    """

    where: str
    what: str
    remedy: str = ""
    superfluous: bool = False

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return f"{text}. {self.remedy}" if self.remedy else text
