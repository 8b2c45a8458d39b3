# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was seen of a ledger from outside, and whether a ledger may look so. Pure, and nothing of the collection."""
