# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three answers to every packet of a walk: ``evaluate``, the compiled rules read in Python, and the wire.

Each packet must arrive, or be counted where ``meaning`` says: both together are what was sent. Under each manifest of
a walk:

1. packets of flows that an earlier one permitted, in either direction: judged by the new one, as parts of their flow;
2. the first packets of new flows, and answers to those that arrived, or ICMP errors about them;
3. packets of TCP flows that nobody has begun, and errors about flows that nobody has.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from frames import NUMBERS, Arrival, Flow, answer, error, first, later
from interpreter import Interpreter
from manifests import endpoints
from marks import Marks, staged_refusal
from meaning import ARRIVES, Fate, World, fate, refusal
from observer import observe, observed
from passive import PassiveWire
from walks import CARRIER, OUTSIDE, Step, place
from wire import TUNNEL, Site

from ansible_collections.akash.avpn.plugins.module_utils._policy.carried import Routing
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Address, Endpoint, Endpoints
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import Local
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import counters, remove
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset

_CARRIED = 16  # flows of one manifest that are kept for the next, and as many of those before
_ORPHANS = 6
_LEFT = ("marked", "classed", "unmarked")
_BACK = ("answer", "back", "error")  # what the target of a flow sends

Mutation = Callable[[Ruleset], Ruleset]


class Disagreement(AssertionError):
    """The three don't say the same."""

    def __init__(self, what: str, document: Mapping[str, Any], flow: Flow | None = None) -> None:
        super().__init__(f"{what}\nmanifest: {json.dumps(document)}")
        self.flow = flow  # None: known is only that something was counted that nobody sent, or not counted


@dataclass(frozen=True)
class _Sent:
    flow: Flow
    what: str  # first, again, answer, later, back, error, orphan
    fate: Fate
    here: Address  # the place it was sent from
    there: Address


@dataclass
class _State:
    """Since connection tracking began anew: what was seen, and what holds."""

    carried: list[Flow] = field(default_factory=list)
    forgotten: set[Flow] = field(default_factory=set)
    counted: dict[int, dict[str, int]] = field(default_factory=dict)  # by sites that enforce
    observed: dict[int, dict[str, int]] = field(default_factory=dict)


class Comparison:
    """Two sites with the endpoints of the generator's world, for any number of walks."""

    def __init__(self, wire: PassiveWire) -> None:
        self.wire = wire
        self.tally: Counter[str] = Counter()
        self.mutation: Mutation | None = None  # of what is compiled, before it is applied
        self.marks = Marks()
        self._state = _State()
        one, two = wire.site("host1"), wire.site("host2")
        for endpoint in endpoints():
            wire.place(one if endpoint.id.member in ("web", "api") else two, endpoint)
        wire.join(one, two)
        carrier = next(each for each in one.workloads if each.endpoint == CARRIER)
        wire.lead([str(address) for address in OUTSIDE], carrier)
        for site in wire.sites:
            observe(site)
        self._homes = {each.endpoint.ipv4: n for n, site in enumerate(wire.sites) for each in site.workloads}

    def walk(self, steps: Iterable[Step]) -> None:
        """Raises Disagreement at the first packet that is not treated alike."""
        for number, step in enumerate(steps):
            if number == 0:
                self._begin(step)
            self._step(step, begins=number == 0)
            self.tally["manifests"] += 1
        self._leaves()

    def _leaves(self) -> None:
        """Nothing that the table writes on packets leaves with them; every connection has an epoch."""
        for number, before in self._state.observed.items():
            seen = observed(self.wire.sites[number])
            odd = {name: seen[name] - before[name] for name in _LEFT if seen[name] != before[name]}
            if odd:
                raise Disagreement(f"packets left site {number} as they must not: {odd}", {})

    def _begin(self, step: Step) -> None:
        self.wire.forget_flows()
        for line in self.wire.lines.values():
            list(line.arrived())
        enforcing = [site for number, site in enumerate(self.wire.sites) if number != step.lax]
        self.marks = Marks()
        self._state = _State(observed={self.wire.sites.index(site): observed(site) for site in enforcing})
        if step.lax is not None:
            site = self.wire.sites[step.lax]
            remove(site.namespace, site.state)

    def _step(self, step: Step, *, begins: bool) -> None:
        world = self._world(step)
        rulesets = self._apply(step, world, begins=begins)
        here = _Round(self, step, world, rulesets)
        self._carry(step, here)
        permitted, answered = self._first(step, here, next(iter(rulesets.values())))
        begun = set(permitted)
        orphans = [flow for flow in step.flows if flow not in begun and not flow.one_a_pair]
        here.send((flow, "error", "invalid") for flow in orphans[:_ORPHANS])
        orphans = [flow for flow in orphans if flow.packet.protocol == "tcp"][:_ORPHANS]
        here.send((flow, "orphan", "midstream") for flow in orphans)
        here.finish(self._state.counted)
        older = [flow for flow in self._state.carried if flow not in self._state.forgotten]
        self._state.carried = _some(step, answered) + _some(step, older)
        self._state.forgotten.clear()

    def _world(self, step: Step) -> World:
        carried = tuple(route.range for route in step.manifest.routes)
        assert CARRIER is not None
        return World(
            step.manifest,
            Endpoints(step.present),
            self._homes,
            frozenset(range(len(self.wire.sites))) - {step.lax},
            {CARRIER.ipv4: carried},
        )

    def _apply(self, step: Step, world: World, *, begins: bool) -> dict[int, Ruleset]:
        """The manifest on every site that enforces; by difference unless the walk says otherwise."""
        made = {}
        for number in sorted(world.enforcing):
            site = self.wire.sites[number]
            if step.whole:
                site.state.unlink(missing_ok=True)
            made[number] = self._compiled(site, world)
            wanted = self.mutation(made[number]) if self.mutation else made[number]
            change = site.apply(wanted)
            assert not change.difference_refused, change.difference_refused
            self.tally["by difference" if not change.scripts.whole else "loaded"] += 1
            before = counters(site.namespace) if begins else self._state.counted[number]
            self._state.counted[number] = {name: before.get(name, 0) for name in wanted.counters}
            lost = set(change.moved)
            self.marks.forget(number, lost)
            self._state.forgotten.update(
                flow for flow in self._state.carried if {str(flow.packet.source), str(flow.packet.target)} & lost
            )
        return made

    def compiled(self, number: int, step: Step) -> Ruleset:
        """A site's table for a step, as it should be."""
        return self._compiled(self.wire.sites[number], self._world(step))

    def _compiled(self, site: Site, world: World) -> Ruleset:
        local = [
            Local(each.interface, each.endpoint.ipv4, each.endpoint.ipv6, world.carries.get(each.endpoint.ipv4, ()))
            for each in site.workloads
            if world.endpoints.at(each.endpoint.ipv4) is not None
        ]
        here = {each.ipv4 for each in local}
        others = [each for each in world.carries if each not in here and world.endpoints.at(each) is not None]
        routing = Routing(elsewhere=frozenset(range_ for each in others for range_ in world.carries[each]))
        return compile_ruleset(world.manifest, world.endpoints, local, [TUNNEL], routing=routing)

    def _carry(self, step: Step, here: _Round) -> None:
        sent = []
        for flow in self._state.carried:
            what, unknown = step.choose.choice(("later", "back", "error")), ""
            if flow in self._state.forgotten:
                if flow.packet.protocol != "tcp":
                    continue  # whoever speaks first begins it anew
                unknown = "invalid" if what == "error" else "midstream"
            sent.append((flow, what, unknown))
        here.send(sent)
        for flow, _what, _unknown in sent:
            here.count("carried", flow)

    def _first(self, step: Step, here: _Round, ruleset: Ruleset) -> tuple[list[Flow], list[Flow]]:
        """The new flows that were permitted, and those of them that were answered."""
        for flow in step.flows:
            if self.mutation:
                break  # it is about the rules as they were compiled
            refused = refusal(step.manifest, here.world.endpoints, flow.packet)
            run = Interpreter(ruleset, flow.packet)
            counted = refused or staged_refusal(here.world, flow)
            if run.permitted() != (not refused) or run.counted != ([counted] if counted else []):
                here.disagree(f"the rules read in Python say {run.counted or 'pass'}", flow)
        numbers = here.send((flow, "first", "") for flow in step.flows)
        there = [flow for number, flow in numbers if here.sent[number].fate == ARRIVES]
        here.send((flow, "again", "") for flow in there[::_ORPHANS])
        here.send((flow, "error", "") for flow in there[:_ORPHANS])
        numbers = here.send((flow, "answer", "") for flow in there)
        answered = [flow for number, flow in numbers if here.sent[number].fate == ARRIVES]
        # TCP has both ends' word only after a third packet.
        here.send((flow, "later", "") for flow in answered if flow.packet.protocol == "tcp")
        self.tally["permitted"] += len(there)
        self.tally["refused"] += len(step.flows) - len(there)
        return there, answered


class _Round:
    """What is sent under one manifest, and what comes of it."""

    def __init__(self, comparison: Comparison, step: Step, world: World, rulesets: dict[int, Ruleset]) -> None:
        self.world = world
        self.sent: dict[int, _Sent] = {}
        self._comparison = comparison
        self._wire = comparison.wire
        self._step = step
        self._rulesets = rulesets
        self._staged: Counter[Fate] = Counter()
        self._arrived: dict[int, int] = {}

    def send(self, wanted: Iterable[tuple[Flow, str, str]]) -> list[tuple[int, Flow]]:
        """Send all, and see what has arrived when each has arrived or been dropped."""
        with self._wire.sending():
            numbers = [self._send(*each) for each in wanted]
        self._collect()
        self._judge([number for number, _flow in numbers])
        return numbers

    def _send(self, flow: Flow, what: str, unknown: str) -> tuple[int, Flow]:
        number = len(self.sent) + 1
        back = what in _BACK
        source, target = flow.packet.source, flow.packet.target
        ends = (target, source) if back else (source, target)
        here, there = place(ends[0]), place(ends[1])
        fated = fate(self.world, here, there, ends[0], flow.packet, unknown)
        self.sent[number] = _Sent(flow, what, fated, here, there)
        if fated == ARRIVES:
            sites = {self.world.homes[here], self.world.homes[there]}
            self._staged += self._comparison.marks.pass_(sites, self._rulesets, flow, self.world)
        make = {"first": first, "again": first, "answer": answer, "error": error}.get(what)
        packets = make(flow, number) if make else later(flow, number, back=back)
        self._wire.lines[here].send(packets)
        return number, flow

    def count(self, prefix: str, flow: Flow) -> None:
        refused = refusal(self.world.manifest, self.world.endpoints, flow.packet)
        self._comparison.tally[f"{prefix}, {'cut' if refused else 'kept'}"] += 1

    def finish(self, counted: dict[int, dict[str, int]]) -> None:
        """Every packet that must not arrive has been counted where it must be, and nowhere else."""
        tally = self._comparison.tally
        for each in self.sent.values():
            tally["packets"] += 1
            tally[f"packets: {each.what}"] += 1
            tally[f"packets: {each.flow.packet.protocol}"] += 1
            if each.fate != ARRIVES:
                tally[f"dropped: {each.fate[1][:2] if each.fate[1][1] == '_' else each.fate[1]}"] += 1
        fates = self._staged + Counter(each.fate for each in self.sent.values() if each.fate != ARRIVES)
        tally["staged counts"] += self._staged.total()
        for number, before in counted.items():
            wanted = {name: count + fates[number, name] for name, count in before.items()}
            seen = counters(self._wire.sites[number].namespace)
            if seen != wanted:
                names = seen.keys() | wanted.keys()
                odd = {name: seen.get(name, 0) - wanted.get(name, 0) for name in sorted(names)}
                odd = {name: more for name, more in odd.items() if more}
                self.disagree(f"site {number} counted more or less than what it must drop: {odd}", None)
            counted[number] = wanted

    def _collect(self) -> None:
        for at, line in self._wire.lines.items():
            for arrival in line.arrived():
                sent = self.sent.get(arrival.number)
                if sent is None or not _is(arrival, sent) or at != sent.there:
                    self.disagree(f"at {at} something arrived that nobody sent there: {arrival}", None)
                self._arrived[arrival.number] = self._arrived.get(arrival.number, 0) + 1

    def _judge(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            sent, arrived = self.sent[number], self._arrived.get(number, 0)
            if arrived != (1 if sent.fate == ARRIVES else 0):
                where = "arrive" if sent.fate == ARRIVES else f"be dropped at site {sent.fate[0]} ({sent.fate[1]})"
                self.disagree(f"packet '{sent.what}' arrived {arrived} times, must {where}", sent.flow)

    def disagree(self, what: str, flow: Flow | None) -> None:
        step = self._step
        lines = [
            f"{step.name}: {what}",
            f"enforced by sites {sorted(self.world.enforcing)}",
            f"endpoints: {', '.join(map(_named, step.present))}",
        ]
        if flow is not None:
            decision = evaluate(self.world.manifest, self.world.endpoints, flow.packet)
            lines += [f"flow: {flow}", f"evaluate: {decision}"]
        raise Disagreement("\n".join(lines), step.document, flow)


def _named(endpoint: Endpoint) -> str:
    return f"{endpoint.id.member}/{endpoint.id.gseq}/{endpoint.id.index} {endpoint.ipv4}"


def _some(step: Step, flows: list[Flow]) -> list[Flow]:
    return step.choose.sample(flows, min(_CARRIED, len(flows)))


def _is(arrival: Arrival, sent: _Sent) -> bool:
    ends = (sent.flow.packet.source, sent.flow.packet.target)
    if sent.what in _BACK:
        ends = ends[::-1]
    protocol = sent.flow.number
    if sent.what == "error":
        protocol = NUMBERS["icmp" if ends[0].version == 4 else "icmpv6"]
    return (arrival.source, arrival.target) == ends and arrival.protocol == protocol
