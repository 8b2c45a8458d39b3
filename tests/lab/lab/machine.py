# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab needs of the machine as a whole, and gives back."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .docker import docker
from .process import run

# Written by bootstrap.sh when it starts the daemon; gone after a reboot, like the daemon.
DAEMON = Path("/run/avpn-lab/dockerd.pid")
# Held shared by whoever needs the daemon between two labs too (test.sh does): only who gets it alone stops it.
DAEMON_USERS = Path("/run/lock/avpn-docker.lock")
# Each systemd takes several inotify instances of the machine's root.
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_BEFORE = Path("/run/avpn-lab/max_user_instances")
INSTANCES = 1024


def prepare() -> None:
    """Raise the limit that a dozen systemds would run into."""
    before = int(INOTIFY.read_text(encoding="ascii"))
    if before < INSTANCES:
        INOTIFY_BEFORE.parent.mkdir(exist_ok=True)
        INOTIFY_BEFORE.write_text(f"{before}\n", encoding="ascii")
        INOTIFY.write_text(f"{INSTANCES}\n", encoding="ascii")


def daemon_answers() -> bool:
    """Whether Docker's daemon runs."""
    return run(["docker", "info"], check=False).returncode == 0


@contextmanager
def daemon_kept() -> Iterator[None]:
    """Nobody's `give_back` stops the daemon meanwhile."""
    with DAEMON_USERS.open("a", encoding="ascii") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield


def give_back() -> bool:
    """When no container and no user of the daemon is left: restore the limit, stop the daemon if we started it.

    Returns whether the daemon was stopped.
    """
    with DAEMON_USERS.open("a", encoding="ascii") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return not docker("container", "ls", "--all", "--quiet").strip() and _give_back()


def _give_back() -> bool:
    if INOTIFY_BEFORE.is_file():
        INOTIFY.write_text(INOTIFY_BEFORE.read_text(encoding="ascii"), encoding="ascii")
        INOTIFY_BEFORE.unlink()
    if not DAEMON.is_file():
        return False
    pid = int(DAEMON.read_text(encoding="ascii"))
    DAEMON.unlink()
    if not _is_dockerd(pid):
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while _is_dockerd(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    run(["ip", "link", "delete", "docker0"], check=False)
    shutil.rmtree(DAEMON.parent, ignore_errors=True)
    return True


def _is_dockerd(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == "dockerd"
    except OSError:
        return False
