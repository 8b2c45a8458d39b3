# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one family of errors of the collection.

Every error says what failed, where, and what to do about it. Edges (modules,
commands) print ``str(error)`` and never a traceback.
"""

from __future__ import annotations


class AvpnError(Exception):
    """Something failed: ``what``, ``where`` (a field, file, host or network) and ``remedy``."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.remedy}" if self.remedy else text


class InvalidInput(AvpnError):
    """Hostile or mistaken text: a record, message, manifest or option that breaks its grammar.

    ``where`` is the name of the field, dotted from the document's root (``members.web``).
    """


class NotPermitted(AvpnError):
    """The caller may not do this. Says nothing about whether the network exists."""


class Unavailable(AvpnError):
    """Something that may work later didn't answer: a chain node, a voter, a majority."""


class Unsupported(AvpnError):
    """This host lacks what the operation needs."""
