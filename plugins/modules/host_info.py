#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Show what a provider host knows, has applied, and how its last runs went
version_added: 0.1.0
description:
  - Reads what the parts of the host wrote down. Nobody is asked, nothing is probed.
extends_documentation_fragment:
  - akash.avpn.attributes
  - akash.avpn.attributes.info
author:
  - The akash.avpn authors (@akash-avpn)
options: {}
"""

EXAMPLES = r"""
- name: Look at the host
  akash.avpn.host_info:
  register: host

- name: Show it
  ansible.builtin.debug:
    msg: "{{ host.table }}"
"""

RETURN = r"""
node:
  description: The host, as C(provider/node).
  type: str
  returned: success
drained:
  description: Whether the host is to leave the voters of its networks (O(akash.avpn.peer#role:main:peer_drain)).
  type: bool
  returned: success
height:
  description: Block height of the cached view, null if there is none.
  type: int
  returned: success
view_age:
  description: Seconds since that block.
  type: int
  returned: success
networks:
  description: Networks the host knows of or has applied, by network id.
  type: dict
  returned: success
  contains:
    name:
      description: The tenant's name for it.
      type: str
    owner:
      description: The tenant's account.
      type: str
    ledger:
      description: Generation and version of the newest certified ledger here.
      type: list
      elements: int
    manifest:
      description: Version of the newest verified manifest here.
      type: int
    voters:
      description: The hosts that vote there as far as this host's own voter knows; empty if it never voted.
      type: list
      elements: str
    contradictions:
      description:
        - Voters that contradicted themselves in what they signed, as far as this host has seen. It leaves them out.
        - Each with C(voter), C(incarnation), C(what) it did, C(ledger) (generation and version), and C(proof), the two
          statements.
      type: list
      elements: dict
    applied:
      description:
        - What the last apply made of it, null if nothing was applied.
        - C(refused) in it is what this host's firewall had refused then, in packets. C(members), by entry of the
          manifest, with C(egress) (of what its endpoints sent, by their own rules) and C(ingress) (of what was sent to
          them, by their own rules). C(others), by reason.
        - C(staged) in it is what the manifest's staged part would have refused of what passed, in flows. C(since), the
          version of the manifest since which that is counted. C(would_refuse), each with C(who) (entry of the
          manifest), C(side) and C(flows). Null if nothing is staged.
        - C(routes) in it are the ranges outside that members carry traffic to, each with the endpoint that does, null
          if none does. C(notes) is what was left out of the plan, and why.
      type: dict
    frame:
      description:
        - What has to be known of the frame around the firewall's rules, with C(state) (C(trial) or C(rolled-back)),
          C(since) in Unix seconds, and C(why). Null if it has proved itself.
      type: dict
problems:
  description: What was wrong with records on chain.
  type: dict
  returned: success
runs:
  description: The last reconciliations, newest first.
  type: list
  elements: dict
  returned: success
last_good:
  description: Revision and time (Unix seconds) of the last reconciliation that ended well, or null.
  type: dict
  returned: success
table:
  description: All of it for people, in lines.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.plugins.module_utils._reconcile import status


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        found = status.gather(Paths())
    except (AvpnError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found, table=status.table(found))


if __name__ == "__main__":
    main()
