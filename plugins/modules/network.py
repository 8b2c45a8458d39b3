#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: network
short_description: Create, change or delete a private overlay network on chain
version_added: 0.1.0
description:
  - Writes the record of one of the tenant's networks. Options that are left out stay as they are on chain.
  - A change is one transaction. Messages that other tools made, such as the creation of a deployment, can go into the
    same one with O(extra_messages); all succeed or none.
  - Founders, the voters that start the network's ledger, are chosen once enough leases exist. Until then the network
    has no ledger, and RV(waiting) says what is missing; run the module again later.
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
    support: partial
    details:
      - With O(extra_messages) a transaction is always sent, because only the chain knows what those would change.
options:
  state:
    description: Whether the network exists.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the network, 1 to 32 characters a-z, 0-9 and inner hyphens.
    type: str
    required: true
  owner:
    description:
      - The tenant's account. By default that of the key. Without a key, which is enough for check mode and for
        O(carrier=file), it must be given.
    type: str
  cidr:
    description:
      - IPv4 range of the network, fixed for a generation. By default a /20 in 100.64.0.0/10, drawn by owner and name,
        because providers' stock network policy blocks the ranges of RFC 1918.
    type: str
  members:
    description: Name of each member, and the dseq of the deployment it stands for.
    type: dict
  purge_members:
    description: Whether members that O(members) doesn't name leave the network.
    type: bool
    default: true
  absent_members:
    description: Members that leave the network.
    type: list
    elements: str
    default: []
  providers:
    description:
      - Accounts of the providers that may take part, or the single word V(leases) for whoever holds a lease of a
        member.
    type: list
    elements: str
  evicted:
    description: Accounts of providers that may not vote.
    type: list
    elements: str
  witnesses:
    description: Hosts (C(provider/node)) that may vote without holding a lease.
    type: list
    elements: str
  founders:
    description:
      - V(auto), or the hosts (C(provider/node)) that start the ledger of this generation.
      - With V(auto) up to five are chosen among the providers that hold leases, one host each, an odd number where
        possible, filled up with witnesses. Founders that are set stay until the generation is raised.
    type: list
    elements: str
    default: [auto]
  founders_min:
    description:
      - With O(founders=auto), how many providers must hold a lease before founders are chosen. By default founders
        are chosen when every member has a lease.
    type: int
  generation:
    description:
      - Raising it starts the ledger anew with new founders, and with O(base) from a value that survived. For recovery
        after a lasting loss of the majority only.
      - M(akash.avpn.recovery) finds out what survives, chooses base and founders, and raises it. By hand, what
        a silent host holds is easily lost.
    type: int
  base:
    description: SHA-256 of the ledger value a new generation starts from.
    type: str
  manifest:
    description: The oldest manifest that hosts may newly adopt. Versions only rise.
    type: dict
    suboptions:
      version:
        description: Version of the manifest.
        type: int
        required: true
      sha256:
        description: SHA-256 of its canonical content.
        type: str
        required: true
  access:
    description: SSH public keys of the tenant (C(ssh-ed25519 AAAA…) without options and comment).
    type: list
    elements: str
  extra_messages:
    description: Messages that go into the same transaction, before those of the network.
    type: list
    elements: dict
    default: []
    suboptions:
      type_url:
        description: The message's type, such as C(/akash.deployment.v1beta4.MsgCreateDeployment).
        type: str
        required: true
      value:
        description: The message in protobuf, in base64.
        type: str
        required: true
  carrier:
    description: Where the record is kept - in the chain's audit module, or in a file for working offline and for tests.
    type: str
    choices: [audit, file]
    default: audit
  path:
    description: The file of O(carrier=file), which holds a whole view.
    type: path
"""

EXAMPLES = r"""
- name: Two deployments form a network
  akash.avpn.network:
    name: prod
    members:
      web: 1234567
      db: 1234568
    access:
      - "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') | regex_search('ssh-ed25519 [^ ]+') }}"
    endpoints: [https://rpc.akt.dev/rest, https://akash-api.polkachu.com]
    mnemonic_file: ~/.config/akash/mnemonic

- name: A deployment is created and joins in one transaction
  akash.avpn.network:
    name: prod
    members:
      cache: "{{ dseq }}"
    purge_members: false
    extra_messages:
      - type_url: /akash.deployment.v1beta4.MsgCreateDeployment
        value: "{{ create_deployment }}"
    endpoints: [http://127.0.0.1:1317]
    own: true
    mnemonic_file: ~/.config/akash/mnemonic
"""

RETURN = r"""
network:
  description: The network's id, SHA-256 of owner and name.
  type: str
  returned: success
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
record:
  description: The record as it is now, or would be; empty when the network is absent.
  type: dict
  returned: success
waiting:
  description: What is missing before founders can be chosen; empty when there are founders.
  type: str
  returned: success
notes:
  description: What is worth knowing and stops nothing.
  type: list
  elements: str
  returned: success
transaction:
  description: Hash of the transaction and height of its block.
  type: dict
  returned: when a transaction was sent
  sample: {"hash": "5F2B…", "height": 1234}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._chain.arguments import ACCOUNT_ARGUMENTS, CHAIN_ARGUMENTS
from ansible_collections.akash.avpn.plugins.module_utils._chain.network_module import run
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError


def main() -> None:
    strings = {"type": "list", "elements": "str"}
    module = AnsibleModule(
        argument_spec={
            **CHAIN_ARGUMENTS,
            **ACCOUNT_ARGUMENTS,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "name": {"type": "str", "required": True},
            "owner": {"type": "str"},
            "cidr": {"type": "str"},
            "members": {"type": "dict"},
            "purge_members": {"type": "bool", "default": True},
            "absent_members": {**strings, "default": []},
            "providers": strings,
            "evicted": strings,
            "witnesses": strings,
            "founders": {**strings, "default": ["auto"]},
            "founders_min": {"type": "int"},
            "generation": {"type": "int"},
            "base": {"type": "str"},
            "manifest": {
                "type": "dict",
                "options": {"version": {"type": "int", "required": True}, "sha256": {"type": "str", "required": True}},
            },
            "access": strings,
            "extra_messages": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "type_url": {"type": "str", "required": True},
                    "value": {"type": "str", "required": True},
                },
            },
            "carrier": {"type": "str", "choices": ["audit", "file"], "default": "audit"},
            "path": {"type": "path"},
        },
        required_if=[("carrier", "file", ("path",))],
        supports_check_mode=True,
    )
    try:
        result = run(module.params, check_mode=module.check_mode)
    except AvpnError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
