# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker through its command-line client."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from typing import Any

from .errors import LabError
from .process import run


def docker(*arguments: str, data: bytes | None = None, timeout: float = 600.0) -> str:
    """Run `docker ARGUMENTS` and return its output; LabError on failure."""
    return run(["docker", *arguments], data=data, timeout=timeout).stdout


def try_docker(*arguments: str, data: bytes | None = None, timeout: float = 600.0) -> subprocess.CompletedProcess[str]:
    """Run `docker ARGUMENTS`; the caller judges the exit code."""
    return run(["docker", *arguments], data=data, check=False, timeout=timeout)


def inspect(kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Inspect objects of a kind (container, network, image); unknown names are left out."""
    if not names:
        return []
    result = try_docker(kind, "inspect", *names)
    found = json.loads(result.stdout or "[]")
    missing = re.search(r"no such|not found", result.stderr, re.IGNORECASE)
    if result.returncode != 0 and not missing:
        raise LabError(f"docker {kind} inspect: {result.stderr.strip()}")
    return [dict(entry) for entry in found]


def labelled(kind: str, label: str) -> list[str]:
    """Ids of all objects of a kind (container, network, volume, image) with a label."""
    every = ("--all",) if kind in {"container", "image"} else ()
    return docker(kind, "ls", "--quiet", *every, "--filter", f"label={label}").split()
