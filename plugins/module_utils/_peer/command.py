# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``avpn-peer <fingerprint>``: the forced command behind every key of the peer channel.

Runs as avpn, started by sshd for a key that the key lookup let in, or by this host for itself. It reads
requests from standard input and answers on standard output until the session ends.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import syslog

from .._common.errors import AvpnError
from . import config
from .limits import Limits
from .messages import error_answer
from .operations import Host
from .paths import Paths
from .session import Session

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}", re.ASCII)
_SESSIONS = 8  # at a time, per key
_HANDLING_SECONDS = 60.0


def main(paths: Paths) -> int:
    """Entry point. What the caller asked sshd to run instead (SSH_ORIGINAL_COMMAND) doesn't matter."""
    if len(sys.argv) != 2 or _FINGERPRINT.fullmatch(sys.argv[1]) is None:
        print("avpn-peer: takes the fingerprint of the caller's key", file=sys.stderr)
        return 2
    caller = sys.argv[1]
    syslog.openlog("avpn-peer", syslog.LOG_PID, syslog.LOG_DAEMON)
    os.umask(0o022)
    signal.signal(signal.SIGALRM, _too_slow)
    try:
        host = config.load(paths.host_config)
        limits = Limits(paths.limits, caller)
        limits.enter(_SESSIONS)
    except (AvpnError, OSError) as error:
        syslog.syslog(syslog.LOG_WARNING, f"{caller}: {error}")
        refusal = error if isinstance(error, AvpnError) else AvpnError("this host isn't set up")
        sys.stdout.buffer.write(error_answer(refusal))
        return 1
    peer = Host(paths, host, caller, limits)

    def handle(line: bytes) -> bytes:
        signal.setitimer(signal.ITIMER_REAL, _HANDLING_SECONDS)
        try:
            return peer.handle(line)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    why = Session(0, 1).serve(handle)
    syslog.syslog(syslog.LOG_INFO, f"{caller}: session ended: {why}")
    return 0


def _too_slow(_number: int, _frame: object) -> None:
    """End the process where it stands: whatever it writes is written so that this is safe."""
    syslog.syslog(syslog.LOG_ERR, f"a request took longer than {_HANDLING_SECONDS:g} s")
    os._exit(1)
