#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: reset
short_description: Take every overlay network off a provider host
version_added: 0.1.0
description:
  - Removes the namespaces, tunnels, resolvers, firewalls and tunnel keys of all networks of this host, and their routes
    in workloads that go on running. What is agreed on chain and in ledgers stays as it is.
  - Whatever starts the fast path or a reconciliation must be stopped before, or it makes them again.
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
- name: Take all networks off this host
  akash.avpn.reset:
"""

RETURN = r"""
problems:
  description: What couldn't be removed, by network id.
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._overlay.apply import apply_overlay
from ansible_collections.akash.avpn.plugins.module_utils._overlay.change import Outcome, as_diff
from ansible_collections.akash.avpn.plugins.module_utils._overlay.host import Host
from ansible_collections.akash.avpn.plugins.module_utils._overlay.model import HostPlan
from ansible_collections.akash.avpn.plugins.module_utils._overlay.registry import Registry
from ansible_collections.akash.avpn.plugins.module_utils._overlay.supervisor import Systemd
from ansible_collections.akash.avpn.plugins.module_utils._peer import config
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths


def _remove(paths: Paths, *, check: bool) -> Outcome:
    if not paths.host_config.exists():
        return Outcome()
    own = config.load(paths.host_config)
    registry = Registry(paths.registry, own.wireguard_first_port)
    host = Host(own.id, paths, registry, Systemd(), own.attach_path)
    if check:
        return apply_overlay(HostPlan(), host, check=True)
    with host.exclusive():
        return apply_overlay(HostPlan(), host, check=False)


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        outcome = _remove(Paths(), check=module.check_mode)
    except (AvpnError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(outcome.changes), problems=outcome.problems, diff=as_diff(outcome.changes))


if __name__ == "__main__":
    main()
