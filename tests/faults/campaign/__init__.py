# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A campaign of faults on the lab: what is planned, who does it, what is broken meanwhile, what is written down."""
