# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What handing in a manifest will do: who gains and loses what, and what is probably not meant. Pure.

Addresses aren't known on the tenant's machine, so the answers hold for wherever in the network's ranges endpoints are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._chain.model import NetworkRecord
from .._common.errors import AvpnError, InvalidInput
from .._policy.findings import Finding, findings
from .._policy.matrix import difference
from .._policy.reachability import Change, change, shortened
from .._policy.subjects import Network, network_of
from . import content
from .model import Manifest

_MOST_LINES = 100


@dataclass(frozen=True)
class Preview:
    """``enforced``: against what runs now, ``staged``: what enforcing the staged part would change, None if there is
    none or it can't be told (``notes`` says why). ``before``: the version that runs, 0: none."""

    enforced: Change | None
    staged: Change | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    before: int

    def result(self) -> dict[str, Any]:
        """What the module returns of it."""
        return {
            "reachability": None if self.enforced is None else self.enforced.as_document(),
            "staged_reachability": None if self.staged is None else self.staged.as_document(),
            "findings": [{"where": each.where, "what": each.what, "remedy": each.remedy} for each in self.findings],
        }

    def diff(self, after: int) -> list[dict[str, str]]:
        """For Ansible's diff. ``after``: the manifest's own version."""
        parts = []
        if self.enforced is not None:
            versions = (f"version {self.before}" if self.before else "no manifest", f"version {after}")
            parts.append(_shown(self.enforced, *versions))
        if self.staged is not None:
            parts.append(_shown(self.staged, f"version {after}", f"what version {after} stages"))
        return parts


def preview(manifest: Manifest, version: int, running: Mapping[str, Any] | None, record: NetworkRecord) -> Preview:
    """What changes from the ``running`` content, of this ``version``, to ``manifest``, which has passed all checks.
    ``running`` None with a version: which content runs differs from host to host."""
    network = network_of(record)
    enforced = staged = None
    notes = []
    try:
        if running is None and version:
            raise InvalidInput("hosts have two contents with one version", where=f"version {version}")
        before = content.check(dict(running)) if running is not None else Manifest()
        enforced = _change(before, manifest, network)
    except AvpnError as error:
        notes.append(f"who gains and loses what can't be told: {error}")
    if manifest.staged is not None:
        try:
            staged = _change(manifest, manifest.staged, network)
        except AvpnError as error:
            notes.append(f"what the staged part would change can't be told: {error}")
    return Preview(enforced, staged, findings(manifest, record), tuple(notes), version)


def _change(before: Manifest, after: Manifest, network: Network) -> Change:
    return change(difference(before, after, network))


def _shown(told: Change, before: str, after: str) -> dict[str, str]:
    header = "who may reach whom"
    if not told:
        return {"prepared": f"{header}: the same with {before} and {after}\n"}
    loses, gains = (
        "".join(f"{line}\n" for line in shortened(lines, _MOST_LINES))
        for lines in (told.loses.lines(" loses"), told.gains.lines(" gains"))
    )
    return {
        "before_header": f"{header}: {before}",
        "after_header": f"{header}: {after}",
        "before": loses,
        "after": gains,
    }
