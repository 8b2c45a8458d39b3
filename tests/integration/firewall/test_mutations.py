# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rulesets with a part taken out, which packets must notice. ``make wire`` takes out every rule, one at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from compare import Comparison, Mutation
from mutations import emptied, every, instead, noticed, without
from passive import passive_wire

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comparison]:
    with passive_wire(tmp_path_factory.mktemp("wire")) as wire:
        yield Comparison(wire)


_ESTABLISHED = "ct state established,related ct mark @current accept"
MUTATIONS: dict[str, Mutation] = {
    "the sender's deny": without("e_web", "_deny"),
    "the sender's deny, IPv4": without("e_web", "_deny4"),
    "the sender's deny, IPv6": without("e_api", "_deny6"),
    "the receiver's deny": without("i_db", "_deny"),
    "the receiver's deny, IPv4": without("i_web", "_deny4"),
    "the receiver's deny, IPv6": without("i_db", "_deny6"),
    "the deny of one lease": without("e_web", "@e_web_deny_exact"),
    "the sender's side": instead("decide", "meta priority vmap @senders", "goto receiver"),
    "the receiver's side": instead("receiver", "meta priority vmap @receivers", "goto permit"),
    "the default": instead("i_web", 'counter name "i_web" drop', "goto permit"),
    "the reply rule": every(
        instead("forward", "goto decide", "ct state new goto decide"), without("forward", _ESTABLISHED)
    ),
    "replies as parts of their flow": every(
        *(
            instead(chain, f"ct original {ip} {end}", f"{ip} {end}")
            for chain, end in (("source", "saddr"), ("target", "daddr"))
            for ip in ("ip", "ip6")
        )
    ),
    "errors as parts of their flow": instead("forward", _ESTABLISHED, "ct state related drop"),
    "the epoch's check": instead("forward", " ct mark @current", ""),
    "the connection's mark": without("permit", "ct mark set"),
    "the packet's mark, set back": without("permit", "meta mark set 0"),
    "the packet's class, set back": without("permit", "meta priority set 0"),
    "the class of nobody": without("target", "meta priority set 0"),
    "the classes, IPv4": emptied("class4"),
    "the classes, IPv6": emptied("class6"),
    "the midstream rule": without("forward", "midstream"),
    "what belongs to nothing": instead(
        "forward", 'ct state invalid counter name "invalid" drop', "ct state invalid accept"
    ),
    "relaying": without("forward", "relayed"),
    "the source check": instead("guard", 'counter name "spoofed" drop', "accept"),
    "what tunnels may bring to the host": instead("gateway", 'iifname "avtunnela" drop', "accept"),
    "the limit of connections": every(without("permit", "@connections4"), without("permit", "@connections6")),
    "segments that fit": without("clamp", "maxseg"),
}


def test_the_whole_table_agrees(comparison: Comparison) -> None:
    assert noticed(comparison, lambda ruleset: ruleset) == ""


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_is_missing_is_noticed(comparison: Comparison, name: str) -> None:
    assert noticed(comparison, MUTATIONS[name])
