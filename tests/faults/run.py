# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make faults SEED=7``: a campaign of faults on the lab, judged by what was recorded (README.md)."""

from __future__ import annotations

import sys

from campaign.command import main

if __name__ == "__main__":
    sys.exit(main())
