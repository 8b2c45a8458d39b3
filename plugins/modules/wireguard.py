#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: wireguard
short_description: Make the host's overlay networks - namespaces, tunnels and endpoints
version_added: 0.1.0
description:
  - Brings every network that has an endpoint on this host into the state that the chain and the agreed ledger call for.
    That is its network namespace, its WireGuard tunnel with the other hosts as peers, and a link into each workload.
  - A namespace without a firewall gets one that lets nothing pass before anything is put into it.
    M(akash.avpn.firewall) then opens what the network's manifest permits.
  - Networks that left this host are removed with their processes, interfaces, routes, keys and files. While the view of
    the chain is too old, nothing is taken away and nothing is let in.
  - Peers change by their differences. An address that moves between hosts costs the others nothing.
  - The private keys are made on the host, in C(/etc/avpn/wireguard), and are never read by Ansible.
notes:
  - All networks of the host are done by one call. What can't be done for one of them is a warning, is in RV(problems),
    and doesn't keep the others from being done.
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
      - Keys are shown as public keys.
  idempotent:
    support: full
options:
  root:
    description: The directory that stands for C(/) where the host's own files are looked for. For tests.
    type: path
    default: /
seealso:
  - module: akash.avpn.resolver
  - module: akash.avpn.firewall
"""

EXAMPLES = r"""
- name: Make the overlay networks of this host
  akash.avpn.wireguard:
  register: overlay

- name: Stop where a network has a problem
  ansible.builtin.assert:
    that: overlay.problems | length == 0
"""

RETURN = r"""
networks:
  description: The networks that have endpoints on this host, by network id.
  type: dict
  returned: success
  contains:
    name:
      description: The tenant's name for the network.
      type: str
    ledger:
      description: Generation and version of the ledger that was applied.
      type: list
      elements: int
    mtu:
      description: MTU of the tunnel and of the endpoints' links, in bytes.
      type: int
    peers:
      description: The number of other hosts.
      type: int
    endpoints:
      description: The endpoints of this host, written C(member/gseq/index).
      type: list
      elements: str
    notes:
      description: What was left out of the network, and why.
      type: list
      elements: str
problems:
  description: What couldn't be done, by network id. Those networks were left as far as they got.
  type: dict
  returned: success
waiting:
  description: Endpoints whose workload isn't running here yet; they are attached once it is.
  type: list
  elements: str
  returned: success
fresh:
  description: Whether the view of the chain was young enough to take away and let in.
  type: bool
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._overlay.apply import apply_overlay
from ansible_collections.akash.avpn.plugins.module_utils._overlay.running import run_module


def main() -> None:
    module = AnsibleModule(argument_spec={"root": {"type": "path", "default": "/"}}, supports_check_mode=True)
    run_module(module, apply_overlay)


if __name__ == "__main__":
    main()
