# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was seen, for people and for other plays. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .._policy.evaluate import SideDecision
from .compare import DROPPED, PASSED, UNKNOWN, Path
from .probes import Probe

_WIDEST = 12  # members in a matrix: beyond, one line would be longer than people's windows
_LISTED = 50  # differences in the text; all of them are in the result


def as_json(path: Path) -> dict[str, Any]:
    """One path as the module returns it."""
    probe = path.probe
    return {**predicted(probe), "seen": path.seen, "how": path.how, "as_predicted": path.as_predicted}


def predicted(probe: Probe) -> dict[str, Any]:
    """What is known of a probe before it is sent."""
    return {
        "source": str(probe.source.id),
        "target": str(probe.target.id),
        "family": probe.family,
        "port": probe.what,
        "predicted": PASSED if probe.permitted else DROPPED,
        "decided_by": _decided_by(probe),
    }


def counts(paths: Iterable[Path]) -> dict[str, int]:
    """How many were checked, of how many nothing was seen that tells, how many are not as predicted."""
    listed = [path.as_predicted for path in paths]
    return {
        "checked": len(listed),
        "as_predicted": listed.count(True),
        "different": listed.count(False),
        "unknown": listed.count(None),
    }


def matrix(paths: Sequence[Path]) -> list[str]:
    """Members that send (of this host) by members that receive: how many passed, were dropped, told nothing, differ."""
    if not paths:
        return []
    senders = sorted({path.probe.source.id.member for path in paths})
    receivers = sorted({path.probe.target.id.member for path in paths})
    shown = receivers[:_WIDEST]
    rows = [["", *shown]]
    for sender in senders:
        cells = []
        for receiver in shown:
            between = [
                path
                for path in paths
                if (path.probe.source.id.member, path.probe.target.id.member) == (sender, receiver)
            ]
            cells.append(_cell(between))
        rows.append([sender, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(receivers) > len(shown):
        lines.append(f"and {len(receivers) - len(shown)} more receivers: {', '.join(receivers[_WIDEST:])}")
    return [
        *lines,
        "rows send, columns receive; + passed, - dropped, ? nothing seen that tells, ! of them not as predicted",
    ]


def _cell(paths: Sequence[Path]) -> str:
    signs = {PASSED: "+", DROPPED: "-", UNKNOWN: "?"}
    numbers = {sign: sum(path.seen == seen for path in paths) for seen, sign in signs.items()}
    numbers["!"] = sum(path.as_predicted is False for path in paths)
    return " ".join(f"{sign}{number}" for sign, number in numbers.items() if number)


def lines(network: dict[str, Any], paths: Sequence[Path]) -> list[str]:
    """One network in words: the matrix, each difference, what may explain it."""
    told = network["counts"]
    rest = f", {told['unknown']} without an answer that tells" if told["unknown"] else ""
    head = (
        f"{network['name']}: manifest {network['manifest'] or 'none'}, ledger {'.'.join(map(str, network['ledger']))}:"
        f" {told['checked']} paths checked, {told['as_predicted']} as predicted, {told['different']} not{rest}"
    )
    different = [path for path in paths if path.as_predicted is False]
    text = [head, *matrix(paths)]
    for path in different[:_LISTED]:
        probe = path.probe
        text.append(
            f"NOT AS PREDICTED: {probe.source.id} -> {probe.target.id} {probe.what} IPv{probe.family}:"
            f" predicted {PASSED if probe.permitted else DROPPED} ({_decided_by(probe)}), {path.seen}: {path.how}"
        )
    if len(different) > _LISTED:
        text.append(f"and {len(different) - _LISTED} more")
    return [*text, *(f"note: {note}" for note in network["notes"])]


def silent_targets(paths: Iterable[Path]) -> list[str]:
    """Endpoints that should have answered something, and answered nothing."""
    asked: dict[str, list[Path]] = {}
    for path in paths:
        if path.probe.permitted and path.seen != UNKNOWN:
            asked.setdefault(str(path.probe.target.id), []).append(path)
    return sorted(target for target, listed in asked.items() if all(path.seen == DROPPED for path in listed))


def _decided_by(probe: Probe) -> str:
    """The place in the manifest that decides, or why there is none, of the side that refuses first."""
    decision = probe.decision
    if decision.permitted:
        return " and ".join(_said(side) for side in (decision.egress, decision.ingress))
    return _said(decision.egress if not decision.egress.permitted else decision.ingress)


def _said(side: SideDecision) -> str:
    return side.place if side.place is not None else side.why
