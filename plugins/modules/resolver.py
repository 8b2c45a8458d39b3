#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: resolver
short_description: Run names and DHCP for the host's overlay networks
version_added: 0.1.0
description:
  - Keeps one dnsmasq per network running inside the network's namespace. It answers the endpoints of this host with
    the names of all endpoints of the network, and with their addresses by DHCP, DHCPv6 and router advertisements.
  - C(web.prod.avpn.internal) stands for every replica of the member C(web), C(0.web.prod.avpn.internal) for one of
    them, C(g2.web.prod.avpn.internal) for those of the lease of group 2. Names of endpoints that left don't exist.
  - Every other name is refused, so that a workload's stub resolver asks the next server on its list, its own. The
    server to put first is C(169.254.64.1), or over IPv6 the network's own C(::1), which also workloads can use that
    are in several networks.
  - A change of names or addresses is taken over without a restart.
notes:
  - The namespaces are made by M(akash.avpn.wireguard), which also ends the resolvers of networks that left the host.
  - All networks of the host are done by one call. What can't be done for one of them is a warning, is in RV(problems),
    and doesn't keep the others from being done.
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
  root:
    description: The directory that stands for C(/) where the host's own files are looked for. For tests.
    type: path
    default: /
seealso:
  - module: akash.avpn.wireguard
"""

EXAMPLES = r"""
- name: Run names and DHCP of this host's networks
  akash.avpn.resolver:
"""

RETURN = r"""
problems:
  description: What couldn't be done, by network id.
  type: dict
  returned: success
networks:
  description: The networks that have endpoints on this host, by network id, as M(akash.avpn.wireguard) returns them.
  type: dict
  returned: success
fresh:
  description: Whether the view of the chain was young enough to take away and let in.
  type: bool
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._overlay.apply import apply_resolvers
from ansible_collections.akash.avpn.plugins.module_utils._overlay.running import run_module


def main() -> None:
    module = AnsibleModule(argument_spec={"root": {"type": "path", "default": "/"}}, supports_check_mode=True)
    run_module(module, apply_resolvers)


if __name__ == "__main__":
    main()
