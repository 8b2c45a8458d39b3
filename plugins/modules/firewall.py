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
    flows_ended_for:
      description: Addresses whose connections were forgotten, because they belong to another lease now.
      type: list
      elements: str
    difference_refused:
      description: Why nft didn't take the difference, so that the whole table was loaded; usually empty.
      type: str
problems:
  description: What couldn't be done, by network id.
  type: dict
  returned: success
"""

import contextlib
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._overlay import refused
from ansible_collections.akash.avpn.plugins.module_utils._overlay.inputs import load_inputs, make_host, make_plan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.names import namespace
from ansible_collections.akash.avpn.plugins.module_utils._overlay.state import enforced
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.plugins.module_utils._policy.nft import Change, apply_ruleset, plan_ruleset


def run(root: Path, *, check_mode: bool) -> dict[str, Any]:
    inputs = load_inputs(Paths(root))
    plan, host = make_plan(inputs), make_host(inputs)
    networks: dict[str, Any] = {}
    problems, diffs = dict(plan.problems), []
    act = plan_ruleset if check_mode else apply_ruleset
    with contextlib.nullcontext() if check_mode else host.exclusive():
        registry = host.registry.read()
        for network, planned in sorted(plan.networks.items()):
            short = registry[network].short
            try:
                change: Change = act(namespace(short), planned.firewall, host.run_directory(short) / "firewall.json")
                if not check_mode:
                    enforced(host.paths, network, planned.manifest)
                    refused.keep(host.paths, network, short)
            except AvpnError as error:
                problems[network] = str(error)
                continue
            networks[network] = {
                "namespace": namespace(short),
                "manifest": planned.manifest,
                "size": planned.firewall.size,
                "changed": bool(change),
                "whole": change.scripts.whole,
                "flows_ended_for": list(change.moved),
                "difference_refused": change.difference_refused,
            }
            if change:
                diffs.append(change.as_diff(f"{planned.name} ({namespace(short)}, table inet avpn)"))
    changed = any(each["changed"] for each in networks.values())
    return {"changed": changed, "networks": networks, "problems": problems, "diff": diffs}


def main() -> None:
    module = AnsibleModule(argument_spec={"root": {"type": "path", "default": "/"}}, supports_check_mode=True)
    os.umask(0o022)
    try:
        result = run(Path(module.params["root"]), check_mode=module.check_mode)
    except AvpnError as error:
        module.fail_json(msg=str(error))
    for network, problem in sorted(result["problems"].items()):
        module.warn(f"network {network[:12]}: {problem}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
