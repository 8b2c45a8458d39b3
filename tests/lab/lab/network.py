# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's network: a bridge without a way out."""

from __future__ import annotations

from .docker import docker, inspect, try_docker
from .errors import LabError
from .topology import Topology

LABEL = "avpn.lab"


def network_name(lab: str) -> str:
    """Name of the Docker network of a lab."""
    return f"{lab}-lab"


def ensure(topology: Topology) -> str:
    """Make the network unless it is there; return its name."""
    name = network_name(topology.name)
    found = inspect("network", [name])
    if not found:
        docker(
            *("network", "create", "--internal", "--subnet", str(topology.subnet)),
            *("--label", f"{LABEL}={topology.name}", name),
        )
        return name
    subnets = [entry["Subnet"] for entry in found[0]["IPAM"]["Config"]]
    if subnets != [str(topology.subnet)] or not found[0]["Internal"]:
        raise LabError(f"network {name} is there with {subnets}, wanted {topology.subnet}: lab down first")
    return name


def remove(lab: str) -> None:
    """Remove the network; it must have no hosts any more."""
    name = network_name(lab)
    if inspect("network", [name]):
        result = try_docker("network", "rm", name)
        if result.returncode != 0:
            raise LabError(f"network {name}: {result.stderr.strip()}")
