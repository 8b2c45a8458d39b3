# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Options of everything that reads the chain."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  endpoints:
    description:
      - URLs of chain nodes' REST interfaces (LCD). A path in a URL is kept.
      - Unless O(own=true), at least two are needed, and nothing is believed that two of them don't say alike for the
        same block. A third one decides when two differ or one is silent.
    type: list
    elements: str
    default: []
  own:
    description:
      - Whether the endpoints are run by the team itself. Then one is enough, further ones stand in for it, and plain
        C(http) is accepted.
    type: bool
    default: false
  chain_id:
    description: The chain's id. An endpoint of another chain is refused.
    type: str
    default: akashnet-2
  ca_file:
    description: File with the certificates to trust for C(https) endpoints, instead of the system's.
    type: path
  timeout:
    description: How long to wait for a single answer, in seconds.
    type: int
    default: 10
"""
