# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the development chain's tests."""

from __future__ import annotations

from devchain.pytest_plugin import devchain

__all__ = ["devchain"]
