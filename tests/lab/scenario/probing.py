# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listeners in every workload, and probes from every workload to every other one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path as File
from typing import Any

from lab.lab import Lab

from .cast import KINDS, PORTS
from .matrix import FAMILIES, Path, Place
from .prediction import Prediction

AGENT = File(__file__).with_name("agent.py").read_text(encoding="utf-8")
# The gateway's address in every workload, which also resolves names (docs/operations.md).
RESOLVER = "169.254.64.1"
TIMEOUT = 3.0
_BOOK = "/run/lab-listeners"
_RUNNING = f'[ ! -e {_BOOK} ] || while read -r pid mark; do [ ! -d "/proc/$pid" ] || echo "$mark"; done < {_BOOK}'


def listen(lab: Lab, places: Sequence[Place]) -> None:
    """Start listeners that aren't there yet. They end with their host."""
    for host, own in _by_host(places).items():
        # A line is a namespace, its inode (one made anew has another), the identity and the listener's process.
        running = set(lab.execute(host, ["sh", "-c", _RUNNING]).stdout.split())
        marks = {place: f"{place.namespace}:{_inode(lab, host, place.namespace)}:{place.identity}" for place in own}
        new = [place for place in own if marks[place] not in running]
        if new:
            order = {
                "endpoints": [{"namespace": place.namespace, "identity": place.identity} for place in new],
                "ports": list(PORTS),
            }
            started = run_agent(lab, host, "serve", order)
            text = "".join(f"{started[place.identity]} {marks[place]}\n" for place in new)
            lab.execute(host, ["tee", "-a", _BOOK], data=text.encode())


def probe(lab: Lab, places: Sequence[Place], predictions: Mapping[str, Prediction]) -> list[Path]:
    """Every path between two places, over every kind and family, by name."""
    listen(lab, places)
    targets = {place.identity: place for place in places}
    checks = {
        host: [
            {
                "namespace": source.namespace,
                "source": source.identity,
                "target": target.identity,
                "resolver": RESOLVER,
                "name": target.name,
                "kind": kind,
                "family": family,
            }
            for source in own
            for target in places
            if source is not target
            for kind in KINDS
            for family in FAMILIES
        ]
        for host, own in _by_host(places).items()
    }
    with ThreadPoolExecutor(len(checks)) as pool:
        answers = pool.map(lambda item: run_probe(lab, item[0], item[1]), checks.items())
    paths = []
    for answer in (one for listed in answers for one in listed):
        source, target = targets[answer["source"]], targets[answer["target"]]
        kind, family = answer["kind"], answer["family"]
        # Whoever answers must be the one that was meant: a name of the other tenant's may not lead anywhere.
        wanted = target.address(family) if kind == "ping" else target.identity
        same = source.network == target.network
        paths.append(
            Path(
                source=source.identity,
                target=target.identity,
                kind=kind,
                family=family,
                predicted=same and predictions[source.network].permits(source, target, kind, family),
                seen=answer["seen"] == wanted and (same or kind != "ping"),
                how=f"{answer['resolved'] or 'no address'}: {answer['how']}",
            )
        )
    order = {place.identity: number for number, place in enumerate(places)}
    return sorted(paths, key=lambda path: (order[path.source], order[path.target], KINDS.index(path.kind), path.family))


def run_probe(lab: Lab, host: str, checks: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Probe from one host's workloads."""
    listed = list(checks)
    if not listed:
        return []
    return list(run_agent(lab, host, "probe", {"checks": listed, "timeout": TIMEOUT}))


def run_agent(lab: Lab, host: str, act: str, order: Mapping[str, Any]) -> Any:
    """Run the agent on a host; what it prints, parsed."""
    done = lab.execute(host, ["python3", "-c", AGENT, act], data=json.dumps(order).encode(), timeout=120)
    return json.loads(done.stdout) if done.stdout.strip() else None


def _inode(lab: Lab, host: str, namespace: str) -> str:
    return lab.execute(host, ["stat", "-Lc", "%i", f"/run/netns/{namespace}"]).stdout.strip()


def _by_host(places: Iterable[Place]) -> dict[str, list[Place]]:
    hosts: dict[str, list[Place]] = {}
    for place in places:
        hosts.setdefault(place.host, []).append(place)
    return hosts
