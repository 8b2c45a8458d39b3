# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host that is applied to: where its files are, who runs its daemons, how its workloads are found."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .._common.ids import NodeId
from .._peer.paths import Paths
from .registry import Registry
from .supervisor import Supervisor


@dataclass(frozen=True)
class Host:
    """``attach_path``: the template of workloads' namespaces, with {namespace} and {index}."""

    id: NodeId
    paths: Paths
    registry: Registry
    supervisor: Supervisor
    attach_path: str

    def run_directory(self, short: str) -> Path:
        """What is applied of a network, gone after a boot."""
        return self.paths.run / short

    def clear_run_directory(self, short: str) -> None:
        """Remove it with all that is in it."""
        directory = self.run_directory(short)
        if directory.is_dir() and not directory.is_symlink():
            shutil.rmtree(directory)

    def exclusive(self) -> contextlib.AbstractContextManager[None]:
        """One apply at a time on this host."""
        return exclusive(self.paths)


@contextlib.contextmanager
def exclusive(paths: Paths) -> Iterator[None]:
    """One apply at a time, whether by a module or by the fast path.

    Reading what is planned from belongs inside: else an older plan could be applied after a newer one.
    """
    paths.run.mkdir(parents=True, exist_ok=True, mode=0o755)
    with open(paths.run / "apply.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
