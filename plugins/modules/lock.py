#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: lock
short_description: Hold a lock that the providers of a network have agreed on
version_added: 0.1.0
description:
  - Acquires, renews or releases a named lock of a network. It is a record in the network's ledger, agreed by a majority
    of its voters, so at most one host holds it at any chain height.
  - The holder is the host, not the play. Two plays on one host both hold what their host holds.
  - Time is counted in blocks of the chain. A lock that isn't renewed ends by itself at the height in RV(expires).
  - RV(token) is a fencing token. Every later holder's token is higher. A lock by itself can't stop a play that was
    paused past the expiry from going on; whatever the lock protects must refuse a token lower than one it has seen.
  - The lock says nothing about the real time that passes between two blocks, nor does it survive the network's recovery
    with a higher generation.
extends_documentation_fragment:
  - akash.avpn.attributes
author:
  - The akash.avpn authors (@akash-avpn)
attributes:
  check_mode:
    support: none
    details:
      - Whether a lock can be had is known only by taking it. In check mode the task is skipped.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - Acquiring a lock that the host holds renews it, which is a change whenever the chain has moved on.
options:
  network:
    description: The network, by id, as owner/name, or by name where only one network of the host has it.
    type: str
    required: true
  name:
    description: The lock's name, 1 to 32 characters a-z, 0-9 and inner hyphens.
    type: str
    required: true
  state:
    description: Whether this host should hold the lock.
    type: str
    choices: [present, absent]
    default: present
  ttl:
    description: For how many blocks of the chain to hold it, counted from the newest known one. About 6 seconds each.
    type: int
    default: 100
  wait:
    description: Seconds to wait for a lock that another host holds.
    type: float
    default: 0
  deadline:
    description: Seconds after which a single attempt is given up, when too few voters answer.
    type: float
    default: 30
  root:
    description: The directory that stands for C(/). For tests.
    type: path
    default: /
"""

EXAMPLES = r"""
- name: Do something that only one host may do at a time
  block:
    - name: Take the lock
      akash.avpn.lock:
        network: prod
        name: migrate
        ttl: 50
        wait: 120
      register: migrate

    - name: Migrate, telling the database the token
      ansible.builtin.command:
        argv: [/usr/local/bin/migrate, --fencing-token, "{{ migrate.token }}"]
      changed_when: true
  always:
    - name: Give the lock back
      akash.avpn.lock:
        network: prod
        name: migrate
        state: absent
"""

RETURN = r"""
held:
  description: Whether this host holds the lock now.
  type: bool
  returned: success
token:
  description: The fencing token, the version of the ledger that granted the lock. Renewal keeps it.
  type: int
  returned: when the lock is held
holder:
  description: Who holds the lock, as provider/node. Null when nobody does.
  type: str
  returned: success
expires:
  description: The last chain height at which the lock is held.
  type: int
  returned: when the lock is held
left:
  description: For how many more blocks the lock is held, by this host's view. 0 once RV(expires) is reached.
  type: int
  returned: when the lock is held
height:
  description: The chain height of this host's view, which RV(expires) compares with.
  type: int
  returned: success
version:
  description: The ledger's version.
  type: int
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common import fields
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._peer import allocation
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.plugins.module_utils._quorum.constants import MAX_LOCK_BLOCKS
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire, Release


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "network": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "ttl": {"type": "int", "default": 100},
            "wait": {"type": "float", "default": 0},
            "deadline": {"type": "float", "default": 30},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=False,
    )
    options = module.params
    try:
        name = fields.name(options["name"], "name")
        ttl = fields.integer(options["ttl"], "ttl", least=1, most=MAX_LOCK_BLOCKS)
        wanted = Acquire(name, ttl, 0) if options["state"] == "present" else Release(name)
        paths = Paths(Path(options["root"]))
        wait, deadline = options["wait"], options["deadline"]
        result = allocation.lock(paths, options["network"], wanted, wait=wait, deadline=deadline)
    except AvpnError as error:
        module.fail_json(msg=str(error))
    if result["held"]:
        result["left"] = result["expires"] - result["height"]
    module.exit_json(**{key: value for key, value in result.items() if value is not None or key == "holder"})


if __name__ == "__main__":
    main()
