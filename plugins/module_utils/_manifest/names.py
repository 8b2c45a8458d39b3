# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of members, groups and leases: from text, to text, and what was probably meant by something else."""

from __future__ import annotations

import re
from typing import Any

from .._common import fields
from .model import MemberPeer
from .ranges import explain as explain_range


def lease_or_member(value: str) -> MemberPeer:
    """``web`` or ``db/2``. It has the form that ``grammar`` says."""
    member, slash, gseq = value.partition("/")
    return MemberPeer(member, int(gseq) if slash else None)


def str_of(peer: MemberPeer) -> str:
    """``web`` or ``db/2``."""
    return peer.member if peer.gseq is None else f"{peer.member}/{peer.gseq}"


def explain(value: Any) -> tuple[str, str]:
    """What is wrong with something that is no member's name, where there is more to say, and the remedy."""
    if not isinstance(value, str):
        return "", ""
    member, slash, _gseq = value.partition("/")
    if slash and re.fullmatch(fields.NAME, member, re.ASCII):
        return "", f"Write {member}: here it is the member as a whole"
    if re.fullmatch("[0-9.:/]+", value, re.ASCII):
        return "", "Addresses change: name the member"
    if value in ("*", "all"):
        return "", ""
    likely = re.sub("[ _]+", "-", value[:40].strip().lower().partition(".")[0])
    return "", f"Write {likely}" if re.fullmatch(fields.NAME, likely, re.ASCII) else ""


def explain_lease(value: Any) -> tuple[str, str]:
    """The same where it may be a lease, too."""
    if not isinstance(value, str) or "/" not in value or not value[0].islower():
        return explain(value)
    if value.startswith("any/"):
        return "'any' is reserved: it stands for every member", ""
    return f"must be a member and the number of a group of its deployment (db/2), not '{fields.printable(value)}'", ""


def explain_peer(value: Any) -> tuple[str, str]:
    """The same for a peer, which may be a range, too."""
    if isinstance(value, str) and (":" in value or re.fullmatch(r"[0-9]+\.[0-9./]*", value, re.ASCII)):
        return explain_range(value)
    if value in ("*", "all", "everybody", "everyone"):
        return "", "Write any"
    return explain_lease(value)
