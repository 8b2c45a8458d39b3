#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: announce
short_description: Tell a provider host's peers what is newer here
version_added: 0.1.0
description:
  - Sends one hint for every ledger and manifest that changed on this host since it last told its peers. Hints go round
    the gossip ring, and where there is none, to each host of the network over the peer channel.
  - This is the last step of a reconciliation. Hints only make others look sooner, so a peer that can't be told is
    reported and is no failure.
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
options: {}
"""

EXAMPLES = r"""
- name: Tell the peers what is newer here
  akash.avpn.announce:
"""

RETURN = r"""
hints:
  description: The hints, such as C(ledger <network id> 7).
  type: list
  elements: str
  returned: success
missed:
  description: Hosts that couldn't be told directly. They find out by comparison.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._peer import config
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.plugins.module_utils._reconcile import announce


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    paths = Paths()
    missed: list[str] = []
    try:
        host = config.load(paths.host_config)
        news = announce.observe(paths)
        hints = [str(hint) for hint in news.hints()]
        if not module.check_mode:
            missed = announce.tell(paths, host, news)
    except (AvpnError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(hints),
        hints=hints,
        missed=missed,
        diff={"before": "", "after": "".join(f"{hint}\n" for hint in hints)},
    )


if __name__ == "__main__":
    main()
