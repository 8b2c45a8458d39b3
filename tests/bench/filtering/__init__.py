# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The firewall's cost: networks of given sizes, packets through their rulesets, and rulesets to compare with."""
