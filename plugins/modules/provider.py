#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: provider
short_description: Publish a provider's hosts on chain
version_added: 0.1.0
description:
  - Writes the host records of a provider team into the provider's own on-chain record, as attributes
    C(avpn/peer/<node>). Peers and tenants take host keys, client keys and endpoints from there and from nowhere else.
  - The chain replaces the record as a whole. Everything in it that is not named here goes back as it was.
extends_documentation_fragment:
  - akash.avpn.attributes
  - akash.avpn.chain
  - akash.avpn.account
author:
  - The akash.avpn authors (@akash-avpn)
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - With V(absent), the named O(nodes) are taken out of the record, or without O(nodes) all of this collection's.
        The provider itself stays; the chain can't delete one.
    type: str
    choices: [present, absent]
    default: present
  nodes:
    description:
      - Name of each host, and its record. With O(state=absent) only the names matter.
      - "A record has the fields C(v) (1), C(ssh) with C(address) (C(192.0.2.1:7022)), C(host_key) and C(client_key),
        C(signing_key), C(incarnation), C(wireguard) (address) and C(gossip) (C(192.0.2.1:7946)). The keys and the
        incarnation are what M(akash.avpn.host_keys) returns."
    type: dict
    default: {}
  purge_nodes:
    description: Whether hosts that O(nodes) doesn't name are taken out.
    type: bool
    default: false
  host_uri:
    description: URL of the provider's gateway (https, no path). Needed to register a provider that isn't on chain yet.
    type: str
  email:
    description: Contact in the provider's record. As it is if left out.
    type: str
  website:
    description: Website in the provider's record. As it is if left out.
    type: str
seealso:
  - module: akash.avpn.host_keys
"""

EXAMPLES = r"""
- name: Publish this team's hosts
  akash.avpn.provider:
    nodes:
      node1:
        v: 1
        ssh:
          address: 192.0.2.11:7022
          host_key: "{{ keys.ssh_host_key }}"
          client_key: "{{ keys.ssh_client_key }}"
        signing_key: "{{ keys.signing_key }}"
        incarnation: "{{ keys.incarnation }}"
        wireguard: 192.0.2.11
        gossip: 192.0.2.11:7946
    endpoints: [http://127.0.0.1:1317]
    own: true
    mnemonic_file: /etc/akash/mnemonic
  run_once: true
"""

RETURN = r"""
provider:
  description: The provider's account.
  type: str
  returned: success
nodes:
  description: Hosts in the record afterwards.
  type: list
  elements: str
  returned: success
  sample: [node1, node2]
transaction:
  description: Hash of the transaction and height of its block.
  type: dict
  returned: when a transaction was sent
  sample: {"hash": "5F2B…", "height": 1234}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._chain.arguments import ACCOUNT_ARGUMENTS, CHAIN_ARGUMENTS
from ansible_collections.akash.avpn.plugins.module_utils._chain.provider_change import run
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CHAIN_ARGUMENTS,
            **ACCOUNT_ARGUMENTS,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "nodes": {"type": "dict", "default": {}},
            "purge_nodes": {"type": "bool", "default": False},
            "host_uri": {"type": "str"},
            "email": {"type": "str"},
            "website": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, check_mode=module.check_mode)
    except AvpnError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
