# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A content that is to be tried goes beside the one that runs, and handing it in by itself ends the trial."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._manifest import content
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import SignedManifest
from ansible_collections.akash.avpn.plugins.module_utils._manifest.publish import Running, plan
from ansible_collections.akash.avpn.plugins.module_utils._manifest.schema import parse
from ansible_collections.akash.avpn.plugins.module_utils._manifest.staging import beside


def document(port: int) -> dict[str, Any]:
    return {"members": {"web": {"ingress": {"allow": [{"peers": "any", "ports": f"tcp/{port}"}]}}}}


def running(content_: dict[str, Any], version: int) -> Running:
    return Running(version, SignedManifest("0" * 64, version, content_, "", ""))


def test_what_runs_stays_and_the_other_is_staged() -> None:
    whole = beside(document(81), 3, document(80))
    manifest = content.check(whole)
    assert manifest.policies == parse(document(80)).policies
    assert manifest.staged == parse(document(81))


def test_another_trial_takes_the_place_of_the_first() -> None:
    once = beside(document(81), 3, document(80))
    twice = beside(document(82), 4, once)
    assert content.check(twice).staged == parse(document(82))
    assert content.check(twice).policies == parse(document(80)).policies
    assert beside(document(81), 4, once) == once


def test_staging_the_same_again_is_no_change_and_handing_it_in_by_itself_ends_the_trial() -> None:
    whole = beside(document(81), 3, document(80))
    assert plan(whole, None, running(document(80), 3), 0).version == 4
    assert not plan(beside(document(81), 4, whole), None, running(whole, 4), 0).change
    ended = plan(document(81), None, running(whole, 4), 0)
    assert (ended.change, ended.version) == (True, 5)
    assert content.check(dict(ended.document)).staged is None
    assert ended.diff(running(whole, 4))["before"].count('"staged"') == 1


@pytest.mark.parametrize(
    ("version", "runs", "given", "why"),
    [
        (0, None, document(80), "no manifest yet"),
        (3, None, document(80), "as version 3 can't be told"),
        (3, document(80), {**document(80), "staged": document(81)}, "is there already"),
    ],
)
def test_what_can_not_be_staged(version: int, runs: Any, given: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as refused:
        beside(given, version, runs)
    assert refused.value.remedy
