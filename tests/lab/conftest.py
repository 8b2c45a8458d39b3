# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixture `lab` brings a lab up once per session."""

from __future__ import annotations

from lab.fixtures import lab

__all__ = ["lab"]
