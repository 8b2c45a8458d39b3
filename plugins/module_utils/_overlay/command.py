# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running the distribution's tools: argument lists, time-outs, never a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from .._common.errors import AvpnError, Unavailable, Unsupported

_PACKAGES = {
    "ip": "iproute2",
    "wg": "wireguard-tools",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "systemctl": "systemd",
}
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class CommandFailed(AvpnError):
    """A tool ended with an error; ``what`` has its words."""


def run(arguments: Sequence[str], *, stdin: str = "", timeout: float = 30.0) -> str:
    """The tool's output. Its input, which may hold secrets, never shows in an error.

    Raises CommandFailed, Unsupported (the tool isn't installed) or Unavailable (it didn't end in time).
    """
    try:
        done = subprocess.run(
            list(arguments), input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=_ENVIRONMENT
        )
    except FileNotFoundError as error:
        package = _PACKAGES.get(os.path.basename(arguments[0]), arguments[0])
        raise Unsupported("is not installed", where=arguments[0], remedy=f"Install the package {package}") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"didn't end within {timeout:g} s", where=arguments[0]) from error
    if done.returncode != 0:
        words = " ".join(done.stderr.split())[:300] or f"ended with status {done.returncode}"
        raise CommandFailed(words, where=" ".join(arguments[:4]))
    return done.stdout
