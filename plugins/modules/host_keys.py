#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_keys
short_description: Make a provider host's keys and show their public parts
version_added: 0.1.0
description:
  - Makes the keys that identify this host to its peers, where they don't exist yet - the SSH host key of the peer
    channel, the SSH client key, and the Ed25519 key that signs what the host enters in ledgers - and the voter's
    database with its incarnation.
  - Private keys are made on the host, never leave it and are never returned. What is returned is what
    M(akash.avpn.provider) publishes on chain.
  - A key that exists is never replaced. To change one, remove its file and run this again; peers refuse the host until
    the new one is on chain.
extends_documentation_fragment:
  - akash.avpn.attributes
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
  user:
    description: The user that answers peers and owns the client key, the signing key and the voter's database.
    type: str
    default: avpn
  root:
    description: The directory that stands for C(/). For tests.
    type: path
    default: /
requirements:
  - python3-cryptography
"""

EXAMPLES = r"""
- name: Make the host's keys
  akash.avpn.host_keys:
  register: keys

- name: Show what has to stand on chain
  ansible.builtin.debug:
    msg: "{{ keys.ssh_host_key }}"
"""

RETURN = r"""
ssh_host_key:
  description: Public host key of the peer channel's sshd. Empty in check mode while there is none; so are the others.
  type: str
  returned: success
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDoK0wQ4u0rY3v2mC2kq9Yj1dXWq0o1m0o2rWQx5zLkq
ssh_client_key:
  description: Public key that this host calls peers with.
  type: str
  returned: success
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFb1m4h9C4m2u7b0kC7g0m1i8Q1w0qk2v9y2lR9o5cXn
signing_key:
  description: Ed25519 public key of the entries this host signs, in base64.
  type: str
  returned: success
  sample: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
incarnation:
  description: The random id of the voter's database, 32 hexadecimal digits.
  type: str
  returned: success
  sample: 5f2b9a0c8e7d4b6a9c1e3f5071829304
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._peer import host_keys
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "default": "avpn"},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    paths, user = Paths(Path(module.params["root"])), module.params["user"]
    os.umask(0o077)
    try:
        before = host_keys.observe(paths, user)
        if not before.complete and not module.check_mode:
            host_keys.create(paths, user)
        after = before if module.check_mode else host_keys.observe(paths, user)
    except (AvpnError, OSError) as error:
        module.fail_json(msg=str(error))
    planned = after if after.complete else before.with_missing("made on the host")
    module.exit_json(
        changed=not before.complete,
        diff={"before": before.as_text(), "after": planned.as_text()},
        **after.as_dict(),
    )


if __name__ == "__main__":
    main()
