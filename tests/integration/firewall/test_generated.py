# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generated manifests on the wire: what ``evaluate`` says, what the compiled rules say, and what happens.

A few of the walks that ``make wire`` takes by the hundred. AVPN_WIRE_WALKS sets how many, AVPN_WIRE_SEED which.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from compare import Comparison
from passive import passive_wire
from walks import walk

pytestmark = pytest.mark.root

WALKS = int(os.environ.get("AVPN_WIRE_WALKS", "4"))
SEED = int(os.environ.get("AVPN_WIRE_SEED", "1"))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comparison]:
    with passive_wire(tmp_path_factory.mktemp("wire")) as wire:
        yield Comparison(wire)


@pytest.mark.parametrize("number", range(WALKS))
def test_generated_manifests_on_the_wire(comparison: Comparison, number: int) -> None:
    comparison.walk(walk(SEED, number))


def test_the_walks_met_everything(comparison: Comparison) -> None:
    """Agreement about nothing would be no agreement."""
    seen = comparison.tally
    if WALKS < 4:
        comparison.walk(step for number in range(4) for step in walk(SEED, number))
    for what in (
        "permitted", "refused", "carried, kept", "carried, cut", "by difference",
        *(f"packets: {each}" for each in ("answer", "back", "later", "error", "orphan")),
        *(f"packets: {each}" for each in ("tcp", "udp", "sctp", "icmp", "icmpv6", "other")),
        *(f"dropped: {each}" for each in ("e_", "i_", "strangers", "spoofed", "midstream", "invalid")),
    ):  # fmt: skip
        assert seen[what] > 20, what
    assert seen["loaded"] > 0
