# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``avpn-revert``: ends a frame's trial that nobody has confirmed. Armed as a timer when the trial begins, so that it
runs whatever has become of the process that began it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator

from .._common.errors import AvpnError
from .._peer.paths import Paths
from . import frames as records
from . import trying
from .firewalls import place_of, rolled_back
from .registry import Registry
from .trying import EXPIRED

_PATIENCE = 10.0  # seconds to wait for whoever applies; they may be what hangs


def main(paths: Paths) -> int:
    """Entry point: the network's id and the trial's. Nothing to do if that trial is over."""
    os.umask(0o022)
    try:
        network, trial = sys.argv[1:3]
    except ValueError:
        sys.stderr.write("avpn-revert: takes the id of a network and that of a trial\n")
        return 2
    try:
        return _revert(paths, network, trial)
    except (AvpnError, OSError) as error:
        sys.stderr.write(f"avpn-revert: {error}\n")
        return 1


def _revert(paths: Paths, network: str, trial: str) -> int:
    with _patiently(paths) as alone:
        registered = Registry(paths.registry, first_port=0).read().get(network)
        if registered is None:
            return 0
        place = place_of(paths, network, registered.short)
        frames = records.load(place.record)
        if frames.trial is None or frames.trial.id != trial:
            return 0
        trying.roll_back(place, frames, frames.trial.verdict or EXPIRED, time.time(), alone=alone)
    sys.stderr.write(f"avpn-revert: {registered.short}: {rolled_back(EXPIRED)}\n")
    return 0


@contextlib.contextmanager
def _patiently(paths: Paths) -> Iterator[bool]:
    """The host's lock, if it can be had before long; whether it could."""
    paths.run.mkdir(parents=True, exist_ok=True, mode=0o755)
    with open(paths.run / "apply.lock", "w") as lock:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    yield False
                    return
                time.sleep(0.2)
            else:
                yield True
                return
