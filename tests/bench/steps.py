# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the time of a large allocation goes, step by step: make bench PART=steps [ARGS='--endpoints 1000 …'].

Each step of the proposer and of one voter by itself, in this process, in seconds of CPU, so that it can be told
on a machine that others use as well. What the steps are together is `allocation.cpu_*` of the part allocation.

Writes build/bench/steps.json; with --publish also docs/benchmarks/steps.json and docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import pathlib
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "unit" / "quorum")]

import conftest  # noqa: E402, F401 - makes the collection importable; pylint: disable=unused-import
from figures import figure as keeping  # noqa: E402
from figures import table  # noqa: E402
from figures.figure import Figure, figure  # noqa: E402
from ledger_world import Chain, facts, node, signer  # noqa: E402

from ansible_collections.akash.avpn.plugins.module_utils._common import canonical  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._peer.messages import MAX_REQUEST  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._quorum import signing  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import to_change, wish  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import (  # noqa: E402
    Change,
    apply_change,
    change_from_json,
    change_json,
    genesis,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import (  # noqa: E402
    value_bytes,
    value_hash,
    value_size,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Ballot, Instance  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Accept, parse_request  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._quorum.rules import check  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value  # noqa: E402

Step = tuple[str, Callable[[], Any]]


def steps(endpoints: int, directory: pathlib.Path) -> Iterator[Step]:
    """Names and what to time, in the order of a round; each begins with what the step before leads to, fresh."""
    chain = Chain(cidr="100.64.0.0/18")
    chain.deploy("web", 11, 1, replicas=endpoints)
    view, record, here, own, key = chain.view(), chain.record(), chain.endpoints(1), facts(1), signer(1)
    parent = genesis(record, view.height)
    above = value_hash(parent)

    def change() -> Change:
        made = to_change(wish(parent, view, own, here), parent, view, own, key)
        assert made is not None
        return made

    yield "proposer.wish", lambda: wish(parent, view, own, here)
    wishes = [wish(parent, view, own, here) for _unused in range(_TIMES)]  # entries remember their digests
    yield "proposer.digests_and_signature", lambda: to_change(wishes.pop(), parent, view, own, key)
    ours = change()
    child = apply_change(parent, above, ours)
    yield "proposer.hash", lambda: value_hash(apply_change(parent, above, ours))
    accept = Accept(Instance.of(child), Ballot(1, node(1), "0" * 32, value_hash(child)), (), ours)
    yield "proposer.request", lambda: canonical.Encoded(accept.to_json())
    yield "proposer.cache", lambda: value_bytes(child)

    line = canonical.dumps_with(canonical.Encoded(accept.to_json()), "as", str(node(1)))
    yield "voter.json", lambda: canonical.loads(line, where="request", limit=MAX_REQUEST, sparse=True)
    document: Any = canonical.loads(line, where="request", limit=MAX_REQUEST, sparse=True)
    yield "voter.entries", lambda: parse_request(document, record.owner)

    def received() -> tuple[Change, Value]:
        """As it comes from the wire: nothing is remembered of its entries."""
        parsed = change_from_json(document["change"], "change", record.owner)
        return parsed, apply_change(parent, above, parsed)

    fresh = [received() for _unused in range(_TIMES)]
    yield "voter.digests", lambda: (value_size(fresh[-1][1]), value_hash(fresh.pop()[1]))
    parsed, theirs = received()
    value_hash(theirs)
    signatures = signing._known  # what verified before; a voter sees each batch for the first time

    def rules() -> None:
        signatures.clear()
        check(parent, above, theirs, view, change=parsed)

    yield "voter.rules_and_signature", rules
    yield "voter.stored_json", lambda: canonical.dumps(change_json(parsed))
    database = sqlite3.connect(directory / "voter.db", isolation_level=None)
    database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE pending (change BLOB)")
    blob = canonical.dumps(change_json(parsed))

    def store() -> None:
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM pending")
        database.execute("INSERT INTO pending VALUES (?)", (blob,))
        database.execute("COMMIT")

    yield "voter.sqlite", store
    database.close()


_TIMES = 7


def _seconds(run: Callable[[], Any]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoints", type=int, default=10_000)
    parser.add_argument("--publish", action="store_true", help="put the figures into the docs")
    options = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="avpn-bench-", dir="/srv") as directory:
        for name, run in steps(options.endpoints, pathlib.Path(directory)):
            taken = [_seconds(run) for _unused in range(_TIMES)]
            figures.append(figure(f"steps.{name}", "seconds", "lower", {"endpoints": options.endpoints}, taken))
    keeping.write(ROOT / "build" / "bench" / "steps.json", figures)
    text = table.rendered("steps", figures)
    sys.stdout.write(text)
    if options.publish:
        keeping.write(ROOT / "docs" / "benchmarks" / "steps.json", figures)
        kept = keeping.read(ROOT / "docs" / "benchmarks" / "steps.json")
        table.replace(ROOT / "docs" / "benchmarks.md", "steps", table.rendered("steps", kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
