# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab plays: two tenants' networks over three providers, from nothing to probed paths."""
