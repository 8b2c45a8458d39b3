# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a tenant is told before a manifest is handed in, as Ansible prints it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase
from tenant import RECORD

from ansible_collections.akash.avpn.plugins.module_utils._manifest.preview import preview
from ansible_collections.akash.avpn.plugins.module_utils._manifest.store import check_content
from ansible_collections.akash.avpn.plugins.module_utils._policy.reachability import MOST_ENTRIES

BEFORE = {
    "members": {
        "web": {"egress": {"allow": [{"peers": "db", "ports": ["tcp/5432", "tcp/22"]}]}},
        "db": {
            "ingress": {"allow": [{"peers": "any", "ports": "any"}]},
            "egress": {"allow": [{"peers": "web", "ports": "tcp/80"}]},
        },
    }
}
AFTER = {
    "members": {
        "web": {
            "egress": {"allow": [{"peers": ["db", "192.0.2.0/24"], "ports": ["tcp/5432", "icmp"]}]},
            "ingress": {"allow": [{"peers": "100.64.0.0/24", "ports": "tcp/80"}]},
        },
        "db": BEFORE["members"]["db"],
    },
    "routes": [{"range": "192.0.2.0/24", "via": "gateway"}],
}


def shown(before: Any, after: Any, version: int = 6) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    told = preview(check_content(after, RECORD), version, before, RECORD)
    return CallbackBase()._get_diff(told.diff(version + 1)), told.result(), told.notes


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("@@")]


def test_gains_and_losses_are_a_difference_of_their_own() -> None:
    text, result, notes = shown(BEFORE, AFTER)
    assert lines(text) == [
        "--- before: who may reach whom: version 6",
        "+++ after: who may reach whom: version 7",
        "-web -> db loses tcp/22",
        "+db -> web gains tcp/80 (IPv4 only, for some addresses)",
        "+web -> db gains icmp",
        "+web -> 192.0.2.0/24 gains tcp/5432, icmp",
    ]
    guide = (Path(__file__).resolve().parents[3] / "docs" / "tenant.md").read_text(encoding="utf-8")
    assert text.strip() in guide, "the tenant's guide shows this one"
    assert result["reachability"]["loses"] == [
        {"from": "web", "to": "db", "ports": ["tcp/22"], "family": "both", "addresses": "all"}
    ]
    assert result["reachability"]["gains"][0] == {
        "from": "db", "to": "web", "ports": ["tcp/80"], "family": "ipv4", "addresses": "some",
    }  # fmt: skip
    assert (result["reachability"]["more"], result["staged_reachability"], notes) == (0, None, ())


def test_the_first_manifest_gains_all_that_it_permits() -> None:
    text, result, _notes = shown(None, BEFORE, version=0)
    assert "--- before: who may reach whom: no manifest" in text
    assert "+web -> db gains tcp/22, tcp/5432" in text
    assert result["reachability"]["loses"] == []


def test_words_alone_change_nothing() -> None:
    again = {**BEFORE, "groups": {"all": ["web", "db"]}}
    text, result, _notes = shown(BEFORE, again)
    assert text.strip() == "who may reach whom: the same with version 6 and version 7"
    assert [finding["where"] for finding in result["findings"]] == ["groups.all"] or result["findings"]


def test_what_is_staged_is_told_beside_it() -> None:
    text, result, _notes = shown(BEFORE, {**BEFORE, "staged": AFTER})
    assert "who may reach whom: the same with version 6 and version 7" in text
    assert "+++ after: who may reach whom: what version 7 stages" in text
    assert "-web -> db loses tcp/22" in text
    assert result["staged_reachability"]["gains"]


def test_findings_are_returned() -> None:
    one_sided = {"members": {"web": BEFORE["members"]["web"]}}
    _text, result, _notes = shown(BEFORE, one_sided)
    assert any(each["where"].startswith("members.web.egress.allow.0") for each in result["findings"])
    assert set(result["findings"][0]) == {"where", "what", "remedy"}


def test_what_cannot_be_compared_with_is_noted() -> None:
    for before in (None, {"members": {"web": {"words": "of a later version"}}}):
        text, result, notes = shown(before, BEFORE)
        assert (text, result["reachability"]) == ("", None)
        assert notes[0].startswith("who gains and loses what can't be told: ")


def test_many_are_cut_short_and_counted() -> None:
    names = [f"m{number}" for number in range(150)]
    record = type(RECORD)(RECORD.owner, RECORD.name, RECORD.cidr, {name: n + 1 for n, name in enumerate(names)}, None)
    every = {"allow": [{"peers": "any", "ports": "any"}]}
    document = {"members": {name: {"ingress": every, "egress": every} for name in names}}
    told = preview(check_content(document, record), 0, None, record)
    gains = told.result()["reachability"]
    assert (len(gains["gains"]), gains["more"]) == (MOST_ENTRIES, 150 * 150 - MOST_ENTRIES)
    text = CallbackBase()._get_diff(told.diff(1))
    some = "m0, m1, m10, m100, m101, m102, m103 and 143 more"
    assert [line for line in lines(text) if line.startswith("+m")] == [f"+{some} -> {some} gains any"]
    few = {"members": {name: {"ingress": every, "egress": {"allow": [{"peers": f"m{number}", "ports": "any"}]}}
                       for number, name in enumerate(reversed(names))}}  # fmt: skip
    told = preview(check_content(few, record), 0, None, record)
    assert "+… and 51 lines more" in CallbackBase()._get_diff(told.diff(1))
