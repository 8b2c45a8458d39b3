# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a provider's host has and has done, read on the host itself as its team would."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from lab.errors import LabError
from lab.lab import Lab

APPLIED = "/var/lib/avpn-host/applied"
REPORT = "/var/lib/avpn-host/reconcile.json"
PATIENCE = 300.0  # seconds: the machine may be busy with other things


def eventually(
    check: Callable[[], bool], what: str, seconds: float = PATIENCE, told: Callable[[], object] | None = None
) -> float:
    """Wait until something is so; returns the seconds waited.

    LabError with ``what``, and with what ``told`` says then, if it doesn't become so.
    """
    start = time.monotonic()
    while not check():
        if time.monotonic() - start > seconds:
            raise LabError(f"not within {seconds:g} s: {what}" + (f": {told()}" if told else ""))
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


def start(lab: Lab, host: str) -> dict[str, Any]:
    """Start the reconciliation's unit as its timer does and wait for its end; what it wrote down."""
    before = runs(lab, host)[0]
    lab.execute(host, ["systemctl", "start", "avpn-reconcile.service"], check=False, timeout=PATIENCE)
    newest = runs(lab, host)[0]
    if newest == before:
        raise LabError(f"{host}: the unit ended without a run")
    return newest


def fingerprint(lab: Lab, host: str) -> dict[str, str]:
    """Everything of this collection's that a host has and that a run might change, secrets as digests only."""
    done = lab.execute(host, ["sh", "-c", _FINGERPRINT])
    parts = done.stdout.split("\n=== ")
    return {part.split("\n", 1)[0]: part.partition("\n")[2] for part in parts if part.strip()}


# Counters, handshakes and what the view's height changes are left out; members of dynamic sets come and go.
_FINGERPRINT = r"""
for space in $(ip netns list | awk '/^avpn-/ {print $1}' | sort); do
    tunnel="av${space#avpn-}a"
    echo; echo "=== $space rules"; ip netns exec "$space" nft --stateless list table inet avpn |
        awk '/^\tset connections/ {skip=1} !skip {print} /^\t}/ {skip=0}'
    echo; echo "=== $space tunnel"; for what in private-key public-key listen-port; do
        ip netns exec "$space" wg show "$tunnel" $what | sha256sum; done
    ip netns exec "$space" wg show "$tunnel" allowed-ips | sort
    ip netns exec "$space" wg show "$tunnel" endpoints | sort
    echo; echo "=== $space links"; ip -n "$space" -o address show | awk '{print $2, $4}' | sort
    for family in -4 -6; do ip -n "$space" $family route show table all | sed 's/ \(expires\|metric 256\).*//' | sort
    done
done
for space in $(ip netns list | awk '!/^avpn-/ {print $1}' | sort); do
    echo; echo "=== $space workload"; ip -n "$space" -o address show | awk '{print $2, $4}' | sort
    for family in -4 -6; do ip -n "$space" $family route show proto 97 | sort; done
done
echo; echo "=== units"
systemctl list-units --plain --no-legend 'avpn-*' | awk '$1 !~ /fastpath|reconcile/ {print $1, $3}'
echo; echo "=== files"; find /etc/avpn /run/avpn /var/lib/avpn/ledger /var/lib/avpn/manifests /var/lib/avpn/keys \
    /var/lib/avpn-host/registry.json /var/lib/avpn-host/applied /etc/systemd/system -type f \
    ! -name '*.lock' ! -path '*/applied/????????????????????????????????????????????????????????????????.json' \
    -printf '%p %m %u %g ' -exec sh -c 'sha256sum < "$1"' sh {} \; | sort
"""


def traces(lab: Lab, host: str, network: str, shortened: str, kept: Iterable[str]) -> list[str]:
    """Everything on a host that names a network by its id or short name, but the files in ``kept``.

    Looks at file names and contents, namespaces, processes, units, tunnels and interfaces.
    """
    done = lab.execute(host, ["sh", "-c", _TRACES, "sh", network, shortened])
    return [line for line in done.stdout.splitlines() if line and not line.endswith(tuple(kept))]


# What the collection's own code and tests' files would never name; the journal is history and stays.
_TRACES = r"""
network=$1 short=$2
places="/etc /var/lib /var/cache /var/spool /run /tmp /root /home /usr/lib/avpn /usr/lib/avpn-reconcile /usr/local"
find $places -xdev \( -name "*$network*" -o -name "*$short*" \) ! -path '/run/log/*' 2>/dev/null | sed 's/^/name /'
grep -rlaF --exclude-dir=journal -e "$network" -e "$short" $places 2>/dev/null | sed 's/^/content /'
ip netns list | grep -F "$short" | sed 's/^/namespace /'
ip -all netns exec ip -o link 2>/dev/null | grep -F "$short" | sed 's/^/interface /'
ip -o link | grep -F "$short" | sed 's/^/interface /'
wg show all dump | cut -f1 | grep -F "$short" | sed 's/^/tunnel /'
for process in /proc/[0-9]*; do
    [ "$process" = "/proc/$$" ] || tr '\0' ' ' < "$process/cmdline" 2>/dev/null | grep -F -e "$network" -e "$short" |
        grep -v "^\(sh -c\|grep\) " | sed 's/^/process /'
done
systemctl list-units --all --plain --no-legend | grep -F "$short" | sed 's/^/unit /'
true
"""


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What differs between two fingerprints, line by line."""
    found = []
    for part in sorted(before.keys() | after.keys()):
        old, new = before.get(part, "").splitlines(), after.get(part, "").splitlines()
        found += [f"{part}: -{line}" for line in old if line not in new]
        found += [f"{part}: +{line}" for line in new if line not in old]
    return found
