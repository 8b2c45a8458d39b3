# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs of this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from .errors import LabError


def run(
    command: Sequence[str],
    *,
    data: bytes | None = None,
    check: bool = True,
    timeout: float = 600.0,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program and return its outcome, output as text.

    data goes to its standard input (closed without data). With check, an exit
    code other than 0 is a LabError that carries what the program said; so is a
    run of more than timeout seconds in any case.
    """
    try:
        done = subprocess.run(
            list(command),
            input=b"" if data is None else data,
            capture_output=True,
            timeout=timeout,
            env=None if env is None else dict(env),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(command)}: no end within {timeout:g} s") from error
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is not installed: run tests/lab/bootstrap.sh") from error
    result = subprocess.CompletedProcess(
        done.args,
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
    )
    if check and result.returncode != 0:
        said = (result.stderr.strip() or result.stdout.strip())[-4000:]
        raise LabError(f"{' '.join(command)}: exit code {result.returncode}: {said}")
    return result
