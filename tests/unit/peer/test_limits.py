# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import subprocess
import sys
import time

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._peer import limits
from ansible_collections.akash.avpn.plugins.module_utils._peer.limits import Limits


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(limits, "time", made)
    return made


def test_a_bucket_gives_its_burst_and_then_one_at_a_time(tmp_path: pathlib.Path, clock: Clock) -> None:
    caller = Limits(tmp_path, "caller")
    assert [caller.take("x", every=10, burst=3) for _unused in range(3)] == [0, 0, 0]
    assert caller.take("x", every=10, burst=3) == pytest.approx(10)
    assert caller.take("y", every=10) == 0  # another thing, another bucket
    clock.now += 10
    assert caller.take("x", every=10, burst=3) == 0
    assert caller.take("x", every=10, burst=3) > 0
    clock.now += 1000
    assert [caller.take("x", every=10, burst=3) == 0 for _unused in range(4)] == [True, True, True, False]


def test_what_was_worth_it_is_given_back(tmp_path: pathlib.Path, clock: Clock) -> None:
    caller = Limits(tmp_path, "caller")
    for _unused in range(5):
        assert caller.take("look", every=10) == 0
        caller.give_back("look", every=10)


def test_a_clock_set_back_locks_nobody_out_for_good(tmp_path: pathlib.Path, clock: Clock) -> None:
    caller = Limits(tmp_path, "caller")
    caller.take("x", every=10)
    clock.now -= 100_000
    assert caller.take("x", every=10) <= 20
    clock.now += 25
    assert caller.take("x", every=10) == 0


def test_callers_dont_share_buckets_and_damage_starts_anew(tmp_path: pathlib.Path) -> None:
    first, second = Limits(tmp_path, "first"), Limits(tmp_path, "second")
    assert first.take("x", every=60) == 0
    assert second.take("x", every=60) == 0
    for path in tmp_path.iterdir():
        path.write_bytes(b"\xff{not json")
    assert first.take("x", every=60) == 0


def test_a_session_of_a_killed_process_is_free_again(tmp_path: pathlib.Path) -> None:
    script = (
        "import sys, pathlib, time\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "from ansible_collections.akash.avpn.plugins.module_utils._peer.limits import Limits\n"
        f"Limits(pathlib.Path({str(tmp_path)!r}), 'caller').enter(1)\n"
        "print('in', flush=True)\n"
        "time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"in\n"
        mine = Limits(tmp_path, "caller")
        with pytest.raises(Exception, match="1 sessions"):
            mine.enter(1)
    finally:
        holder.kill()
        holder.wait()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            mine.enter(1)
            break
        except limits.Unavailable:
            time.sleep(0.05)
    else:
        pytest.fail("the place stays taken")


def test_what_limits_nothing_any_more_is_dropped(tmp_path: pathlib.Path) -> None:
    limits = Limits(tmp_path, "this host")
    (file,) = tmp_path.iterdir()
    limits.take("one network", every=0.01)
    limits.take("another", every=60)
    time.sleep(0.02)
    limits.prune()
    assert "one network" not in file.read_text()
    assert "another" in file.read_text()
    assert limits.take("another", every=60) > 0
