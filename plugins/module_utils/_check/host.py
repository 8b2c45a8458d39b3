# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live check of a host's networks: what its workloads really reach, beside what their policies say.

Changes nothing, takes no lock, and holds up nobody's apply. If the rules change in between, a network is checked once
more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

from .._chain.view import load_view
from .._common.errors import AvpnError, InvalidInput
from .._common.ids import EndpointId, NodeId
from .._manifest.model import Manifest
from .._overlay import netns, state
from .._overlay.firewalls import place_of
from .._overlay.inputs import load_inputs, make_plan
from .._overlay.names import namespace, workload_path
from .._overlay.rules import endpoints_of
from .._overlay.trying import put
from .._peer import drop, versions
from .._peer.gather import client
from .._peer.paths import Paths
from .._policy.endpoints import Endpoints
from .._policy.nft import counters
from . import report
from .compare import Path, look
from .probes import Port, choose
from .probing import Prober

_SETTLE = 2.0  # seconds for an apply that is under way
_ASK_SECONDS = 10.0


@dataclass(frozen=True)
class Wish:
    """What to check. ``networks``: names or ids, None: all of this host; ``ports``: None: chosen from the rules.

    ``seconds`` without an answer are silence; ``most`` probes per network; ``send`` False: only say which.
    """

    networks: tuple[str, ...] | None = None
    ports: tuple[Port | None, ...] | None = None
    seconds: float = 2.0
    most: int = 1000
    send: bool = True


def check(paths: Paths, wish: Wish) -> dict[str, Any]:
    """``{"networks": {id: …}, "problems": {id: why}, "table": [line]}``. What can't be done for one network is among
    the problems. Raises AvpnError where the host has no networks at all, or none of those wished."""
    plan = make_plan(load_inputs(paths))
    found: dict[str, Any] = {}
    problems = {network: what for network, what in plan.problems.items() if _wished(wish, network, None)}
    table: list[str] = []
    wanted = [network for network, planned in sorted(plan.networks.items()) if _wished(wish, network, planned.name)]
    if wish.networks is not None and not wanted and not problems:
        raise InvalidInput(
            "none of these has an endpoint here", where="networks", remedy="The playbook status shows those that do"
        )
    for network in wanted:
        try:
            found[network], paths_seen = _network(paths, network, wish)
        except AvpnError as error:
            problems[network] = str(error)
            continue
        if wish.send:
            table += report.lines(found[network], paths_seen)
        else:
            table.append(f"{found[network]['name']}: {len(found[network]['paths'])} paths would be tried")
    table += [f"{network[:12]}: not checked: {what}" for network, what in sorted(problems.items())]
    return {"networks": found, "problems": problems, "table": table or ["no network has an endpoint here"]}


def _wished(wish: Wish, network: str, name: str | None) -> bool:
    return wish.networks is None or network in wish.networks or name in wish.networks


def _network(paths: Paths, network: str, wish: Wish) -> tuple[dict[str, Any], list[Path]]:
    """One network, once more if its rules were being changed."""
    turn = _Turn(paths, network)
    if turn.differs:
        time.sleep(_SETTLE)
        turn = _Turn(paths, network)
    result, seen = turn.run(wish)
    if wish.send and turn.stamp != _stamp(turn.state_file):
        turn = _Turn(paths, network)
        result, seen = turn.run(wish)
        if turn.stamp != _stamp(turn.state_file):
            result["notes"].append("the rules of this host changed while it was checked, twice")
    return result, seen


class _Turn:
    """One look at a network, from what the host's files and its kernel say now."""

    def __init__(self, paths: Paths, network: str) -> None:
        self._inputs = load_inputs(paths)
        plan = make_plan(self._inputs)
        if network not in plan.networks:
            raise AvpnError(plan.problems.get(network, "has no endpoint here any more"))
        self._paths = paths
        self._network = network
        self._plan = plan.networks[network]
        short = self._inputs.registry.read()[network].short
        self._namespace = namespace(short)
        place = place_of(paths, network, short)
        self.state_file = place.state
        self.stamp = _stamp(self.state_file)
        self._put = put(place, self._plan.firewall, time.time(), check=True)
        self.differs = bool(self._put.change)

    def run(self, wish: Wish) -> tuple[dict[str, Any], list[Path]]:
        plan = self._plan
        manifest, _version = self._inputs.manifests.get(self._network, (Manifest(), 0))
        ranges = (plan.ipv4, plan.ipv6)
        endpoints = endpoints_of(plan.live, ranges)
        workloads, missing = self._workloads()
        here = [endpoint for endpoint in endpoints if endpoint.id in workloads]
        there = Endpoints((endpoint for endpoint in endpoints if str(endpoint.id) not in missing), ranges)
        probes, left_out = choose(manifest, there, here, ports=wish.ports, most=wish.most)
        shown = state.shown(self._paths, self._network) or {}
        result: dict[str, Any] = {
            "name": plan.name,
            "manifest": shown.get("manifest"),
            "ledger": shown.get("ledger") or list(plan.ledger),
            "notes": self._notes(shown, missing, left_out),
        }
        if not wish.send:
            result["paths"] = [report.predicted(probe) for probe in probes]
            return result, []
        seen = look(manifest, probes, Prober(workloads), lambda: counters(self._namespace), wish.seconds)
        result["paths"] = [report.as_json(path) for path in seen]
        result["counts"] = report.counts(seen)
        result["matrix"] = report.matrix(seen)
        result["notes"] += self._explained(seen)
        return result, seen

    def _workloads(self) -> tuple[dict[EndpointId, str], list[str]]:
        """Namespaces of this host's workloads, by endpoint, and endpoints whose workload isn't there."""
        found, missing = {}, []
        for item in self._plan.attachments:
            path = workload_path(self._inputs.config.attach_path, item.lease, item.endpoint)
            if netns.exists(path) and netns.usable(path):
                found[item.endpoint] = path
            else:
                missing.append(str(item.endpoint))
        return found, missing

    def _notes(self, shown: Mapping[str, Any], missing: Iterable[str], left_out: int) -> list[str]:
        plan = self._plan
        notes = [f"{endpoint} was left out: its workload isn't there" for endpoint in missing]
        if left_out:
            notes.append(f"a sample: {left_out} pairs of endpoints were left out")
        if self.differs and self._put.change.before is None:
            notes.append(
                "the firewall in the kernel isn't what was loaded last: it was changed by hand, or loading was"
                " interrupted. The next apply loads it anew"
            )
        elif self.differs:
            notes.append("the firewall isn't yet what manifest and ledger say; a reconciliation applies it")
        if self._put.refused:
            notes.append(
                f"the rules are inside the frame of before: the new one was rolled back, because {self._put.refused}"
            )
        if shown.get("manifest") != plan.manifest:
            notes.append(f"enforced here is manifest {shown.get('manifest')}, held is {plan.manifest}")
        return notes

    def _explained(self, seen: list[Path]) -> list[str]:
        """What may be behind differences: ends that answer nothing at all, and other versions at the other end."""
        different = [path for path in seen if path.as_predicted is False]
        if not different:
            return []
        nodes = {str(slot.endpoint): slot.host for slot in self._plan.live}
        notes = [
            f"{target} ({nodes[target]}) answered nothing from here: it may not run, or its host is out of reach"
            for target in report.silent_targets(seen)
        ]
        ends = {nodes[str(path.probe.target.id)] for path in different} - {self._inputs.config.id}
        return notes + [self._version_note(node, told) for node, told in sorted(self._others(ends).items())]

    def _version_note(self, node: NodeId, told: Any) -> str:
        mine = f"here ledger {_pair(self._plan.ledger)}, manifest {self._plan.manifest}"
        if isinstance(told, str):
            return f"{node} doesn't say what it holds ({told}); {mine}"
        return f"{node} holds ledger {_pair(told['ledger'])}, manifest {told['manifest']}; {mine}"

    def _others(self, nodes: Iterable[NodeId]) -> dict[NodeId, Any]:
        """What other hosts hold of the network, as they say over the peer channel; why they don't."""
        asked = sorted(nodes)
        if not asked:
            return {}
        try:
            answers = drop.as_user(drop.USER, lambda: self._ask(asked), seconds=3 * _ASK_SECONDS)
        except AvpnError as error:
            return dict.fromkeys(asked, str(error))
        return {NodeId.parse(node, "node"): answer for node, answer in answers.items()}

    def _ask(self, nodes: list[NodeId]) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        with client(self._paths, self._inputs.config, load_view(self._paths.view)) as calls:
            for node, answer in calls.call_all(nodes, {"op": "versions"}, seconds=_ASK_SECONDS):
                try:
                    if isinstance(answer, AvpnError):
                        raise answer
                    entry = versions.parse(answer, str(node)).get(self._network)
                    answers[str(node)] = entry.to_json() if entry is not None else "it names no such network"
                except AvpnError as error:
                    answers[str(node)] = str(error)
        return answers


def _pair(value: Any) -> str:
    return "none" if value is None else ".".join(map(str, value))


def _stamp(path: File) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
