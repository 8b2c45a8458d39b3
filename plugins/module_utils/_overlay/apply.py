# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making the host so: observe, compare, change. With ``check`` nothing is changed, and the same changes are named.

Per network, in this order: the namespace, the closed firewall, the tunnel, endpoints, routes. So nothing is ever
reachable before there is something that forbids it; the compiled firewall then opens what it permits.
A network that fails is reported, and the others go on; the next apply goes on from wherever this one stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from .._common.errors import AvpnError
from .._common.ids import EndpointId
from . import closed, denial_log, endpoints, gateway, netns, resolver, state, tunnel, wireguard
from .change import Change, Outcome
from .host import Host
from .keys import key_path
from .model import Attachment, HostPlan, LiveSlot, NetworkPlan
from .names import namespace, namespace_path, veth, workload_path
from .names import tunnel as tunnel_name
from .netns import Seen
from .registry import Registration
from .removal import clean_workloads, remove_network
from .supervisor import log_unit, resolver_unit


def apply_overlay(plan: HostPlan, host: Host, *, check: bool = False) -> Outcome:
    """Namespaces, tunnels and endpoints of all networks; what isn't in the plan any more is removed, names and
    all, except for networks that have a problem."""
    outcome = Outcome(problems=dict(plan.problems))
    registry = host.registry.read()
    running = host.supervisor.running()
    for network, registration in sorted(registry.items()):
        if network not in plan.networks and network not in plan.problems:
            try:
                keep = network in plan.pending
                outcome.changes += remove_network(host, network, registration, running, keep_key=keep, check=check)
            except AvpnError as error:
                outcome.problems[network] = str(error)
    for network, planned in plan.networks.items():
        try:
            _Apply(planned, host, registry[network], running, outcome, check).run()
        except AvpnError as error:
            outcome.problems[network] = str(error)
    return outcome


def apply_resolvers(plan: HostPlan, host: Host, *, check: bool = False) -> Outcome:
    """dnsmasq of all networks, whose namespaces are there already (or would be, with ``check``)."""
    outcome = Outcome(problems=dict(plan.problems))
    registry = host.registry.read()
    running = host.supervisor.running()
    for network, planned in plan.networks.items():
        short = registry[network].short
        try:
            if not check and not netns.exists(namespace_path(short)):
                raise AvpnError("has no namespace yet", where=_label(planned, short), remedy="Run the module wireguard")
            outcome.changes += resolver.ensure(
                _label(planned, short),
                planned,
                short,
                host.run_directory(short),
                host.supervisor,
                resolver_unit(short) in running,
                check=check,
            )
        except AvpnError as error:
            outcome.problems[network] = str(error)
    return outcome


class _Apply:
    """One network's turn."""

    def __init__(
        self,
        plan: NetworkPlan,
        host: Host,
        registration: Registration,
        running: frozenset[str],
        outcome: Outcome,
        check: bool,
    ) -> None:
        self._plan = plan
        self._host = host
        self._short = registration.short
        self._inside = namespace_path(registration.short)
        self._tunnel = tunnel_name(registration.short)
        self._label = _label(plan, registration.short)
        self._running = running
        self._outcome = outcome
        self._check = check
        self._troubles: list[str] = []

    def run(self) -> None:
        before = state.load(self._host.paths, self._plan.network)
        there = self._namespace()
        seen = netns.observe(self._inside) if there else Seen()
        done = len(self._outcome.changes)
        self._outcome.changes += tunnel.ensure(
            self._label,
            self._tunnel,
            self._inside,
            self._plan.tunnel,
            key_path(self._host.paths, self._plan.network),
            before.told,
            seen,
            self._host.supervisor,
            check=self._check,
        )
        attached = self._endpoints(seen, before.live.values())
        if there and len(self._outcome.changes) > done:
            seen = netns.observe(self._inside)
        wanted = gateway.routes(self._plan, self._tunnel, attached.values())
        lines = gateway.lines(self._plan, self._tunnel, seen, wanted)
        self._outcome.changes += gateway.changes(self._label, lines)
        if not self._check:
            netns.batch(self._inside, lines)
            told = {peer.public_key: wireguard.endpoint_text(peer) for peer in self._plan.tunnel.peers}
            there_now = dict.fromkeys(attached, True)
            state.save(self._host.paths, self._plan, there_now, told, int(time.time()))
        try:
            # Last: a host that can't log goes on enforcing.
            self._outcome.changes += denial_log.ensure(
                self._label, self._plan, self._short, self._host.supervisor, self._running, check=self._check
            )
        except AvpnError as error:
            self._troubles.append(f"denied packets aren't logged: {error}")
        if self._troubles:
            raise AvpnError("; ".join(self._troubles), where=self._label)

    def _namespace(self) -> bool:
        """The namespace with its settings, and closed; whether it is there."""
        there = netns.exists(self._inside) and netns.usable(self._inside)
        if not there:
            self._change("namespace", None, f"{namespace(self._short)}, closed")
            if self._check:
                return False
            self._create_namespace()
        # In a new namespace both are part of making it; later they are repairs, and worth a word of their own.
        wrong = gateway.differing_settings(self._inside)
        if wrong and there:
            self._change("settings", "differ", ", ".join(wrong))
        if wrong and not self._check:
            gateway.ensure_settings(self._inside)
        if not closed.is_there(self._short):
            if there:
                self._change("firewall", None, "closed")
            if not self._check:
                closed.load(self._short)
        return True

    def _create_namespace(self) -> None:
        # A file without a namespace behind it is what a crash leaves; a resolver that runs is in a namespace
        # that nobody finds any more, and its files and the firewall's belong to that one.
        if netns.exists(self._inside):
            netns.remove(namespace(self._short))
        for unit in sorted({resolver_unit(self._short), log_unit(self._short)} & self._running):
            self._host.supervisor.stop(unit)
            self._running -= {unit}
        self._host.clear_run_directory(self._short)
        netns.create(namespace(self._short))

    def _endpoints(self, seen: Seen, lived: Iterable[LiveSlot]) -> dict[EndpointId, Attachment]:
        """Endpoints attached as planned, where their workload is there; all others detached."""
        attached: dict[EndpointId, Attachment] = {}
        for item in self._plan.attachments:
            path = self._path(item)
            try:
                if not netns.exists(path) or not netns.usable(path):
                    self._outcome.waiting.append(f"{self._label}: {item.endpoint} waits for {path}")
                    continue
                self._attach(item, path, seen)
                attached[item.endpoint] = item
            except AvpnError as error:
                self._troubles.append(f"{item.endpoint}: {error}")
        self._detach(seen)
        self._clean_workloads(lived)
        return attached

    def _attach(self, item: Attachment, path: str, seen: Seen) -> None:
        todo = endpoints.work(self._plan, item, path, seen, netns.observe(path))
        if not todo:
            return
        before = None if todo.creates else "; ".join((*todo.gateway, *todo.workload)) + " missing"
        self._change(f"endpoint {item.endpoint}", before, f"{item.ipv4} {item.ipv6}")
        if not self._check:
            endpoints.carry_out(self._inside, path, veth(item.ipv4), todo)

    def _detach(self, seen: Seen) -> None:
        """Veths of endpoints that left, or whose workload did."""
        wanted = {veth(item.ipv4) for item in self._plan.attachments if netns.exists(self._path(item))}
        gone = sorted(name for name in seen.links if name.startswith("ve") and name not in wanted)
        for name in gone:
            self._change(f"endpoint at {name}", "attached", None)
        if gone and not self._check:
            netns.delete_links(self._inside, gone)

    def _clean_workloads(self, lived: Iterable[LiveSlot]) -> None:
        """Take our routes out of workloads that go on running without this network."""
        stay = {self._path(item) for item in self._plan.attachments}
        here = [slot for slot in lived if slot.host == self._host.id]
        paths = {workload_path(self._host.attach_path, slot.lease, slot.endpoint) for slot in here} - stay
        if not self._check:
            clean_workloads(sorted(paths), self._plan.network)

    def _path(self, item: Attachment) -> str:
        return workload_path(self._host.attach_path, item.lease, item.endpoint)

    def _change(self, what: str, before: str | None, after: str | None) -> None:
        self._outcome.changes.append(Change(self._label, what, before, after))


def _label(plan: NetworkPlan, short: str) -> str:
    return f"{plan.name} ({short})"
