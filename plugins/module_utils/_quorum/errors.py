# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a voter or a proposer says no."""

from __future__ import annotations

from .._common.errors import AvpnError, InvalidInput, NotPermitted, Unavailable


class RuleBroken(NotPermitted):
    """A proposed value breaks a rule of the ledger for good. ``rule`` is its name, ``where`` the entry."""

    def __init__(self, rule: str, what: str, *, where: str = "") -> None:
        self.rule = rule
        super().__init__(f"{what} (rule:{rule})", where=where)


class Unseen(Unavailable):
    """The voter's view of the chain is too low or too old to decide; a newer one of ``height`` or above can."""

    def __init__(self, what: str, *, height: int, where: str = "") -> None:
        self.height = height
        super().__init__(what, where=where, remedy="The voter refreshes its view; ask again")


class Recalling(Unavailable):
    """After a boot, the other voters haven't all said yet what they saw of this one; until then it doesn't vote."""


class BadProof(InvalidInput):
    """A certificate, promise or signature doesn't prove what it should."""


class NoMajority(Unavailable):
    """Too few voters answered, before the deadline, for anything to be agreed."""


class OutcomeUnknown(NoMajority):
    """Some voters may have accepted the change: asking again finishes it or finds it undone."""


class Rejected(AvpnError):
    """A majority of the voters can't be had, because voters refuse the change by the rules named."""
