#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: path_info
short_description: Tell who may reach whom in a network, and why or why not
version_added: 0.1.0
description:
  - Says for one path whether it is permitted, which rule of the sender's and of the receiver's side decides, and what
    to add to the manifest, or to remove from it, to permit it. Says for all pairs which ports are permitted, and what
    another manifest changes in that.
  - On a tenant's machine it needs nothing but the manifest, in O(content) or O(src). Addresses of endpoints aren't
    known there, so answers are for wherever in the network's range they may be. On a provider's host it reads the
    network's record, ledger and enforced manifest there; answers are then about the endpoints that live.
  - Nothing is probed; M(akash.avpn.path_check) does that.
extends_documentation_fragment:
  - akash.avpn.attributes
  - akash.avpn.attributes.info
author:
  - The akash.avpn authors (@akash-avpn)
options:
  from:
    description:
      - Who sends. A member (V(web)), one of its leases (V(web/2)), an endpoint (V(web/2/0)), an address outside the
        network, or a range that a route leads to. By default everybody.
    type: str
  to:
    description: Who receives, in the same way.
    type: str
  port:
    description:
      - One port like V(tcp/443), V(icmp) or V(icmpv6), or a type of these (V(icmp/timestamp-request)). Pings are meant
        if no type is named. By default all ports.
      - With O(from) and O(to), RV(paths) explains.
    type: str
  content:
    description: The manifest that is asked about. By default that which this host enforces.
    type: dict
  src:
    description: YAML file with that manifest; answers then name its lines.
    type: path
  against:
    description:
      - The manifest that it is compared with. By default, if O(network) and a manifest are given, that which this host
        enforces; else none.
    type: dict
  against_src:
    description: YAML file with that manifest.
    type: path
  network:
    description:
      - Name or id of a network that this host knows. Not needed if it knows but one, or for nothing but O(content) or
        O(src).
    type: str
  owner:
    description: The tenant's account, where several have a network of this name.
    type: str
  cidr:
    description:
      - The network's IPv4 range, where no host tells. Without it, CIDRs in rules may be about any endpoint's address.
    type: str
  root:
    description: The directory that stands for C(/). For tests.
    type: path
    default: /
"""

EXAMPLES = r"""
- name: Why can't web reach the database?
  akash.avpn.path_info:
    src: policy.yml
    from: web
    to: db
    port: tcp/5432
  register: path

- name: Show the answer
  ansible.builtin.debug:
    msg: "{{ path.text }}"

- name: Who may reach the database on this provider's host?
  akash.avpn.path_info:
    network: prod
    to: db

- name: What would another manifest change?
  akash.avpn.path_info:
    src: changed.yml
    against_src: policy.yml
"""

RETURN = r"""
permitted:
  description:
    - Whether the path is permitted, whatever the addresses of its ends.
    - Null unless O(from), O(to) and O(port) are given.
  type: bool
  returned: success
paths:
  description:
    - The path that is asked about. Several, if the manifest tells leases or addresses of its ends or IP versions apart,
      none if the ends have no IP version in common. Null unless O(from), O(to) and O(port) are given.
  type: list
  elements: dict
  returned: success
  contains:
    from:
      description: The sender.
      type: str
    to:
      description: The receiver.
      type: str
    family:
      description: Over which IP versions, V(both), V(ipv4) or V(ipv6).
      type: str
    verdict:
      description: V(allow), V(deny), or V(depends) on the addresses of the ends.
      type: str
    egress:
      description: What the sender's side says. Several, if it depends on addresses.
      type: list
      elements: dict
      sample: [{permitted: true, place: members.web.egress.allow.0, line: 4, why: allow rule, addresses: []}]
      contains:
        permitted:
          description: Whether it permits the path.
          type: bool
        place:
          description: The rule or route that decides, null if none does.
          type: str
        line:
          description: Its line in O(src), else null.
          type: int
        why:
          description: The reason in words.
          type: str
        addresses:
          description: Addresses of the other end for which it is so, empty for all.
          type: list
          elements: str
    ingress:
      description: What the receiver's side says, in the same form.
      type: list
      elements: dict
    add:
      description: Rules to add so that it is permitted.
      type: list
      elements: dict
      sample: [{where: members.db.ingress.allow, rule: {peers: web, ports: tcp/5432}}]
      contains:
        where:
          description: The list to which it is added.
          type: str
        rule:
          description: The rule as a manifest writes it.
          type: dict
    remove:
      description: Denying rules that have to go or to be narrowed.
      type: list
      elements: dict
      contains:
        where:
          description: The place of the rule.
          type: str
        line:
          description: Its line in O(src), else null.
          type: int
        rule:
          description: The rule as a manifest writes it.
          type: dict
    route:
      description: Ranges that a route has to lead to.
      type: list
      elements: str
    also:
      description: What these changes would permit beyond what is asked for, in the form of RV(matrix).
      type: list
      elements: dict
matrix:
  description: Who may reach whom. At most 10000 entries; beyond, the module fails.
  type: list
  elements: dict
  returned: success
  sample: [{from: web, to: db, ports: [tcp/5432], family: both, addresses: all}]
  contains:
    from:
      description:
        - A member, one of its leases (C(web/2)) where the manifest tells them apart, C(web/*) being the rest; an
          endpoint (C(web/1/0)) where a CIDR tells addresses of a lease apart; or a range that a route leads to.
      type: str
    to:
      description: The receiver, in the same way.
      type: str
    ports:
      description: Ports as a manifest writes them, or one text like C(any except tcp/22).
      type: list
      elements: str
    family:
      description: Over which IP versions, V(both), V(ipv4) or V(ipv6).
      type: str
    addresses:
      description: For V(all) addresses of the two ends, or for V(some).
      type: str
difference:
  description:
    - What is permitted and wasn't (C(gains)), and the other way round (C(loses)), both in the form of RV(matrix).
    - Null if there is no manifest to compare with.
  type: dict
  returned: success
staged:
  description: What enforcing the manifest's C(staged) part would change, likewise. Null if it has none.
  type: dict
  returned: success
version:
  description: Version of the manifest that this host enforces, null if it has none or wasn't asked.
  type: int
  returned: success
endpoints:
  description: Number of living endpoints that the answer is about; with 0, addresses aren't known.
  type: int
  returned: success
text:
  description: The answer for people, in lines.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._overlay.path_info import run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "from": {"type": "str"},
            "to": {"type": "str"},
            "port": {"type": "str"},
            "content": {"type": "dict"},
            "src": {"type": "path"},
            "against": {"type": "dict"},
            "against_src": {"type": "path"},
            "network": {"type": "str"},
            "owner": {"type": "str"},
            "cidr": {"type": "str"},
            "root": {"type": "path", "default": "/"},
        },
        mutually_exclusive=[("content", "src"), ("against", "against_src"), ("network", "cidr")],
        supports_check_mode=True,
    )
    try:
        result = run(module.params)
    except AvpnError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
