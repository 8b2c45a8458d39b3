#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: manifest
short_description: Sign the policies and routes of a network and hand them to one of its providers
version_added: 0.1.0
description:
  - Checks a manifest against the network's record on chain, the tests inside it included, signs it with the tenant's
    account and hands it to one provider that takes part, over SSH. That provider passes it on; every host checks it
    again before it enforces it.
  - Before that it says who would gain and lose a way to whom, and warns of what is probably not meant.
  - Runs on the tenant's machine. Nothing changes if the newest version says the same already.
extends_documentation_fragment:
  - akash.avpn.attributes
  - akash.avpn.chain
author:
  - The akash.avpn authors (@akash-avpn)
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the manifest's content before and after, and who gains and loses a way to whom.
  idempotent:
    support: full
options:
  name:
    description: Name of the network.
    type: str
    required: true
  owner:
    description: The tenant's account. By default that of the key; without a key, which check mode doesn't need, it must
      be given.
    type: str
  content:
    description:
      - The manifest.
      - RV(version) and signature are not part of it.
    type: dict
  src:
    description: YAML file with the manifest; errors name its lines. Exactly one of O(content) and O(src) is needed.
    type: path
  staged:
    description:
      - Whether the manifest is only to be tried. What runs goes on being enforced; of what passes, hosts count what
        this one would have refused, and tell it in their status.
      - Handing the same in without this option enforces it, and ends the trial; so does handing in another one.
    type: bool
    default: false
  version:
    description:
      - Version to sign. By default the one after the newest that any provider has, or that the record on chain asks
        for.
      - Two contents with one version make every host keep the one it has and raise an alarm; a higher version ends
        that.
    type: int
  provider:
    description: Account of the provider to hand it to, or one of its hosts (C(provider/node)). By default those that
      take part are tried in turn.
    type: str
  key_file:
    description: SSH private key whose public part stands in the network's record under C(access).
    type: path
    required: true
  peer_ranges:
    description: Private ranges in which providers' hosts may be, such as those of a lab.
    type: list
    elements: str
    default: []
  wait:
    description:
      - How long to go on trying while no provider takes the manifest, in seconds.
      - Providers learn of a new network, or of a new key in O(key_file), with their next look at the chain.
    type: int
    default: 60
  mnemonic_file:
    description: File with the account's mnemonic, readable by its owner only.
    type: path
  private_key_file:
    description: File with the account's private key in hexadecimal, readable by its owner only.
    type: path
  mnemonic:
    description: The mnemonic itself, for those who keep it in Ansible Vault. A file is better.
    type: str
  private_key:
    description: The private key itself in hexadecimal, for those who keep it in Ansible Vault. A file is better.
    type: str
requirements:
  - cosmpy 0.12
  - cryptography
  - paramiko
"""

EXAMPLES = r"""
- name: Publish the policies of a network
  akash.avpn.manifest:
    name: prod
    content:
      groups:
        backend: [api, db]
      members:
        web:
          ingress:
            allow:
              - {peers: any, ports: [tcp/80, tcp/443]}
          egress:
            allow:
              - {peers: backend, ports: tcp/5432}
        db:
          ingress:
            deny:
              - {peers: 198.51.100.0/24, ports: any}
            allow:
              - {peers: [web, api], ports: [tcp/5432, icmp, icmpv6]}
      tests:
        - {from: web, to: db, port: tcp/5432, expected: allow}
    key_file: ~/.ssh/id_ed25519
    mnemonic_file: ~/.config/akash/mnemonic
    endpoints: [https://rpc.akt.dev/rest, https://akash-api.polkachu.com]

- name: Try stricter policies before they are enforced
  akash.avpn.manifest:
    name: prod
    src: stricter.yml
    staged: true
    key_file: ~/.ssh/id_ed25519
    mnemonic_file: ~/.config/akash/mnemonic
    endpoints: [https://rpc.akt.dev/rest, https://akash-api.polkachu.com]
"""

RETURN = r"""
network:
  description: The network's id, SHA-256 of owner and name.
  type: str
  returned: success
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
version:
  description: The version that is published now, or would be.
  type: int
  returned: success
  sample: 7
sha256:
  description: SHA-256 of the content's canonical JSON, as the network's record names it.
  type: str
  returned: success
  sample: 5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef
provider:
  description: The host that took it.
  type: str
  returned: when it was handed in
  sample: akash1…/node1
notes:
  description: What is worth knowing and stops nothing, such as hosts that didn't answer.
  type: list
  elements: str
  returned: success
reachability:
  description:
    - Who gains and loses a way to whom, compared with the newest version that providers have. Both sides are counted.
    - Null if that can't be told; RV(notes) says why.
  type: dict
  returned: success
  contains:
    gains:
      description:
        - What is permitted and wasn't; at most 10000 entries of this and RV(reachability.loses) each.
        - C(family) is C(ipv4) or C(ipv6) where only that one is meant; C(addresses) is C(some) where it depends on the
          addresses of the two ends, because rules name CIDRs within the network's range.
      type: list
      elements: dict
      sample: [{from: web, to: db, ports: [tcp/5432], family: both, addresses: all}]
      contains:
        from:
          description:
            - A member, or one of its leases (C(web/2)) where the manifest tells them apart, C(web/*) being the rest;
              or a range that a route leads to.
          type: str
        to:
          description: The other one, in the same way.
          type: str
        ports:
          description: Ports, as a manifest writes them.
          type: list
          elements: str
        family:
          description: Over which IP versions, C(both), C(ipv4) or C(ipv6).
          type: str
        addresses:
          description: For C(all) addresses of the two ends, or for C(some).
          type: str
    loses:
      description: What was permitted and isn't any more, in the same form.
      type: list
      elements: dict
    more:
      description: How many entries were left out.
      type: int
staged_reachability:
  description: What enforcing the manifest's C(staged) part instead would change, in the same form; null without one.
  type: dict
  returned: success
findings:
  description: What is probably not meant, such as rules that never match. Each is shown as a warning, too.
  type: list
  elements: dict
  returned: success
  contains:
    where:
      description: The field, dotted from the document's root.
      type: str
    what:
      description: What is odd.
      type: str
    remedy:
      description: What to do; may be empty.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._chain.arguments import (
    ACCOUNT_ARGUMENTS,
    ACCOUNT_SECRETS,
    CHAIN_ARGUMENTS,
)
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._manifest.manifest_module import run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CHAIN_ARGUMENTS,
            **{key: ACCOUNT_ARGUMENTS[key] for key in ACCOUNT_SECRETS},
            "name": {"type": "str", "required": True},
            "owner": {"type": "str"},
            "content": {"type": "dict"},
            "src": {"type": "path"},
            "staged": {"type": "bool", "default": False},
            "version": {"type": "int"},
            "provider": {"type": "str"},
            "key_file": {"type": "path", "required": True, "no_log": False},
            "peer_ranges": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "int", "default": 60},
        },
        mutually_exclusive=[("content", "src")],
        required_one_of=[("content", "src")],
        supports_check_mode=True,
    )
    try:
        result = run(module.params, check_mode=module.check_mode)
    except AvpnError as error:
        module.fail_json(msg=str(error))
    for finding in result["findings"]:
        module.warn(" ".join(filter(None, (f"{finding['where']}: {finding['what']}.", finding["remedy"]))))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
