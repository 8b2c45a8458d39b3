# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The development chain for tests of reading and writing."""

from __future__ import annotations

from devchain.pytest_plugin import devchain, pytest_configure

__all__ = ["devchain", "pytest_configure"]
