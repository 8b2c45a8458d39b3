# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The daemon that brings a network's denied packets into the host's journal, where the rules log them."""

from __future__ import annotations

from .change import Change
from .model import NetworkPlan
from .supervisor import Supervisor, log_unit


def ensure(
    label: str, plan: NetworkPlan, short: str, supervisor: Supervisor, running: frozenset[str], *, check: bool
) -> list[Change]:
    """It runs exactly if the planned rules log. Raises AvpnError if it can't be started."""
    unit, wanted = log_unit(short), bool(plan.firewall.limits)
    if wanted == (unit in running):
        return []
    if not check:
        (supervisor.start if wanted else supervisor.stop)(unit)
    states = ("not running", "running")
    return [Change(label, "log of denied packets", states[not wanted], states[wanted])]
