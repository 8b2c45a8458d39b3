# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live check without a wire: which packets are tried, what is made of what comes back, how it is told."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._check import probes as probes_module
from ansible_collections.akash.avpn.plugins.module_utils._check import report
from ansible_collections.akash.avpn.plugins.module_utils._check.compare import DROPPED, PASSED, UNKNOWN, Path, look
from ansible_collections.akash.avpn.plugins.module_utils._check.probes import Probe, choose, parse_port
from ansible_collections.akash.avpn.plugins.module_utils._check.probing import SILENCE, Answer
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import Manifest
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoint, Endpoints
from ansible_collections.akash.avpn.plugins.module_utils._policy.evaluate import evaluate


def endpoint(member: str, number: int, gseq: int = 1) -> Endpoint:
    return Endpoint(
        EndpointId(member, gseq, 0),
        ipaddress.IPv4Address(f"100.64.0.{number}"),
        ipaddress.IPv6Address(f"fd00:1::{number}"),
        "",
    )


WEB, API, DB = endpoint("web", 1), endpoint("api", 2), endpoint("db", 3)
ALL = Endpoints([WEB, API, DB])
POLICY = parse(
    {
        "members": {
            "web": {"egress": {"allow": [{"peers": "db", "ports": ["tcp/5432", "udp/5000-5010"]}]}},
            "api": {"egress": {"allow": [{"peers": "any", "ports": "icmp"}]}},
            "db": {"ingress": {"allow": [{"peers": "web", "ports": ["tcp/5432", "udp/5000-5010"]}]}},
        }
    }
)


def tried(manifest: Manifest, source: Endpoint, target: Endpoint, **options: Any) -> dict[str, bool]:
    """What is tried of a pair over IPv4, and whether it should pass."""
    probes, _left = choose(manifest, ALL, [source], most=1000, **options)
    return {probe.what: probe.permitted for probe in probes if probe.target is target and probe.family == 4}


# --- which


def test_of_each_protocol_one_port_that_is_permitted_and_one_that_is_not() -> None:
    assert tried(POLICY, WEB, DB) == {
        "icmp": False,
        "tcp/5432": True,
        "tcp/5433": False,
        "udp/5000": True,
        "udp/5011": False,
    }


def test_what_the_receiver_opens_to_others_is_tried_on_it() -> None:
    # api may not reach db, whose 5432 is open to web: that very port is what must be shut.
    assert tried(POLICY, API, DB) == {"icmp": False, "tcp/5432": False, "udp/5000": False}


def test_where_no_rule_names_a_port_one_is_tried_all_the_same() -> None:
    assert tried(Manifest(), DB, WEB) == {"icmp": False, "tcp/9": False}
    every = {"allow": [{"peers": "any", "ports": "any"}]}
    everything = parse({"members": {"web": {"egress": every}, "db": {"ingress": every}}})
    assert tried(everything, WEB, DB) == {"icmp": True, "tcp/9": True, "udp/9": True}


def test_asked_ports_are_tried_instead() -> None:
    asked = [parse_port("tcp/22"), parse_port("ping"), parse_port("tcp/22")]
    assert tried(POLICY, WEB, DB, ports=asked) == {"tcp/22": False, "icmp": False}


@pytest.mark.parametrize(
    "text", ["tcp", "tcp/0", "tcp/65536", "tcp/80-90", "sctp/1", "icmp", "any", "tcp/80 ", "tcp/٣"]
)
def test_other_ports_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_port(text)


def test_the_edges_of_the_ports_are_not_stepped_over() -> None:
    rule = {"allow": [{"peers": "any", "ports": "tcp/1-65535"}]}
    assert tried(parse({"members": {"web": {"egress": rule}, "db": {"ingress": rule}}}), WEB, DB) == {
        "icmp": False,
        "tcp/1": True,
    }


def test_of_too_many_a_sample_is_taken_and_said() -> None:
    many = Endpoints([endpoint("web", number, number) for number in range(1, 60)])
    for most in (1, 10, 100, 500):
        probes, left = choose(POLICY, many, many, most=most)
        pairs = {(probe.source.id, probe.target.id) for probe in probes}
        assert len(probes) <= most
        assert left == 59 * 58 - len(pairs)
        assert [probe.packet for probe in choose(POLICY, many, many, most=most)[0]] == [p.packet for p in probes]


def test_a_manifest_that_names_every_port_is_looked_at_in_part() -> None:
    rules = [
        {"peers": "db", "ports": [f"tcp/{first * 2 + 1}" for first in range(256 * n, 256 * (n + 1))]} for n in range(4)
    ]
    probes, _left = choose(parse({"members": {"web": {"egress": {"allow": rules}}}}), ALL, [WEB], most=1000)
    assert len(probes) < 40


def test_hostile_manifests_cost_a_bounded_number_of_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def counted(*given: Any) -> Any:
        asked.append(given)
        return evaluate(*given)

    monkeypatch.setattr(probes_module, "evaluate", counted)
    # Forty ports that nobody permits: each pair would ask for all of them, in vain.
    rules = [{"peers": "db", "ports": [f"{protocol}/{n * 10}" for n in range(1, 41)]} for protocol in ("tcp", "udp")]
    closed = parse({"members": {"web": {"egress": {"deny": rules}}}})
    many = Endpoints([endpoint("web", number, number) for number in range(1, 60)])
    probes, _left = choose(closed, many, many, most=1000)
    assert len(asked) <= 5000 + 1000
    assert {probe.what for probe in probes} >= {"icmp", "tcp/10", "udp/10"}
    assert len(probes) == 600


# --- what is made of it


class Wire:
    """Answers as told by each probe; counts what its firewall refuses, as ``counters`` shows it."""

    def __init__(self, answer: Callable[[Probe], Answer], refuses: Callable[[Probe], str | None]) -> None:
        self._answer = answer
        self._refuses = refuses
        self.sent: list[Probe] = []
        self.refused = {"e_web": 7, "i_db": 3, "e_api": 0, "i_web": 0, "i_api": 0, "e_db": 0}

    def send(self, probes: Sequence[Probe], _seconds: float) -> Mapping[Probe, Answer]:
        self.sent += probes
        for probe in probes:
            if name := self._refuses(probe):
                self.refused[name] += 1
        return {probe: SILENCE if self._refuses(probe) else self._answer(probe) for probe in probes}

    def counters(self) -> Mapping[str, int]:
        return dict(self.refused)


def test_only_so_many_are_tried_alone() -> None:
    asked = [parse_port(f"udp/{number}") for number in range(6000, 6100)]
    probes, _left = choose(POLICY, ALL, [WEB], ports=asked, most=1000)
    wire = Wire(lambda _probe: SILENCE, lambda _probe: None)
    paths = look(POLICY, probes, wire, wire.counters, 0.1)
    assert len(wire.sent) == 2 * len(probes) + 24
    assert [path.as_predicted for path in paths].count(False) == 24
    assert [path.as_predicted for path in paths].count(None) == len(probes) - 24


def seen(
    refuses: Callable[[Probe], str | None], answer: Callable[[Probe], Answer] = lambda _probe: Answer(True, "connected")
) -> dict[tuple[str, str, str], Path]:
    probes, _left = choose(POLICY, ALL, [WEB, API], most=1000)
    wire = Wire(answer, refuses)
    paths = look(POLICY, probes, wire, wire.counters, 0.1)
    assert [path.probe for path in paths] == probes
    return {(path.probe.source.id.member, path.probe.target.id.member, path.probe.what): path for path in paths}


def honest(probe: Probe) -> str | None:
    return probe.counter


def test_a_wire_that_does_as_it_should_is_as_predicted() -> None:
    found = seen(honest)
    assert all(path.as_predicted for path in found.values())
    assert {path.seen for path in found.values()} == {PASSED, DROPPED}


@pytest.mark.parametrize(("port", "side"), [("tcp/5432", "e_web"), ("udp/5000", "e_web"), ("tcp/5432", "i_db")])
def test_what_is_shut_though_it_should_be_open_is_found_with_whose_word_it_was(port: str, side: str) -> None:
    found = seen(lambda probe: side if probe.permitted and probe.what == port else honest(probe))
    wrong = {key for key, path in found.items() if path.as_predicted is False}
    assert wrong == {("web", "db", port)}
    by = {"e_web": "egress of web", "i_db": "ingress of db"}[side]
    assert found["web", "db", port].how == f"silence: refused on this host, by the {by}"


def test_what_is_open_though_it_should_be_shut_is_found() -> None:
    found = seen(lambda probe: None if probe.what == "tcp/5433" else honest(probe))
    assert {key for key, path in found.items() if path.as_predicted is False} == {("web", "db", "tcp/5433")}
    # Over UDP nobody may answer: what isn't counted as refused has passed.
    silent = {"udp/5011", "udp/5000"}
    found = seen(
        lambda probe: None if probe.what == "udp/5011" else honest(probe),
        lambda probe: SILENCE if probe.what in silent else Answer(True, "connected"),
    )
    assert {key for key, path in found.items() if path.as_predicted is False} == {("web", "db", "udp/5011")}


def test_silence_of_a_service_that_may_be_asked_over_udp_says_nothing() -> None:
    found = seen(honest, lambda probe: SILENCE if probe.what == "udp/5000" else Answer(True, "connected"))
    assert found["web", "db", "udp/5000"].as_predicted is None
    assert found["web", "db", "udp/5000"].seen == UNKNOWN
    assert all(path.as_predicted for key, path in found.items() if key[2] != "udp/5000")


def test_a_drop_elsewhere_is_told_from_one_here() -> None:
    found = seen(honest, lambda probe: SILENCE if probe.what == "tcp/5432" else Answer(True, "connected"))
    path = found["web", "db", "tcp/5432"]
    assert path.as_predicted is False
    assert path.how == "silence: not refused on this host"


def test_one_lost_packet_is_no_drop() -> None:
    asked: set[Probe] = set()

    def once(probe: Probe) -> Answer:
        first = probe not in asked
        asked.add(probe)
        return SILENCE if first else Answer(True, "connected")

    assert all(path.as_predicted for path in seen(honest, once).values())


def test_what_could_not_be_sent_is_unknown_and_what_is_unreachable_has_not_passed() -> None:
    gone = seen(honest, lambda _probe: Answer(None, "the workload's namespace can't be opened"))
    assert {path.as_predicted for path in gone.values() if path.probe.permitted} == {None}
    away = seen(honest, lambda _probe: Answer(False, "unreachable"))
    assert {path.as_predicted for path in away.values() if path.probe.permitted} == {False}


# --- how it is told


def told(paths: Iterable[Path]) -> list[str]:
    listed = list(paths)
    head = {"name": "prod", "manifest": 3, "ledger": [0, 5], "counts": report.counts(listed), "notes": ["by hand"]}
    return report.lines(head, listed)


def test_differences_are_told_with_the_rule_that_says_otherwise() -> None:
    paths = seen(lambda probe: "e_web" if probe.what == "tcp/5432" else honest(probe)).values()
    lines = told(paths)
    assert lines[0].endswith(f"{len(paths)} paths checked, {len(paths) - 1} as predicted, 1 not")
    assert (
        "NOT AS PREDICTED: web/1/0 -> db/1/0 tcp/5432 IPv6: predicted passed (members.web.egress.allow.0 and"
        " members.db.ingress.allow.0), dropped: silence: refused on this host, by the egress of web"
    ) in lines
    assert lines[-1] == "note: by hand"
    assert [line.split() for line in lines[1:4]] == [
        ["api", "db", "web"],
        ["api", "-4", "-3"],
        ["web", "-4", "+1", "-5", "!1"],
    ]


def test_nothing_different_is_told_without_a_word_more() -> None:
    lines = told(seen(honest).values())
    assert not any("NOT" in line or "!" in line for line in lines[1:-2])


def test_an_endpoint_that_answers_nothing_is_named() -> None:
    paths = seen(honest, lambda probe: SILENCE if probe.target is DB else Answer(True, "connected")).values()
    assert report.silent_targets(paths) == ["db/1/0"]
    assert report.silent_targets(seen(honest).values()) == []


def test_as_json_is_plain() -> None:
    (path,) = [one for one in seen(honest).values() if one.probe.what == "tcp/5433"][:1]
    assert report.as_json(path) == {
        "source": "web/1/0",
        "target": "db/1/0",
        "family": 6,
        "port": "tcp/5433",
        "predicted": "dropped",
        "decided_by": "no rule matches",
        "seen": "dropped",
        "how": "silence",
        "as_predicted": True,
    }
