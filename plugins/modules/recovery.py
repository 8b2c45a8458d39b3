#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery
short_description: Bring a network back whose majority of voters is lost for good
version_added: 0.1.0
description:
  - Asks every host that may hold something of the network's ledger what it holds, over SSH with the tenant's key,
    proves what they show from the chain, and says what each surviving value would keep and lose.
  - With O(generation) it also writes the record - the next generation, the value that it starts from, and the hosts
    that start it - in one transaction, and waits until they have begun.
  - What runs goes on running all the while. What the lost voters agreed on and no survivor heard of is lost, and
    what they hold doesn't count any more even if they come back. So recovery is refused where enough of them answer.
  - Runs on the tenant's machine.
extends_documentation_fragment:
  - akash.avpn.attributes
  - akash.avpn.chain
  - akash.avpn.account
author:
  - The akash.avpn authors (@akash-avpn)
attributes:
  check_mode:
    support: full
    details:
      - The hosts are asked, and the record is shown as it would be.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - O(generation) names the generation that is wanted. Once it stands on chain nothing is written; the module waits
        until it has begun and says what is in it.
options:
  name:
    description: Name of the network.
    type: str
    required: true
  owner:
    description: The tenant's account. By default that of the key. Without a key, which is enough for showing and for
      check mode, it must be given.
    type: str
  key_file:
    description: SSH private key whose public part stands in the network's record under C(access).
    type: path
    required: true
  generation:
    description:
      - The generation to raise the network to, which is the next one. Without it nothing is written.
      - It is the confirmation, and makes it safe to run the same again.
    type: int
  base:
    description:
      - SHA-256 of the value to start from, of those that hosts show, or V(none) to start empty. By default the newest
        that is proven.
      - It is a floor. What the founders hold beyond it is kept as well.
    type: str
  founders:
    description:
      - Hosts (C(provider/node)) that start the generation, up to five. By default those that voted and answer, filled
        up with other hosts that answer, of providers with leases first, then witnesses.
      - All of them have to answer for the start.
    type: list
    elements: str
    default: []
  hosts:
    description: Further hosts (C(provider/node)) to ask, which may hold a copy though nothing on chain says so.
    type: list
    elements: str
    default: []
  force:
    description: Recover though enough voters answer, choose among two values that contradict each other, or name
      founders that don't answer.
    type: bool
    default: false
  host_timeout:
    description: How long to wait for one host to say where it stands, in seconds. All are asked at once.
    type: float
    default: 20
  wait:
    description: How long to wait until the new generation has begun, in seconds; V(0) doesn't wait.
    type: int
    default: 300
  peer_ranges:
    description: Private ranges in which providers' hosts may be, such as those of a lab.
    type: list
    elements: str
    default: []
  carrier:
    description: Where the record is kept - in the chain's audit module, or in a file for working offline and for tests.
    type: str
    choices: [audit, file]
    default: audit
  path:
    description: The file of O(carrier=file), which holds a whole view.
    type: path
requirements:
  - cryptography
  - paramiko
"""

EXAMPLES = r"""
- name: What do the hosts hold, and what would recovery keep?
  akash.avpn.recovery:
    name: prod
    key_file: ~/.ssh/id_ed25519
    mnemonic_file: ~/.config/akash/mnemonic
    endpoints: [https://rpc.akt.dev/rest, https://akash-api.polkachu.com]
  register: survey

- name: Show it
  ansible.builtin.debug:
    msg: "{{ survey.report }}"

- name: Go on from the best that is left, as generation 1
  akash.avpn.recovery:
    name: prod
    generation: 1
    key_file: ~/.ssh/id_ed25519
    mnemonic_file: ~/.config/akash/mnemonic
    endpoints: [https://rpc.akt.dev/rest, https://akash-api.polkachu.com]
"""

RETURN = r"""
report:
  description: Everything in words, in lines.
  type: list
  elements: str
  returned: always but for wrong options
network:
  description: The network's id, SHA-256 of owner and name.
  type: str
  returned: success
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
generation:
  description: The generation on chain when the hosts were asked.
  type: int
  returned: success
  sample: 0
needed:
  description: Whether too few voters answer for the network to go on by itself.
  type: bool
  returned: success
voters:
  description: Who decides the next version (C(provider/node)), and whether it answers.
  type: dict
  returned: success
  sample: {"akash1…/node1": true, "akash1…/node2": false, "akash1…/node3": false}
hosts:
  description: Per host that was asked C(holds), a list of generation and version, and C(silent), why it doesn't answer.
  type: dict
  returned: success
  sample: {"akash1…/node1": {"holds": [[0, 41]], "silent": null}}
candidates:
  description: Values that a generation could start from, the best first.
  type: list
  elements: dict
  returned: success
  contains:
    generation:
      description: Its generation.
      type: int
    version:
      description: Its version.
      type: int
    hash:
      description: Its SHA-256, as O(base) takes it.
      type: str
    proof:
      description: C(certified), C(base) (the record names it), C(begun) (a first version that a founder accepted, with
        all founders' promises), C(named) (by O(base)), or C(accepted) (one host's word).
      type: str
    certified_by:
      description: Hosts that certified it.
      type: list
      elements: str
    held_by:
      description: Hosts that say it is the newest they hold.
      type: list
      elements: str
    half_done:
      description: Versions after it that hosts accepted (C(hash), C(hosts)); the start finishes the first one.
      type: list
      elements: dict
    hosts:
      description: How many hosts are in it.
      type: int
    addresses:
      description: How many addresses are bound in it.
      type: int
    missing:
      description: Endpoints (C(member/gseq/index)) that are leased now and have no address in it.
      type: list
      elements: str
doubts:
  description: What hosts say and don't prove (C(host), C(generation), C(version), C(why)); nothing is built on it.
  type: list
  elements: dict
  returned: success
proposal:
  description: What would be, or was, written - C(generation), C(base), C(founders), C(notes). Null if nothing can be.
  type: dict
  returned: success
record:
  description: The record as it is now, or would be.
  type: dict
  returned: success
started:
  description: >-
    What the new generation began with - C(version), C(hash), C(held_by), how many C(hosts) and C(addresses), C(kept)
    of the base's addresses, those C(lost) and C(gained) by endpoint, and C(rests_until), the block from which on
    addresses are given out again. Null if it hasn't begun.
  type: dict
  returned: success
transaction:
  description: Hash of the transaction and height of its block.
  type: dict
  returned: when a transaction was sent
  sample: {"hash": "5F2B…", "height": 1234}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._chain.arguments import ACCOUNT_ARGUMENTS, CHAIN_ARGUMENTS
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._recovery.recovery_module import run


def main() -> None:
    strings = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            **CHAIN_ARGUMENTS,
            **ACCOUNT_ARGUMENTS,
            "name": {"type": "str", "required": True},
            "owner": {"type": "str"},
            "key_file": {"type": "path", "required": True, "no_log": False},
            "generation": {"type": "int"},
            "base": {"type": "str"},
            "founders": strings,
            "hosts": strings,
            "force": {"type": "bool", "default": False},
            "host_timeout": {"type": "float", "default": 20},
            "wait": {"type": "int", "default": 300},
            "peer_ranges": strings,
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
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
