# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Links of a campaign: what is cut, lossy or slow now. Faults overlap, so the sum of all is put in place each time."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field

from lab import links
from lab.process import run

from .site import Site

Pair = tuple[int, int]  # packets from the first to the second


@dataclass
class Links:
    site: Site
    _cut: dict[int, set[Pair]] = field(default_factory=dict)  # by the fault's number
    _lossy: dict[int, tuple[set[Pair], int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cut(self, fault: int, pairs: set[Pair]) -> None:
        with self._lock:
            self._cut[fault] = pairs
            self._apply()

    def lose(self, fault: int, pairs: set[Pair], percent: int) -> None:
        with self._lock:
            self._lossy[fault] = pairs, percent
            self._apply()

    def heal(self, fault: int) -> None:
        with self._lock:
            self._cut.pop(fault, None)
            self._lossy.pop(fault, None)
            self._apply()

    def heal_all(self) -> None:
        with self._lock:
            self._cut.clear()
            self._lossy.clear()
            self._apply()

    def _apply(self) -> None:
        address, lab = self.site.addresses, self.site.lab.name
        links.clear(lab)
        pairs = set().union(*self._cut.values())
        if pairs:
            links.cut(lab, [(address[a], address[b]) for a, b in sorted(pairs)])
        losses: dict[Pair, int] = {}
        for some, percent in self._lossy.values():
            losses.update(dict.fromkeys(some, percent))
        for percent in sorted(set(losses.values())):
            links.lose(
                lab, [(address[a], address[b]) for (a, b), one in sorted(losses.items()) if one == percent], percent
            )


def slow(site: Site, host: int, kbit: int) -> None:
    """Nothing gets to or from a host faster than this; what comes faster waits in a queue of two seconds.

    A token bucket (tbf) at both ends of the host's own link; the kernel of the lab's machine has no netem. So the
    delay is what a narrow link makes of the traffic: the more is sent, the later it comes.
    """
    shape = ["root", "tbf", "rate", f"{kbit}kbit", "burst", "4kb", "latency", "2s"]
    for command in _ends(site, host):
        run([*command[:-1], "tc", "qdisc", "replace", "dev", command[-1], *shape])


def quicken(site: Site, host: int) -> None:
    """Undo ``slow``, if there is anything to undo."""
    for command in _ends(site, host):
        run([*command[:-1], "tc", "qdisc", "delete", "dev", command[-1], "root"], check=False)


def _ends(site: Site, host: int) -> list[list[str]]:
    """For both ends of a host's link: how to run a program beside it, and the interface."""
    inside = ["nsenter", "--net", "--target", str(site.lab.container(site.names[host]).pid())]
    listed = json.loads(run([*inside, "ip", "-json", "link", "show", "dev", "eth0"]).stdout)
    peer = listed[0]["link_index"]
    outside = json.loads(run(["ip", "-json", "link", "show"]).stdout)
    names = [entry["ifname"] for entry in outside if entry["ifindex"] == peer]
    return [[*inside, "eth0"], *([name] for name in names)]
