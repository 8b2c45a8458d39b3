# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from ansible.errors import AnsibleFilterError

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._policy.asking import ask


def paths(manifest, source=None, target=None, port=None, against=None, cidr=None):
    """What a manifest permits, as module path_info tells it."""
    try:
        return ask(manifest, source=source, target=target, port=port, against=against, cidr=cidr)
    except (AvpnError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"akash.avpn.paths: {error}") from error


class FilterModule:
    """Filters about manifests."""

    def filters(self):
        return {"paths": paths}
