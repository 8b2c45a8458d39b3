# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Options of everything that signs transactions."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  mnemonic_file:
    description:
      - File with the account's mnemonic, on the host the module runs on, readable by its owner only.
      - Exactly one of O(mnemonic_file), O(private_key_file), O(mnemonic) and O(private_key) names the account.
    type: path
  private_key_file:
    description: File with the account's private key in hexadecimal, readable by its owner only.
    type: path
  mnemonic:
    description: The mnemonic itself, for those who keep it in Ansible Vault. A file is better.
    type: str
  private_key:
    description: The private key itself in hexadecimal, for those who keep it in Ansible Vault. A file is better.
    type: str
  transaction_endpoints:
    description:
      - Nodes that take the transaction, in the order in which they are tried; C(http(s\)://), or C(grpc+http(s\)://).
        By default those of O(endpoints).
    type: list
    elements: str
    default: []
  gas_price:
    description: Price of a unit of gas.
    type: str
    default: "0.0025"
  fee_denom:
    description: Coin the fee is paid in.
    type: str
    default: uakt
  gas:
    description: Gas limit of a transaction. By default it is simulated and multiplied by O(gas_adjustment).
    type: int
  gas_adjustment:
    description: Factor on the simulated gas.
    type: float
    default: 1.5
  inclusion_timeout:
    description: How long to wait until the transaction is in a block, in seconds.
    type: int
    default: 60
requirements:
  - cosmpy 0.12, where transactions are signed
"""
