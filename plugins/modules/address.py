#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: address
short_description: Agree with the other providers on the addresses of this host's endpoints
version_added: 0.1.0
description:
  - Claims an address for every endpoint that runs on this host and has none, and releases the addresses of leases that
    closed long enough ago, in all networks that concern the host, in one call.
  - Keeps the network's voters up to date as well. Those who have left are replaced by other providers that hold
    leases, or by witnesses, one at a time and without the tenant acting.
  - An address counts once a majority of the network's voters has accepted it. No address can be given out twice, and
    asking again after an unknown outcome gives the same address.
  - What can't be agreed for one network, because too few voters answer for example, is reported for that network and
    doesn't stop the others; the module itself doesn't fail by it.
  - The host must have been set up with the role P(akash.avpn.peer#role).
extends_documentation_fragment:
  - akash.avpn.attributes
author:
  - The akash.avpn authors (@akash-avpn)
attributes:
  check_mode:
    support: full
    details:
      - The newest ledger is asked for, and the module says what it would claim and release.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  deadline:
    description: Seconds after which the attempt for a network is given up.
    type: float
    default: 30
  root:
    description: The directory that stands for C(/). For tests.
    type: path
    default: /
"""

EXAMPLES = r"""
- name: Agree on the addresses of everything that runs here
  akash.avpn.address:
  register: addresses

- name: Say where it was not possible
  ansible.builtin.debug:
    msg: "{{ item.value.name }}: {{ item.value.error }}"
  loop: "{{ addresses.networks | dict2items | selectattr('value.error', 'defined') }}"
  loop_control:
    label: "{{ item.value.name }}"
"""

RETURN = r"""
networks:
  description: What came of each network that concerns this host, by network id.
  type: dict
  returned: success
  contains:
    name:
      description: The network's name.
      type: str
      returned: always
    owner:
      description: The tenant's account.
      type: str
      returned: always
    error:
      description: Why nothing could be agreed. The other keys below are absent then.
      type: str
      returned: when it failed
    changed:
      description: Whether the ledger was changed.
      type: bool
      returned: when it didn't fail
    version:
      description: The ledger's version, -1 when there is none yet (in check mode only).
      type: int
      returned: when it didn't fail
    allocated:
      description: Addresses that endpoints of this host got, by endpoint (member/group/index).
      type: dict
      returned: when it didn't fail
    released:
      description: Endpoints whose address was released since this host last looked, whoever did it.
      type: list
      elements: str
      returned: when it didn't fail
    waiting:
      description: Endpoints that still have no address, each with what it waits for.
      type: dict
      returned: when it didn't fail
    voters:
      description: The hosts (provider/node) that vote on the network's ledger now.
      type: list
      elements: str
      returned: when it didn't fail
    voters_changed:
      description: Changes of voters that this run made, or would make first in check mode, each with its reason.
      type: list
      elements: str
      returned: when it didn't fail
    voters_waiting:
      description: Hosts for which a change of voters waits, each with what it waits for.
      type: dict
      returned: when it didn't fail
    voters_frozen:
      description: Voters that contradicted themselves, each with what it did. This host doesn't count their votes.
      type: dict
      returned: when it didn't fail
allocated:
  description: The number of addresses that were claimed.
  type: int
  returned: success
released:
  description: The number of addresses that were released.
  type: int
  returned: success
waiting:
  description: The number of endpoints that wait for an address.
  type: int
  returned: success
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._peer import allocation
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths


def _diff(networks: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Released endpoints before, allocated ones after."""
    before, after = [], []
    for network in networks.values():
        before += [f"{network['name']}: {endpoint} bound" for endpoint in network.get("released", [])]
        after += [f"{network['name']}: voters {step}" for step in network.get("voters_changed", [])]
        after += [
            f"{network['name']}: {endpoint} {at}" for endpoint, at in sorted(network.get("allocated", {}).items())
        ]
    return {"before": "".join(f"{line}\n" for line in before), "after": "".join(f"{line}\n" for line in after)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "deadline": {"type": "float", "default": 30},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    paths = Paths(Path(module.params["root"]))
    try:
        networks = allocation.run(paths, check=module.check_mode, deadline=module.params["deadline"])
    except AvpnError as error:
        module.fail_json(msg=str(error))
    for network in networks.values():
        if "error" in network:
            module.warn(f"network {network['name']}: {network['error']}")
        for node, what in network.get("voters_frozen", {}).items():
            module.warn(f"network {network['name']}: voter {node} {what}; its vote isn't counted")
    module.exit_json(
        changed=any(network.get("changed", False) for network in networks.values()),
        networks=networks,
        diff=_diff(networks),
        **{key: sum(len(network.get(key, ())) for network in networks.values()) for key in _COUNTED},
    )


_COUNTED = ("allocated", "released", "waiting")

if __name__ == "__main__":
    main()
