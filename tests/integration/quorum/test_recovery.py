# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tenant asks hosts over real SSH, two of three voters being gone, with the module and a record in a file (R25)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ledger_world import OWNER
from quorum_site import Site, module_result, opened

from ansible_collections.akash.avpn.plugins.module_utils._chain.view import load_view, save_view
from ansible_collections.akash.avpn.plugins.module_utils._peer import keys

pytestmark = [pytest.mark.root, pytest.mark.slow]


@dataclass
class Desk:
    """The tenant's: an SSH key, and the chain as a file."""

    site: Site
    folder: Path

    def recovery(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        save_view(self.folder / "view.json", self.site.view())
        common = {
            "name": "prod",
            "owner": OWNER,
            "key_file": str(self.folder / "key"),
            "peer_ranges": ["198.18.0.0/15"],
            "carrier": "file",
            "path": str(self.folder / "view.json"),
            "host_timeout": 10,
        }
        return module_result("recovery", {**common, **options}, check=check)

    def node(self, number: int) -> str:
        return str(self.site.hosts[number].node)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    if os.geteuid() != 0 or shutil.which("sshd", path="/usr/sbin") is None or shutil.which("wg") is None:
        pytest.skip("needs root, openssh-server and wireguard-tools")
    keys.create_ssh_key(tmp_path / "key")
    with opened(3, hosts=4) as site:
        site.chain.changes = {"access": (keys.ssh_public_key(tmp_path / "key"),)}
        for number, member in ((1, "web"), (2, "api"), (3, "db"), (4, "cache")):
            site.chain.deploy(member, 10 + number, number)
        site.publish()
        for number in (1, 2, 3):
            result = module_result("address", {"root": str(site.hosts[number].paths.root), "deadline": 20})
            assert not result.get("failed"), result
        yield Desk(site, tmp_path)


def test_the_survey_tells_what_is_left(desk: Desk) -> None:
    healthy = desk.recovery()
    assert not healthy.get("failed"), healthy
    assert not healthy["needed"] and not healthy["changed"]
    assert any("enough to go on without recovery" in line for line in healthy["report"])
    best = healthy["candidates"][0]
    assert (best["proof"], best["addresses"], best["missing"]) == ("certified", 3, ["cache/1/0"])

    for number in (2, 3):
        desk.site.hosts[number].stop()
    alone = desk.recovery()
    assert alone["needed"]
    assert alone["voters"] == {desk.node(1): True, desk.node(2): False, desk.node(3): False}
    assert alone["hosts"][desk.node(2)]["silent"]
    assert alone["hosts"][desk.node(4)] == {"holds": [], "silent": None}
    assert alone["candidates"][0]["hash"] == best["hash"]
    proposal = alone["proposal"]
    assert (proposal["generation"], proposal["base"]) == (1, best["hash"])
    assert sorted(proposal["founders"]) == sorted([desk.node(1), desk.node(4)])
    text = "\n".join(alone["report"])
    assert "The network can't decide anything: 1 of 3 voters answer, 2 are needed" in text
    assert "cache/1/0" in text and best["hash"] in text
    print("\n" + text)

    # What would be written, and that nothing is.
    path = desk.folder / "view.json"
    planned = desk.recovery(check=True, generation=1)
    assert not planned.get("failed"), planned
    assert planned["changed"]
    record = planned["record"]
    assert (record["generation"], record["base"]) == (1, best["hash"])
    assert '"generation": 1' in planned["diff"]["after"] and '"generation": 0' in planned["diff"]["before"]
    assert load_view(path).networks[planned["network"]].record.generation == 0

    assert "the next one is 1" in desk.recovery(generation=2)["msg"]
    assert "which no host that answers shows" in "\n".join(desk.recovery(base="5" * 64)["report"])


def test_who_may_not_ask_is_told_before_anybody_is_asked(desk: Desk) -> None:
    keys.create_ssh_key(desk.folder / "stranger")
    refused = desk.recovery(key_file=str(desk.folder / "stranger"))
    assert refused["failed"] and "isn't a key that the network's record names" in refused["msg"]
    assert "doesn't exist" in desk.recovery(key_file=str(desk.folder / "none"))["msg"]
    assert "no such network" in desk.recovery(name="other")["msg"]
