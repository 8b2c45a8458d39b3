# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The hosts that carry tenants' networks, from the chain."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tenant_networks
short_description: Provider hosts that carry private overlay networks, from the chain
version_added: 0.1.0
description:
  - Reads networks, leases and host records from the chain, or from the view that a host keeps.
  - Each host is a provider's node, named C(<node>.<provider>). It is in the groups C(network_<name>),
    C(provider_<account>) and C(member_<network>_<member>). Where two tenants use one name, the tenant's account is
    appended to the group.
  - No connection variables are set. What a host record says is how peers reach the host, with keys that permit them
    nothing else; how a team reaches its own hosts is the team's business (O(compose)). Narrow the inventory to the own
    hosts with O(provider).
  - The configuration file's name ends in C(tenant_networks.yml) or C(tenant_networks.yaml).
extends_documentation_fragment:
  - akash.avpn.chain
  - constructed
  - inventory_cache
author:
  - The akash.avpn authors (@akash-avpn)
options:
  plugin:
    description: Marks the file as this plugin's.
    type: str
    required: true
    choices: [akash.avpn.tenant_networks]
  owners:
    description: Accounts of tenants whose networks are wanted.
    type: list
    elements: str
    default: []
  provider:
    description:
      - Account of a provider. Only its hosts are in the inventory.
      - Without O(owners), its networks are found through its leases.
    type: str
  view_file:
    description:
      - File with a view, such as C(/var/lib/avpn/view.json) of a provider host, to read instead of the chain. Nothing
        is cached then.
    type: path
  hostvars_prefix:
    description: What the names of host variables begin with.
    type: str
    default: avpn_
  group_prefix:
    description: What the names of groups begin with.
    type: str
    default: ""
"""

EXAMPLES = r"""
# tenant_networks.yml: where do my networks run?
plugin: akash.avpn.tenant_networks
endpoints:
  - https://rpc.akt.dev/rest
  - https://akash-api.polkachu.com
owners:
  - akash1eq5y48kg0txyuhjdnsl3cj9d40j0uawf6nku6m
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/avpn

---
# own.tenant_networks.yml: a provider team's own hosts, with the team's way to reach them
plugin: akash.avpn.tenant_networks
endpoints: [http://127.0.0.1:1317]
own: true
provider: akash1eq5y48kg0txyuhjdnsl3cj9d40j0uawf6nku6m
compose:
  ansible_host: avpn_node ~ '.example.com'
groups:
  voters: avpn_networks | selectattr('founder') | length > 0
"""

import json
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.akash.avpn.plugins.module_utils._chain.arguments import CHAIN_ARGUMENTS, sources_of
from ansible_collections.akash.avpn.plugins.module_utils._chain.inventory import (
    InventoryHost,
    inventory_hosts,
    plain_data,
)
from ansible_collections.akash.avpn.plugins.module_utils._chain.reading import read_view
from ansible_collections.akash.avpn.plugins.module_utils._chain.view import load_view
from ansible_collections.akash.avpn.plugins.module_utils._common import fields
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Fetch and cache plain dictionaries, then let a pure function turn them into hosts."""

    NAME = "akash.avpn.tenant_networks"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith(("tenant_networks.yml", "tenant_networks.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            # Through JSON: what comes from the chain must not carry a template's trust from anywhere.
            data = json.loads(json.dumps(self._data(path, cache)))
            hosts = inventory_hosts(data, provider=self._account("provider"))
        except AvpnError as error:
            raise AnsibleParserError(str(error)) from error
        for host in hosts:
            self._add(host)

    def _data(self, path: str, cache: bool) -> dict[str, Any]:
        if self.get_option("view_file"):
            return plain_data(load_view(self.get_option("view_file")))
        key = self.get_cache_key(path)
        use_cache = self.get_option("cache")
        if use_cache and cache:
            try:
                found: dict[str, Any] = self._cache[key]
            except KeyError:
                pass  # nothing cached, or no longer
            else:
                return found
        data = self._fetch()
        if use_cache:
            self._cache[key] = data
        return data

    def _fetch(self) -> dict[str, Any]:
        owners = [fields.account(str(one), f"owners.{index}") for index, one in enumerate(self.get_option("owners"))]
        provider = self._account("provider")
        if not owners and provider is None:
            raise AnsibleError("one of owners, provider and view_file is needed")
        with sources_of({name: self.get_option(name) for name in CHAIN_ARGUMENTS}) as sources:
            # Narrowing by provider must not bring in networks of tenants that weren't asked for.
            return plain_data(read_view(sources, provider=None if owners else provider, owners=owners))

    def _account(self, option: str) -> str | None:
        value = self.get_option(option)
        return fields.account(str(value), option) if value else None

    def _add(self, host: InventoryHost) -> None:
        self.inventory.add_host(host.name)
        for group in host.groups:
            name = self._sanitize_group_name(f"{self.get_option('group_prefix')}{group}")
            self.inventory.add_child(self.inventory.add_group(name), host.name)
        prefix = self.get_option("hostvars_prefix")
        variables = {f"{prefix}{name}": value for name, value in host.variables.items()}
        for name, value in variables.items():
            self.inventory.set_variable(host.name, name, value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, host.name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host.name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host.name, strict=strict)
