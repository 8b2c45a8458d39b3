#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: path_check
short_description: Try what this host's workloads reach, and compare with what their networks' policies say
version_added: 0.1.0
description:
  - Sends packets from the network namespaces of this host's endpoints to the other endpoints of their networks, on
    this host and on others, over IPv4 and IPv6, and compares what comes back with what the manifest says over the
    ledger that this host holds.
  - Tries a ping, and of TCP and UDP one port that the policy permits and one that it doesn't, among those that the
    rules of the two sides name and their neighbours. SCTP isn't tried.
  - Nothing has to listen in a workload. TCP has passed if it is accepted or reset, UDP if it is answered or its port is
    said to be closed, a ping if it comes back. Silence is a drop. For UDP, which many services don't answer, the
    counters of this host's firewall tell whether it was refused; where it should have passed, silence says nothing.
  - Changes nothing in a workload, on the host or on others. From each other endpoint, a tenant's service sees one TCP
    connection for each family and port, closed at once with nothing sent over it, or one or two empty datagrams. At
    most 200 begin in a second.
  - Takes less than a minute for each network, with the defaults.
  - In check mode nothing is sent, and RV(networks.paths) are those that would be tried.
extends_documentation_fragment:
  - akash.avpn.attributes
author:
  - The akash.avpn authors (@akash-avpn)
attributes:
  check_mode:
    support: full
    details:
      - Says which paths would be tried and what is predicted of each, and sends nothing.
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    support: full
    details:
      - This module changes nothing.
options:
  networks:
    description: Names or ids of networks. All that have an endpoint on this host, if not given.
    type: list
    elements: str
  ports:
    description: What to try instead of chosen ports, each V(tcp/443), V(udp/53) or V(ping).
    type: list
    elements: str
  most:
    description: How many paths to try at most in each network. Beyond, a sample is taken, the same one each time.
    type: int
    default: 1000
  timeout:
    description: Seconds without an answer that count as silence, 1 to 30.
    type: int
    default: 2
  fail_on_difference:
    description: Whether to fail if a path isn't as predicted, or a network can't be checked.
    type: bool
    default: true
  root:
    description: The directory that stands for C(/). For tests.
    type: path
    default: /
requirements:
  - nftables 1.0.6
"""

EXAMPLES = r"""
- name: Check what this host's workloads reach
  akash.avpn.path_check:

- name: See whether the networks' databases can be reached as they should
  akash.avpn.path_check:
    networks: [shop]
    ports: [tcp/5432]
    fail_on_difference: false
  register: check
"""

RETURN = r"""
networks:
  description: What was seen, by network id.
  type: dict
  returned: always
  contains:
    name:
      description: The tenant's name for it.
      type: str
    manifest:
      description: Version of the manifest that this host enforces, null if there is none.
      type: int
    ledger:
      description: Generation and version of the ledger that this host has applied.
      type: list
      elements: int
    counts:
      description:
        - How many paths were C(checked), and how many of them were C(as_predicted), C(different), or C(unknown)
          because nothing was seen that tells.
      type: dict
    paths:
      description:
        - Each path, with C(source) and C(target) (as C(member/group/replica)), C(family), C(port), C(predicted) and
          C(seen) (V(passed), V(dropped), and of what was seen V(unknown)), C(how) it was seen, C(decided_by), the place
          in the manifest, and C(as_predicted), null where it is unknown.
      type: list
      elements: dict
    matrix:
      description: How many paths passed and were dropped between members, as lines.
      type: list
      elements: str
    notes:
      description: What was left out, and what may explain differences.
      type: list
      elements: str
problems:
  description: Networks that couldn't be checked, and why, by id.
  type: dict
  returned: always
table:
  description: All of it for people, in lines.
  type: list
  elements: str
  returned: always
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._check.host import Wish, check
from ansible_collections.akash.avpn.plugins.module_utils._check.probes import parse_port
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError, InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths

SPEC = {
    "networks": {"type": "list", "elements": "str"},
    "ports": {"type": "list", "elements": "str"},
    "most": {"type": "int", "default": 1000},
    "timeout": {"type": "int", "default": 2},
    "fail_on_difference": {"type": "bool", "default": True},
    "root": {"type": "path", "default": "/"},
}


def wish(params: dict[str, Any], *, send: bool) -> Wish:
    for name, least, most in (("timeout", 1, 30), ("most", 1, 100_000)):
        if not least <= params[name] <= most:
            raise InvalidInput(f"must be {least} to {most}", where=name)
    networks, ports = params["networks"], params["ports"]
    return Wish(
        networks=None if networks is None else tuple(networks),
        ports=None if ports is None else tuple(parse_port(text) for text in ports),
        seconds=params["timeout"],
        most=params["most"],
        send=send,
    )


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        result = check(Paths(Path(module.params["root"])), wish(module.params, send=not module.check_mode))
    except (AvpnError, OSError) as error:
        module.fail_json(msg=str(error))
    told = [network["counts"] for network in result["networks"].values() if "counts" in network]
    different = sum(counts["different"] for counts in told)
    if module.params["fail_on_difference"] and (different or result["problems"]):
        checked = sum(counts["checked"] for counts in told)
        unchecked = f"; {len(result['problems'])} networks not checked" if result["problems"] else ""
        module.fail_json(msg=f"{different} of {checked} paths are not as predicted{unchecked}", **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
