# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Voters as real processes that are killed in the middle of whatever they do: nothing said is forgotten (R5)."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ledger_world import Chain, facts, node, signer

from ansible_collections.akash.avpn.plugins.module_utils._chain.view_json import view_to_json
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import to_change, wish
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Acceptance, Promise
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.store import Store
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value

_PROCESS = Path(__file__).with_name("voter_process.py")


class Voter:
    """One process; killed and started at will."""

    def __init__(self, directory: Path, number: int) -> None:
        self.number = number
        self.database = directory / f"voter{number}.db"
        self.view = directory / "view.json"
        self.lock = threading.Lock()
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, str(_PROCESS), str(self.database), str(self.number), str(self.view)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def exchange(self, line: str) -> str:
        process = self.process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
            return process.stdout.readline()
        except (OSError, ValueError):
            return ""


class Pipes:
    """A transport to the processes; remembers every promise and acceptance that was answered."""

    def __init__(self, voters: dict[int, Voter], caller: NodeId, said: list[dict[str, Any]]) -> None:
        self._voters = voters
        self._caller = caller
        self._said = said

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        voter = self._voters[int(node.node[1:])]
        with voter.lock:
            line = voter.exchange(json.dumps({**request, "as": str(self._caller)}) + "\n")
            if not line.endswith("\n"):
                raise Unavailable("died", where=str(node))
            answer = json.loads(line)
            if "error" in answer:
                raise Unavailable(answer["error"], where=str(node))
            self._said.append(answer["ok"])
        return answer["ok"]


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    chain = Chain()
    for number, member in ((1, "web"), (2, "api"), (3, "db")):
        chain.deploy(member, 10 + number, number, replicas=40)
    for number in (1, 2, 3):
        store = Store(tmp_path / f"voter{number}.db")
        chain.incarnations[number] = store.incarnation
        store.close()
    (tmp_path / "view.json").write_text(json.dumps(view_to_json(chain.view())))
    return chain


@pytest.mark.slow
def test_killed_voters_keep_their_word(chain: Chain, tmp_path: Path) -> None:
    dice = random.Random(5)
    voters = {number: Voter(tmp_path, number) for number in (1, 2, 3)}
    said: list[dict[str, Any]] = []
    for voter in voters.values():
        voter.start()
    stop, kills = threading.Event(), []

    def killer() -> None:
        while not stop.is_set():
            time.sleep(dice.uniform(0.05, 0.5))
            victim = voters[dice.randint(1, 3)]
            victim.kill()
            kills.append(victim.number)
            time.sleep(dice.uniform(0.0, 0.05))
            with victim.lock:
                victim.start()

    def part(number: int, values: list[Value]) -> None:
        """This host claims its endpoints one after another."""
        everything = chain.endpoints(number)
        for upto in range(1, len(everything) + 1):
            some = dict(sorted(everything.items())[:upto])
            for _unused in range(50):
                try:
                    transport = Pipes(voters, node(number), said)
                    with Proposer(
                        transport, node(number), chain.record(), chain.height, deadline=5, hold=100, pauses=0.2
                    ) as proposer:
                        values.append(proposer.propose(_claims(chain, number, some)).value)
                    break
                except NoMajority:
                    continue

    threads, results = [], {number: [] for number in (1, 2, 3)}  # type: ignore[var-annotated]
    for number in (1, 2, 3):
        threads.append(threading.Thread(target=part, args=(number, results[number])))
    reaper = threading.Thread(target=killer)
    reaper.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    reaper.join()
    for voter in voters.values():
        voter.kill()
    assert len(kills) >= 5
    every = [value for values in results.values() for value in values]
    newest = max(every, key=lambda value: value.version)
    assert all(results[number] for number in (1, 2, 3))
    # No acknowledged address is lost, none is given twice.
    for value in every:
        for endpoint, slot in value.slots.items():
            assert newest.slots[endpoint].address == slot.address
    addresses = [slot.address for slot in newest.slots.values()]
    assert len(addresses) == len(set(addresses)) == 3 * 40
    _check_words(said)


def _claims(chain: Chain, number: int, endpoints: Any) -> Any:
    def build(value: Value) -> Any:
        view = chain.view()
        return to_change(wish(value, view, facts(number), endpoints), value, view, facts(number), signer(number))

    return build


def _check_words(said: list[dict[str, Any]]) -> None:
    """What each voter said fits together: a promise shows every acceptance given before for a lower ballot."""
    promises = [Promise.from_json(one["promise"], "promise") for one in said if "promise" in one]
    accepted = [Acceptance.from_json(one["acceptance"], "acceptance") for one in said if "acceptance" in one]
    assert len(promises) > 50
    assert len(accepted) > 50
    by_ballot: dict[object, set[object]] = {}
    for promise in promises:
        by_ballot.setdefault((promise.voter, promise.instance, promise.ballot), set()).add(promise)
    assert all(len(one) == 1 for one in by_ballot.values())
    # Every acceptance is of a ballot that, by the voter's promises to higher ballots, came to be known to them
    # or lies above what they showed; a higher promise that shows less than an older acceptance is a broken word.
    for order, one in enumerate(said):
        if "acceptance" not in one:
            continue
        acceptance = Acceptance.from_json(one["acceptance"], "acceptance")
        for later in said[order + 1 :]:
            if "promise" not in later:
                continue
            promise = Promise.from_json(later["promise"], "promise")
            same = (promise.voter, promise.instance) == (acceptance.voter, acceptance.instance)
            if same and promise.ballot > acceptance.ballot:
                assert promise.accepted is not None and promise.accepted >= acceptance.ballot
