# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frame can be exchanged while the decisions stay, and knows nothing of the manifest or of who is where."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Any

from hypothesis import given, settings
from manifests import documents, endpoints

from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._policy import frame
from ansible_collections.akash.avpn.plugins.module_utils._policy.compile import compile_ruleset
from ansible_collections.akash.avpn.plugins.module_utils._policy.decisions import decisions
from ansible_collections.akash.avpn.plugins.module_utils._policy.denial_log import DenialLog
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Endpoints
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import Local, Neighbours
from ansible_collections.akash.avpn.plugins.module_utils._policy.frame import Frame, frame_of, framed
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Chain, Ruleset, Set

FOUR, SIX = ipaddress.IPv4Address("100.64.0.1"), ipaddress.IPv6Address("fd00:1::6440:1")
LOCAL = Local("ve64400001", FOUR, SIX, (ipaddress.ip_network("192.0.2.0/24"),))


def compiled(document: Any, everybody: Endpoints | None = None, **more: Any) -> Ruleset:
    return compile_ruleset(parse(document), everybody or endpoints(), more.pop("local", [LOCAL]), ["avt"], **more)


def another(ruleset: Ruleset) -> Ruleset:
    """As a later version might make it: a chain more and one less, a set more, another declared otherwise."""
    chains = {name: chain for name, chain in ruleset.chains.items() if name != "clamp"}
    chains["gateway"] = Chain(("jump newer", *chains["gateway"].rules), chains["gateway"].hook)
    chains["newer"] = Chain(('ip saddr @fresh counter name "newly" drop',))
    sets = {**ruleset.sets, "fresh": Set("set", "type ipv4_addr;", {"192.0.2.1": ""})}
    sets["echoes4"] = Set("set", "type ipv4_addr; flags dynamic, timeout; timeout 2m; size 64;")
    return dataclasses.replace(ruleset, chains=chains, sets=sets, counters=ruleset.counters | {"newly"})


def frame_of_another(ruleset: Ruleset) -> Frame:
    names = frame_of(ruleset)
    chains = {name: chain for name, chain in ruleset.chains.items() if name in {*names.chains, "newer"}}
    return Frame(chains, {name: each for name, each in ruleset.sets.items() if name in {*names.sets, "fresh"}})


def test_its_parts_are_those_that_the_compiler_puts_around_the_decisions() -> None:
    document = {"members": {"web": {"egress": {"allow": [{"peers": "any", "ports": "tcp/80"}]}}}}
    staged = {**document, "routes": [{"range": "192.0.2.0/24", "via": "web"}]}
    whole = compiled({**staged, "staged": staged}, log=DenialLog("one", 1))
    chains, sets = frame.names()
    assert {"guard", "forward", "gateway", "permit"} <= chains
    assert {"sources4", "hosts6", "connections4"} <= sets
    decided_sets, decided_chains, _counters = decisions(parse(document), endpoints())
    rest = whole.chains.keys() - chains - decided_chains.keys()
    assert {name for name in rest if not name.startswith(("s_", "d_"))} == {"staged"}
    rest = whole.sets.keys() - sets - decided_sets.keys()
    assert {name for name in rest if not name.startswith("s_")} == {"current", "epoch"}


@settings(max_examples=50, deadline=None)
@given(documents)
def test_no_manifest_changes_it(document: dict[str, Any]) -> None:
    plain = frame_of(compiled({})).digest
    assert frame_of(compiled(document)).digest == plain


def test_who_is_where_is_no_part_of_it() -> None:
    plain = frame_of(compiled({})).digest
    fewer = Endpoints(list(endpoints())[1:])
    assert frame_of(compiled({}, fewer, local=[], neighbours=Neighbours((FOUR, SIX), (FOUR + 9,)))).digest == plain
    assert frame_of(another(compiled({}))).digest != plain
    assert frame_of(compile_ruleset(None, endpoints(), [], ["avt", "avb"])).digest != plain


def test_there_and_back_is_the_same_table() -> None:
    document = {"members": {"web": {"egress": {"allow": [{"peers": "any", "ports": "tcp/80"}]}}}}
    old = compiled(document)
    new = another(old)
    before, after = frame_of(old), frame_of_another(new)
    there = framed(old, before, after)
    assert there == new
    back = framed(there, after, before)
    assert (back.chains, back.sets, back.tenancy) == (old.chains, old.sets, old.tenancy)
    assert back.counters == old.counters


def test_decisions_and_elements_of_now_stay() -> None:
    """A frame that is taken back takes neither a policy with it nor who came meanwhile."""
    first = compiled({})
    newer = compiled({"members": {"web": {"egress": {"allow": [{"peers": "any", "ports": "tcp/81"}]}}}}, local=[])
    after = frame_of_another(another(newer))
    back = framed(framed(newer, frame_of(newer), after), after, frame_of(first))
    assert back.chains == newer.chains
    assert back.sets == newer.sets
    assert back.sets["sources4"].elements == {}, "and not those that the old frame was taken out with"


def test_it_survives_the_file() -> None:
    one = frame_of(compiled({}))
    assert Frame.from_json(one.to_json()) == one
    assert Frame.from_json(one.to_json()).digest == one.digest
