# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counters of the table in words."""

from __future__ import annotations

from ansible_collections.akash.avpn.plugins.module_utils._policy import refusals
from ansible_collections.akash.avpn.plugins.module_utils._policy.entrances import COUNTERS


def test_every_counter_of_the_frame_has_its_words() -> None:
    assert set(refusals.REASONS) == COUNTERS | {"strangers"}


def test_counters_are_put_by_member_and_side() -> None:
    counters = {"e_web": 3, "i_web": 0, "i_db.2": 7, "e_db.2": 0, "e_e_": 1, "spoofed": 2, "gateway": 0}
    found = refusals.refused(counters)
    assert found == {
        "members": {
            "web": {"egress": 3, "ingress": 0},
            "db/2": {"egress": 0, "ingress": 7},
            "e_": {"egress": 1, "ingress": 0},
        },
        "others": {"spoofed": 2},
    }
    assert list(refusals.lines(found)) == [
        "db/2: 7 sent to it, by its own ingress",
        "e_: 1 that it sent, by its own egress",
        "web: 3 that it sent, by its own egress",
        "2 from an address that isn't the sender's (spoofed)",
    ]


def test_a_counter_is_named_as_the_compiler_names_it() -> None:
    assert refusals.counter("db/2", refusals.EGRESS) == "e_db.2"
    assert refusals.counter("web", refusals.INGRESS) == "i_web"


def test_nothing_refused_says_nothing() -> None:
    assert list(refusals.lines(refusals.refused({"e_web": 0, "i_web": 0, "spoofed": 0}))) == []
