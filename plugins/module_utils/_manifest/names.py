# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of members, groups and leases: from text, to text, and what was probably meant by something else."""

from __future__ import annotations

import re
from typing import Any

from .._common import fields
from .._common.errors import InvalidInput
from .model import MemberPeer
from .ranges import cidr


def lease_or_member(value: str) -> MemberPeer:
    """``web`` or ``db/2``. It has the form that ``grammar`` says."""
    member, slash, gseq = value.partition("/")
    return MemberPeer(member, int(gseq) if slash else None)


def str_of(peer: MemberPeer) -> str:
    """``web`` or ``db/2``."""
    return peer.member if peer.gseq is None else f"{peer.member}/{peer.gseq}"


def explain(value: Any) -> tuple[str, str]:
    """What is wrong with something that is no name or lease, where there is more to say, and the remedy."""
    if not isinstance(value, str):
        return "", ""
    if "/" in value:
        member = value.partition("/")[0]
        what = "" if member != "any" else "'any' is reserved: it stands for every member"
        return (
            what
            or f"must be a member and the number of a group of its deployment (db/2), not '{fields.printable(value)}'",
            "",
        )
    likely = re.sub("[ _.]+", "-", value[:40].strip().lower())
    if re.fullmatch(fields.NAME, likely, re.ASCII):
        return "", f"Write {likely}"
    return "", ""


def explain_peer(value: Any) -> tuple[str, str]:
    """The same for a peer, which may be a range, too."""
    if isinstance(value, str) and (":" in value or "." in value):
        try:
            cidr(value, "")
        except InvalidInput as error:
            return error.what, error.remedy
    return explain(value)
