#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall
short_description: Enforce the verified manifests of all networks on this host
version_added: 0.1.0
description:
  - Compiles the manifest of each network that has endpoints on this host, and loads the difference to what is in the
    kernel into the nftables table C(inet avpn) of the network's own namespace. No other table, and none of the host's
    own namespace, is touched.
  - Connections that stay permitted go on; those that aren't are cut. Counters go on, too.
  - A network without a verified manifest, or without any, lets nothing pass.
  - A network that fails is reported under RV(problems) with a warning, and the others go on.
  - Rules come into force at once and are never taken back. The frame around them, the chains by which packets enter and
    leave, changes with versions of this collection only, and every change of it is on trial. Unless it is confirmed
    within 60 seconds it is taken back by a timer that doesn't need this module any more.
  - A frame that cut the host off from all hosts that answered through the tunnel before, or from its own peer channel,
    is taken back at once. One that was taken back is not tried again until it changes (but see O(again)).
  - Needs what M(akash.avpn.wireguard) makes, and the files of the role P(akash.avpn.peer#role).
extends_documentation_fragment:
  - akash.avpn.attributes
author:
  - The akash.avpn authors (@akash-avpn)
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the objects and elements of the table, one a line.
  idempotent:
    support: full
options:
  confirm:
    description:
      - Who confirms a changed frame.
      - With V(host), what can be seen from the host is enough.
      - With V(later), it also takes somebody who comes back over a new connection and calls with V(now). What was
        V(later) is not confirmed by a call with V(host).
    type: str
    choices: [host, later, now]
    default: host
  again:
    description: Try frames again that were taken back. For when what was wrong wasn't the frame.
    type: bool
    default: false
  root:
    description: The directory that stands for C(/). For tests.
    type: path
    default: /
requirements:
  - nftables 1.0.6
  - conntrack
  - nsenter (util-linux)
"""

EXAMPLES = r"""
- name: Enforce what was verified
  akash.avpn.firewall:

- name: Try frames again that were taken back while all other hosts were down
  akash.avpn.firewall:
    again: true
"""

RETURN = r"""
networks:
  description: What was done, by network id.
  type: dict
  returned: success
  contains:
    namespace:
      description: The network namespace.
      type: str
    manifest:
      description: Version of the enforced manifest, or null.
      type: int
    size:
      description: Number of rules and elements of the table.
      type: int
    changed:
      description: Whether anything had to change.
      type: bool
    whole:
      description: Whether the whole table was loaded anew, and not only differences.
      type: bool
    frame:
      description: C(confirmed), C(trial) while it may still be taken back, or C(rolled-back).
      type: str
    flows_ended_for:
      description: Addresses whose connections were forgotten, because they belong to another lease now.
      type: list
      elements: str
    difference_refused:
      description: Why nft didn't take the difference, so that the whole table was loaded; usually empty.
      type: str
trials:
  description: Ids of the networks whose frame may still be taken back.
  type: list
  elements: str
  returned: success
problems:
  description: What couldn't be done, by network id.
  type: dict
  returned: success
"""

import contextlib
import functools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._overlay import firewalls
from ansible_collections.akash.avpn.plugins.module_utils._overlay.host import exclusive
from ansible_collections.akash.avpn.plugins.module_utils._overlay.inputs import load_inputs, make_host, make_plan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.names import namespace
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths


def run(root: Path, *, check_mode: bool, confirm: str = "host", again: bool = False) -> dict[str, Any]:
    with contextlib.nullcontext() if check_mode else exclusive(Paths(root)):
        inputs = load_inputs(Paths(root))
        plan, host = make_plan(inputs), make_host(inputs)
        done = firewalls.enforce(plan, host, check=check_mode, again=again)
    waited = set(done.waiting)
    if not check_mode:
        serves = functools.partial(firewalls.peer_channel, inputs.config.peer_address, inputs.config.peer_port)
        firewalls.begin(done, host, serves, caller=confirm == "later")
        firewalls.judge(done, host, serves, leave=lambda trial: trial.caller and confirm != "now")
    registry, networks, diffs = host.registry.read(), {}, []
    problems = {**plan.problems, **done.problems}
    problems |= {
        network: firewalls.rolled_back(why) for network, why in done.refused.items() if network not in problems
    }
    for network, put in done.put.items():
        planned, short = plan.networks[network], registry[network].short
        frame = "rolled-back" if network in done.refused else "trial" if network in done.trials else "confirmed"
        networks[network] = {
            "namespace": namespace(short),
            "manifest": planned.manifest,
            "size": planned.firewall.size,
            "changed": bool(put.change) or (network in waited and frame != "rolled-back"),
            "whole": put.change.scripts.whole,
            "frame": frame,
            "flows_ended_for": list(put.change.moved),
            "difference_refused": put.change.difference_refused,
        }
        if networks[network]["changed"]:
            change = replace(put.change, after=planned.firewall) if network in waited else put.change
            diffs.append(change.as_diff(f"{planned.name} ({namespace(short)}, table inet avpn)"))
    changed = any(each["changed"] for each in networks.values())
    trials = sorted(done.trials)
    return {"changed": changed, "networks": networks, "trials": trials, "problems": problems, "diff": diffs}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "confirm": {"type": "str", "choices": ["host", "later", "now"], "default": "host"},
            "again": {"type": "bool", "default": False},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    given = module.params
    try:
        result = run(Path(given["root"]), check_mode=module.check_mode, confirm=given["confirm"], again=given["again"])
    except AvpnError as error:
        module.fail_json(msg=str(error))
    for network, problem in sorted(result["problems"].items()):
        module.warn(f"network {network[:12]}: {problem}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
