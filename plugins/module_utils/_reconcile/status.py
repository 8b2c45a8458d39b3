# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a host, gathered from what its parts wrote down: for people and for other plays. Holds no secret."""

from __future__ import annotations

import json
import time
from typing import Any

from .._chain.model import View
from .._chain.view import load_view
from .._common.errors import InvalidInput, Unavailable
from .._overlay import firewalls, frames
from .._peer import config, drop, versions
from .._peer.paths import Paths
from .._peer.votes import caught, votes
from .._policy import refusals, staged
from . import report

_SECONDS = 60.0
_NOBODY: dict[str, Any] = {"voters": [], "contradictions": []}


def gather(paths: Paths) -> dict[str, Any]:
    """What the host is, what it knows, what it has applied and how its last runs went.

    Raises Unsupported where the host was never set up. A part that is missing is null or empty.
    """
    host = config.load(paths.host_config)
    try:
        view = load_view(paths.view)
    except (InvalidInput, Unavailable):
        view = None
    applied = _applied(paths)
    here = sorted(view.networks if view else ())
    have = drop.as_user(drop.USER, lambda: versions.versions(paths, here), seconds=_SECONDS) if here else {}
    voting = drop.as_user(drop.USER, lambda: _voters(paths), seconds=_SECONDS) if here else {}
    runs = report.read(paths.host_state / "reconcile.json")
    return {
        "node": str(host.id),
        "drained": host.drain,
        "height": view.height if view else None,
        "view_age": max(0, int(time.time() - view.time)) if view else None,
        "networks": {
            network: _network(
                paths, view, network, have.get(network), applied.get(network), voting.get(network, _NOBODY)
            )
            for network in sorted({*here, *applied})
        },
        "problems": dict(view.problems) if view else {},
        "runs": runs["runs"],
        "last_good": runs["last_good"],
    }


def table(found: dict[str, Any]) -> list[str]:
    """The same for people, in lines."""
    age = "never read" if found["height"] is None else f"height {found['height']}, {found['view_age']} s old"
    lines = [f"{found['node']}: chain {age}", _run_line(found), *_drained(found)]
    rows = [("NETWORK", "LEDGER", "APPLIED", "MANIFEST", "ENFORCED", "PEERS", "ENDPOINTS")]
    for network, state in found["networks"].items():
        applied = state["applied"] or {}
        endpoints = applied.get("endpoints", {})
        attached = sum(entry.get("state") == "attached" for entry in endpoints.values())
        rows.append(
            (
                _called(network, state),
                _pair(state["ledger"]),
                _pair(applied.get("ledger")),
                _one(state["manifest"]),
                _one(applied.get("manifest")),
                _one(applied.get("peers")),
                f"{attached} of {len(endpoints)} attached" if applied else "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    if len(rows) > 1:
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
    else:
        lines.append("no network concerns this host")
    lines += [f"problem: {where}: {what}" for where, what in sorted(found["problems"].items())]
    for network, state in found["networks"].items():
        for one in state["contradictions"]:
            which = f"voter {one['voter']} {one['what']}, of {_pair(one['ledger'])}"
            lines.append(f"problem: {_called(network, state)}: {which}; not counted")
        lines += [f"problem: {_called(network, state)}: {line}" for line in _frame(state.get("frame"))]
        lines += [f"note of {_called(network, state)}: {note}" for note in (state["applied"] or {}).get("notes", ())]
        lines += [f"refused in {_called(network, state)}: {line}" for line in _refused(state["applied"])]
        lines += [f"staged in {_called(network, state)}: {line}" for line in _staged(state["applied"])]
    for problem in (found["runs"][0].get("problems") or ()) if found["runs"] else ():
        lines.append(f"problem: {problem['where']}: {problem['what']}")
    return lines


def _called(network: str, state: dict[str, Any]) -> str:
    return f"{state['name'] or '?'} {network[:8]}"


def _refused(applied: dict[str, Any] | None) -> list[str]:
    """What the firewall has refused, when it was applied last."""
    found = (applied or {}).get("refused")
    return list(refusals.lines(found)) if found else []


def _frame(found: dict[str, Any] | None) -> list[str]:
    """What has to be known of the frame around the firewall's rules."""
    if found is None:
        return []
    return [firewalls.ON_TRIAL if found["state"] == "trial" else firewalls.rolled_back(found["why"])]


def _staged(applied: dict[str, Any] | None) -> list[str]:
    """What the manifest's staged part would have refused, when it was applied last."""
    found = (applied or {}).get("staged")
    return [f"since version {_one(found['since'])}, {line}" for line in staged.lines(found)] if found else []


def _network(
    paths: Paths, view: View | None, network: str, have: Any, applied: Any, voting: dict[str, Any]
) -> dict[str, Any]:
    entry = view.networks.get(network) if view else None
    return {
        "name": entry.record.name if entry else (applied or {}).get("name"),
        "owner": entry.record.owner if entry else None,
        "ledger": have["ledger"] if have else None,
        "manifest": have["manifest"] if have else None,
        **voting,
        "applied": applied,
        "frame": frames.load(paths.frames / f"{network}.json").shown(),
    }


def _voters(paths: Paths) -> dict[str, dict[str, Any]]:
    """By network, who votes as far as this host's voter knows, and whose votes it doesn't count, with the proof.

    A host that never voted knows nobody.
    """
    found: dict[str, dict[str, Any]] = {
        network: {"voters": sorted(map(str, one.voters)), "contradictions": []} for network, one in votes(paths).items()
    }
    for one in caught(paths):
        entry = found.setdefault(one.network, {"voters": [], "contradictions": []})
        entry["contradictions"].append(
            {
                "voter": str(one.voter.node),
                "incarnation": one.voter.incarnation,
                "what": one.proof.why,
                "ledger": [one.generation, one.proof.first.instance.version],
                "proof": one.proof.to_json(),
            }
        )
    return found


def _applied(paths: Paths) -> dict[str, Any]:
    """What the last apply made of each network, by id."""
    found = {}
    for path in sorted(paths.applied.glob("*.json")):
        if path.name.endswith(".live.json"):
            continue
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(document, dict):
            found[path.stem] = document
    return found


def _run_line(found: dict[str, Any]) -> str:
    if not found["runs"]:
        return "never reconciled"
    last = found["runs"][0]
    ago = max(0, int(time.time()) - int(last["finished"]))
    what = f"last reconciliation {ago} s ago: {last['outcome']}, {last['changed']} changed"
    if last.get("revision"):
        what += f", revision {last['revision'][:12]}"
    for note in ("stale", "problem"):
        if last.get(note):
            what += f" ({last[note]})"
    return what


def _drained(found: dict[str, Any]) -> list[str]:
    """Where a host that is drained votes still."""
    if not found["drained"]:
        return []
    voting = [
        _called(network, state) for network, state in found["networks"].items() if found["node"] in state["voters"]
    ]
    if not voting:
        return ["drained: votes nowhere any more"]
    return [f"drained: votes in {', '.join(voting)} until somebody can take its place"]


def _pair(value: Any) -> str:
    return f"{value[0]}.{value[1]}" if isinstance(value, list) and len(value) == 2 else "-"


def _one(value: Any) -> str:
    return "-" if value is None else str(value)
