# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who keeps our daemons running, and ends what nobody confirms: systemd, through the unit templates of the roles.

Instances are started, never enabled: after a boot there is nothing for them to serve until the host has applied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

from .command import CommandFailed, run


def tunnel_unit(interface: str) -> str:
    """wireguard-go for one interface (role ``wireguard``)."""
    return f"avpn-wg@{interface}.service"


def resolver_unit(short: str) -> str:
    """dnsmasq for one network (role ``resolver``)."""
    return f"avpn-dns@{short}.service"


def log_unit(short: str) -> str:
    """ulogd for what one network's firewall denies (role ``firewall``)."""
    return f"avpn-log@{short}.service"


class Supervisor(Protocol):
    """Starts and stops instances of our units by their full name."""

    def running(self) -> frozenset[str]:
        """Our instances that run now."""

    def start(self, unit: str) -> None:
        """Start it; nothing to do if it runs."""

    def restart(self, unit: str) -> None:
        """Stop it if it runs, and start it."""

    def reload(self, unit: str) -> None:
        """Have it read its files again."""

    def stop(self, unit: str) -> None:
        """Stop it and forget that it was; nothing to do if it never ran."""

    def arm(self, name: str, seconds: int, command: Sequence[str]) -> None:
        """Have a command run by itself after so many seconds, whatever becomes of this process."""

    def disarm(self, name: str) -> None:
        """Call that off; nothing to do if it has run or never was."""


class Systemd:
    """The host's own systemd."""

    def running(self) -> frozenset[str]:
        wanted = ["--plain", "--no-legend", "--full", "--state=active,reloading"]
        listed = run(
            ["systemctl", "list-units", *wanted, "avpn-wg@*.service", "avpn-dns@*.service", "avpn-log@*.service"]
        )
        return frozenset(line.split()[0] for line in listed.splitlines() if line.strip())

    def start(self, unit: str) -> None:
        # A unit that failed too often isn't started again before it is forgiven.
        self._forgive(unit)
        run(["systemctl", "start", "--", unit], timeout=60)

    def restart(self, unit: str) -> None:
        run(["systemctl", "restart", "--", unit], timeout=60)

    def reload(self, unit: str) -> None:
        run(["systemctl", "reload", "--", unit])

    def stop(self, unit: str) -> None:
        run(["systemctl", "stop", "--", unit], timeout=60)
        self._forgive(unit)

    def arm(self, name: str, seconds: int, command: Sequence[str]) -> None:
        # A transient timer: it is in systemd's memory alone, and gone after a boot.
        after = [f"--on-active={seconds}", "--timer-property=AccuracySec=1s"]
        run(["systemd-run", "--quiet", "--collect", f"--unit={name}", *after, "--", *command])

    def disarm(self, name: str) -> None:
        with contextlib.suppress(CommandFailed):
            run(["systemctl", "stop", "--", f"{name}.timer"])

    def _forgive(self, unit: str) -> None:
        if run(["systemctl", "list-units", "--plain", "--no-legend", "--state=failed", "--", unit]).strip():
            run(["systemctl", "reset-failed", "--", unit])
