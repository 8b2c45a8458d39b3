#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: network_info
short_description: Read private overlay networks from the chain
version_added: 0.1.0
description:
  - Shows the networks of tenants, or those that concern a provider, with their members, running leases, replicas,
    participating providers and these providers' hosts.
  - Everything is read at one block. Texts of tenants and providers are checked strictly; what is refused is listed
    under RV(problems) and is no part of RV(networks).
extends_documentation_fragment:
  - akash.avpn.attributes
  - akash.avpn.attributes.info
  - akash.avpn.chain
author:
  - The akash.avpn authors (@akash-avpn)
options:
  owners:
    description: Accounts of tenants whose networks are wanted. One of O(owners) and O(provider) is needed.
    type: list
    elements: str
  provider:
    description: Account of a provider; networks in which it holds a lease, founds or witnesses a ledger are wanted.
    type: str
  name:
    description: Only networks of this name.
    type: str
  carrier:
    description: Where records are kept - in the chain's audit module, or in a file that holds a whole view.
    type: str
    choices: [audit, file]
    default: audit
  path:
    description: The file of O(carrier=file).
    type: path
"""

EXAMPLES = r"""
- name: Which providers take part in my networks?
  akash.avpn.network_info:
    owners: [akash1eq5y48kg0txyuhjdnsl3cj9d40j0uawf6nku6m]
    endpoints: [https://rpc.akt.dev/rest, https://akash-api.polkachu.com]
  register: mine

- name: Show them
  ansible.builtin.debug:
    msg: "{{ mine.networks | items2dict('name', 'providers') }}"
"""

RETURN = r"""
height:
  description: The block everything was read at.
  type: int
  returned: success
time:
  description: That block's time in Unix seconds.
  type: int
  returned: success
networks:
  description: The networks, by owner and name.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: SHA-256 of owner and name.
      type: str
    owner:
      description: The tenant.
      type: str
    name:
      description: The tenant's name for it.
      type: str
    cidr:
      description: Its IPv4 range.
      type: str
    generation:
      description: Generation of its ledger.
      type: int
    record:
      description: The whole record, all fields written out.
      type: dict
    members:
      description: Each member's deployment (C(dseq), C(state)) and C(replicas) by group.
      type: dict
    leases:
      description: Running leases of members, with member, provider, replicas and whether the provider is permitted.
      type: list
      elements: dict
    providers:
      description: Providers that take part now.
      type: list
      elements: str
    founders:
      description: Voters that start the ledger of this generation (C(provider/node)).
      type: list
      elements: str
    hosts:
      description: Host records of the participating providers.
      type: list
      elements: dict
problems:
  description: What was refused or is wrong, by network id or C(provider/node).
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._chain.arguments import CHAIN_ARGUMENTS, sources_of
from ansible_collections.akash.avpn.plugins.module_utils._chain.facts import concerns, network_facts
from ansible_collections.akash.avpn.plugins.module_utils._chain.reading import read_view
from ansible_collections.akash.avpn.plugins.module_utils._chain.view import load_view
from ansible_collections.akash.avpn.plugins.module_utils._common import fields
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CHAIN_ARGUMENTS,
            "owners": {"type": "list", "elements": "str"},
            "provider": {"type": "str"},
            "name": {"type": "str"},
            "carrier": {"type": "str", "choices": ["audit", "file"], "default": "audit"},
            "path": {"type": "path"},
        },
        required_if=[("carrier", "file", ("path",))],
        required_one_of=[("owners", "provider")],
        supports_check_mode=True,
    )
    params = module.params
    try:
        owners = [fields.account(owner, f"owners.{index}") for index, owner in enumerate(params["owners"] or [])]
        provider = fields.account(params["provider"], "provider") if params["provider"] else None
        if params["carrier"] == "file":
            view = load_view(params["path"])
        else:
            with sources_of(params) as sources:
                view = read_view(sources, provider=provider, owners=owners)
    except AvpnError as error:
        module.fail_json(msg=str(error))
    networks = [
        network
        for network in network_facts(view)
        if (network["owner"] in owners or concerns(network, provider)) and params["name"] in (None, network["name"])
    ]
    module.exit_json(changed=False, height=view.height, time=view.time, networks=networks, problems=dict(view.problems))


if __name__ == "__main__":
    main()
