# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was measured in the lab, for people: build/lab-report.json. No test depends on it."""

from __future__ import annotations

import json
import os
from typing import Any

from lab.topology import ROOT

REPORT = ROOT / "build" / "lab-report.json"


def record(what: str, measured: Any) -> None:
    """Put a measurement into the report, with the machine's load at the time; an older one of that name goes."""
    try:
        document = json.loads(REPORT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        document = {}
    load = round(os.getloadavg()[0], 1)
    document[what] = {"measured": measured, "load": load, "processors": os.cpu_count()}
    REPORT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
