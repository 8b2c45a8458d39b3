# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an allocation costs, beside etcd in the same run: make bench PART=allocation [ARGS='--runs 9 …'].

Ours: voters behind real sshds on this machine, one proposer that votes nowhere (20 in the contended part), the
newest version known, connections standing. Peers: a cluster of etcd of as many members, its connection standing,
its leader asked directly; `etcd lock`: under its lock one transaction per address, lock and unlock for each;
`etcd lock kept`: the lock taken once for all of them; `etcd batch`: as many addresses in one transaction as helps,
without a lock. Everything lies on the same disk and is synchronised as by default. Runs are interleaved: in each
every way is measured once at every size.

Writes build/bench/allocation.json; with --publish also docs/benchmarks/allocation.json and docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "integration" / "quorum")]

importlib.import_module("conftest")  # makes the collection importable

import quorum_site  # noqa: E402
from cost.batches import Batches  # noqa: E402
from cost.contention import Contention  # noqa: E402
from etcd import cluster as etcd_cluster  # noqa: E402
from etcd.cluster import Cluster  # noqa: E402
from etcd.crowd import Contenders  # noqa: E402
from figures import figure as keeping  # noqa: E402
from figures import table  # noqa: E402
from figures.figure import Figure  # noqa: E402
from ledger import allocating, crowd  # noqa: E402

RESULT = ROOT / "build" / "bench" / "allocation.json"
PUBLISHED = ROOT / "docs" / "benchmarks" / "allocation.json"
GUIDE = ROOT / "docs" / "benchmarks.md"
_DOCUMENT = b'{"address":%d,"bound":true,"created":1001,"height":1001,"host":"p/n","lease":"101/1/1"}'


def main() -> int:
    options = _options()
    if len(options.voters) > 1:
        return _each(options)
    (voters,) = options.voters
    figures = _measured(options, voters)
    keeping.write(options.out, figures)
    sys.stdout.write(table.table(figures))
    if options.publish:
        _publish(figures)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voters", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 100, 1_000, 10_000], help="endpoints")
    parser.add_argument("--proposers", type=int, default=20, help="who contend; 0: nobody does")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--locked-at-most", type=int, default=1_000, help="addresses that etcd's lock is measured for")
    parser.add_argument("--no-etcd", action="store_true", help="without the peer")
    parser.add_argument("--publish", action="store_true", help="put the figures into the docs")
    parser.add_argument("--out", type=pathlib.Path, default=RESULT)
    return parser.parse_args()


def _each(options: argparse.Namespace) -> int:
    """One process for each number of voters: processes are forked in it, which must come before gRPC begins."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory:
        for voters in options.voters:
            part = pathlib.Path(directory) / f"{voters}.json"
            arguments = ["--voters", str(voters), "--sizes", *map(str, options.sizes), "--runs", str(options.runs)]
            arguments += ["--proposers", str(options.proposers), "--out", str(part)]
            arguments += ["--locked-at-most", str(options.locked_at_most)]
            arguments += ["--no-etcd"] * options.no_etcd
            if subprocess.run([sys.executable, __file__, *arguments], check=False).returncode:
                return 1
            figures += keeping.read(part)
    keeping.write(options.out, figures)
    if options.publish:
        _publish(figures)
    return 0


def _publish(figures: list[Figure]) -> None:
    keeping.write(PUBLISHED, figures)
    table.replace(GUIDE, "allocation", table.table(keeping.read(PUBLISHED)))


def _measured(options: argparse.Namespace, voters: int) -> list[Figure]:
    figures: list[Figure] = []
    with contextlib.ExitStack() as stack:
        data = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="avpn-etcd-", dir="/srv")))
        with contextlib.ExitStack() as contended:
            proposers = None
            if options.proposers:
                site = contended.enter_context(quorum_site.opened(voters))
                proposers = contended.enter_context(crowd.opened(site, options.proposers, options.runs + 1))
            # Its client is gRPC's, which doesn't bear being forked: so after the proposers.
            cluster = None if options.no_etcd else stack.enter_context(etcd_cluster.running(data, voters))
            if proposers is not None:
                figures += _contended(options, voters, proposers, cluster)
        site = stack.enter_context(quorum_site.opened(voters))
        batches = Batches(stack.enter_context(allocating.opened(site)), cluster, options.locked_at_most)
        stack.callback(batches.close)
        batches.measure(options.sizes, options.runs)
        figures += batches.figures(options.sizes, voters)
    return figures


def _contended(
    options: argparse.Namespace, voters: int, proposers: crowd.Proposers, cluster: Cluster | None
) -> list[Figure]:
    with contextlib.ExitStack() as stack:
        contenders = None
        if cluster is not None:
            contenders = Contenders(cluster.leader, "contended", options.proposers, _DOCUMENT)
            stack.callback(contenders.close)
        contention = Contention(proposers, contenders, options.proposers)
        contention.measure(options.runs)
        return contention.figures(voters)


if __name__ == "__main__":
    sys.exit(main())
