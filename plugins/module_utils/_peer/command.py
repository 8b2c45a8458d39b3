# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``avpn-peer <fingerprint>``: the forced command behind every key of the peer channel.

Runs as avpn, started by sshd for a key that the key lookup let in, or by this host for itself. It reads
requests from standard input and answers on standard output until the session ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import syslog
from collections.abc import Iterable, Iterator

from .._common.errors import AvpnError, Unavailable
from . import config
from .identities import Role, Tenant
from .limits import Limits
from .messages import error_answer
from .operations import Host
from .paths import Paths
from .session import Session

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}", re.ASCII)
_SESSIONS = 8  # at a time, per key
# One account may have many keys: a tenant those of its networks, a provider those of its hosts.
_TENANT_SESSIONS, _PROVIDER_SESSIONS = 12, 32
_HANDLING_SECONDS = 60.0


def main(paths: Paths) -> int:
    """Entry point. What the caller asked sshd to run instead (SSH_ORIGINAL_COMMAND) doesn't matter."""
    if len(sys.argv) != 2 or _FINGERPRINT.fullmatch(sys.argv[1]) is None:
        sys.stderr.write("avpn-peer: takes the fingerprint of the caller's key\n")
        return 2
    caller = sys.argv[1]
    syslog.openlog("avpn-peer", syslog.LOG_PID, syslog.LOG_DAEMON)
    os.umask(0o022)
    signal.signal(signal.SIGALRM, _too_slow)
    try:
        host = config.load(paths.host_config)
        limits = Limits(paths.limits, caller)
        limits.enter(_SESSIONS)
        peer = Host(paths, host, caller, limits)
        _enter_account(paths, peer.roles())
    except (AvpnError, OSError) as error:
        syslog.syslog(syslog.LOG_WARNING, f"{caller}: {error}")
        refusal = error if isinstance(error, AvpnError) else AvpnError("this host isn't set up")
        sys.stdout.buffer.write(error_answer(refusal))
        return 1

    def handle(line: bytes) -> bytes:
        with _bounded():
            return peer.handle(line)

    def afterwards() -> None:
        with _bounded():
            peer.tell()

    why = Session(0, 1).serve(handle, afterwards)
    syslog.syslog(syslog.LOG_INFO, f"{caller}: session ended: {why}")
    return 0


def _enter_account(paths: Paths, roles: Iterable[Role]) -> None:
    """Take a place of one of the accounts that the key stands for.

    Of any: somebody else may name this key as well, and use up all places of its own account. Without a role
    (this host itself, before its first lease) every request is checked as always.
    """
    refusal: AvpnError | None = None
    for role in roles:
        account, most = (
            (role.account, _TENANT_SESSIONS) if isinstance(role, Tenant) else (role.id.provider, _PROVIDER_SESSIONS)
        )
        try:
            Limits(paths.limits, f"account {account}").enter(most)
            return
        except Unavailable as error:
            refusal = error
    if refusal is not None:
        raise refusal


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_REAL, _HANDLING_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _too_slow(_number: int, _frame: object) -> None:
    """End the process where it stands: whatever it writes is written so that this is safe."""
    syslog.syslog(syslog.LOG_ERR, f"a request took longer than {_HANDLING_SECONDS:g} s")
    os._exit(1)
