# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workload namespaces: what a provider's cluster would make for its pods.

A "pod" is a network namespace /run/netns/NAME in the host, with lo up and an
uplink of its own to a bridge `pods`, its default route. An overlay's packet that
takes this uplink is a leak: the bridge counts those.
"""

from __future__ import annotations

import re
from pathlib import Path

from .container import Container
from .errors import LabError

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
BOOK = "/var/lib/lab/workloads"
SCRIPT = Path(__file__).with_name("workloads.sh")


def create(container: Container, names: list[str]) -> None:
    """Make namespaces; those that are there stay as they are."""
    for name in names:
        if not NAME.fullmatch(name):
            raise LabError(f"{name}: a namespace's name is lower-case letters, digits and hyphens")
    known = listed(container)
    new = [name for name in dict.fromkeys(names) if name not in known]
    add = f'mkdir -p "$(dirname {BOOK})" && touch {BOOK} && cat >> {BOOK}'
    container.execute(["sh", "-c", add], data="".join(f"{name}\n" for name in new).encode())
    recreate(container)


def remove(container: Container, names: list[str]) -> None:
    """Remove namespaces, as when pods end; unknown names are no error."""
    known = listed(container)
    for name in names:
        if name in known:
            # The line stays as a blank, so that the others keep their addresses.
            container.execute(["sed", "-i", f"s/^{name}$/-/", BOOK])
            container.execute(["ip", "netns", "delete", name], check=False)
            container.execute(["rm", "-rf", f"/etc/netns/{name}"])


def listed(container: Container) -> list[str]:
    """Names of the namespaces this host is to have."""
    result = container.execute(["cat", BOOK], check=False)
    return [line for line in result.stdout.split() if line != "-"]


def recreate(container: Container) -> None:
    """Make the listed namespaces that are missing, as a cluster does after a boot."""
    container.execute(["sh", "-c", SCRIPT.read_text(encoding="utf-8"), "sh", BOOK])


def leaked(container: Container) -> int:
    """Packets for an overlay that left a workload by its own default route."""
    command = "nft -j list counter inet lab_pods leaked | jq '.nftables[1].counter.packets'"
    result = container.execute(["sh", "-c", command], check=False)
    if result.returncode != 0 or not result.stdout.strip().isdigit():
        raise LabError(f"{container.host.name} has no workloads: nothing counts leaks there")
    return int(result.stdout)
