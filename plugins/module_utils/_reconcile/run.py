# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``avpn-reconcile``: one whole reconciliation of this host, as ansible-pull from the team's repository.

Takes the requests, fetches and verifies the team's revision (or goes on with the last one), runs the playbook on this
host alone, and writes down what became of it. One at a time, whoever starts it.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._common.errors import AvpnError, Unavailable
from .._peer.paths import Paths
from . import environment, report, requests, settings
from .environment import Environment
from .repository import BRANCH, Mirror

PYTHON = "/usr/bin/python3"  # modules run with the distribution's Python and packages
_WAIT_FOR_LOCK = 600


@dataclass(frozen=True)
class Options:
    """``check`` and ``diff`` as in ansible; ``requested``: started for the spool, so the rest between runs is kept."""

    check: bool = False
    diff: bool = False
    requested: bool = False


def main(arguments: Sequence[str]) -> int:
    """The command; 0 if the run ended well."""
    parser = argparse.ArgumentParser(prog="avpn-reconcile", description="Reconcile this host with its networks now.")
    parser.add_argument("--check", action="store_true", help="say what would change and change nothing")
    parser.add_argument("--diff", action="store_true", help="show differences")
    parser.add_argument("--requested", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    try:
        done = reconcile(Paths(), Options(given.check, given.diff, given.requested))
    except AvpnError as error:
        sys.stderr.write(f"avpn-reconcile: {error}\n")
        return 1
    problem = f": {done.problem}" if done.problem else ""
    sys.stderr.write(f"avpn-reconcile: {done.outcome}, {done.changed} changed{problem}\n")
    return 0 if done.outcome == "ok" else 1


def reconcile(paths: Paths, options: Options) -> report.Run:
    """One run, written to the report and returned. Raises only what keeps it from being tried at all."""
    wanted = settings.load(paths.etc / "reconcile.json")
    paths.host_state.mkdir(parents=True, exist_ok=True)
    with open(paths.host_state / "reconcile.lock", "wb") as lock:
        _lock(lock.fileno())
        if options.requested:
            _rest(paths, wanted.rest)
        asked = [] if options.check else requests.take(paths.requests)
        started = int(time.time())
        done = _run(paths, wanted, options, asked, started)
        report.add(paths.host_state / "reconcile.json", done)
        return done


def _run(paths: Paths, wanted: settings.Settings, options: Options, asked: list[str], started: int) -> report.Run:
    def run(outcome: str, **details: Any) -> report.Run:
        return report.Run(started, int(time.time()), outcome, check=options.check, requests=tuple(asked), **details)

    mirror = Mirror(paths.host_state / "repository.git", wanted.repository)
    try:
        revision = mirror.update()
    except AvpnError as error:
        return run("error", problem=str(error))
    try:
        with environment.in_use(paths.root / "usr/lib/avpn-reconcile") as used:
            code, summary = _play(paths, wanted, options, used, mirror)
            good = report.last_good(paths.host_state / "reconcile.json")
            if summary is not None:
                return run(
                    "ok" if code == 0 else "failed",
                    revision=revision.commit,
                    stale=revision.stale,
                    problem=None if code == 0 else _first(summary, code),
                    changed=int(summary["changed"]),
                    failures=tuple(summary["failures"]),
                    problems=tuple(summary["problems"]),
                )
            problem = f"commit {revision.commit[:12]} could not be started (ansible-pull ended with {code})"
            if good in (None, revision.commit):
                return run("broken-revision", revision=revision.commit, stale=revision.stale, problem=problem)
            mirror.select(str(good))
            code, summary = _play(paths, wanted, options, used, mirror)
            return run(
                "broken-revision",
                revision=good,
                stale=problem,
                problem=f"{problem}; the last good one ran instead and ended with {code}",
                changed=int(summary["changed"]) if summary else 0,
                failures=tuple(summary["failures"]) if summary else (),
                problems=tuple(summary["problems"]) if summary else (),
            )
    except AvpnError as error:
        return run("error", revision=revision.commit, stale=revision.stale, problem=str(error))


def _play(
    paths: Paths, wanted: settings.Settings, options: Options, used: Environment, mirror: Mirror
) -> tuple[int, dict[str, Any] | None]:
    """Run ansible-pull; its exit status, and the summary of the play if it got as far as having one."""
    summary = paths.host_state / "reconcile-summary.json"
    summary.unlink(missing_ok=True)
    checkout = paths.host_state / "checkout"
    command = [str(used.venv / "bin" / "ansible-pull"), "--clean", "--full"]
    command += ["--url", f"file://{mirror.path}", "--checkout", BRANCH, "--directory", str(checkout)]
    command += ["--inventory", "localhost,", "--limit", "localhost", "--connection", "local"]
    command += ["--extra-vars", f"ansible_python_interpreter={PYTHON}"]
    command += ["--check"] * options.check + ["--diff"] * options.diff
    command += [wanted.playbook]
    variables = {
        "PATH": f"{used.venv / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": os.environ.get("HOME", "/root"),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOME": str(paths.host_state / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(used.collections),
        "ANSIBLE_CALLBACKS_ENABLED": "akash.avpn.run_summary",
        "AVPN_RUN_SUMMARY": str(summary),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_RETRY_FILES_ENABLED": "false",
    }
    code = _bounded(command, variables, wanted.timeout)
    try:
        document = json.loads(summary.read_bytes())
    except (OSError, ValueError):
        return code, None
    return code, document if isinstance(document, dict) else None


def _bounded(command: list[str], variables: dict[str, str], seconds: int) -> int:
    """Run a command and everything it starts for at most ``seconds``; 124 if it took longer."""
    try:
        process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, start_new_session=True, cwd="/")
    except OSError as error:
        raise Unavailable(f"can't be started: {error.strerror}", where=command[0]) from error
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return 124


def _first(summary: dict[str, Any], code: int) -> str:
    failures = summary["failures"]
    return f"{failures[0]['task']}: {failures[0]['message']}" if failures else f"ansible-pull ended with {code}"


def _rest(paths: Paths, seconds: int) -> None:
    """Let the host rest between runs that others asked for; what is asked meanwhile joins this one."""
    runs = report.read(paths.host_state / "reconcile.json")["runs"]
    finished = runs[0].get("finished", 0) if runs and isinstance(runs[0], dict) else 0
    left = finished + seconds - time.time() if isinstance(finished, int) else 0
    if 0 < left <= seconds:
        time.sleep(left)


def _lock(handle: int) -> None:
    """Wait for a run that is under way; Unavailable if it doesn't end."""
    deadline = time.monotonic() + _WAIT_FOR_LOCK
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise Unavailable("another reconciliation has been running for ten minutes") from error
            time.sleep(0.2)
        else:
            return
