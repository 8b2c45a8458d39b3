# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A short campaign of faults, as `make faults` runs long ones: three hosts of its own, every kind of fault once."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from lab import Lab
from lab.topology import ROOT, default_name

OPERATIONS, FAULTS = 120, 13
BRISK = "0.5"  # faults last half as long as in whole campaigns
SEED = int(os.environ.get("AVPN_FAULTS_SEED", "4"))


@pytest.mark.slow
def test_a_short_campaign_of_faults_leaves_a_good_history() -> None:
    name = f"{default_name()}-faults"
    was_up = Lab(name).is_up()
    command = [sys.executable, str(ROOT / "tests" / "faults" / "run.py"), "--lab", name, "--seed", str(SEED)]
    command += ["--operations", str(OPERATIONS), "--faults", str(FAULTS), "--hosts", "3", "--replicas", "5"]
    command += ["--brisk", BRISK, "--output", "faults-short"] + ([] if was_up else ["--down"])
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "lab")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    figures = json.loads((ROOT / "build" / "faults-short.json").read_text(encoding="utf-8"))
    assert (figures["duplicates"], figures["lost"], figures["linearizable"], figures["good"]) == (0, 0, True, True)
    assert figures["operations"] >= OPERATIONS
    assert figures["faults"] == FAULTS
    assert len(figures["faults_by_kind"]) == FAULTS  # every kind once
    assert figures["voters_changed"] >= 2  # by the lost disk and by the other key
    # Most of it was done, so there was something to judge.
    assert figures["acknowledged"] >= OPERATIONS // 2
    assert figures["writes"] >= OPERATIONS // 4
