# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Providers 1, 2 and 3 are replaced by 4, 5 and 6 over real SSH, while everybody goes on allocating (R5, R12)."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pytest
from history.versions import History, Told, Version, faults
from ledger_world import OWNER
from quorum_site import Host, Site, module_result, opened

from ansible_collections.akash.avpn.plugins.module_utils._common.ids import LeaseId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.cache import LedgerCache
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import apply_change, change_from_json
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import value_from_bytes, value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Certified
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value

pytestmark = [pytest.mark.root, pytest.mark.slow]

MEMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}

_WITNESS = """
CREATE TABLE witnessed (version INTEGER NOT NULL, change BLOB NOT NULL);
CREATE TRIGGER witness AFTER INSERT ON changes BEGIN
    INSERT INTO witnessed VALUES (NEW.version, NEW.change);
END;
CREATE TRIGGER beginning AFTER UPDATE OF snapshot ON networks WHEN NEW.snapshot_version = 0 BEGIN
    INSERT INTO witnessed VALUES (0, NEW.snapshot);
END;
"""


@dataclass
class Town:
    """Six hosts; those that hold leases allocate one endpoint more in every round, all at once."""

    site: Site
    leases: dict[int, LeaseId] = field(default_factory=dict)
    told: list[tuple[int, Told]] = field(default_factory=list)
    changes: dict[int, bytes] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Voters drop changes sooner or later, those that leave at once: here a copy of each stays.
        for host in self.site.hosts.values():
            with contextlib.closing(sqlite3.connect(host.paths.voter_database)) as database:
                database.executescript(_WITNESS)

    def come(self, number: int) -> None:
        self.leases[number] = self.site.chain.deploy(MEMBERS[number], 10 + number, number, replicas=1)

    def go(self, number: int) -> None:
        self.site.chain.close(self.leases.pop(number))
        self.site.publish(12)

    def round(self) -> None:
        for number in self.leases:
            self.site.chain.replicas[10 + number] += 1
        self.site.publish()
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(self.allocate, list(self.leases)))
        for host in self.site.hosts.values():
            self.collect(host)

    def allocate(self, number: int) -> None:
        """As a run of the playbook on one host; what couldn't be had now is asked for in the next round."""
        began, host = time.monotonic(), self.site.hosts[number]
        result = module_result("address", {"root": str(host.paths.root), "deadline": 40})
        (network,) = result["networks"].values()  # type: ignore[attr-defined]
        ended = time.monotonic()
        if "error" in network:
            self.problems.append(f"{number}: {network['error']}")
            return
        self.steps += network["voters_changed"]
        self.problems += [f"{number}: {node} {why}" for node, why in network["voters_waiting"].items()]
        for endpoint, at in network["allocated"].items():
            self.told.append(
                (number, Told(str(host.node), endpoint, at, network["version"], "", began, ended)),
            )

    def collect(self, host: Host) -> None:
        """What a voter knew of versions."""
        with contextlib.closing(sqlite3.connect(f"file:{host.paths.voter_database}?mode=ro", uri=True)) as database:
            for version, change in database.execute("SELECT version, change FROM witnessed"):
                assert self.changes.setdefault(version, change) == change

    def values(self) -> Iterator[Value]:
        """Every version of the ledger, from the first, which is kept whole, and the changes since."""
        value = value_from_bytes(self.changes[0], "the first version")
        yield value
        parent = value_hash(value)
        for version in range(1, len(self.changes)):
            change = change_from_json(json.loads(self.changes[version]), "change", OWNER)
            value = apply_change(value, parent, change)
            parent = value_hash(value)
            yield value

    def cached(self, number: int) -> Certified:
        """What a host has, proven from the founders on chain."""
        record = self.site.chain.record()
        found = LedgerCache(self.site.hosts[number].paths.ledgers).load(record.id, 0, record.founders)
        assert found is not None
        return found


@pytest.fixture
def town() -> Iterator[Town]:
    if os.geteuid() != 0 or shutil.which("sshd", path="/usr/sbin") is None or shutil.which("wg") is None:
        pytest.skip("needs root, openssh-server and wireguard-tools")
    with opened(3, hosts=6) as site:
        site.chain.cidr = "100.64.0.0/22"
        yield Town(site)


def test_three_providers_are_replaced_by_three_others(town: Town) -> None:
    site = town.site
    for number in (1, 2, 3):
        town.come(number)
    town.round()
    left: dict[int, int] = {}
    for old, new in ((1, 4), (2, 5), (3, 6)):
        town.come(new)
        town.round()
        left[old] = max(town.changes)
        town.go(old)
        for _unused in range(4):
            town.round()
            if str(site.hosts[new].node) in voters(town) and str(site.hosts[old].node) not in voters(town):
                break
        else:
            raise AssertionError((town.steps, town.problems))
    town.round()
    assert voters(town) == {str(site.hosts[number].node) for number in (4, 5, 6)}
    values = list(town.values())
    versions = [Version.of(value, value_hash(value)) for value in values]
    newest = town.cached(4)
    assert versions[newest.value.version].hash == newest.certificate.hash
    assert len(newest.trail()) == len(town.steps) >= 3
    told_of = [(of, replace(told, hash=versions[told.version].hash)) for of, told in town.told]
    stay = [told for of, told in told_of if of > 3]
    assert faults(History(versions, stay)) == []
    for old, last in left.items():
        went = [told for of, told in told_of if of == old and told.version <= last]
        assert went
        assert faults(History(versions[: last + 1], went)) == []
    print(f"\n{len(versions)} versions, {len(town.told)} endpoints, {town.steps}, {town.problems}")
    # Nothing of the ledger is left with those who went, and nobody needs them any more.
    for number in (1, 2, 3):
        assert left_with(site.hosts[number]) == (1, 0, 0)
        site.hosts[number].stop()
    site.hosts[5].paths.ledgers.joinpath(f"{newest.value.network}.json").unlink()
    before = len(town.told)
    town.round()
    assert len(town.told) > before
    assert town.cached(5).value.version > newest.value.version


def voters(town: Town) -> set[str]:
    """Those of the newest version that any host has."""
    found = [town.cached(number) for number in town.leases]
    newest = max(found, key=lambda one: one.value.version)
    return {str(voter.node) for voter in newest.value.voters}


def left_with(host: Host) -> tuple[int, int, int]:
    """Of a voter's database: networks that were left, values that are held, changes that are kept."""
    database = sqlite3.connect(f"file:{host.paths.voter_database}?mode=ro", uri=True)
    try:
        query = "SELECT sum(gone), count(snapshot), (SELECT count(*) FROM changes) FROM networks"
        gone, held, changes = database.execute(query).fetchone()
        return gone, held, changes
    finally:
        database.close()
