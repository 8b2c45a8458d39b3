# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a provider's host has and has done, read on the host itself as its team would."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from lab.errors import LabError
from lab.lab import Lab

APPLIED = "/var/lib/avpn-host/applied"
REPORT = "/var/lib/avpn-host/reconcile.json"
PATIENCE = 300.0  # seconds: the machine may be busy with other things


def eventually(check: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """Wait until something is so; returns the seconds waited, LabError with ``what`` if it doesn't become so."""
    start = time.monotonic()
    while not check():
        if time.monotonic() - start > seconds:
            raise LabError(f"not within {seconds:g} s: {what}")
        time.sleep(0.3)
    return time.monotonic() - start


def document(lab: Lab, host: str, path: str) -> Any:
    """A JSON file of a host, or None."""
    done = lab.execute(host, ["cat", path], check=False)
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else None


def applied(lab: Lab, host: str, network: str) -> dict[str, Any] | None:
    """What a host last applied of a network (by id), or None."""
    found = document(lab, host, f"{APPLIED}/{network}.json")
    return None if found is None else dict(found)


def known(lab: Lab, host: str, network: str) -> dict[str, tuple[str, str, str]]:
    """Every endpoint of a network that a host has made room for: label → (lease, node, IPv4 address)."""
    found = document(lab, host, f"{APPLIED}/{network}.live.json") or {"live": []}
    return {label: (lease, node, address) for label, lease, node, address in found["live"]}


def ledger(lab: Lab, host: str, network: str) -> dict[str, Any]:
    """The newest certified value that a host holds."""
    found = document(lab, host, f"/var/lib/avpn/ledger/{network}.json")
    if found is None:
        raise LabError(f"{host} holds no ledger of {network}")
    return dict(found["value"])


def manifest_version(lab: Lab, host: str, network: str) -> int:
    """The version of the manifest that a host holds, 0: none."""
    found = document(lab, host, f"/var/lib/avpn/manifests/{network}.json")
    return 0 if found is None else int(found["version"])


def short(lab: Lab, host: str, network: str) -> str:
    """The network's short name on a host."""
    return str(document(lab, host, "/var/lib/avpn-host/registry.json")[network]["short"])


def runs(lab: Lab, host: str) -> list[dict[str, Any]]:
    """The last reconciliations, newest first."""
    return list((document(lab, host, REPORT) or {"runs": []})["runs"])


def reconcile(lab: Lab, host: str) -> dict[str, Any]:
    """Run a whole reconciliation now and wait for its end; what it wrote down. One under way is waited for first."""
    # systemctl start joins a run that has begun already; the command itself waits for it and then runs.
    lab.execute(host, ["/usr/local/sbin/avpn-reconcile"], check=False, timeout=PATIENCE)
    return runs(lab, host)[0]


def names(lab: Lab, host: str, shortened: str) -> str:
    """The names and addresses that a network's resolver answers with."""
    return lab.execute(host, ["cat", f"/run/avpn/{shortened}/hosts"]).stdout


def rules(lab: Lab, host: str, shortened: str) -> str:
    """The firewall inside a network's namespace, without its counters."""
    return lab.execute_in(host, f"avpn-{shortened}", ["nft", "--stateless", "list", "ruleset"]).stdout


def peers(lab: Lab, host: str, shortened: str) -> str:
    """A tunnel's peers with their allowed addresses."""
    return lab.execute_in(host, f"avpn-{shortened}", ["wg", "show", f"av{shortened}a", "allowed-ips"]).stdout
