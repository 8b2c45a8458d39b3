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
      - Shows the manifest's content before and after.
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
    description: YAML file with the manifest. Exactly one of O(content) and O(src) is needed.
    type: path
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
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._chain.account import load_account
from ansible_collections.akash.avpn.plugins.module_utils._chain.addresses import check_peer_address
from ansible_collections.akash.avpn.plugins.module_utils._chain.arguments import (
    ACCOUNT_ARGUMENTS,
    ACCOUNT_SECRETS,
    CHAIN_ARGUMENTS,
    sources_of,
)
from ansible_collections.akash.avpn.plugins.module_utils._chain.model import HostRecord
from ansible_collections.akash.avpn.plugins.module_utils._chain.reading import read_view
from ansible_collections.akash.avpn.plugins.module_utils._common import canonical, fields
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import (
    AvpnError,
    InvalidInput,
    Unavailable,
)
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import network_id
from ansible_collections.akash.avpn.plugins.module_utils._manifest import content, envelope, publish
from ansible_collections.akash.avpn.plugins.module_utils._manifest.store import check_content
from ansible_collections.akash.avpn.plugins.module_utils._peer.client import PeerClient

_PAUSE = 1.0  # seconds between attempts


def document_of(params: dict[str, Any]) -> dict[str, Any]:
    """The manifest's content, from the option or the file, as plain JSON."""
    if params["src"] is None:
        document = params["content"]
    else:
        try:
            document = content.load_yaml(Path(params["src"]).read_bytes(), where=params["src"])
        except OSError as error:
            raise InvalidInput(f"can't be read: {error.strerror}", where=f"src {params['src']}") from error
    content.check(document)
    # Ansible's own string types stay behind: what is signed is what the canonical bytes say.
    return canonical.loads(canonical.dumps(document), where="manifest", limit=content.MAX_BYTES)


def run(params: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    account = (
        load_account(**{key: params[key] for key in ACCOUNT_SECRETS}) if any(map(params.get, ACCOUNT_SECRETS)) else None
    )
    if account is None and not (check_mode and params["owner"]):
        raise InvalidInput("must be named by mnemonic_file or private_key_file to sign", where="account")
    if account is not None and params["owner"] not in (None, account.address):
        raise InvalidInput(f"is not the account of the key, which is {account.address}", where="owner")
    owner = account.address if account is not None else fields.account(params["owner"], "owner")
    network = network_id(owner, fields.name(params["name"], "name"))
    document = document_of(params)
    with sources_of(params) as sources:
        view = read_view(sources, provider=None, owners=[owner])
    if network not in view.networks:
        raise InvalidInput(view.problems.get(network, f"{owner} has no such network on chain"), where="name")
    record = view.networks[network].record
    check_content(document, record)
    nodes = publish.nodes_of(view.networks[network], view.hosts, params["provider"])

    def check_address(host: HostRecord) -> None:
        check_peer_address(host.ssh_address, allowed_ranges=params["peer_ranges"], where=str(host.id))

    def attempt() -> dict[str, Any]:
        client = PeerClient(owner, view.hosts, Path(params["key_file"]), check_address=check_address)
        try:
            # The newest version may be at any of them, whoever it is handed to.
            running = publish.observe(
                client, publish.nodes_of(view.networks[network], view.hosts, None), network, owner
            )
            floor = record.manifest.version if record.manifest is not None else 0
            planned = publish.plan(document, params["version"], running, floor)
            notes = [f"{node} didn't answer: {why}" for node, why in sorted(running.silent.items())]
            result = {
                "changed": planned.change,
                "network": network,
                "version": planned.version,
                "sha256": planned.sha256,
                "notes": notes,
                "diff": planned.diff(running),
            }
            if planned.change and not check_mode and account is not None:
                signed = envelope.sign(network, planned.version, document, account.private_key)
                result["provider"] = str(publish.hand_in(client, nodes, signed, notes.append))
            return result
        finally:
            client.close()

    deadline = time.monotonic() + params["wait"]
    while True:
        try:
            return attempt()
        except Unavailable:
            # Providers hear of a new network, or of a new key of the tenant, with their next look at the chain.
            if time.monotonic() + _PAUSE > deadline:
                raise
            time.sleep(_PAUSE)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CHAIN_ARGUMENTS,
            **{key: ACCOUNT_ARGUMENTS[key] for key in ACCOUNT_SECRETS},
            "name": {"type": "str", "required": True},
            "owner": {"type": "str"},
            "content": {"type": "dict"},
            "src": {"type": "path"},
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
    module.exit_json(**result)


if __name__ == "__main__":
    main()
