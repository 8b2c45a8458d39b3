#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: view
short_description: Refresh what a provider host knows of the chain and of its peers
version_added: 0.1.0
description:
  - Reads the chain into the host's cached view, as the user C(avpn), and fetches ledgers and manifests that peers have
    in a newer version. What is fetched is kept only if it proves itself.
  - This is the first step of a reconciliation. The steps that follow read what this one wrote.
  - If the chain doesn't answer, the view stays as it is. What runs goes on.
extends_documentation_fragment:
  - akash.avpn.attributes
author:
  - The akash.avpn authors (@akash-avpn)
attributes:
  check_mode:
    support: full
    details:
      - In check mode the chain is read, nothing is kept, and peers are not asked.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - A new height alone is no change.
options:
  peers:
    description: Whether to fetch newer ledgers and manifests from peers.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Read the chain and ask the peers
  akash.avpn.view:
"""

RETURN = r"""
height:
  description: Block height of the view.
  type: int
  returned: success
networks:
  description: Ids of the networks in the view.
  type: list
  elements: str
  returned: success
news:
  description: What peers had in a newer version, such as C(manifest <network id>).
  type: list
  elements: str
  returned: success
problems:
  description: What was wrong with records, or with what peers offered, and was left out.
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._peer import config
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.plugins.module_utils._reconcile import observe


def main() -> None:
    module = AnsibleModule(argument_spec={"peers": {"type": "bool", "default": True}}, supports_check_mode=True)
    paths = Paths()
    news: list[str] = []
    refused: dict[str, str] = {}
    try:
        host = config.load(paths.host_config)
        before = observe.lines(observe.cached(paths))
        view = observe.would_read(paths, host) if module.check_mode else observe.read(paths, host)
        if module.params["peers"] and not module.check_mode:
            news, refused = observe.fetch(paths, host)
    except AvpnError as error:
        module.fail_json(msg=str(error))
    after = observe.lines(view)
    module.exit_json(
        changed=before != after or bool(news),
        height=view.height,
        networks=sorted(view.networks),
        news=news,
        problems={**view.problems, **refused},
        diff={"before": "".join(f"{line}\n" for line in before), "after": "".join(f"{line}\n" for line in after)},
    )


if __name__ == "__main__":
    main()
