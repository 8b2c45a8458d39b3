# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the overlay's modules have in common: read, plan, apply, and say what happened."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from .._common.errors import AvpnError
from .._peer.paths import Paths
from .change import Outcome, as_diff
from .host import Host, exclusive
from .inputs import load_inputs, make_host, make_plan
from .model import HostPlan, NetworkPlan


class Module(Protocol):
    """What is needed of Ansible's AnsibleModule."""

    @property
    def params(self) -> Mapping[str, Any]: ...
    @property
    def check_mode(self) -> bool: ...
    def warn(self, warning: str) -> None: ...
    def exit_json(self, **result: Any) -> None: ...
    def fail_json(self, msg: str, **result: Any) -> None: ...


class Apply(Protocol):
    """Makes a part of the host as planned."""

    def __call__(self, plan: HostPlan, host: Host, *, check: bool) -> Outcome: ...


def run_module(module: Module, apply: Apply) -> None:
    """One module's run, from its parameter ``root`` to its result."""
    os.umask(0o022)
    try:
        result = _run(Paths(Path(module.params["root"])), apply, check=module.check_mode)
    except (AvpnError, OSError) as error:
        module.fail_json(msg=str(error))
        return
    for network, problem in sorted(result["problems"].items()):
        module.warn(f"network {network[:12]}: {problem}")
    module.exit_json(**result)


def _run(paths: Paths, apply: Apply, *, check: bool) -> dict[str, Any]:
    with contextlib.nullcontext() if check else exclusive(paths):
        inputs = load_inputs(paths)
        plan = make_plan(inputs)
        outcome = apply(plan, make_host(inputs), check=check)
    return {
        "changed": bool(outcome.changes),
        "diff": as_diff(outcome.changes),
        "networks": {network: _summary(planned) for network, planned in plan.networks.items()},
        "problems": outcome.problems,
        "waiting": outcome.waiting,
        "fresh": inputs.fresh,
    }


def _summary(planned: NetworkPlan) -> dict[str, Any]:
    return {
        "name": planned.name,
        "ledger": list(planned.ledger),
        "mtu": planned.tunnel.mtu,
        "peers": len(planned.tunnel.peers),
        "endpoints": [str(item.endpoint) for item in planned.attachments],
        "notes": list(planned.notes),
    }
