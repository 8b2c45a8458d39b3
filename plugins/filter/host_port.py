# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import ipaddress

from ansible.errors import AnsibleFilterError


def host_port(value):
    """``{"address": "2001:db8::1", "port": 7022}`` as ``[2001:db8::1]:7022``."""
    try:
        address = ipaddress.ip_address(str(value["address"]))
        port = int(value["port"])
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"akash.avpn.host_port needs an IP address and a port: {error}") from error
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


class FilterModule:
    """Filters for the playbooks of this collection."""

    def filters(self):
        return {"host_port": host_port}
