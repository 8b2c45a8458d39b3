# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tenant reads, and that waiting ends with what is there (R25)."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_world import node
from ruins import Ruins

from ansible_collections.akash.avpn.plugins.module_utils._recovery import report
from ansible_collections.akash.avpn.plugins.module_utils._recovery.follow import Following
from ansible_collections.akash.avpn.plugins.module_utils._recovery.keeping import against, gained, lost
from ansible_collections.akash.avpn.plugins.module_utils._recovery.picture import Picture
from ansible_collections.akash.avpn.plugins.module_utils._recovery.proposal import Wanted, propose, standing


@pytest.fixture
def ruins(tmp_path: Path) -> Ruins:
    made = Ruins(tmp_path, hosts=5)
    made.allocate(1, 2, 3)
    return made


def picture(ruins: Ruins, wanted: Wanted | None = None) -> Picture:
    survey, found = ruins.survey()
    record, view = ruins.chain.record(), ruins.chain.view()
    network = view.networks[record.id]
    proposal = propose(network, view.hosts, found, survey.surveyed, wanted or Wanted())
    now = standing(record, found, survey.surveyed)
    return Picture(network, view.height, survey.surveyed, survey.silent, found, now, proposal)


def text(seen: Picture) -> str:
    return "\n".join([*report.survey_lines(seen), *report.command_lines(seen)])


def test_the_command_to_type_names_generation_and_base(ruins: Ruins) -> None:
    ruins.voters.down = {2, 3}
    seen = picture(ruins)
    assert seen.proposal is not None
    assert f"-e avpn_recover=1 -e avpn_recover_base={seen.proposal.base}" in text(seen)
    assert "-e avpn_recover_base=none" in text(picture(ruins, Wanted(base="none")))


def test_a_healthy_network_is_left_alone(ruins: Ruins) -> None:
    seen = text(picture(ruins))
    assert "Recovery isn't needed: 3 of 3 voters answer" in seen
    assert "-e avpn_recover=" not in seen


def test_what_is_lost_is_said(ruins: Ruins) -> None:
    ruins.voters.down = {2, 3}
    ruins.chain.deploy("late", 60, 4)
    assert "2 of 3 are silent, 2 can agree" in text(picture(ruins))
    assert "late/1/0" in text(picture(ruins))
    assert "EVERY address" in text(picture(ruins, Wanted(base="none")))


def test_of_two_nothing_agreed_is_lost(tmp_path: Path) -> None:
    pair = Ruins(tmp_path, voters=2)
    pair.allocate(1, 2)
    pair.voters.down = {2}
    assert "nothing that was agreed" in text(picture(pair))


def test_what_was_tried_is_said_if_nobody_shows_it(ruins: Ruins) -> None:
    ruins.chain.deploy("more", 20, 3)
    ruins.allocate(1)
    ruins.half(3)
    ruins.voters.down = {2}
    with_it = text(picture(ruins, Wanted(force=True)))
    assert "version 5 after it is half done" in with_it and "has heard" not in with_it
    ruins.voters.down = {2, 3}
    assert f"has heard that {node(3)} tried a version 5, which nobody shows" in text(picture(ruins))


def test_beside_the_chain_and_another_value(ruins: Ruins) -> None:
    _survey, first = ruins.survey()
    ruins.chain.deploy("more", 20, 1)
    ruins.allocate(1)
    _survey, second = ruins.survey()
    assert first.best is not None and second.best is not None
    network = ruins.chain.view().networks[ruins.chain.record().id]
    assert [str(endpoint) for endpoint in against(first.best.value, network).missing] == ["more/1/0"]
    assert against(second.best.value, network).missing == ()
    assert len(against(None, network).missing) == 4
    assert lost(first.best.value, second.best.value) == {}
    assert {str(endpoint) for endpoint in gained(first.best.value, second.best.value)} == {"more/1/0"}
    assert {str(endpoint) for endpoint in lost(second.best.value, first.best.value)} == {"more/1/0"}


def test_waiting_ends_with_what_the_generation_began_with(ruins: Ruins) -> None:
    _survey, found = ruins.survey()
    assert found.best is not None
    started = Following(ruins, ruins.chain.record(), found.best.value, 5).wait(1)
    assert started is not None
    assert (started.version, started.kept, dict(started.lost)) == (3, 3, {})
    assert any("kept: 3 of 3" in line for line in report.started_lines(0, started))


def test_waiting_in_vain_says_who_is_missing(tmp_path: Path) -> None:
    ruins = Ruins(tmp_path)
    ruins.voters.down = {2}
    following = Following(ruins, ruins.chain.record(), None, 5)
    assert following.wait(0.1) is None
    assert dict(following.missing)[node(2)] == "can't be reached"
    assert "hasn't read generation 0" in dict(following.missing)[node(1)]
    assert any(str(node(2)) in line for line in report.waiting_lines(0, 0.1, following.missing))
