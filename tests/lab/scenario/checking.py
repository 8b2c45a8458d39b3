# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each team's own playbook ``check`` says of its hosts, run from the team's desk as its operator would."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab.errors import LabError
from lab.lab import Lab

_SECONDS = 300.0
_COUNTS = re.compile(r"(\d+) paths checked, (\d+) as predicted, (\d+) not")


@dataclass(frozen=True)
class Checked:
    """One team's check. ``passed``: how the playbook ended; ``lines``: what it showed."""

    host: str
    passed: bool
    lines: tuple[str, ...]

    @property
    def paths(self) -> int:
        return sum(int(found[1]) for found in map(_COUNTS.search, self.lines) if found)

    @property
    def different(self) -> int:
        return sum(int(found[3]) for found in map(_COUNTS.search, self.lines) if found)

    @property
    def as_predicted(self) -> bool:
        """Whether there was something to check, and all of it was well."""
        return self.passed and self.paths > 0 and self.different == 0


def check(lab: Lab, hosts: Iterable[str], *arguments: str) -> list[Checked]:
    """Run the playbook at every provider's desk."""
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda host: _check(lab, host, arguments), hosts))


def _check(lab: Lab, host: str, arguments: tuple[str, ...]) -> Checked:
    done = subprocess.run(
        ["ansible-playbook", "akash.avpn.check", "-e", "avpn_hosts=lab_provider", *arguments],
        env=lab.organisation(host).environment(),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    found = re.search(r'^ok: .*?"msg": (\[.*?^    \])', done.stdout, re.M | re.S)
    if found is None:
        raise LabError(f"{host}: akash.avpn.check said nothing:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
    return Checked(host, done.returncode == 0, tuple(json.loads(found[1])))


def render(checks: Iterable[Checked]) -> str:
    """What the teams were shown, one after another."""
    parts = []
    for each in checks:
        word = "as predicted" if each.as_predicted else "NOT AS PREDICTED"
        parts += [f"{each.host}'s own check: {word}", *(f"  {line}" for line in each.lines)]
    return "\n".join(parts)
